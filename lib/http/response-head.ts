/**
 * The strict reader of HTTP/1.1 response heads (RFC 9112, 4 and 5): a line ends with CRLF; a field is a token, a colon and a value without
 * control characters; folding is an error. It refuses what a lenient reader would repair.
 */
import { isField } from './header-list.ts'
import { endOfHead, fieldChar, trim } from './syntax.ts'

/** A response's status line and fields. */
export interface ResponseHead {
  /** The status code, 100 to 599. */
  readonly status: number
  /** The HTTP version: `1.1` or `1.0`. */
  readonly version: string
  readonly reason: string
  /** The fields as `[name, value, …]`, as on the wire, values trimmed. */
  readonly headers: readonly string[]
  /** The size of the head in bytes, its blank line included. */
  readonly size: number
}

const statusLine = new RegExp(`^HTTP/(1\\.[01]) ([1-5][0-9][0-9])(?: ([${fieldChar}]*))?$`)
const lineEnd = '\r\n'

/**
 * Parses the head at the beginning of `bytes`; returns `undefined` if it is not complete yet.
 * @throws Error if the bytes are no HTTP/1 response, or if the head is longer than `limit` bytes
 */
export function parseHead (bytes: Buffer, limit: number): ResponseHead | undefined {
  const end = bytes.indexOf(endOfHead)
  if (end === -1 || end + 4 > limit) {
    if (bytes.length >= limit) throw new Error('the response head is too long')
    if (!isBeginning(bytes)) throw new Error('the response is not HTTP/1')
    if (/(?<!\r)\n/.test(bytes.toString('latin1'))) throw new Error('a bare line feed in the response head')
    return undefined
  }
  const text = bytes.toString('latin1', 0, end + lineEnd.length)
  let at = text.indexOf(lineEnd)
  const status = statusLine.exec(text.slice(0, at))
  if (status === null) throw new Error('the status line is malformed')
  const headers: string[] = []
  for (let start = at + lineEnd.length; start < text.length; start = at + lineEnd.length) {
    at = text.indexOf(lineEnd, start)
    const colon = text.indexOf(':', start)
    const name = text.slice(start, colon)
    const value = text.slice(colon + 1, at)
    if (colon === -1 || colon > at || !isField(name, value)) throw new Error('a header field is malformed')
    headers.push(name, trim(value))
  }
  return { status: Number(status[2]), version: status[1] as string, reason: status[3] ?? '', headers, size: end + 4 }
}

/** Returns true if these bytes can still become a status line, so that another protocol is detected at once. */
function isBeginning (bytes: Buffer): boolean {
  const start = 'HTTP/1.'
  return start.startsWith(bytes.toString('latin1', 0, start.length))
}
