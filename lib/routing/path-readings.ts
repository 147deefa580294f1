/**
 * What a later reader may make of a path that Fastify's router has read its own way: `%2F` and a backslash as a slash, parameters
 * (`;x=1`) cut off, empty segments left out. Where another entry would have what it reads, the request must be refused.
 */

/** A path without any of these reads the same for everybody. */
const disputed = /[%;]|\/\//

export function isDisputed (path: string): boolean {
  return disputed.test(path)
}

/** The segments of a path as Fastify's router compares them: an escape that stands for a reserved character stays one. */
export function routerSegments (path: string): string[] {
  return path.slice(1).split('/').map((segment) => {
    if (!segment.includes('%')) return segment
    try {
      return decodeURI(segment.replaceAll('%25', '%2525'))
    } catch {
      return segment // which the router refuses
    }
  })
}

/** The segments of a path by each other way to read it. */
export function otherReadings (path: string): string[][] {
  const uncut = decode(path)
  const texts = new Set([uncut, cut(uncut), decode(cut(path))])
  for (const text of [...texts]) texts.add(text.replace(/\/{2,}/g, '/'))
  return [...texts].map((text) => text.slice(1).split('/'))
}

/** Decoded, a backslash as a slash. */
export function decode (text: string): string {
  let decoded = text
  try {
    decoded = decodeURIComponent(text)
  } catch {} // which the router refuses
  return decoded.replaceAll('\\', '/')
}

/** Without the parameters that some servers cut off each segment (RFC 3986, 3.3). */
function cut (text: string): string {
  return text.replace(/;[^/]*/g, '')
}
