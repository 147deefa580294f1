/** `Location` and `Content-Location`: an upstream's URLs as the client can follow them. httpd: ProxyPassReverse; nginx: proxy_redirect. */
import { isBelow, unmapPath } from './path-prefix.ts'

/** One upstream, and the path there that takes the place of the route's prefix. */
export interface UpstreamBase {
  /** Whether it is reached over TLS: `ws` counts as `http`, `wss` as `https`. */
  readonly secure: boolean
  /** As the URL standard writes it: lower case, without the scheme's default port. */
  readonly authority: string
  readonly path: string
}

/** What a response's URLs are mapped by. */
export interface LocationMapping {
  /** What the route's prefix takes up in the client's path, as the client wrote it; empty for the root. */
  readonly prefix: string
  /** The client's, as Fastify's `request.protocol` has it. */
  readonly protocol: string
  /** The host and port that the client asked for; empty if it named none. */
  readonly host: string
  /** Hosts by which the upstream may know this server: those that it was sent with `preserveHost`. */
  readonly ownHosts: readonly string[]
  /** Whether targets without an authority are mapped, too. */
  readonly mapsPaths: boolean
  /** The chosen upstream first; then the other members of its balancer. */
  readonly bases: readonly UpstreamBase[]
}

/** With the authority ending where a browser ends it: at a slash, a backslash, a query or a fragment. */
const withAuthority = /^(?:(https?|wss?):)?\/\/([^/?#\\]*)([^?#]*)([^]*)$/i
// RFC 3986, 3.2.2, without userinfo.
const hostAndPort = /^(?:\[[0-9a-f:.]+\]|[a-z0-9\-._~!$&'()*+,;=%]+)(?::\d*)?$/i
const control = /[^\x20-\x7e\x80-\xff]/

/**
 * The value of a `Location` or `Content-Location` field as the client gets it. A target is mapped if it has the scheme and
 * authority of an upstream and a path below that upstream's base, or no authority and a path below the chosen upstream's base.
 * Every other value is returned as it is: relative references, other origins, and what does not parse.
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
  /** In lower case; empty in a network-path reference (`//host/path`), which means the scheme of the request. */
  readonly scheme: string
  readonly authority: string
  readonly path: string
  /** Query and fragment. */
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
  // The upstream believes that it is this server, and does not know whether that is reached over TLS.
  const isOwn = ownHosts.some((host) => canonical(host, secure) === named)
  if (!isOwn || (secure !== chosen.secure && secure !== isSecure(mapping.protocol))) return undefined
  const mapped = mapsPaths ? clientPath(path === '' ? '/' : path, prefix, chosen.path) : undefined
  return written(scheme, (mapped ?? path) + rest, mapping)
}

/** An application at the root of its server that knows its prefix gives paths that are below it already. */
function clientPath (path: string, prefix: string, base: string): string | undefined {
  if ((base === '' || base === '/') && isBelow(path, prefix)) return path
  return unmapPath(path, prefix, base)
}

/** On the client's own origin; without a usable Host as a path alone. `undefined` if that path would name an authority. */
function written (scheme: string, path: string, { protocol, host }: LocationMapping): string | undefined {
  const secure = isSecure(protocol)
  if (secure === undefined || canonical(host, secure) === undefined) return namesAuthority(path) ? undefined : path
  if (scheme === '') return `//${host}${path}`
  return `${scheme.startsWith('ws') ? 'ws' : 'http'}${secure ? 's' : ''}://${host}${path}`
}

/** Whether a browser reads an authority where a path is meant. */
function namesAuthority (path: string): boolean {
  return !/^\/(?![/\\])/.test(path)
}

/** `undefined` if it is not known. Trusted proxies write `wss` for WebSockets. */
function isSecure (protocol: string): boolean | undefined {
  if (protocol === 'https' || protocol === 'wss') return true
  return protocol === 'http' || protocol === 'ws' ? false : undefined
}

/** Lower case, IP addresses in one form, without the default port; `undefined` for what is no host with a port. */
function canonical (authority: string, secure: boolean): string | undefined {
  if (!hostAndPort.test(authority)) return undefined
  const url = `${secure ? 'https' : 'http'}://${authority}/`
  return URL.canParse(url) ? new URL(url).host : undefined
}
