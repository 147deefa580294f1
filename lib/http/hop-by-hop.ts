/**
 * The rules that decide which header fields pass a hop, for both directions: strip everything hop-by-hop, then add back the few fields that
 * the plugin intends. Pure functions: they take a list and return a new one.
 */
import { randomBytes } from 'node:crypto'
import { isAboutTheClient } from './forwarded.ts'
import { fieldValue, type HeaderList, tokens } from './header-list.ts'
import { isToken, trim } from './syntax.ts'

// RFC 9110, 7.6.1, and fields that are hop-by-hop by custom. Proxy-Authenticate and -Authorization (11.7) are between a client and its own
// proxy; HTTP2-Settings belongs to an upgrade to h2c, which this server never makes.
const hopByHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'http2-settings', 'proxy-authenticate', 'proxy-authorization'
])

/**
 * Returns true if this server alone decides on a field, given by its lower-case name: all that is hop-by-hop, and what delimits a message. A
 * rewrite function cannot set it, and neither can a hook for the head of a switch.
 */
export function isFraming (key: string): boolean {
  return hopByHop.has(key) || key === 'content-length' || key === 'expect'
}

// Fields that `Connection` cannot remove: those that this server adds, that make up the message, or by which an upstream identifies the
// client (CVE-2022-31813, CVE-2024-45410, CVE-2026-33805).
const endToEnd: ReadonlySet<string> = new Set([
  'host', 'content-length', 'content-type', 'content-encoding', 'cookie', 'set-cookie', 'authorization', 'origin',
  'forwarded', 'via', 'traceparent', 'tracestate', 'location', 'www-authenticate', 'date'
])

const upgradeToken = 'upgrade'

/** The rules by which a request's headers change on the way to the upstream. */
export interface RequestRules {
  /** The `Host` that is sent. */
  readonly host: string
  /** True if the message keeps its `Content-Length`; an upgrade has no body. */
  readonly body: boolean
  /** True if a hook has replaced the client's body: the client's `Content-Encoding` need not apply to the new one. */
  readonly replaced?: boolean
  /** The fields about the client that this server adds, as a flat list. */
  readonly forwarded: HeaderList
  /** Returns true if a field, by its lower-case name, does not pass. */
  readonly isDropped: (key: string) => boolean
  readonly via: 'off' | 'on' | 'full' | 'block'
}

/**
 * Returns true if a field authenticates a whole connection instead of a message: NTLM, and Negotiate, which may be NTLM (RFC 4559, 6). Such
 * a connection must not carry another client's requests.
 * @param name `authorization` of a request, `www-authenticate` of a response, `proxy-authenticate` of a response that asks as a proxy
 */
export function authenticatesConnection (list: HeaderList, name: 'authorization' | 'www-authenticate' | 'proxy-authenticate'): boolean {
  const value = fieldValue(list, name)
  return value !== undefined && /(?:^|,)[\t ]*(?:ntlm|negotiate)(?:[\t ,]|$)/i.test(value)
}

/** Returns true if a response authenticates its connection, or asks for that. Only a 407 asks as a proxy. */
export function isAuthenticatedByConnection (status: number, headers: HeaderList): boolean {
  return authenticatesConnection(headers, 'www-authenticate') || (status === 407 && authenticatesConnection(headers, 'proxy-authenticate'))
}

/** Returns the lower-case names of the fields that `Connection` removes. */
function namedByConnection (list: HeaderList): string[] {
  const value = fieldValue(list, 'connection')
  if (value === undefined) return []
  return tokens(value).filter((token) => !hopByHop.has(token) && !isEndToEnd(token) && token !== 'close')
}

function isEndToEnd (name: string): boolean {
  return endToEnd.has(name) || isAboutTheClient(name) || name.startsWith('sec-websocket-')
}

/** Returns a request's headers as the upstream gets them: Host first, then the client's in their order, then ours. */
export function requestHeaders (raw: HeaderList, rules: RequestRules): string[] {
  const named = namedByConnection(raw)
  const out = ['Host', rules.host]
  let cookieAt = -1
  let via = ''
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const key = name.toLowerCase()
    if (hopByHop.has(key) || key === 'host' || key === 'expect' || key.charCodeAt(0) === 0x3a) continue // ':': a pseudo-header of HTTP/2
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
    // Compare the spelling with underscores, too: CGI-like upstreams cannot tell the two apart (CVE-2026-39858).
    if (rules.isDropped(key.includes('_') ? key.replaceAll('_', '-') : key)) continue
    out.push(name, value)
  }
  if (rules.via === 'on' || rules.via === 'full') out.push('Via', withVia(via, rules.via))
  for (const field of rules.forwarded) out.push(field)
  return out
}

function withVia (received: string, via: 'on' | 'full'): string {
  const own = via === 'full' ? '1.1 fastify-wstunnel (fastify-wstunnel)' : '1.1 fastify-wstunnel'
  return received === '' ? own : `${received}, ${own}`
}

/** Returns a response's headers as the client gets them. The writer of the response adds the framing (`Transfer-Encoding`). */
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

/** Merges several `Vary` values into one (RFC 9110, 12.5.5): each name once, in the spelling of its first occurrence. */
export function mergedVary (values: readonly string[]): string {
  const names = new Map<string, string>()
  for (const name of values.flatMap((value) => value.split(',')).map(trim)) {
    if (name === '*') return '*'
    if (name !== '' && !names.has(name.toLowerCase())) names.set(name.toLowerCase(), name)
  }
  return [...names.values()].join(', ')
}

// HTTP in any version, by its own name or by its ALPN name, drafts included; and TLS, which may carry any of them.
const carriesRequests = /^(?:s?https?[\d.]*|h[23]c?(?:-.*)?|hq(?:-.*)?|quic|spdy|tls)$/

/**
 * Returns true if a protocol of `Upgrade` (RFC 9110, 7.8: a name, perhaps with a version) is well-formed and does not carry requests past
 * this server's checks. HTTP in any version (h2c smuggling) and upgrades to TLS do that.
 */
export function isTunnelled (protocol: string): boolean {
  const [name = '', version, ...more] = protocol.toLowerCase().split('/')
  if (!isToken(name) || (version !== undefined && !isToken(version)) || more.length > 0) return false
  return !carriesRequests.test(name)
}

/** Returns a `Connection` value with its `upgrade` replaced by `instead`. */
export function replaceUpgradeToken (value: string, instead: string): string {
  return value.split(',').map(trim).map((token) => token.toLowerCase() === upgradeToken ? instead : token).join(', ')
}

/**
 * Stands for `upgrade` in the `Connection` field of a reinjected request: Node must not see an upgrade in it again, but our own decision
 * must see the offer. The token is random, so that no client can send it.
 */
export const reinjectedToken: string = `upgrade-${randomBytes(12).toString('hex')}`
