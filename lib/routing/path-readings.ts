/**
 * Other readings of a path that Fastify's router has read in its own way. A later reader may take `%2F` and a backslash for a slash, cut
 * off parameters (`;x=1`) and leave out empty segments. If another entry would serve what it reads, this server refuses the request.
 */

/** Matches a path that two readers may read differently. */
const disputed = /[%;]|\/\//

export function isDisputed (path: string): boolean {
  return disputed.test(path)
}

/** Returns the segments of a path as Fastify's router compares them: it does not decode an escape that stands for a reserved character. */
export function routerSegments (path: string): string[] {
  return path.slice(1).split('/').map((segment) => {
    if (!segment.includes('%')) return segment
    try {
      return decodeURI(segment.replaceAll('%25', '%2525'))
    } catch {
      return segment // the router refuses such a path
    }
  })
}

/** Returns the segments of a path for each other way to read it. */
export function otherReadings (path: string): string[][] {
  const uncut = decode(path)
  const texts = new Set([uncut, cut(uncut), decode(cut(path))])
  for (const text of [...texts]) texts.add(text.replace(/\/{2,}/g, '/'))
  return [...texts].map((text) => text.slice(1).split('/'))
}

/** Returns the text decoded, with backslashes as slashes. */
export function decode (text: string): string {
  let decoded = text
  try {
    decoded = decodeURIComponent(text)
  } catch {} // the router refuses such a path
  return decoded.replaceAll('\\', '/')
}

/** Returns the text without the parameters of its segments, which some servers cut off (RFC 3986, 3.3). */
function cut (text: string): string {
  return text.replace(/;[^/]*/g, '')
}
