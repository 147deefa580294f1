/**
 * The decision: what to do with a request, by the targets of its path in the table's order and the facts of the request.
 * A pure function; httpd's is spread over mod_proxy's translation and `ap_proxy_worker_can_upgrade`.
 */
import { handedBack, isHttp2 } from './connection.ts'
import {
  BadPathError, BadRequestError, OriginRefusedError, TransferCodingError, UpgradeRequiredError, type WstunnelError
} from './errors.ts'
import { announcesBody, isTunnelled, tokens } from './headers.ts'
import type { Target } from './options.ts'
import { matchPrefix, parseTarget } from './path.ts'

/** What the decision looks at. */
export interface Facts {
  readonly method: string
  /** `1.1`, `1.0`, `2.0`; `undefined` for what calls itself something else, or HTTP/2 on a connection of HTTP/1. */
  readonly version: string | undefined
  /** The raw path, without its query; `undefined` where the request target is to be refused. */
  readonly path: string | undefined
  /** The request target was in absolute-form. */
  readonly absolute: boolean
  /** The joined value of `Upgrade`; `undefined` where there is none. */
  readonly offer: string | undefined
  /** Whether `Connection` names `upgrade`. */
  readonly named: boolean
  /** Whether the request has a body, or bytes that claim to be one. */
  readonly body: boolean
  /** Whether that body has a transfer coding that would be lost on the way. */
  readonly coded: boolean
  /** Whether it has one in HTTP/1.0, which knows none: where it ends is anybody's guess (RFC 9112, 6.1). */
  readonly misframed: boolean
  /** Every Host field. */
  readonly hosts: readonly string[]
  readonly keys: readonly string[]
  readonly versions: readonly string[]
  readonly origins: readonly string[]
}

export type Decision =
  /** The handshake is an exchange of bytes: what the upstream answers is relayed as it comes. */
  | { readonly kind: 'tunnel', readonly target: Target, readonly matched: number, readonly token: string }
  /** The handshake is an HTTP exchange: a 101 switches, any other answer is an ordinary response. */
  | { readonly kind: 'upgrade', readonly target: Target, readonly matched: number, readonly token: string }
  | { readonly kind: 'forward', readonly target: Target, readonly matched: number }
  | {
    readonly kind: 'refuse'
    readonly target: Target
    readonly error: WstunnelError
    /** The protocols that would be accepted, for a 426. */
    readonly upgrade?: string
    /** An offer that is accepted, of a request that is not sound: what follows it must not be read as another request. */
    readonly unsound?: boolean
  }
  /** No target: a 404, or another route's business. */
  | { readonly kind: 'none' }

/** The most entries that `rawHeaders` has, unless the server's `maxHeadersCount` says otherwise. */
const mostEntries = 2000

/** Whether Node has left fields out, as it does beyond its limit without saying so: one of them may be the Content-Length. */
export function isTruncated (request: RawRequest, server: { readonly maxHeadersCount?: number | null }): boolean {
  const limit = typeof server.maxHeadersCount === 'number' ? server.maxHeadersCount * 2 : mostEntries
  return limit > 0 && request.rawHeaders.length >= limit
}

/** A request as Node gives it: what `readFacts` needs of an IncomingMessage. */
export interface RawRequest {
  /** Only a request of HTTP/2 has one. */
  readonly stream?: unknown
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersion: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly rawHeaders: readonly string[]
}

/** An offer longer than this is no offer of a protocol. */
const mostTokens = 32

