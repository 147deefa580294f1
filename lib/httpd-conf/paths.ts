/** Path prefixes on segment boundaries, as ProxyPass and `<Location>` have them. */

/** `/a` covers `/a` and `/a/b`, not `/ab`; `/a/` covers `/a/b`, not `/a`; `/` covers everything. */
export function covers (prefix: string, path: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)
}

/** Every prefix that covers the path, the path itself included. */
export function coveringPrefixes (path: string): string[] {
  const prefixes = ['/']
  for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1)) prefixes.push(path.slice(0, at), path.slice(0, at + 1))
  if (prefixes.at(-1) !== path) prefixes.push(path)
  return prefixes
}

/** The longer of two prefixes where one covers the other. */
export function meet (a: string, b: string): string | undefined {
  return covers(a, b) ? b : covers(b, a) ? a : undefined
}

/** What the plugin takes as a path: visible ASCII, no wildcard, query, escape, dot segment or double slash. */
export function isPlainPath (path: string): boolean {
  return path.length <= 1024 && /^\/[\x21-\x7e]*$/.test(path) && !/[?#*\\()%:]|\/\/|\/\.{1,2}(\/|$)/.test(path)
}
