/**
 * Path prefixes as Fastify's router reads them, segment by segment. Which entry has a path, the router decides; what stands
 * here says which patterns it needs for that, and how many raw bytes of a path a prefix takes.
 */

/** What one segment of a prefix stands for. */
export type Segment =
  | { readonly kind: 'static', readonly text: string }
  /** `:name`: any segment. */
  | { readonly kind: 'parameter', readonly text: string }
  /** Parameters and text mixed, such as `v:major` or `:from-:to`. */
  | { readonly kind: 'compound', readonly text: string, readonly matches: RegExp }

/** A path prefix. It matches on segment boundaries: `/ws/` has `/ws/a` but not `/ws`; `/ws` has `/ws`, `/ws/` and `/ws/a`. */
export interface PathPrefix {
  /** As configured, such as `/ws/`; empty for the root. */
  readonly text: string
  readonly segments: readonly Segment[]
  /** Whether it ends with a slash, and so does not have the path without one. */
  readonly slash: boolean
}

/** The options of Fastify's router that say how it reads a path. */
export interface RouterRules {
  readonly caseSensitive: boolean
  readonly ignoreTrailingSlash: boolean
  readonly ignoreDuplicateSlashes: boolean
  /** Whether a `;` begins the query. */
  readonly useSemicolonDelimiter: boolean
  /** Characters of a parameter's decoded value; a longer one is none, and the router goes on to another pattern. */
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

// The router ends a parameter's name at these, and reads a double colon as a colon.
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

/** The names of the parameters of a segment. */
export function parameterNames (text: string): string[] {
  return (text.match(parameters) ?? []).filter((mark) => mark !== '::').map((mark) => mark.slice(1).replace(/\(.*/, ''))
}

function escape (text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/**
 * How many characters of a raw path the prefix takes, where the router has found that it matches; `undefined` where the path
 * has too few segments, so that the router and this server do not read the same path.
 * @param leading segments of the prefix that an outer scope has given
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

/** What the router is asked for: all paths below some segments, or exactly the path of these segments. */
export interface PathPattern {
  readonly segments: readonly Segment[]
  readonly exact: boolean
}

/**
 * The patterns of a prefix: what is below it and, unless it ends with a slash that counts, the path itself. The root of a
 * registration has its path with a slash besides: somebody's page may be there, which does not take upgrades from it.
 */
export function patternsOf ({ segments, slash }: PathPrefix, { ignoreTrailingSlash }: RouterRules): PathPattern[] {
  const patterns = [{ segments, exact: false }]
  if (!slash || ignoreTrailingSlash) patterns.push({ segments, exact: true })
  if (segments.length === 0 && !ignoreTrailingSlash) patterns.push({ segments: emptySegment, exact: true })
  return patterns
}

const emptySegment: readonly Segment[] = Object.freeze([Object.freeze({ kind: 'static', text: '' })])

/** A pattern as Fastify takes it, with the names of parameters as they are: `/ws/*`, `/ws`; `/*` for all. */
export function patternText ({ segments, exact }: PathPattern): string {
  const text = segments.map((segment) => `/${segment.kind === 'static' ? segment.text.replaceAll(':', '::') : segment.text}`).join('')
  if (exact) return text === '' ? '/' : text
  return `${text}/*`
}

/** A key that two patterns share where the router takes them for one. */
export function patternKey ({ segments, exact }: PathPattern, rules: RouterRules): string {
  return segments.map((segment) => `/${segmentKey(segment, rules)}`).join('') + (exact ? '' : '/*')
}

export function segmentKey (segment: Segment, { caseSensitive }: RouterRules): string {
  if (segment.kind === 'parameter') return ':'
  const text = segment.kind === 'static' ? segment.text.replaceAll(':', '::') : segment.text
  return caseSensitive ? text : text.toLowerCase()
}
