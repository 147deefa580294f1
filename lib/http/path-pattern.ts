/**
 * Path prefixes as Fastify's router reads them, segment by segment. The router decides which entry serves a path; this file says which
 * patterns the router needs for that, and how many raw bytes of a path a prefix takes.
 */

/** One segment of a prefix. */
export type Segment =
  | { readonly kind: 'static', readonly text: string }
  /** `:name`: matches any segment. */
  | { readonly kind: 'parameter', readonly text: string }
  /** Parameters mixed with text, such as `v:major` or `:from-:to`. */
  | { readonly kind: 'compound', readonly text: string, readonly matches: RegExp }

/** A path prefix. It matches on segment boundaries: `/ws/` covers `/ws/a` but not `/ws`; `/ws` covers `/ws`, `/ws/` and `/ws/a`. */
export interface PathPrefix {
  /** The prefix as configured, such as `/ws/`; empty for the root. */
  readonly text: string
  readonly segments: readonly Segment[]
  /** True if the prefix ends with a slash, and so does not cover the path without one. */
  readonly slash: boolean
}

/** The options of Fastify's router that affect how it reads a path. */
export interface RouterRules {
  readonly caseSensitive: boolean
  readonly ignoreTrailingSlash: boolean
  readonly ignoreDuplicateSlashes: boolean
  /** True if a `;` begins the query. */
  readonly useSemicolonDelimiter: boolean
  /** The maximum length of a parameter's decoded value, in characters. A longer value does not match, and the router tries another pattern. */
  readonly maxParamLength: number
}

export const defaultRules: RouterRules = Object.freeze({
  caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, useSemicolonDelimiter: false, maxParamLength: 100
})

export function parsePrefix (text: string): PathPrefix {
  const parts = text.split('/').slice(1)
  const slash = parts.at(-1) === ''
  if (slash) parts.pop()
  return Object.freeze({ text, segments: Object.freeze(parts.map(parseSegment)), slash })
}

// The router ends a parameter's name at these characters, and reads a double colon as a colon.
const parameter = /^:[^:().-]+$/
const parameters = /::|:[^:().-]+(?:\([^)]*\))?/g

function parseSegment (text: string): Segment {
  if (parameter.test(text)) return Object.freeze({ kind: 'parameter', text })
  if (!text.replaceAll('::', '').includes(':')) return Object.freeze({ kind: 'static', text: text.replaceAll('::', ':') })
  const source = text.split(parameters).map(escape)
  const marks = text.match(parameters) ?? []
  const pattern = source.map((part, i) => part + (i >= marks.length ? '' : marks[i] === '::' ? ':' : '.*')).join('')
  return Object.freeze({ kind: 'compound', text: text.replace(parameters, (mark) => mark === '::' ? mark : ':'), matches: new RegExp(`^${pattern}$`) })
}

/** Returns the names of the parameters of a segment. */
export function parameterNames (text: string): string[] {
  return (text.match(parameters) ?? []).filter((mark) => mark !== '::').map((mark) => mark.slice(1).replace(/\(.*/, ''))
}

function escape (text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/**
 * Returns how many characters of a raw path the prefix takes, once the router has matched it; `undefined` if the path has too few segments,
 * so that the router and this server do not read the same path.
 * @param leading how many segments of the prefix an outer scope has given
 */
export function prefixLength (prefix: PathPrefix, path: string, rules: RouterRules): number | undefined {
  const pastSlashes = (at: number): number => {
    let end = at + 1
    if (rules.ignoreDuplicateSlashes) while (path.charCodeAt(end) === 0x2f) end++
    return end
  }
  let at = 0
  for (let i = 0; i < prefix.segments.length; i++) {
    if (path.charCodeAt(at) !== 0x2f) return undefined
    const start = pastSlashes(at)
    const slash = path.indexOf('/', start)
    at = slash === -1 ? path.length : slash
  }
  if (!prefix.slash) return at
  if (at < path.length) return pastSlashes(at)
  return rules.ignoreTrailingSlash ? at : undefined
}

/** One pattern for the router: all paths below some segments, or exactly the path of these segments. */
export interface PathPattern {
  readonly segments: readonly Segment[]
  readonly exact: boolean
}

/**
 * Returns the patterns of a prefix: the paths below it and, unless it ends with a slash that counts, the path itself. The root of a
 * registration also has its path with a slash: another route may have a page there, and that page does not take upgrades from the
 * registration.
 */
export function patternsOf ({ segments, slash }: PathPrefix, { ignoreTrailingSlash }: RouterRules): PathPattern[] {
  const patterns = [{ segments, exact: false }]
  if (!slash || ignoreTrailingSlash) patterns.push({ segments, exact: true })
  if (segments.length === 0 && !ignoreTrailingSlash) patterns.push({ segments: emptySegment, exact: true })
  return patterns
}

const emptySegment: readonly Segment[] = Object.freeze([Object.freeze({ kind: 'static', text: '' })])

/** Returns a pattern as Fastify takes it, with the names of its parameters: `/ws/*`, `/ws`; `/*` for all paths. */
export function patternText ({ segments, exact }: PathPattern): string {
  const text = segments.map((segment) => `/${segment.kind === 'static' ? segment.text.replaceAll(':', '::') : segment.text}`).join('')
  if (exact) return text === '' ? '/' : text
  return `${text}/*`
}

/** Returns a key that is equal for two patterns if the router treats them as one. */
export function patternKey ({ segments, exact }: PathPattern, rules: RouterRules): string {
  return segments.map((segment) => `/${segmentKey(segment, rules)}`).join('') + (exact ? '' : '/*')
}

export function segmentKey (segment: Segment, { caseSensitive }: RouterRules): string {
  if (segment.kind === 'parameter') return ':'
  const text = segment.kind === 'static' ? segment.text.replaceAll(':', '::') : segment.text
  return caseSensitive ? text : text.toLowerCase()
}
