/**
 * The decision: what happens to a request, given the targets of its route in the table's order and the facts of the request. A pure
 * function; in httpd the same is spread over mod_proxy's translation and `ap_proxy_worker_can_upgrade`.
 */
import type { Target } from '../config/target.ts'
import {
  BadPathError, BadRequestError, OriginRefusedError, ProtocolError, TransferCodingError, UpgradeRequiredError, type WstunnelError
} from '../errors.ts'
import { tokens } from '../http/header-list.ts'
import { isTunnelled } from '../http/hop-by-hop.ts'
import type { RequestFacts } from './request-facts.ts'

export type Decision =
  /** The handshake is an exchange of bytes: the upstream's response is relayed as it comes. */
  | { readonly kind: 'upgrade-raw', readonly target: Target, readonly matched: number, readonly token: string, readonly bodyLength: number }
  /** The handshake is an HTTP exchange: a 101 switches, any other response is relayed as an ordinary one. */
  | { readonly kind: 'upgrade', readonly target: Target, readonly matched: number, readonly token: string, readonly bodyLength: number }
  | { readonly kind: 'forward', readonly target: Target, readonly matched: number }
  | {
    readonly kind: 'refuse'
    readonly target: Target
    readonly error: WstunnelError
    /** The protocols that the target accepts, for the `Upgrade` field of a 426. */
    readonly upgrade?: string
    /** True if the offer is accepted but the request is invalid: the bytes after it must not be read as another request. */
    readonly isInvalidUpgrade?: boolean
  }
  /** No target takes the request: it is a 404, or another route serves it. */
  | { readonly kind: 'none' }

/** The maximum number of tokens in `Upgrade`; a longer field counts as no offer. */
const maxTokens = 32

