/**
 * Header fields, as flat lists (`[name, value, name, value]`, like `rawHeaders`), in latin1. Pure functions: they take a
 * list and return a new one. The rule for both directions: strip everything hop-by-hop, then add back the few we mean.
 */

/** `[name, value, name, value, …]`, as on the wire: order, case and repeated fields kept. */
export type HeaderList = readonly string[]

/** Headers by lower-case name, for a user's rewrite function. A repeated field is an array. */
export type HeaderMap = Record<string, string | string[] | undefined>

// RFC 9110, 7.6.1, and what has been for one hop by custom. Proxy-Authenticate and -Authorization (11.7) are between
// a client and its own proxy; HTTP2-Settings belongs to an upgrade to h2c, which we never make.
const hopByHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'http2-settings', 'proxy-authenticate', 'proxy-authorization'
])

/** Whether a field says how far its message or its connection goes, in lower case: we write those ourselves, and nobody else. */
export function isFraming (key: string): boolean {
  return hopByHop.has(key) || key === 'content-length' || key === 'expect'
}

// What `Connection` cannot name away: fields that we add, that make up the message, or that an upstream relies on for
// a decision about who is asking (CVE-2022-31813, CVE-2024-45410, CVE-2026-33805).
const endToEnd: ReadonlySet<string> = new Set([
  'host', 'content-length', 'content-type', 'content-encoding', 'cookie', 'set-cookie', 'authorization', 'origin',
  'forwarded', 'via', 'traceparent', 'tracestate', 'location', 'www-authenticate', 'date'
])

/** Which fields tell the upstream who asked: see the option `forwarded`. */
export type ForwardedMode = 'x-forwarded' | 'forwarded' | 'both' | false

// The fields that say who asked. An upstream must be able to believe them, so a client's own are dropped.
function isAboutTheClient (key: string): boolean {
  return key === 'forwarded' || key.startsWith('x-forwarded-')
}

// Those that we write ourselves.
const xForwarded: ReadonlySet<string> = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'])
const isNone = (): boolean => false
const isXForwarded = (key: string): boolean => xForwarded.has(key)
const isForwarded = (key: string): boolean => key === 'forwarded'
const isKnown = (key: string): boolean => isForwarded(key) || isXForwarded(key) || key === 'x-forwarded-port' || key === 'x-forwarded-server'

const upgradeToken = 'upgrade'

/** What becomes of a request's headers on the way to the upstream. */
export interface RequestRules {
  /** The Host to send. */
  readonly host: string
  /** Whether the message keeps its `Content-Length`; an upgrade has no body. */
  readonly body: boolean
  /** Whether a hook has put another body in the place of the client's: what its `Content-Encoding` says need not hold for that one. */
  readonly replaced?: boolean
  /** Fields about the client that we add, as a flat list. */
  readonly forwarded: HeaderList
  /** Whether a field, by its lower-case name, does not pass. */
  readonly isDropped: (key: string) => boolean
  readonly via: 'off' | 'on' | 'full' | 'block'
}

/** The members of a list-based field (RFC 9110, 5.6.1), in lower case, empty ones left out. */
export function tokens (value: string): string[] {
  if (!value.includes(',')) { // as nearly always
    const token = value.trim().toLowerCase()
    return token === '' ? [] : [token]
  }
  return value.toLowerCase().split(',').map((token) => token.trim()).filter((token) => token !== '')
}

/** Whether a request with these headers, as Node joins them, has a body (RFC 9112, 6.3), or bytes that claim to be one. */
export function announcesBody (headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** The value of a field, its repetitions joined as RFC 9110, 5.3 has it; `undefined` where it is absent. */
export function fieldValue (list: HeaderList, name: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < list.length; i += 2) {
    const field = list[i] as string
    if (field.length !== name.length || field.toLowerCase() !== name) continue
    value = value === undefined ? list[i + 1] as string : `${value}, ${list[i + 1] as string}`
  }
  return value
}

/** Lower-case names that `Connection` takes away with itself. */
function namedByConnection (list: HeaderList): string[] {
  const value = fieldValue(list, 'connection')
  if (value === undefined) return []
  return tokens(value).filter((token) => !hopByHop.has(token) && !isEndToEnd(token) && token !== 'close')
}

function isEndToEnd (name: string): boolean {
  return endToEnd.has(name) || isAboutTheClient(name) || name.startsWith('sec-websocket-')
}

