/**
 * Request targets as strings of raw bytes: splitting and checking them. Nothing here builds a URL from what a client sent, so that no path
 * can reach another authority or leave its prefix.
 */
import { defaultRules, type RouterRules } from './path-pattern.ts'

/** A request target in origin-form (RFC 9112, 3.2.1); its path is still as the client wrote it. */
export interface RequestTarget {
  readonly path: string
  /** The query with the character that begins it; empty if there is none. */
  readonly query: string
  /** The authority of the absolute-form (RFC 9112, 3.2.2). It never goes upstream. */
  readonly authority: string | undefined
  /** The scheme of the absolute-form, in lower case. */
  readonly scheme: string | undefined
}

const absoluteForm = /^(https?):\/\/([a-z0-9\-._~!$&'()*+,;=%:[\]]*)/i
// The characters allowed in a path (RFC 3986, 2): visible ASCII without `?`, the fragment's `#` and the backslash, which some servers take
// for a slash. In a query, browsers leave the backslash as it is.
const pathCharacters = /^[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]+$/
const queryCharacters = /^[\x21\x22\x24-\x7e]*$/
// A path with none of these has no escape, no dot segment and no double slash at its beginning.
const suspicious = /%|\/\.|\/\//

/**
 * Splits and checks a request target.
 * @param rules the options of Fastify's router, which splits the target as well
 * @returns `undefined` if the target must be refused (400)
 */
export function parseTarget (url: string, rules: RouterRules = defaultRules): RequestTarget | undefined {
  let target = url
  let authority: string | undefined
  let scheme: string | undefined
  if (target.charCodeAt(0) !== 0x2f) {
    const match = absoluteForm.exec(target)
    if (match === null) return undefined
    target = target.slice(match[0].length)
    if (target === '' || target.startsWith('?')) target = `/${target}`
    else if (!target.startsWith('/')) return undefined // userinfo, a backslash or a fragment
    scheme = match[1]?.toLowerCase()
    authority = match[2]
  }
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark)
  if (!pathCharacters.test(path) || !queryCharacters.test(query)) return undefined
  if (suspicious.test(path) && !isContained(path, rules)) return undefined
  const semicolon = rules.useSemicolonDelimiter ? path.indexOf(';') : -1
  if (semicolon === -1) return { path, query, authority, scheme }
  return { path: path.slice(0, semicolon), query: path.slice(semicolon) + query, authority, scheme }
}

/** Returns true if a text is a request target in origin-form that needs no change. */
export function isOriginForm (text: string): boolean {
  const target = parseTarget(text)
  return target !== undefined && target.authority === undefined
}

/** Returns true if no reader of this path, decoding once, can find an authority, a NUL or a dot segment in it. */
function isContained (path: string, { ignoreDuplicateSlashes }: RouterRules): boolean {
  if ((path.startsWith('//') && !ignoreDuplicateSlashes) || /%(?![0-9a-f]{2})/i.test(path)) return false
  const decoded = decode(path)
  if (decoded.includes('\0')) return false
  return !decoded.split(/[/\\]/).some(isDotSegment)
}

/** Returns true for a dot segment, also with path parameters, which some servers cut off first (`..;x=1`). */
function isDotSegment (segment: string): boolean {
  const end = segment.indexOf(';')
  const name = end === -1 ? segment : segment.slice(0, end)
  return name === '.' || name === '..'
}

export function decode (text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}
