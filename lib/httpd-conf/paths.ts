/** Path prefixes on segment boundaries, as in ProxyPass and `<Location>`. */

/** Returns true if a prefix covers a path: `/a` covers `/a` and `/a/b`, not `/ab`; `/a/` covers `/a/b`, not `/a`; `/` covers every path. */
export function covers (prefix: string, path: string): boolean {
  return path === prefix || path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`)
}

/** Returns every prefix that covers the path, the path itself included. */
export function coveringPrefixes (path: string): string[] {
  const prefixes = ['/']
  for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1)) prefixes.push(path.slice(0, at), path.slice(0, at + 1))
  if (prefixes.at(-1) !== path) prefixes.push(path)
  return prefixes
}

/** Returns the longer of two prefixes if one covers the other. */
export function meet (a: string, b: string): string | undefined {
  return covers(a, b) ? b : covers(b, a) ? a : undefined
}

/** Returns true if the plugin takes a text as a path: visible ASCII, no wildcard, query, escape, semicolon, dot segment or double slash. */
export function isPlainPath (path: string): boolean {
  return path.length <= 1024 && /^\/[\x21-\x7e]*$/.test(path) && !/[?#*\\()%:;]|\/\/|\/\.{1,2}(\/|$)/.test(path)
}
