/**
 * Sticky sessions: reads the route that a request names, in its URL or in a cookie, and writes the cookie that makes a client name one
 * (httpd: `stickysession`, `stickysessionsep`). All values are read as written, never decoded, in time linear to their length.
 */
import { isToken, trim } from '../http/syntax.ts'

/** The places in which a request may name its route. */
export interface Stickiness {
  readonly cookie: string
  /** The name of a parameter of the query (`?name=`) or of the path (`;name=`). */
  readonly parameter: string
  /** The character between session and route in a value; `undefined` if the whole value is the route. */
  readonly separator: string | undefined
}

/** The attributes of the sticky cookie (RFC 6265, 4.1.1). */
export interface StickyCookie {
  /** The cookie's `Path`. Default: `'/'`. */
  path?: string
  /** The cookie's `Domain`. Default: none; only this host gets the cookie. */
  domain?: string
  /** Hides the cookie from scripts. Default: `true`. */
  httpOnly?: boolean
  /** Limits the cookie to TLS. Default: `false`; with `sameSite: 'none'` always `true`. */
  secure?: boolean
  /** The cookie's `SameSite`. Default: `'lax'`. */
  sameSite?: 'lax' | 'strict' | 'none'
  /** The cookie's `Max-Age` in whole seconds, at least 1. Default: none; the cookie ends with the browser's session. */
  maxAge?: number
}

/** The source of the key of `hash`; the name is empty for `client`, in lower case for `header`. */
export type HashSource = { readonly kind: 'client' | 'header' | 'cookie' | 'query', readonly name: string }

const parameterName = /^[0-9A-Za-z_.~!$'()*+,:@%[\]-]+$/ // the characters of a path or a query (RFC 3986), without separators
const separatorCharacter = /^[0-9A-Za-z_.~!$'()*+:@<>[\]^`{|}-]$/ // cookie-octet (RFC 6265, 4.1.1), without the separators of a URL
const routeCharacters = /^[0-9A-Za-z_.~-]+$/ // RFC 3986, 2.3: characters that need no escape in a URL or a cookie
const domainName = /^\.?[0-9a-z]([0-9a-z-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*$/i // RFC 1034, 3.5 and RFC 1123, 2.1
const attributeValue = /^[\x20-\x3a\x3c-\x7e]*$/ // RFC 6265, 4.1.1: no control characters, no semicolon

/** Returns true if a text can be a member's route. */
export function isRoute (text: string): boolean {
  return routeCharacters.test(text)
}

/**
 * Parses httpd's `stickysession=COOKIE|parameter`, or one name for both, and `stickysessionsep=`: one character, `'.'` by default, or
 * `'Off'`. Returns `undefined` if either is invalid.
 */
export function parseStickySession (spec: string, separator = '.'): Stickiness | undefined {
  const [cookie = '', parameter = cookie, ...more] = spec.split('|')
  if (more.length > 0 || !isToken(cookie) || !parameterName.test(parameter)) return undefined
  if (/^off$/i.test(separator)) return Object.freeze({ cookie, parameter, separator: undefined })
  return separatorCharacter.test(separator) ? Object.freeze({ cookie, parameter, separator }) : undefined
}

/**
 * Returns the route that a request names: in its path, else in its query, else in a cookie; the first that is present and not empty. Names
 * match exactly; the route follows the first separator. No member need have this route.
 */
export function stickyRoute (stickiness: Stickiness, url: string, cookies: string | undefined): string | undefined {
  const { cookie, parameter, separator } = stickiness
  const value = pathValue(url, parameter) || queryValue(url, parameter) || cookieValue(cookies, cookie)
  if (value === undefined || value === '') return undefined
  if (separator === undefined) return value
  const at = value.indexOf(separator)
  return at === -1 || at === value.length - 1 ? undefined : value.slice(at + 1)
}

/** Returns true if a cookie with these attributes can be written (RFC 6265, 4.1.1). */
export function isStickyCookie (attributes: StickyCookie): boolean {
  const { path = '/', domain, maxAge } = attributes
  return path.startsWith('/') && attributeValue.test(path) &&
    (domain === undefined || (domain.length <= 254 && domainName.test(domain))) &&
    (maxAge === undefined || (Number.isSafeInteger(maxAge) && maxAge > 0))
}

/**
 * Returns a `Set-Cookie` value: `COOKIE=.route`, as in httpd's manual; without a separator `COOKIE=route`.
 * @throws TypeError if the route or an attribute cannot be written
 */
export function setCookie (stickiness: Stickiness, route: string, attributes: StickyCookie): string {
  if (!isRoute(route) || !isStickyCookie(attributes)) throw new TypeError('invalid sticky cookie')
  const { path = '/', domain, httpOnly = true, sameSite = 'lax', secure = false, maxAge } = attributes
  let text = `${stickiness.cookie}=${stickiness.separator ?? ''}${route}; Path=${path}`
  if (domain !== undefined) text += `; Domain=${domain}`
  if (maxAge !== undefined) text += `; Max-Age=${maxAge}`
  if (httpOnly) text += '; HttpOnly'
  if (secure || sameSite === 'none') text += '; Secure' // browsers refuse `None` without `Secure`
  return `${text}; SameSite=${{ lax: 'Lax', strict: 'Strict', none: 'None' }[sameSite]}`
}

/** Parses `'client'`, `'header:name'`, `'cookie:name'` or `'query:name'`; returns `undefined` for any other text. */
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

/** Returns the value of the first cookie of that name in a `Cookie` field, without surrounding double quotes. */
export function cookieValue (header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  const found = valueIn(header, ';', name)
  const value = found === undefined ? undefined : trim(found)
  return value !== undefined && value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

/** Returns the first parameter of that name in a URL's query, as written. */
export function queryValue (url: string, name: string): string | undefined {
  const [target = ''] = url.split('#', 1)
  const mark = target.indexOf('?')
  return mark === -1 ? undefined : valueIn(target.slice(mark + 1), '&', name)
}

/** Returns the first parameter of that name in any segment of a URL's path (RFC 3986, 3.3), as written. */
function pathValue (url: string, name: string): string | undefined {
  const [path = ''] = url.split(/[?#]/, 1)
  const semicolon = path.indexOf(';')
  return semicolon === -1 ? undefined : valueIn(path.slice(semicolon + 1), ';', name)?.split(/[/&]/, 1)[0] // httpd ends the value at `&`, too
}

/** Returns the value of the first part `name=value` between separators. */
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
