// HTTP/1.1 framing as RFC 9112 has it, read a second time: by the fuzzers, for what a client, the proxy and an upstream
// have put on the wire. Shares no code with lib/. Whole streams as latin1 strings; what is not surely one thing is a fault.
import { METHODS } from 'node:http'

export interface Message {
  /** The first line, without its CRLF. */
  readonly start: string
  /** `[name, value]`, names in lower case. */
  readonly fields: ReadonlyArray<readonly [string, string]>
  /** Decoded; as much as there is. */
  readonly body: string
  /** Where its head begins, where that ends, and where the whole ends (so far, if it is not complete). */
  readonly at: number
  readonly headEnd: number
  readonly end: number
  /** Whether the body has come to its end. */
  readonly complete: boolean
  /** What is wrong with its body. */
  readonly fault?: string
}

export interface Request extends Message {
  readonly method: string
  readonly target: string
  readonly version: string
}

export interface Response extends Message {
  readonly status: number
}

export interface Stream<T extends Message> {
  readonly messages: readonly T[]
  /** What is wrong with the bytes after the last of them. Nothing, where they may yet become a message. */
  readonly fault?: string
  readonly end: number
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// eslint-disable-next-line no-control-regex
const content = /^[^\x00-\x08\x0a-\x1f\x7f]*$/

export function valuesOf ({ fields }: { fields: Message['fields'] }, name: string): string[] {
  return fields.filter(([each]) => each === name).map(([, value]) => value)
}

export function membersOf (message: { fields: Message['fields'] }, name: string): string[] {
  return valuesOf(message, name).join(',').toLowerCase().split(',').map((member) => member.trim()).filter((member) => member !== '')
}

interface Head { start: string, fields: Array<[string, string]>, headEnd: number }

/** A head, a fault, or `undefined` where it is not whole. */
export function readHead (text: string, at: number): Head | string | undefined {
  const end = text.indexOf('\r\n\r\n', at)
  if (end === -1) return /(?<!\r)\n|\r(?!\n|$)/.test(text.slice(at)) ? 'a line that ends with half a CRLF' : undefined
  const [start = '', ...lines] = text.slice(at, end).split('\r\n')
  if (!content.test(start)) return 'a control character in the first line'
  const fields: Array<[string, string]> = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    const value = line.slice(colon + 1)
    if (!token.test(name)) return `a field without a proper name: ${JSON.stringify(line.slice(0, 40))}`
    if (!content.test(value)) return `a control character in ${name}`
    fields.push([name.toLowerCase(), value.replace(/^[ \t]+|[ \t]+$/g, '')])
  }
  return { start, fields, headEnd: end + 4 }
}

interface Body { body: string, end: number, complete: boolean, fault?: string }

/** Extensions as llhttp takes them: tokens, be they empty, and something in quotes; no space. */
// eslint-disable-next-line no-control-regex
const plainExtension = /^(?:;(?=[^ ])[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?:=[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?:"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*")?)?)*$/

/** A trailer as llhttp takes it: one that speaks of framing is at odds with the chunks. */
function isTrailer (line: string): boolean {
  return token.test(line.split(':', 1)[0] as string) && line.includes(':') && content.test(line) &&
    !/^(?:content-length:|transfer-encoding:[ \t]*[^ \t])/i.test(line)
}

/** Chunked framing: extensions and trailers are read over; those of a request (`plainExtension`) have to be well-formed. */
export function readChunks (text: string, from: number, extensions: RegExp = /^/): Body {
  let at = from
  let body = ''
  const broken = (fault: string): Body => ({ body, end: at, complete: false, fault })
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    const line = lineEnd === -1 ? text.slice(at) : text.slice(at, lineEnd)
    if (/[\r\n]/.test(lineEnd === -1 ? line.replace(/\r$/, '') : line)) return broken('a bare CR or LF in a chunk size')
    if (lineEnd === -1) {
      return /^0*(?:[0-9a-f]{0,16}|[0-9a-f]{1,16};.*)\r?$/i.test(line) && line !== '\r' ? { body, end: at, complete: false } : broken('a chunk size')
    }
    const size = /^(0*[0-9a-f]{1,16})(;.*)?$/i.exec(line)
    if (size === null || !extensions.test(size[2] ?? '')) return broken('a chunk size')
    const length = parseInt(size[1] as string, 16)
    at = lineEnd + 2
    if (length === 0) break
    const data = text.slice(at, at + length)
    body += data
    at += data.length
    if (data.length < length) return { body, end: at, complete: false }
    const after = text.slice(at, at + 2)
    if (after !== '\r\n') return '\r\n'.startsWith(after) ? { body, end: at, complete: false } : broken('a chunk longer than its size')
    at += 2
  }
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    const line = lineEnd === -1 ? text.slice(at).replace(/\r$/, '') : text.slice(at, lineEnd)
    if (/[\r\n]/.test(line)) return broken('a bare CR or LF in a trailer')
    if (lineEnd === -1) return { body, end: at, complete: false }
    at = lineEnd + 2
    if (line === '') return { body, end: at, complete: true }
    if (extensions === plainExtension && !isTrailer(line)) return broken('a trailer')
  }
}

