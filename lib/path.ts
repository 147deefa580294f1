/**
 * Paths, as strings of raw bytes: which prefix a request target has, and what becomes of it upstream.
 * Nothing here builds a URL from what a client sent: the mapped path is a concatenation, so that no path can
 * reach another authority or leave its prefix.
 */

/** A request target in origin-form (RFC 9112, 3.2.1), its path still as the client wrote it. */
export interface RequestTarget {
  readonly path: string
  /** With its `?`; empty where there is none. */
  readonly query: string
  /** Whether the client sent the absolute-form (RFC 9112, 3.2.2), whose authority is dropped. */
  readonly absolute: boolean
}

/** A path prefix, made ready for matching. */
export interface PathPrefix {
  /** As configured, such as `/ws/`; empty for the root. */
  readonly text: string
  /** The segments of `text`; `null` for a parameter (`:name`), which stands for any segment. */
  readonly segments: ReadonlyArray<string | null>
  readonly literal: boolean
}

const absoluteForm = /^https?:\/\/([a-z0-9\-._~!$&'()*+,;=%:[\]]*)/i
// What may stand in a path (RFC 3986, 2): visible ASCII without `?`, the fragment's `#` and the backslash, which
// some servers take for a slash. In a query, browsers leave the backslash as it is.
const pathCharacters = /^[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]+$/
const queryCharacters = /^[\x21\x22\x24-\x7e]*$/
// A path with none of these has no escape, no dot segment and no double slash at its beginning.
const suspicious = /%|\/\.|\/\//

/** Splits and checks a request target; `undefined` where it must be refused (400). */
export function parseTarget (url: string): RequestTarget | undefined {
  let target = url
  let absolute = false
  if (target.charCodeAt(0) !== 0x2f) {
    const authority = absoluteForm.exec(target)
    if (authority === null) return undefined
    target = target.slice(authority[0].length)
    if (target === '' || target.startsWith('?')) target = `/${target}`
    else if (!target.startsWith('/')) return undefined // userinfo, a backslash or a fragment
    absolute = true
  }
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark)
  if (!pathCharacters.test(path) || !queryCharacters.test(query)) return undefined
  if (suspicious.test(path) && !isContained(path)) return undefined
  return { path, query, absolute }
}

/** The authority of a request target in absolute-form, which stands for the Host then (RFC 9112, 3.2.2). */
export function authorityOf (url: string): string | undefined {
  return absoluteForm.exec(url)?.[1]
}

/** Whether no reader of this path, decoding once, can find an authority, a NUL or a dot segment in it. */
function isContained (path: string): boolean {
  if (path.startsWith('//') || /%(?![0-9a-f]{2})/i.test(path)) return false
  const decoded = decode(path)
  if (decoded.includes('\0')) return false
  return !decoded.split(/[/\\]/).some(isDotSegment)
}

/** A dot segment, also with the path parameters that some servers cut off first (`..;x=1`). */
function isDotSegment (segment: string): boolean {
  const end = segment.indexOf(';')
  const name = end === -1 ? segment : segment.slice(0, end)
  return name === '.' || name === '..'
}

function decode (text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

export function compilePrefix (text: string): PathPrefix {
  const segments = text.split('/').map((segment) => segment.startsWith(':') ? null : segment)
  return Object.freeze({ text, segments: Object.freeze(segments), literal: !segments.includes(null) })
}

/**
 * How many characters of `path` the prefix takes up, or -1 where it does not match. A prefix matches on segment
 * boundaries, as in ProxyPass: `/ws/` matches `/ws/a` but not `/ws`; `/ws` matches `/ws`, `/ws/` and `/ws/a` but not `/wsx`.
 * Segments are compared decoded, as the router does; the rest of the path is never decoded.
 */
export function matchPrefix (prefix: PathPrefix, path: string, caseSensitive = true): number {
  const { text } = prefix
  if (prefix.literal && path.startsWith(text)) {
    if (path.length === text.length || text.endsWith('/') || path.charCodeAt(text.length) === 0x2f) return text.length
  }
  if (prefix.literal && caseSensitive && !path.includes('%')) return -1
  return matchSegments(prefix.segments, path, caseSensitive)
}

function matchSegments (segments: ReadonlyArray<string | null>, path: string, caseSensitive: boolean): number {
  let at = 0
  for (let i = 0; i < segments.length; i++) {
    const wanted = segments[i] as string | null
    if (wanted === '' && i === segments.length - 1 && i > 0) return at // the prefix ends with a slash, which was matched
    const slash = path.indexOf('/', at)
    const end = slash === -1 ? path.length : slash
    const found = decode(path.slice(at, end))
    if (wanted === null ? found === '' : !equal(found, wanted, caseSensitive)) return -1
    if (i === segments.length - 1) return end
    if (slash === -1) return -1
    at = end + 1
  }
  return at
}

function equal (a: string, b: string, caseSensitive: boolean): boolean {
  return a === b || (!caseSensitive && a.toLowerCase() === b.toLowerCase())
}

/**
 * Cuts the matched prefix off and appends the rest to the upstream's path, literally, as ProxyPass does. The result begins
 * with one slash: with two, some readers would take what follows for an authority.
 */
export function mapPath (path: string, matched: number, base: string): string {
  return `/${base}${path.slice(matched)}`.replace(/^\/+/, '/')
}
