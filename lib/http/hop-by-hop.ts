/**
 * Which header fields pass a hop, and which are for one only. The rule for both directions: strip everything hop-by-hop, then add
 * back the few we mean. Pure functions: they take a list and return a new one.
 */
import { randomBytes } from 'node:crypto'
import { isAboutTheClient } from './forwarded.ts'
import { fieldValue, type HeaderList, tokens } from './header-list.ts'
import { isToken } from './syntax.ts'

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

/**
 * Whether a field makes whoever it names that of a whole connection, and not of a message: NTLM, and Negotiate, which may be NTLM
 * (RFC 4559, 6). Such a connection is not for another client.
 * @param name `authorization` of a request, `www-authenticate` of a response, `proxy-authenticate` of one that asks as a proxy
 */
export function authenticatesConnection (list: HeaderList, name: 'authorization' | 'www-authenticate' | 'proxy-authenticate'): boolean {
  const value = fieldValue(list, name)
  return value !== undefined && /(?:^|,)[\t ]*(?:ntlm|negotiate)(?:[\t ,]|$)/i.test(value)
}

/** Whether a response asks for such a field, be it as a proxy, or answers one. */
export function isAuthenticatedByConnection (status: number, headers: HeaderList): boolean {
  return authenticatesConnection(headers, 'www-authenticate') || (status === 407 && authenticatesConnection(headers, 'proxy-authenticate'))
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

// HTTP itself in any version, by its own name or that of ALPN, drafts too; and TLS, in which any of them may be.
const carriesRequests = /^(?:s?https?[\d.]*|h[23]c?(?:-.*)?|hq(?:-.*)?|quic|spdy|tls)$/

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

/**
 * Stands for `upgrade` in the Connection field of a request that was handed back: Node must not see an upgrade in it
 * again, but our own decision must see what was offered. Random, so that no client can say it.
 */
export const reinjectedToken: string = `upgrade-${randomBytes(12).toString('hex')}`
