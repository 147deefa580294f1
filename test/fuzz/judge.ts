// What must hold of every exchange, whatever the client and the upstream do.
import { maxHeaderSize } from 'node:http'
import { isOffer } from './offer.ts'
import { membersOf, readFraming, readResponses, valuesOf, type Request, type Response, type Stream } from './strict.ts'
import { acceptFor, behindHead, markerOf, type Seen } from './upstream.ts'

/** What happened, at both ends of the wire. */
export interface Played {
  readonly sent: string
  /** What a strict reader makes of it. */
  readonly requests: Stream<Request>
  /** Whether each request waited for the answer to the one before. */
  readonly polite: boolean
  readonly leaves: 'fin' | 'rst' | undefined
  readonly valid: boolean
  /** Whether the client's connection was reset. */
  readonly reset: boolean
  /**
   * Whether Node's own parser gave up on the connection: over TLS, the rest of a pipelined request, in records of its own, is put
   * before a parser that was paused behind a response which is still being written (`HPE_PAUSED`; any https server has that).
   */
  readonly paused: boolean
  readonly received: string
  readonly responses: Stream<Response>
  readonly seen: readonly Seen[]
  readonly faults: readonly string[]
  /** Markers of requests that met a connection which the upstream had ended without saying so. */
  readonly missed: readonly string[]
  readonly upstreamPort: number
}

/** Returns the first thing that is wrong. */
export function judge (played: Played): string | undefined {
  if (played.faults.length > 0) return `the upstream got what is no request: ${played.faults[0]}`
  return judgeRequests(played) ?? judgeResponses(played) ?? judgeTunnel(played)
}

/** The request that switched, and with which all HTTP on the connection ended. */
function switchedAt ({ responses: { messages } }: Played): number {
  return messages.findIndex(({ status }) => status === 101)
}

/** What is refused for what it is, is the last on its connection (RFC 9112, 9.6). */
function isRefusal ({ body }: Response): boolean {
  return /^\{"statusCode":[45]\d\d,"code":"FST_WSTUNNEL_(?:BAD_REQUEST|BAD_PATH|TRANSFER_CODING|TOO_MANY_HEADERS)"/.test(body)
}

/** The target as the upstream must get it: origin-form, the prefix as configured. */
export function mappedTarget (target: string): string {
  const origin = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1] ?? target
  const [, prefix, rest = ''] = /^\/([^/?]*)(.*)$/.exec(origin) ?? []
  if (prefix === undefined) return origin
  return `/${prefix.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))}${rest}`
}

/** At most one request upstream for each that was sent; none that a strict reader does not see; each with its own body. */
function judgeRequests (played: Played): string | undefined {
  const last = played.responses.messages.findIndex((response) => response.status === 101 || isRefusal(response))
  const left = played.requests.messages.slice(0, last === -1 ? undefined : last + 1)
  for (const seen of played.seen) {
    const { request } = seen
    // Of a client Node takes more than one space at a time.
    if (!/^[^ ]+ [^ ]+ HTTP\/1\.1$/.test(request.start)) return `the upstream got a request line of its own kind: ${JSON.stringify(request.start)}`
    const at = left.findIndex((each) => each.method === request.method && mappedTarget(each.target) === request.target)
    if (at === -1) return `the upstream got a request that nobody sent: ${JSON.stringify(request.start)}`
    const [original] = left.splice(at, 1) as [Request]
    const problem = judgeBody(original, seen) ?? judgeFields(original, seen, played.upstreamPort)
    if (problem !== undefined) return problem
  }
  return undefined
}

function judgeBody (original: Request, { request, handshake, before }: Seen): string | undefined {
  if (handshake && before !== '') return `bytes before the 101: ${JSON.stringify(before.slice(0, 80))}`
  if (handshake && !request.complete) return 'a handshake whose body is cut short'
  if (!original.body.startsWith(request.body)) return `another body: ${JSON.stringify(request.body.slice(0, 80))}`
  if (request.complete && !original.complete) return 'a body that was cut short arrived as a whole one'
  if (request.complete && request.body !== original.body) return 'a body arrived cut short, as a whole one'
  return undefined
}

const never = ['keep-alive', 'proxy-connection', 'te', 'trailer', 'http2-settings', 'proxy-authorization', 'expect']
const kept = ['x-keep', 'cookie', 'authorization', 'origin', 'x-inject', 'x-evil']