/** A request's headers as the upstream gets them: Host first, then the client's in their order, then ours. */
export function requestHeaders (raw: HeaderList, rules: RequestRules): string[] {
  const named = namedByConnection(raw)
  const out = ['Host', rules.host]
  let cookieAt = -1
  let via = ''
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const key = name.toLowerCase()
    if (hopByHop.has(key) || key === 'host' || key === 'expect' || key.charCodeAt(0) === 0x3a) continue // ':': HTTP/2's own
    if (named.length > 0 && named.includes(key)) continue
    if (key === 'content-length' && !rules.body) continue
    if (key === 'content-encoding' && rules.replaced === true) continue
    if (key.includes('_') && isFraming(key.replaceAll('_', '-'))) continue
    if (key === 'cookie') {
      // RFC 9113, 8.2.3 and RFC 6265, 5.4: one Cookie field, joined by a semicolon, never by a comma.
      if (cookieAt !== -1) {
        out[cookieAt] += `; ${value}`
        continue
      }
      cookieAt = out.length + 1
    }
    if (key === 'via' && rules.via !== 'off') {
      via += via === '' ? value : `, ${value}`
      continue
    }
    // Also in the spelling with underscores, which CGI-like upstreams cannot tell apart (CVE-2026-39858).
    if (rules.isDropped(key.includes('_') ? key.replaceAll('_', '-') : key)) continue
    out.push(name, value)
  }
  if (rules.via === 'on' || rules.via === 'full') out.push('Via', withVia(via, rules.via))
  for (const field of rules.forwarded) out.push(field)
  return out
}

/**
 * Which of the fields that say who asked do not pass: all of them, `X-Forwarded-*` of any name; of a trusted proxy, those that we
 * write anew from what it said; none if the option is off.
 */
export function droppedFields (mode: ForwardedMode, trusted: boolean): (key: string) => boolean {
  if (mode === false) return isNone
  if (!trusted) return isAboutTheClient
  if (mode === 'both') return isKnown
  return mode === 'forwarded' ? isForwarded : isXForwarded
}

function withVia (received: string, via: 'on' | 'full'): string {
  const own = via === 'full' ? '1.1 fastify-wstunnel (fastify-wstunnel)' : '1.1 fastify-wstunnel'
  return received === '' ? own : `${received}, ${own}`
}

/** A response's headers as the client gets them; framing (`Transfer-Encoding`) is for whoever writes them. */
export function responseHeaders (raw: HeaderList, viaRule: RequestRules['via']): string[] {
  const named = namedByConnection(raw)
  const out: string[] = []
  let via = ''
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const key = name.toLowerCase()
    if (hopByHop.has(key)) continue
    if (named.length > 0 && named.includes(key)) continue
    if (key === 'via' && viaRule !== 'off') {
      via += via === '' ? raw[i + 1] as string : `, ${raw[i + 1] as string}`
      continue
    }
    out.push(name, raw[i + 1] as string)
  }
  if (viaRule === 'on' || viaRule === 'full') out.push('Via', withVia(via, viaRule))
  return out
}

/** One `Vary` of several (RFC 9110, 12.5.5): each name once, in the spelling of the first. */
export function mergedVary (values: readonly string[]): string {
  const names = new Map<string, string>()
  for (const name of values.flatMap((value) => value.split(',')).map((part) => part.trim())) {
    if (name === '*') return '*'
    if (name !== '' && !names.has(name.toLowerCase())) names.set(name.toLowerCase(), name)
  }
  return [...names.values()].join(', ')
}

/** Who asked, as Fastify's `trustProxy` lets us believe it. */
export interface ClientFacts {
  /** The peer's own address, and after it those that trusted proxies named: nearest first. None on a unix socket. */
  readonly addresses: readonly string[]
  readonly host: string
  readonly protocol: string
}

/** The fields that say who asked (httpd: ProxyAddHeaders; RFC 7239). */
export function forwardedHeaders (mode: ForwardedMode, client: ClientFacts): string[] {
  const out: string[] = []
  if (mode === 'x-forwarded' || mode === 'both') {
    if (client.addresses.length > 0) out.push('X-Forwarded-For', client.addresses.toReversed().join(', '))
    if (client.host !== '') out.push('X-Forwarded-Host', client.host)
    out.push('X-Forwarded-Proto', client.protocol)
  }
  if (mode === 'forwarded' || mode === 'both') out.push('Forwarded', forwardedField(client))
  return out
}

/** RFC 7239, 4: one element a hop; what we know ourselves of host and protocol goes with the first. */
function forwardedField (client: ClientFacts): string {
  const hops = client.addresses.length > 0 ? client.addresses.toReversed().map((address) => `for=${node(address)}`) : ['for=unknown']
  const host = client.host === '' ? '' : `;host=${quote(client.host)}`
  hops[0] += `${host};proto=${quote(client.protocol)}`
  return hops.join(', ')
}