// Base64 of 16 bytes (RFC 6455, 4.2.1). The last character holds two bits of the key; its other bits are not checked: RFC 6455's own
// example in 4.1, and many clients, set some of them.
const sixteenBytes = /^[A-Za-z0-9+/]{22}==$/
// RFC 9110, 7.2 and RFC 3986, 3.2.2, without userinfo. An empty Host is legal.
const hostValue = /^(?:\[[0-9a-f:.%]+\]|[a-z0-9\-._~!$&'()*+,;=%]*)(?::(\d{0,5}))?$/i

/**
 * Decides: the first target that does not skip the request serves it.
 * @param targets the targets that cover the path
 * @param matched how many characters of the path the target's prefix takes
 */
export function decide (targets: readonly Target[], facts: RequestFacts, matched = 0): Decision {
  for (const target of targets) {
    if (facts.path === undefined) return { kind: 'refuse', target, error: new BadPathError() }
    if (target.upstream === false) return { kind: 'none' }
    const token = acceptedToken(target, facts)
    const error = findFault(target, facts, token)
    if (error !== undefined) return { kind: 'refuse', target, error, isInvalidUpgrade: token !== undefined }
    const legacy = target.webSocket && !target.fallbackToHttp
    if (token !== undefined) return { kind: legacy ? 'upgrade-raw' : 'upgrade', target, matched, token, bodyLength: facts.bodyLength ?? 0 }
    // An extended CONNECT has no plain request that could be forwarded instead (RFC 9220, 3: 501).
    if (facts.extended) return { kind: 'refuse', target, error: new ProtocolError() }
    if (target.upgrade === 'NONE') return upgradeRequired(target)
    if (!legacy) return { kind: 'forward', target, matched }
    if (facts.upgrade !== undefined) return upgradeRequired(target)
  }
  return { kind: 'none' }
}

/** Returns the protocol to request from the upstream, or `undefined` if the offer is not accepted. */
export function acceptedToken (target: Target, facts: RequestFacts): string | undefined {
  if (facts.extended) return acceptedExtended(target, facts.upgrade as string)
  // RFC 9110, 7.8: a server ignores Upgrade in HTTP/1.0, and Upgrade that Connection does not name.
  if (facts.upgrade === undefined || facts.upgrade === '' || facts.version !== '1.1' || !facts.connectionNamesUpgrade) return undefined
  if (target.upgrade === 'NONE') return 'websocket'
  const offered = tokens(facts.upgrade)
  if (target.upgrade === 'ANY') return offered.find(isTunnelled)
  return offered.find((token) => target.upgrade.includes(token))
}

/** An extended CONNECT asks for one protocol. The 200 does not name it, so no other may follow: `NONE` allows WebSocket alone. */
function acceptedExtended ({ upgrade }: Target, protocol: string): string | undefined {
  const token = protocol.toLowerCase()
  const accepted = upgrade === 'NONE' ? token === 'websocket' : upgrade === 'ANY' ? isTunnelled(token) : upgrade.includes(token)
  return accepted ? token : undefined
}

/** Returns the error of a request that the target would otherwise forward or upgrade. */
function findFault (target: Target, facts: RequestFacts, token: string | undefined): WstunnelError | undefined {
  const { hosts } = facts
  if (facts.version === undefined) return new BadRequestError('HTTP version')
  if (hosts.length > 1 || (hosts[0] !== undefined && !isHost(hosts[0])) || !isOneHost(facts)) return new BadRequestError('Host')
  if (facts.upgrade !== undefined && facts.connectionNamesUpgrade && tokens(facts.upgrade).length > maxTokens) return new BadRequestError('Upgrade')
  if (facts.hasHttp10TransferEncoding) return new BadRequestError('Transfer-Encoding in HTTP/1.0')
  if (facts.hasUnsupportedCoding) return new TransferCodingError()
  if (token === undefined) return undefined
  if (hosts.length === 0 && (!facts.extended || facts.authority === undefined)) return new BadRequestError('Host')
  if (facts.absolute) return new BadPathError()
  // Docker's attach and exec offer `tcp` with a body of `{}`.
  if (facts.body && (token === 'websocket' || (facts.bodyLength ?? Infinity) > target.limits.earlyData)) return new BadRequestError('an upgrade with a body')
  if (token !== 'websocket') return undefined
  // RFC 6455, 4.2.1. The upstream judges the number of the version: it may answer 426 itself.
  if (facts.method !== 'GET') return new BadRequestError('a WebSocket handshake must be a GET')
  if (!facts.extended && (facts.keys.length !== 1 || !sixteenBytes.test(facts.keys[0] as string))) return new BadRequestError('Sec-WebSocket-Key')
  if (facts.versions.length !== 1) return new BadRequestError('Sec-WebSocket-Version')
  if (target.allowedOrigins !== undefined && !isAllowed(target.allowedOrigins, facts.origins)) return new OriginRefusedError()
  return undefined
}

function isHost (value: string): boolean {
  const match = hostValue.exec(value)
  return match !== null && Number(match[1] ?? 0) <= 65_535
}

/**
 * Returns true if the authority of the request target is the Host that the router and the hooks have seen. RFC 9112, 3.2.2 has the
 * authority replace Host; neither Node nor Fastify does so. HTTP/2 may leave Host out (RFC 9113, 8.3.1).
 */
function isOneHost ({ authority, scheme, absolute, hosts: [host] }: RequestFacts): boolean {
  if (authority === undefined) return true
  if (!isHost(authority)) return false
  if (host === undefined) return !absolute
  return normalHost(host, scheme) === normalHost(authority, scheme)
}

/** Normalises a host (RFC 3986, 6.2.2.1 and 6.2.3): lower case, without the scheme's default port. */
function normalHost (host: string, scheme: string | undefined): string {
  return host.toLowerCase().replace(scheme === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
}

/** Returns true if the request's origin is allowed (RFC 6455, 10.2): an exact match after RFC 6454's lower case; `null` never matches. */
function isAllowed (allowed: readonly string[], origins: readonly string[]): boolean {
  return origins.length === 1 && allowed.includes((origins[0] as string).toLowerCase())
}

function upgradeRequired (target: Target): Decision {
  const upgrade = Array.isArray(target.upgrade) && target.upgrade.length > 0 ? target.upgrade.join(', ') : 'websocket'
  return { kind: 'refuse', target, error: new UpgradeRequiredError(), upgrade }
}