function judgeFields (original: Request, { request, handshake }: Seen, port: number): string | undefined {
  const route = routeOf(request.target)
  const wrong = (name: string): string => `${name} is ${JSON.stringify(valuesOf(request, name))} upstream, for ${JSON.stringify(request.start)}`
  for (const name of never) if (valuesOf(request, name).length > 0) return wrong(name)
  const hosts = valuesOf(request, 'host')
  if (hosts.length !== 1 || (route !== '/n' && hosts[0] !== `127.0.0.1:${port}`)) return wrong('host')
  const connection = membersOf(request, 'connection').join()
  if (handshake ? connection !== 'upgrade' : !['', 'keep-alive', 'close'].includes(connection)) return wrong('connection')
  const protocol = valuesOf(request, 'upgrade').join()
  if (handshake ? /^$|,|^(?:h2c?|tls)(?:\/|$)/.test(protocol) || !isOffer(original, route) : protocol !== '') return wrong('upgrade')
  const codings = valuesOf(request, 'transfer-encoding').join()
  if (codings !== '' && (handshake || codings !== 'chunked')) return wrong('transfer-encoding')
  if (valuesOf(request, 'x-forwarded-for').join() !== '127.0.0.1') return wrong('x-forwarded-for')
  if (valuesOf(request, 'x_forwarded_for').length > 0) return wrong('x_forwarded_for')
  if (valuesOf(request, 'forwarded').length > (route === '/a' ? 1 : 0)) return wrong('forwarded')
  const named = membersOf(original, 'connection')
  if (named.includes('x-hop') && valuesOf(request, 'x-hop').length > 0) return wrong('x-hop')
  for (const name of kept) {
    if (named.includes(name) && name.startsWith('x-')) continue
    const separator = name === 'cookie' ? '; ' : ', '
    if (valuesOf(request, name).join(separator) !== valuesOf(original, name).join(separator)) return wrong(name)
  }
  if (route === '/r') return judgeInjected(original, request)
  return undefined
}

/** What a rewrite function put in is there as one field, or the whole request is refused. */
function judgeInjected (original: Response | Request, got: Response | Request): string | undefined {
  const values = valuesOf(original, 'x-inject')
  if (values.length !== 1) return undefined
  const wanted = Buffer.from(values[0] as string, 'base64').toString('latin1').replace(/^[ \t]+|[ \t]+$/g, '')
  return valuesOf(got, 'x-injected').join() === wanted ? undefined : `x-injected is not ${JSON.stringify(wanted)}`
}

/** Answers come in the order of the requests, each whole or visibly not, and none that nobody asked for. */
function judgeResponses (played: Played): string | undefined {
  const { requests, responses, leaves, received } = played
  if (responses.fault !== undefined && !isCut(played)) return `the client got what is no response: ${responses.fault}`
  const sent = requests.messages
  // Behind the last one nobody reads: what Fastify says to bytes that it cannot parse may stand there.
  const over = responses.messages.findIndex((response) => response.complete && membersOf(response, 'connection').includes('close'))
  const answers = over === -1 ? responses.messages : responses.messages.slice(0, over + 1)
  if (responses.messages.slice(answers.length).some((response) => valuesOf(response, 'x-marker').length > 0)) return 'an answer after the last'
  // Node hands a request with broken framing on, and finds that out thereafter.
  const mostAnswers = sent.length + (requests.fault !== undefined ? 2 : requests.end < played.sent.length || sent.at(-1)?.complete === false ? 1 : 0)
  if (answers.length > mostAnswers) return `${answers.length} responses to ${sent.length} requests`
  for (const [i, response] of answers.entries()) {
    const problem = judgeResponse(played, response, sent[i])
    if (problem !== undefined) return problem
  }
  if (leaves !== undefined || isUnparsable(requests, played.sent)) return undefined
  // A response that the upstream cuts short ends the connection, also where nothing of it had been sent yet. A reset takes back what
  // was not read yet, of a whole one as well.
  if (played.seen.some((seen) => !seen.handshake && (seen.resets || !repliesWhole(seen)))) return undefined
  if (played.paused) return undefined
  const complete = sent.filter((request) => request.complete).length
  const last = answers.at(-1)
  // Bytes that the server leaves unread make a reset of its close, and a reset takes a response back that was not read yet.
  if (played.reset && played.sent.length > (sent[0]?.headEnd ?? 0)) return undefined
  if (complete > 0 && last === undefined) return `the connection was closed without a response${received === '' ? '' : ', after half of one'}`
  const isUnmarked = last !== undefined && last.status !== 101 && last.complete && !isLast(last) &&
    !isRaw(played, answers.length - 1) && !isPipelined(played, answers.length - 1)
  if (isUnmarked && answers.length < complete) {
    return `${answers.length} of ${complete} requests were answered, and nothing said that the connection would be closed`
  }
  return undefined
}