function readLength (text: string, at: number, length: number): Body {
  const body = text.slice(at, at + length)
  return { body, end: at + body.length, complete: body.length === length }
}

type Framing = { length: number } | 'chunked' | 'close'

/** What the fields say of the body; a fault where they contradict each other or themselves; `undefined` where nothing. */
export function readFraming (message: { fields: Message['fields'] }): Framing | { fault: string } | undefined {
  const lengths = valuesOf(message, 'content-length')
  const codings = membersOf(message, 'transfer-encoding')
  const coded = valuesOf(message, 'transfer-encoding').length > 0
  if (coded && lengths.length > 0) return { fault: 'Content-Length and Transfer-Encoding' }
  if (lengths.length > 1) return { fault: 'two Content-Lengths' }
  if (coded) return codings.at(-1) === 'chunked' && codings.indexOf('chunked') === codings.length - 1 ? 'chunked' : { fault: 'Transfer-Encoding' }
  if (lengths.length === 0) return undefined
  return /^[0-9]{1,15}$/.test(lengths[0] as string) ? { length: Number(lengths[0]) } : { fault: 'Content-Length' }
}

/** RFC 9112, 6.3: a response whose last coding is not chunked goes on to the end of the connection. */
function responseFraming (head: Head): ReturnType<typeof readFraming> {
  const coded = valuesOf(head, 'transfer-encoding').length > 0 && valuesOf(head, 'content-length').length === 0
  return coded && !membersOf(head, 'transfer-encoding').includes('chunked') ? 'close' : readFraming(head)
}

function readBody (text: string, at: number, framing: Framing | undefined, extensions?: RegExp): Body {
  if (framing === 'chunked') return readChunks(text, at, extensions)
  if (framing === 'close') return { body: text.slice(at), end: text.length, complete: false }
  return framing === undefined ? { body: '', end: at, complete: true } : readLength(text, at, framing.length)
}

/** A request target as llhttp takes it. */
const targetForm = /^(?:[/*]|[A-Za-z]+:\/\/(?:@?[\w\-.!~*'()%;:&=+$,[\]])*@?(?:$|[/?]))[\x21-\x7e]*$/

/** All requests of a connection. Behind one whose end is uncertain there is none. */
export function readRequests (text: string, from = 0): Stream<Request> {
  const messages: Request[] = []
  let at = from
  for (;;) {
    // RFC 9112, 2.2: empty lines before a request line are ignored; Node takes half of a CRLF for one.
    while (text[at] === '\n' || text[at] === '\r') at++
    if (at === text.length) return { messages, end: at }
    const head = readHead(text, at)
    if (head === undefined) return { messages, end: at }
    if (typeof head === 'string') return { messages, fault: head, end: at }
    // As Node has it: without a version it is of HTTP/0.9, and has fields none the less.
    const line = /^([^ ]+) +([^ ]+)(?: +HTTP\/(0\.9|1\.[01]|2\.0))?$/.exec(head.start)
    if (line === null || !targetForm.test(line[2] as string) || !METHODS.includes(line[1] as string) || line[1] === 'CONNECT') {
      return { messages, fault: `a request line: ${JSON.stringify(head.start.slice(0, 80))}`, end: at }
    }
    const framing = readFraming(head)
    if (typeof framing === 'object' && 'fault' in framing) return { messages, fault: framing.fault, end: at }
    const [, method = '', target = '', version = '0.9'] = line
    const body = readBody(text, head.headEnd, framing, plainExtension)
    messages.push({ ...head, ...body, at, method, target, version })
    at = body.end
    if (!body.complete) return { messages, end: at, ...(body.fault === undefined ? {} : { fault: body.fault }) }
  }
}

/**
 * All final responses of a connection, up to a 101.
 * @param methods of the requests that they answer, in order
 * @param ended whether the connection has come to its regular end
 */
export function readResponses (text: string, methods: readonly string[], ended: boolean, from = 0): Stream<Response> {
  const messages: Response[] = []
  let at = from
  while (at < text.length) {
    const head = readHead(text, at)
    if (head === undefined) return { messages, end: at }
    if (typeof head === 'string') return { messages, fault: head, end: at }
    const line = /^HTTP\/1\.[01] ([1-5][0-9][0-9])(?: .*)?$/.exec(head.start)
    if (line === null) return { messages, fault: `a status line: ${JSON.stringify(head.start.slice(0, 80))}`, end: at }
    const status = Number(line[1])
    if (status < 200 && status !== 101) {
      at = head.headEnd
      continue
    }
    const method = methods[messages.length] ?? 'GET'
    const bodiless = method === 'HEAD' || status === 101 || status === 204 || status === 304
    const framing = bodiless ? undefined : responseFraming(head)
    if (typeof framing === 'object' && 'fault' in framing) return { messages, fault: framing.fault, end: at }
    const body = bodiless ? readLength(text, head.headEnd, 0) : readBody(text, head.headEnd, framing ?? 'close')
    const complete = body.complete || (!bodiless && (framing === undefined || framing === 'close') && ended)
    messages.push({ ...head, ...body, complete, at, status })
    at = body.end
    if (status === 101 || !complete) return { messages, end: at, ...(body.fault === undefined ? {} : { fault: body.fault }) }
  }
  return { messages, end: at }
}
