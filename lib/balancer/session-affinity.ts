/**
 * Stickiness: which route a request names, in its URL or in a cookie, and the cookie that makes a client name one (httpd:
 * `stickysession`, `stickysessionsep`). Everything is read as it was written, never decoded, in time linear to its length.
 */
import { isToken } from '../http/syntax.ts'

/** Where a request names its route. */
export interface Stickiness {
  readonly cookie: string
  /** A parameter of the query (`?name=`) or of the path (`;name=`). */
  readonly parameter: string
  /** What separates the session from the route in a value; `undefined`: the whole value is the route. */
  readonly separator: string | undefined
}

/** Attributes of the cookie that we set (RFC 6265, 4.1.1). */
export interface StickyCookie {
  /** Default: `'/'`. */
  path?: string
  /** Default: none; the cookie is for this host only. */
  domain?: string
  /** Default: `true`. */
  httpOnly?: boolean
  /** Default: `false`; with `sameSite: 'none'` always `true`. */
  secure?: boolean
  /** Default: `'lax'`. */
  sameSite?: 'lax' | 'strict' | 'none'
  /** Whole seconds, at least 1. Default: none; the cookie goes with the browser's session. */
  maxAge?: number
}

/** What the policy `hash` goes by; the name is empty for `client`, in lower case for `header`. */
export type HashSource = { readonly kind: 'client' | 'header' | 'cookie' | 'query', readonly name: string }

const parameterName = /^[0-9A-Za-z_.~!$'()*+,:@%[\]-]+$/ // what RFC 3986 has for a path or a query, without separators
const separatorCharacter = /^[0-9A-Za-z_.~!$'()*+:@<>[\]^`{|}-]$/ // RFC 6265, 4.1.1: cookie-octet, without those of a URL
const routeCharacters = /^[0-9A-Za-z_.~-]+$/ // RFC 3986, 2.3: needs no escape in a URL, nor in a cookie
const domainName = /^\.?[0-9a-z]([0-9a-z-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*$/i // RFC 1034, 3.5 and RFC 1123, 2.1
const attributeValue = /^[\x20-\x3a\x3c-\x7e]*$/ // RFC 6265, 4.1.1: no control character, no semicolon

/** Whether a text can be a member's route. */
export function isRoute (text: string): boolean {
  return routeCharacters.test(text)
}

/**
 * httpd's `stickysession=COOKIE|parameter`, or one name for both, and `stickysessionsep=`: one character, `'.'` by
 * default, or `'Off'`. `undefined` where it is none.
 */
export function parseStickySession (spec: string, separator = '.'): Stickiness | undefined {
  const [cookie = '', parameter = cookie, ...more] = spec.split('|')
  if (more.length > 0 || !isToken(cookie) || !parameterName.test(parameter)) return undefined
  if (/^off$/i.test(separator)) return Object.freeze({ cookie, parameter, separator: undefined })
  return separatorCharacter.test(separator) ? Object.freeze({ cookie, parameter, separator }) : undefined
}

/**
 * The route that a request names: in its path, else in its query, else in a cookie, the first that is there and not
 * empty. Names match exactly; the route is what follows the first separator. It need not be any member's.
 */
export function stickyRoute (stickiness: Stickiness, url: string, cookies: string | undefined): string | undefined {
  const { cookie, parameter, separator } = stickiness
  const value = pathValue(url, parameter) || queryValue(url, parameter) || cookieValue(cookies, cookie)
  if (value === undefined || value === '') return undefined
  if (separator === undefined) return value
  const at = value.indexOf(separator)
  return at === -1 || at === value.length - 1 ? undefined : value.slice(at + 1)
}

/** Whether a cookie with these attributes can be written (RFC 6265, 4.1.1). */
export function isStickyCookie (attributes: StickyCookie): boolean {
  const { path = '/', domain, maxAge } = attributes
  return path.startsWith('/') && attributeValue.test(path) &&
    (domain === undefined || (domain.length <= 254 && domainName.test(domain))) &&
    (maxAge === undefined || (Number.isSafeInteger(maxAge) && maxAge > 0))
}

/**
 * A `Set-Cookie` value: `COOKIE=.route`, as in httpd's manual; without a separator `COOKIE=route`.
 * @throws TypeError for a route or an attribute that cannot be written.
 */
export function setCookie (stickiness: Stickiness, route: string, attributes: StickyCookie): string {
  if (!isRoute(route) || !isStickyCookie(attributes)) throw new TypeError('invalid sticky cookie')
  const { path = '/', domain, httpOnly = true, sameSite = 'lax', secure = false, maxAge } = attributes
  let text = `${stickiness.cookie}=${stickiness.separator ?? ''}${route}; Path=${path}`
  if (domain !== undefined) text += `; Domain=${domain}`
  if (maxAge !== undefined) text += `; Max-Age=${maxAge}`
  if (httpOnly) text += '; HttpOnly'
  if (secure || sameSite === 'none') text += '; Secure' // browsers refuse `None` without it
  return `${text}; SameSite=${{ lax: 'Lax', strict: 'Strict', none: 'None' }[sameSite]}`
}

/** `'client'`, `'header:name'`, `'cookie:name'` or `'query:name'`; `undefined` where it is none of these. */
export function parseHashBy (text: string): HashSource | undefined {
  if (text === 'client') return Object.freeze({ kind: text, name: '' })
  const colon = text.indexOf(':')
  const kind = text.slice(0, colon)
  const name = text.slice(colon + 1)
  if (kind === 'header' && isToken(name)) return Object.freeze({ kind, name: name.toLowerCase() })
  if (kind === 'cookie' && isToken(name)) return Object.freeze({ kind, name })
  if (kind === 'query' && parameterName.test(name)) return Object.freeze({ kind, name })
  return undefined
}

/** The first cookie of that name in a `Cookie` field, without the double quotes that may stand around it. */
export function cookieValue (header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  const value = valueIn(header, ';', name)?.trim()
  return value !== undefined && value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

/** The first parameter of that name in a URL's query, as it was written. */
export function queryValue (url: string, name: string): string | undefined {
  const [target = ''] = url.split('#', 1)
  const mark = target.indexOf('?')
  return mark === -1 ? undefined : valueIn(target.slice(mark + 1), '&', name)
}

/** The first parameter of that name in any segment of a URL's path (RFC 3986, 3.3), as it was written. */
function pathValue (url: string, name: string): string | undefined {
  const [path = ''] = url.split(/[?#]/, 1)
  const semicolon = path.indexOf(';')
  return semicolon === -1 ? undefined : valueIn(path.slice(semicolon + 1), ';', name)?.split(/[/&]/, 1)[0] // httpd ends it at `&`, too
}

/** The value of the first part `name=value` between separators. */
function valueIn (text: string, separator: string, name: string): string | undefined {
  const start = `${name}=`
  for (let at = 0; ;) {
    while (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09) at++
    const next = text.indexOf(separator, at)
    if (text.startsWith(start, at)) return text.slice(at + start.length, next === -1 ? undefined : next)
    if (next === -1) return undefined
    at = next + 1
  }
}
