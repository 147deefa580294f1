/** `Location` and `Content-Location`: maps an upstream's URLs to URLs that the client can follow. httpd: ProxyPassReverse; nginx: proxy_redirect. */
import { isBelow, unmapPath } from './path-prefix.ts'

/** One upstream, and the path there that replaces the route's prefix. */
export interface UpstreamBase {
  /** True if the upstream is reached over TLS: `ws` counts as `http`, `wss` as `https`. */
  readonly secure: boolean
  /** The authority as the URL standard writes it: lower case, without the scheme's default port. */
  readonly authority: string
  readonly path: string
}

/** The facts by which a response's URLs are mapped. */
export interface LocationMapping {
  /** The part of the client's path that the route's prefix takes, as the client wrote it; empty for the root. */
  readonly prefix: string
  /** The client's protocol, as in Fastify's `request.protocol`. */
  readonly protocol: string
  /** The host and port that the client requested; empty if the request named none. */
  readonly host: string
  /** Hosts by which the upstream may know this server: those that `preserveHost` sent to it. */
  readonly ownHosts: readonly string[]
  /** True if targets without an authority are mapped, too. */
  readonly mapsPaths: boolean
  /** The chosen upstream first, then the other members of its balancer. */
  readonly bases: readonly UpstreamBase[]
}

/** Matches a URL with an authority. The authority ends where a browser ends it: at a slash, a backslash, a query or a fragment. */
const withAuthority = /^(?:(https?|wss?):)?\/\/([^/?#\\]*)([^?#]*)([^]*)$/i
// A host and port (RFC 3986, 3.2.2), without userinfo.
const hostAndPort = /^(?:\[[0-9a-f:.]+\]|[a-z0-9\-._~!$&'()*+,;=%]+)(?::\d*)?$/i
const control = /[^\x20-\x7e\x80-\xff]/

/**
 * Returns the value of a `Location` or `Content-Location` field as the client gets it. A target is mapped if it has the scheme and
 * authority of an upstream and a path below that upstream's base, or no authority and a path below the chosen upstream's base. Every other
 * value is returned unchanged: relative references, other origins, and values that do not parse.
 */
export function mapLocation (value: string, mapping: LocationMapping): string {
  if (control.test(value)) return value // browsers drop tabs: `/<TAB>/host` would name an authority
  if (/^\/(?![/\\])/.test(value)) return mapping.mapsPaths ? mapPathAbsolute(value, mapping) : value
  const match = withAuthority.exec(value)
  if (match === null) return value
  const [, scheme = '', authority = '', path = '', rest = ''] = match
  return mapAbsolute({ scheme: scheme.toLowerCase(), authority, path, rest }, mapping) ?? value
}

function mapPathAbsolute (value: string, { bases: [chosen], prefix }: LocationMapping): string {
  const end = value.search(/[?#]/)
  const path = end === -1 ? value : value.slice(0, end)
  const mapped = chosen === undefined ? undefined : clientPath(path, prefix, chosen.path)
  return mapped === undefined || namesAuthority(mapped) ? value : mapped + value.slice(path.length)
}

interface AbsoluteUrl {
  /** The scheme in lower case; empty in a network-path reference (`//host/path`), which takes the scheme of the request. */
  readonly scheme: string
  readonly authority: string
  readonly path: string
  /** The query and the fragment. */
  readonly rest: string
}

function mapAbsolute ({ scheme, authority, path, rest }: AbsoluteUrl, mapping: LocationMapping): string | undefined {
  const { bases, prefix, ownHosts, mapsPaths } = mapping
  const [chosen] = bases
  if (chosen === undefined) return undefined
  const secure = scheme === '' ? chosen.secure : isSecure(scheme) === true
  const named = canonical(authority, secure)
  if (named === undefined) return undefined
  for (const base of bases) {
    if (base.secure !== secure || base.authority !== named) continue
    const mapped = clientPath(path === '' ? '/' : path, prefix, base.path)
    if (mapped !== undefined) return written(scheme, mapped + rest, mapping)
  }
  // With `preserveHost` the upstream takes this server's host for its own, but does not know if clients use TLS.
  const isOwn = ownHosts.some((host) => canonical(host, secure) === named)
  if (!isOwn || (secure !== chosen.secure && secure !== isSecure(mapping.protocol))) return undefined
  const mapped = mapsPaths ? clientPath(path === '' ? '/' : path, prefix, chosen.path) : undefined
  return written(scheme, (mapped ?? path) + rest, mapping)
}

/** Returns the client's path. An application at the root of its server that knows its prefix sends paths that are below it already. */
function clientPath (path: string, prefix: string, base: string): string | undefined {
  if ((base === '' || base === '/') && isBelow(path, prefix)) return path
  return unmapPath(path, prefix, base)
}

/** Returns the path on the client's own origin, or the path alone if there is no usable Host. `undefined` if that path would name an authority. */
function written (scheme: string, path: string, { protocol, host }: LocationMapping): string | undefined {
  const secure = isSecure(protocol)
  if (secure === undefined || canonical(host, secure) === undefined) return namesAuthority(path) ? undefined : path
  if (scheme === '') return `//${host}${path}`
  return `${scheme.startsWith('ws') ? 'ws' : 'http'}${secure ? 's' : ''}://${host}${path}`
}

/** Returns true if a browser reads an authority at the beginning of a path. */
function namesAuthority (path: string): boolean {
  return !/^\/(?![/\\])/.test(path)
}

/** Returns true for TLS, `undefined` for an unknown protocol. Trusted proxies write `wss` for WebSockets. */
function isSecure (protocol: string): boolean | undefined {
  if (protocol === 'https' || protocol === 'wss') return true
  return protocol === 'http' || protocol === 'ws' ? false : undefined
}

/** Returns the authority in lower case, IP addresses in one form, without the default port; `undefined` if it is no host with a port. */
function canonical (authority: string, secure: boolean): string | undefined {
  if (!hostAndPort.test(authority)) return undefined
  const url = `${secure ? 'https' : 'http'}://${authority}/`
  return URL.canParse(url) ? new URL(url).host : undefined
}