/** From Node 22 on, a head of as many fields is too long, too. */
const mostFields = 1000

/**
 * Whether Node's parser finds something wrong with these bytes: what is no request, or cannot become one, a head that is too long, or
 * anything behind a request that said that it was the last (RFC 9112, 9.6). Fastify's `clientErrorHandler` answers that at once, be it
 * in the middle of another response, and ends the connection, whatever is pending on it.
 */
export function isUnparsable ({ messages, fault, end }: Stream<Request>, sent: string): boolean {
  return fault !== undefined || end < sent.length || messages.at(-1)?.complete === false ||
    messages.some(({ at, headEnd, fields }) => headEnd - at > maxHeaderSize || fields.length >= mostFields) || messages.slice(0, -1).some(isLastOfClient)
}

/** Whether what is wrong is only that the connection ended within a head. */
function isCut ({ responses, received }: Played): boolean {
  return responses.end === received.length
}

function repliesWhole ({ reply, request, resets }: Seen): boolean {
  return readResponses(asUndiciReads(reply), [request.method], !resets).messages[0]?.complete === true
}

/** Whether a response was relayed as it came (`fallbackToHttp: false`), and the connection ended with it. */
function isRaw ({ requests, seen }: Played, at: number): boolean {
  const target = requests.messages[at]?.target ?? ''
  return seen.some(({ request, handshake }) => handshake && request.target.startsWith('/l/') && markerOf(request.target) === markerOf(target))
}

/** Whether bytes may have come behind an offer when the head of its answer was already on its way: the connection ends with that. */
function isPipelined ({ requests, polite }: Played, at: number): boolean {
  const request = requests.messages[at]
  return !polite && request !== undefined && isOffer(request, routeOf(mappedTarget(request.target)))
}

function routeOf (path: string): string {
  return /^\/\w*/.exec(path)?.[0] ?? ''
}

/** Whether a request says that none follows, as llhttp has it: before HTTP/1.1, and so it reads 2.0, each does that does not ask to be kept. */
function isLastOfClient (request: Request): boolean {
  const members = [...membersOf(request, 'connection'), ...membersOf(request, 'proxy-connection')]
  return members.includes('close') || (request.version !== '1.1' && !members.includes('keep-alive'))
}

/** Whether a response says that none follows. Fastify's own answer to what is no request does not. */
function isLast (response: Response): boolean {
  return membersOf(response, 'connection').includes('close') || valuesOf(response, 'x-marker').length === 0
}

/** Whether it is our 502 for a connection that was closed; without its body where HEAD was asked. */
function saysClosed ({ status, body }: Response, { method }: Request): boolean {
  return status === 502 && (method === 'HEAD' || body.includes('"FST_WSTUNNEL_UPSTREAM_CLOSED"'))
}

function judgeResponse (played: Played, response: Response, request: Request | undefined): string | undefined {
  const marker = valuesOf(response, 'x-marker').join()
  if (marker === '') {
    // A kept connection may be ended at any time: what was sent on it just then is not sent again (RFC 9112, 9.3.1).
    const missed = request !== undefined && played.missed.includes(markerOf(request.target)) && saysClosed(response, request)
    return played.valid && !missed ? `no answer of the upstream, but ${JSON.stringify(response.start)}` : undefined
  }
  // A route that does not read bodies answers before Node finds that there is something wrong with one.
  if (request === undefined) return mappedTarget(marker).startsWith('/own/') && played.sent.includes(marker) ? undefined : `an answer to nobody: ${marker}`
  const path = mappedTarget(request.target)
  if (path.startsWith('/own/')) return marker === request.target ? undefined : `the answer of ${marker} to ${request.target}`
  const asked = markerOf(request.target)
  const seen = played.seen.find((each) => markerOf(each.request.target) === asked && each.request.method === request.method)
  if (seen === undefined) return `the answer to ${marker} came to ${asked || request.target}, which the upstream did not get`
  const scripted = readResponses(seen.handshake ? seen.reply : asUndiciReads(seen.reply), [request.method], seen.closed && !seen.resets)
  // Behind a status that a script has made an interim one, its body is the final response.
  const given = scripted.messages[0] === undefined ? asked : valuesOf(scripted.messages[0], 'x-marker').join()
  if (marker !== asked && marker !== given) return `the answer to ${marker} came to ${asked}`
  // Codings but chunked are for undici to read: docs/differences-from-httpd.md, `strict-framing`.
  if (!seen.handshake && scripted.fault === 'Transfer-Encoding') return undefined
  const [original] = scripted.messages
  if (original === undefined) return `the upstream sent no response (${scripted.fault}), the client got one`
  if (response.status !== original.status) return `the upstream said ${original.status}, the client got ${response.status}`
  if (response.status === 101) {
    return judgeSwitch(seen.request, response, original) ?? (isOffer(request, routeOf(path)) ? undefined : 'a 101 to a request that offered nothing')
  }
  if (!original.body.startsWith(response.body)) return `another body than the upstream's: ${JSON.stringify(response.body.slice(0, 80))}`
  // Only a reset tells of it then, which Node takes for an end where it comes together with data.
  const hidden = readFraming(response) === undefined && (request.version === '1.0' || isRaw(played, played.responses.messages.indexOf(response)))
  if (response.complete && !original.complete && !hidden) return 'a response that the upstream cut short came as a whole one'
  if (response.complete && response.body !== original.body && !hidden) return 'a response came cut short, as a whole one'
  return path.startsWith('/l/') && seen.handshake ? undefined : judgeResponseFields(path, response, original)
}

