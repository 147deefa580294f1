/**
 * Regular expressions of RewriteRule, RewriteCond and ProxyPassMatch that amount to a prefix: literal text, then anything. Others are not
 * translated. This file never runs an expression of the configuration.
 */

/** A pattern as a prefix. */
export interface PathPattern {
  readonly path: string
  /** The cases in which httpd matches more paths: texts for notes. */
  readonly cautions: readonly string[]
}

/** A pattern with its substitution: `target` replaces `path`. */
export interface PathMapping extends PathPattern {
  readonly target: string
}

interface Shape {
  /** The literal text before the group, from the path's beginning. */
  readonly before: string
  /** The literal text at the beginning of the group; `undefined` without a group. */
  readonly inGroup: string | undefined
  /** True if `before` ends with an optional slash. */
  readonly slashMayMiss: boolean
  /** True if only whole segments match: `(/.*)?$` or `(/|$)`. */
  readonly boundary: boolean
  /** True if the pattern matches a path up to its end, so that `$0` is all of it. */
  readonly matchesRest: boolean
  readonly cautions: string[]
}

const unsupported = 'a pattern other than a literal prefix and (.*)'

/** Returns a pattern as a prefix, or a text with the reason why it is none. */
export function asPrefix (pattern: string): PathPattern | string {
  const shape = readShape(pattern)
  return typeof shape === 'string' ? shape : { path: pathOf(shape), cautions: cautionsOf(shape) }
}

/**
 * Returns a pattern and its substitution as a prefix and a target, or a text with the reason why they are none.
 * @param appendsUri true if httpd appends the request's path to a substitution that uses nothing of the pattern
 */
export function asMapping (pattern: string, substitution: string, appendsUri: boolean): PathMapping | string {
  if (/^[a-z]+:\/\/[^/]*[$%](?!1$|0$|\{REQUEST_URI\}$)/i.test(substitution)) {
    return 'a host or port that a request chooses: a client could reach any server through it'
  }
  const shape = readShape(pattern)
  if (typeof shape === 'string') return shape
  const path = pathOf(shape)
  const cautions = cautionsOf(shape)
  const whole = (appendsUri ? /^([^$%]*)(\$0)$/ : /^([^$%]*)(%\{REQUEST_URI\}|\$0)$/i).exec(substitution)
  if (whole !== null) {
    if (whole[2] === '$0' && !shape.matchesRest) return 'a substitution with $0, for which the pattern would have to end with .*'
    return { path, target: `${whole[1]}${path}`, cautions }
  }
  const first = /^([^$%]*)\$1$/.exec(substitution)
  if (first !== null) {
    const [, base = ''] = first
    if (shape.inGroup === undefined || pattern.includes('(?:')) return 'a substitution with $1, for which the pattern has no group'
    if (!shape.slashMayMiss) return { path, target: base + shape.inGroup, cautions }
    if (!/:\/\/[^/]+\/$/.test(base)) cautions.push(`httpd sends ${path} to ${base}, and this translation to ${base.replace(/\/$/, '')}`)
    return { path, target: base.replace(/\/$/, ''), cautions }
  }
  if (/[$%]/.test(substitution)) return 'a substitution other than a target with $1 or %{REQUEST_URI} at its end'
  return appendsUri ? { path, target: substitution + path, cautions } : 'a substitution that sends every request to the same path'
}

function pathOf ({ before, inGroup = '' }: Shape): string {
  return before + inGroup === '' ? '/' : before + inGroup
}

function cautionsOf (shape: Shape): string[] {
  const path = pathOf(shape)
  if (shape.boundary || path.endsWith('/')) return [...shape.cautions]
  return [...shape.cautions, `httpd also matches ${path}x; here only ${path} and the paths below ${path}/ match`]
}

/** Parses `^`, literal text, a group of literal text and `.*`, and `$`. */
function readShape (pattern: string): Shape | string {
  const cautions: string[] = []
  const everything = /^\(?\.\*/.test(pattern)
  const anchored = pattern.startsWith('^') || everything
  let source = pattern.replace(/^\^/, '')
  if (source.startsWith('/?')) source = source.slice(1).replace('?', '/') // a path always begins with a slash
  const parts = /^((?:[^\\()]|\\.)*?)(\/\?)?(?:\(((?:[^\\()]|\\.)*)\)(\??))?(\$?)$/s.exec(source) ?? ['', '(']
  const [, outer = '', slashMark = '', group, mark = '', end = ''] = parts
  const tail = group === undefined ? /^(.*?)(\.\*)?$/s.exec(outer) : null
  if (group === undefined && end === '$' && tail?.[2] === undefined) return 'a pattern for a single path'
  const before = literal((tail === null ? outer : tail[1] ?? '').replace(/^\/\//, '/'))
  if (before === undefined) return unsupported
  let text = before.text
  if (group !== undefined && group === '/|$' && mark === '' && end === '') {
    return { before: text, inGroup: undefined, slashMayMiss: false, boundary: true, matchesRest: false, cautions }
  }
  const inner = group === undefined ? undefined : groupText(group)
  if (inner === null) return unsupported
  const dots = before.dots || inner?.dots === true
  if (dots) cautions.push('a dot in the pattern matches any character in httpd, and here a dot')
  const boundary = mark === '?'
  if (boundary && (inner?.text !== '/' || text === '' || end !== '$')) return unsupported
  let inGroup = boundary ? '' : inner?.text
  if (text === '' && (inGroup ?? '') === '') {
    if (inGroup === undefined) text = '/'
    else inGroup = '/' // $1 begins with the path's slash
  }
  if (!(text + (inGroup ?? '')).startsWith('/')) return anchored ? 'a pattern that no path begins with' : 'a pattern that may match anywhere in a path'
  if (!anchored && text + (inGroup ?? '') !== '/') {
    cautions.push('the pattern has no ^: httpd matches it anywhere in a path; here it matches only at the beginning')
  }
  return { before: text, inGroup, slashMayMiss: slashMark !== '', boundary, matchesRest: group !== undefined || tail?.[2] !== undefined, cautions }
}

/** Returns the literal text of a group that ends with `.*`; `null` for any other group. */
function groupText (group: string): { text: string, dots: boolean } | null {
  const match = /^(?:\?<\w+>|\?:)?(.*?)\.\*$/s.exec(group)
  return match === null ? null : literal(match[1] ?? '') ?? null
}

/** Returns literal text without its escapes; a dot stands for itself. */
function literal (source: string): { text: string, dots: boolean } | undefined {
  const text = source.replace(/\\([^0-9a-z])/gi, '$1')
  const bare = source.replace(/\\[^0-9a-z]/gi, '')
  return /[\\^$*+?()[\]{}|]/.test(bare) ? undefined : { text, dots: bare.includes('.') }
}