/** RFC 7239, 6: an IPv6 address stands in brackets and so in quotes; what is no address is `unknown`. */
function node (address: string): string {
  if (address.includes(':')) return /^[0-9a-f:.]+$/i.test(address) ? `"[${address}]"` : 'unknown'
  return /^[0-9.]+$/.test(address) ? address : 'unknown'
}

function quote (value: string): string {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/i.test(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`
}

const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/ // RFC 9110, 5.1: a token
const fieldContent = /^[\t\x20-\x7e\x80-\xff]*$/ // RFC 9110, 5.5: no control characters, so no line of its own

/** Whether a name and a value can be written as one header field and as nothing else. */
export function isField (name: unknown, value: unknown): boolean {
  return typeof name === 'string' && typeof value === 'string' && fieldName.test(name) && fieldContent.test(value)
}

export function isToken (value: string): boolean {
  return fieldName.test(value)
}

/**
 * A message head as bytes. Every head that we write ourselves is made here, and checked here: nothing that a client, an
 * upstream or a rewrite function supplied can begin a line of its own.
 * @throws TypeError for a start line or a field that cannot be written as what it is.
 */
export function serialise (startLine: string, list: HeaderList): Buffer {
  if (!/^[\x20-\x7e\x80-\xff]+$/.test(startLine)) throw new TypeError('invalid start line')
  let head = `${startLine}\r\n`
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]
    const value = list[i + 1]
    if (!isField(name, value)) throw new TypeError(`invalid header field ${JSON.stringify(String(name).slice(0, 64))}`)
    head += `${name as string}: ${value as string}\r\n`
  }
  return Buffer.from(`${head}\r\n`, 'latin1')
}

/** By lower-case name, repeated fields as arrays; without a prototype, so that no name is special. */
export function toMap (list: HeaderList): HeaderMap {
  const map: HeaderMap = Object.create(null)
  for (let i = 0; i < list.length; i += 2) {
    const key = (list[i] as string).toLowerCase()
    const value = list[i + 1] as string
    const known = map[key]
    if (known === undefined) map[key] = value
    else if (typeof known === 'string') map[key] = [known, value]
    else known.push(value)
  }
  return map
}

/**
 * What a user's rewrite function returned, as a list again. Framing is ours: `Content-Length` is what it was before. One
 * name, however it is written, is one field: the last.
 * @throws TypeError where a value is neither a string, a number nor an array of those, or cannot be written.
 */
export function fromMap (map: unknown, before: HeaderList = []): string[] {
  // Not a Promise, a Map or a Headers: they would pass for an object without any field.
  const prototype: unknown = typeof map === 'object' && map !== null ? Object.getPrototypeOf(map) : undefined
  if (prototype !== null && prototype !== Object.prototype) throw new TypeError('a rewrite function must return a plain object of headers')
  const fields = new Map<string, string[]>()
  for (const [name, value] of Object.entries(map as HeaderMap)) {
    const key = name.toLowerCase()
    if (isFraming(key)) continue
    const out: string[] = []
    for (const item of Array.isArray(value) ? value : value === undefined ? [] : [value]) {
      const text = typeof item === 'number' ? String(item) : item
      if (!isField(name, text)) throw new TypeError(`invalid header field ${JSON.stringify(name.slice(0, 64))}`)
      out.push(name, text)
    }
    fields.set(key, out)
  }
  const length = fieldValue(before, 'content-length')
  return [...fields.values(), length === undefined ? [] : ['Content-Length', length]].flat()
}

// HTTP itself in any version, by its own name or that of ALPN, drafts too; and TLS, in which any of them may be.
const carriesRequests = /^(?:https?|h[23]c?(?:-.*)?|hq(?:-.*)?|spdy|tls)$/

/**
 * Whether a protocol of `Upgrade` (RFC 9110, 7.8: a name, perhaps with a version) is well-formed, and none that carries
 * requests past this server's checks: HTTP in any version, h2c smuggling, upgrades to TLS.
 */
export function isTunnelled (protocol: string): boolean {
  const [name = '', version, ...more] = protocol.toLowerCase().split('/')
  if (!isToken(name) || (version !== undefined && !isToken(version)) || more.length > 0) return false
  return !carriesRequests.test(name)
}

/** A `Connection` value without its `upgrade`, and with `instead` in its place. */
export function replaceUpgradeToken (value: string, instead: string): string {
  return value.split(',').map((token) => token.trim().toLowerCase() === upgradeToken ? instead : token.trim()).join(', ')
}