const sixteenBytes = /^[A-Za-z0-9+/]{21}[AQgw]==$/ // base64 of 16 bytes: the last sextet holds two bits (RFC 6455, 4.2.1)
// RFC 9110, 7.2 and RFC 3986, 3.2.2, without userinfo. An empty Host is legal.
const hostValue = /^(?:\[[0-9a-f:.%]+\]|[a-z0-9\-._~!$&'()*+,;=%]*)(?::(\d{0,5}))?$/i

const none: readonly string[] = []

export function readFacts (request: RawRequest): Facts {
  const { headers } = request
  const target = parseTarget(request.url ?? '')
  const offer = headers.upgrade
  const facts = {
    method: request.method ?? 'GET',
    version: versionOf(request),
    path: target?.path,
    absolute: target?.absolute ?? false,
    offer: typeof offer === 'string' ? offer : undefined,
    named: false,
    body: announcesBody(headers),
    coded: (headers['transfer-encoding'] ?? 'chunked').toString().toLowerCase() !== 'chunked',
    misframed: headers['transfer-encoding'] !== undefined && request.httpVersion === '1.0',
    hosts: none,
    keys: none,
    versions: none,
    origins: none
  }
  const { rawHeaders } = request
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    // By length first: of the fields that nearly every request has, only Host goes further.
    switch (name.length) {
      case 4: if (name.toLowerCase() === 'host') facts.hosts = [...facts.hosts, value]; break
      case 6: if (offer !== undefined && name.toLowerCase() === 'origin') facts.origins = [...facts.origins, value]; break
      case 10: if (offer !== undefined && name.toLowerCase() === 'connection') facts.named ||= namesUpgrade(value); break
      case 17: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-key') facts.keys = [...facts.keys, value]; break
      case 21: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-version') facts.versions = [...facts.versions, value]; break
    }
  }
  return facts
}

/** Node's parser takes `HTTP/2.0` and `HTTP/0.9` in a request line, and reads on by the rules of 1.1. */
function versionOf (request: RawRequest): string | undefined {
  const { httpVersion } = request
  return isHttp2(request) || httpVersion === '1.1' || httpVersion === '1.0' ? httpVersion : undefined
}

function namesUpgrade (connection: string): boolean {
  return tokens(connection).some((token) => token === 'upgrade' || token === handedBack)
}

/** Decides. The first target whose path matches, and that does not skip the request, has it. */
export function decide (targets: readonly Target[], facts: Facts, caseSensitive = true): Decision {
  const { path } = facts
  for (const target of targets) {
    if (path === undefined) return { kind: 'refuse', target, error: new BadPathError() }
    const matched = matchPrefix(target.prefix, path, caseSensitive)
    if (matched === -1) continue
    if (target.upstream === false) return { kind: 'none' }
    const token = acceptedToken(target, facts)
    const error = findFault(target, facts, token)
    if (error !== undefined) return { kind: 'refuse', target, error, unsound: token !== undefined }
    const legacy = target.webSocket && !target.fallbackToHttp
    if (token !== undefined) return { kind: legacy ? 'tunnel' : 'upgrade', target, matched, token }
    if (target.upgrade === 'NONE') return upgradeRequired(target)
    if (!legacy) return { kind: 'forward', target, matched }
    if (facts.offer !== undefined) return upgradeRequired(target)
  }
  return { kind: 'none' }
}

/** The protocol to ask the upstream for; `undefined` where the offer is not accepted. */
function acceptedToken (target: Target, facts: Facts): string | undefined {
  // RFC 9110, 7.8: an Upgrade in HTTP/1.0 is to be ignored, and so is one that Connection does not name.
  if (facts.offer === undefined || facts.offer === '' || facts.version !== '1.1' || !facts.named) return undefined
  if (target.upgrade === 'NONE') return 'websocket'
  const offered = tokens(facts.offer)
  if (target.upgrade === 'ANY') return offered.find(isTunnelled)
  return offered.find((token) => target.upgrade.includes(token))
}

/** What is wrong with a request that would otherwise be forwarded or upgraded. */
function findFault (target: Target, facts: Facts, token: string | undefined): WstunnelError | undefined {
  const { hosts } = facts
  if (facts.version === undefined) return new BadRequestError('HTTP version')
  if (hosts.length > 1 || (hosts[0] !== undefined && !isHost(hosts[0]))) return new BadRequestError('Host')
  if (facts.offer !== undefined && facts.named && tokens(facts.offer).length > mostTokens) return new BadRequestError('Upgrade')
  if (facts.misframed) return new BadRequestError('Transfer-Encoding in HTTP/1.0')
  if (facts.coded) return new TransferCodingError()
  if (token === undefined) return undefined
  if (hosts.length === 0) return new BadRequestError('Host')
  if (facts.absolute) return new BadPathError()
  if (facts.body) return new BadRequestError('an upgrade with a body')
  if (token !== 'websocket') return undefined
  // RFC 6455, 4.2.1. What the version is, the upstream decides: it may answer 426 itself.
  if (facts.method !== 'GET') return new BadRequestError('a WebSocket handshake must be a GET')
  if (facts.keys.length !== 1 || !sixteenBytes.test(facts.keys[0] as string)) return new BadRequestError('Sec-WebSocket-Key')
  if (facts.versions.length !== 1) return new BadRequestError('Sec-WebSocket-Version')
  if (target.allowedOrigins !== undefined && !isAllowed(target.allowedOrigins, facts.origins)) return new OriginRefusedError()
  return undefined
}

function isHost (value: string): boolean {
  const match = hostValue.exec(value)
  return match !== null && Number(match[1] ?? 0) <= 65_535
}

/** RFC 6455, 10.2: exact, after RFC 6454's lower case; `null` is never an origin. */
function isAllowed (allowed: readonly string[], origins: readonly string[]): boolean {
  return origins.length === 1 && allowed.includes((origins[0] as string).toLowerCase())
}

function upgradeRequired (target: Target): Decision {
  const upgrade = Array.isArray(target.upgrade) && target.upgrade.length > 0 ? target.upgrade.join(', ') : 'websocket'
  return { kind: 'refuse', target, error: new UpgradeRequiredError(), upgrade }
}
