/** `Set-Cookie` of an upstream: maps its attributes for the client's browser. httpd: ProxyPassReverseCookiePath, ProxyPassReverseCookieDomain. */
import { isBelow, unmapPath } from './path-prefix.ts'
import { trim } from './syntax.ts'

/** The facts by which a cookie's attributes are mapped. */
export interface CookieMapping {
  /** The part of the client's path that the route's prefix takes, as the client wrote it; empty for the root. */
  readonly prefix: string
  /** The host and port that the client requested; empty if the request named none. */
  readonly host: string
  /** The chosen upstream first, then the other members of its balancer. */
  readonly bases: ReadonlyArray<{ readonly hostname: string, readonly path: string }>
}

/** The attributes that are mapped. */
export interface CookieRules {
  readonly cookiePath: boolean
  readonly cookieDomain: boolean
}

/**
 * Returns one `Set-Cookie` value as the client gets it: a `Path` below the chosen upstream's base becomes a path below the route's prefix.
 * A `Domain` that is an upstream's host is removed, unless it covers the client's host, too. Every other byte stays (RFC 6265, 5.2).
 */
export function mapSetCookie (value: string, mapping: CookieMapping, { cookiePath, cookieDomain }: CookieRules): string {
  const [pair = '', ...attributes] = value.split(';')
  const keepsPath = !cookiePath || /^__host-/i.test(trim(pair)) // RFC 6265bis, 4.1.3.2: such a cookie has `Path=/`
  let mapped = pair
  for (const attribute of attributes) {
    const equals = attribute.indexOf('=')
    const name = equals === -1 ? '' : trim(attribute.slice(0, equals)).toLowerCase()
    const text = trim(attribute.slice(equals + 1))
    if (name === 'domain' && cookieDomain && isUpstreamsOnly(text, mapping)) continue
    if (name === 'path' && !keepsPath && text !== '') {
      const at = attribute.indexOf(text, equals + 1)
      mapped += `;${attribute.slice(0, at)}${clientPath(text, mapping)}${attribute.slice(at + text.length)}`
    } else mapped += `;${attribute}`
  }
  return mapped
}

/** Returns the client's path. `Path=/` of an upstream without a base path stays: routes beside this one may share the cookie. */
function clientPath (path: string, { prefix, bases: [chosen] }: CookieMapping): string {
  // A client's segments may contain a semicolon, which would begin an attribute of the client's choice.
  if (chosen === undefined || !path.startsWith('/') || prefix.includes(';')) return path
  if ((chosen.path === '' || chosen.path === '/') && (path === '/' || isBelow(path, prefix))) return path
  return unmapPath(path, prefix, chosen.path) ?? path
}

function isUpstreamsOnly (text: string, { host, bases }: CookieMapping): boolean {
  const domain = text.toLowerCase().replace(/^\./, '')
  if (!bases.some(({ hostname }) => hostname === domain)) return false
  const client = host.toLowerCase().replace(/:\d*$/, '')
  return client !== domain && client !== `[${domain}]` && !client.endsWith(`.${domain}`)
}
