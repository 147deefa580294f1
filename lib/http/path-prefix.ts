/** Path prefixes: matching them and mapping paths to and from the upstream by concatenation, never with a URL. */
import { decode } from './request-target.ts'

/**
 * Cuts the matched prefix off and appends the rest to the upstream's path, literally, as ProxyPass does. The result begins
 * with one slash: with two, some readers would take what follows for an authority.
 */
export function mapPath (path: string, matched: number, base: string): string {
  const joined = base + path.slice(matched)
  let slashes = 0
  while (joined.charCodeAt(slashes) === 0x2f) slashes++
  return `/${joined.slice(slashes)}`
}

/**
 * The inverse of `mapPath`: the client's path for one of the upstream's. The rest keeps its bytes.
 * @param prefix what the route's prefix takes up in the client's path, parameters included
 * @param base the path that stands in its place at the upstream
 * @returns `undefined` if `path` is not the base or below it, or if its dot segments lead out of it
 */
export function unmapPath (path: string, prefix: string, base: string): string | undefined {
  const length = segmentsLength(path, base)
  if (length === -1 || climbs(path.slice(length))) return undefined
  const joined = base === '' || base.endsWith('/') ? withoutSlash(prefix) : prefix
  return joined + path.slice(length) || '/'
}

/** Returns true if a path is `prefix` or below it, by segments, and stays there once its dot segments are removed. */
export function isBelow (path: string, prefix: string): boolean {
  const length = segmentsLength(path, prefix)
  return length !== -1 && !climbs(path.slice(length))
}

/** Returns how many characters of `path` the segments of `base` take, without a slash at the end; -1 if `path` does not begin with them. */
function segmentsLength (path: string, base: string): number {
  const start = withoutSlash(base)
  if (path.startsWith(start) && (path.length === start.length || path.charCodeAt(start.length) === 0x2f)) return start.length
  if (!path.includes('%') && !start.includes('%')) return -1
  let at = 0
  for (const segment of start.split('/').slice(1)) {
    if (path.charCodeAt(at) !== 0x2f) return -1
    const slash = path.indexOf('/', at + 1)
    const end = slash === -1 ? path.length : slash
    if (decode(path.slice(at + 1, end)) !== decode(segment)) return -1
    at = end
  }
  return at
}

/** Returns true if dot segments lead above the beginning of a path, as a browser reads it: escaped ones, and those behind backslashes, count. */
function climbs (rest: string): boolean {
  if (!/[/\\](?:\.|%2e)/i.test(rest)) return false
  let depth = 0
  for (const segment of rest.replaceAll(/%2e/gi, '.').split(/[/\\]/).slice(1)) {
    if (segment === '..') depth--
    else if (segment !== '.') depth++
    if (depth < 0) return true
  }
  return false
}

function withoutSlash (path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}
