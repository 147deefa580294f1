/** Which prefix a path has, and what becomes of it upstream: a concatenation, never a URL. */

/**
 * Cuts the matched prefix off and appends the rest to the upstream's path, literally, as ProxyPass does. The result begins
 * with one slash: with two, some readers would take what follows for an authority.
 */
export function mapPath (path: string, matched: number, base: string): string {
  return `/${base}${path.slice(matched)}`.replace(/^\/+/, '/')
}