/**
 * undici does not look at the name and the version of a response's protocol, and does not show them; nor does it look at the
 * reason phrase, which we do.
 */
function asUndiciReads (reply: string): string {
  return reply.replace(/^((?:HTTP\/1\.1 1[^]*?\r\n\r\n)*)(?:HTTP\/[12]\.[01]|RTSP\/1\.0) ([0-9]{3})(?: [^\r\n]*)?/, '$1HTTP/1.1 $2')
}

function judgeResponseFields (path: string, response: Response, original: Response): string | undefined {
  const wrong = (name: string): string => `${name} is ${JSON.stringify(valuesOf(response, name))} in a response`
  for (const name of ['proxy-authenticate', 'te', 'trailer', 'proxy-connection', 'x-evil']) if (valuesOf(response, name).length > 0) return wrong(name)
  if (valuesOf(response, 'keep-alive').some((value) => value.includes('666'))) return wrong('keep-alive')
  if (membersOf(original, 'connection').includes('x-hop') && valuesOf(response, 'x-hop').length > 0) return wrong('x-hop')
  const allowed = response.status === 426 ? ['close', 'keep-alive', 'upgrade'] : ['close', 'keep-alive']
  if (membersOf(response, 'connection').some((member) => !allowed.includes(member))) return wrong('connection')
  if (response.status !== 426 && valuesOf(response, 'upgrade').length > 0) return wrong('upgrade')
  if (valuesOf(response, 'set-cookie').join('\n') !== valuesOf(original, 'set-cookie').join('\n')) return wrong('set-cookie')
  return path.startsWith('/r/') ? judgeInjected(original, response) : undefined
}

/** Only what the upstream has properly agreed to is a switch. */
function judgeSwitch (asked: Request, response: Response, original: Response): string | undefined {
  const token = valuesOf(original, 'upgrade').join().toLowerCase()
  if (!membersOf(original, 'connection').includes('upgrade') || token !== valuesOf(asked, 'upgrade').join()) {
    return 'a 101 that the upstream did not properly send'
  }
  if (valuesOf(response, 'upgrade').join().toLowerCase() !== token) return 'a 101 to another protocol than the upstream\'s'
  const accept = acceptFor(valuesOf(asked, 'sec-websocket-key').join())
  return token === 'websocket' && valuesOf(original, 'sec-websocket-accept').join() !== accept ? 'a 101 that does not accept the key' : undefined
}

/** Nothing goes upstream before a 101 but the head and a small body; behind it every byte, both ways, as it is. */
function judgeTunnel (played: Played): string | undefined {
  const switched = switchedAt(played)
  const request = played.requests.messages[switched]
  const response = played.responses.messages[switched]
  for (const seen of played.seen) {
    if (!seen.handshake) continue
    const isIt = request !== undefined && markerOf(seen.request.target) === markerOf(request.target)
    if (!isIt) {
      // A client that leaves may have missed its 101.
      if (seen.after !== '' && played.leaves === undefined) return `bytes without a 101: ${JSON.stringify(seen.after.slice(0, 80))}`
      continue
    }
    const up = played.sent.slice(request.end)
    const down = behindHead(seen.reply)
    const got = played.received.slice(response?.headEnd)
    if (!up.startsWith(seen.after)) return `other bytes upstream than the client's: ${JSON.stringify(seen.after.slice(0, 80))}`
    if (!down.startsWith(got)) return `other bytes to the client than the upstream's: ${JSON.stringify(got.slice(0, 80))}`
    if (played.valid && (seen.after !== up || got !== down)) {
      return `a tunnel that lost bytes: upstream got ${seen.after.length} of ${up.length}, the client ${got.length} of ${down.length}`
    }
  }
  return undefined
}
