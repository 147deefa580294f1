/**
 * The head of an HTTP/1.1 response (RFC 9112, 4 and 5), strictly: a line ends with CRLF, a field is a token, a colon and
 * a value without control characters, and there is no folding. What a lenient reader would repair is refused.
 */
import { endOfHead, fieldChar, tchar } from './syntax.ts'

/** A response's status line and fields. */
export interface ResponseHead {
  /** 100 to 599. */
  readonly status: number
  /** `1.1` or `1.0`. */
  readonly version: string
  readonly reason: string
  /** `[name, value, …]` as on the wire, values trimmed. */
  readonly headers: readonly string[]
  /** How many bytes the head takes up, its blank line included. */
  readonly size: number
}

const statusLine = new RegExp(`^HTTP/(1\\.[01]) ([1-5][0-9][0-9])(?: ([${fieldChar}]*))?$`)
const fieldLine = new RegExp(`^([${tchar}]+):[\\t ]*([${fieldChar}]*)$`)

/**
 * Reads the head at the beginning of `bytes`; `undefined` where it is not whole yet.
 * @throws Error for what is no HTTP/1 response, or whose head is longer than `limit` bytes.
 */
export function parseHead (bytes: Buffer, limit: number): ResponseHead | undefined {
  const end = bytes.indexOf(endOfHead)
  if (end === -1 || end + 4 > limit) {
    if (bytes.length >= limit) throw new Error('the response head is too long')
    if (!isBeginning(bytes)) throw new Error('the response is not HTTP/1')
    if (/(?<!\r)\n/.test(bytes.toString('latin1'))) throw new Error('a bare line feed in the response head')
    return undefined
  }
  const lines = bytes.toString('latin1', 0, end).split('\r\n')
  const status = statusLine.exec(lines[0] as string)
  if (status === null) throw new Error('the status line is malformed')
  const headers: string[] = []
  for (let i = 1; i < lines.length; i++) {
    const field = fieldLine.exec(lines[i] as string)
    if (field === null) throw new Error('a header field is malformed')
    headers.push(field[1] as string, (field[2] as string).trimEnd())
  }
  return { status: Number(status[2]), version: status[1] as string, reason: status[3] ?? '', headers, size: end + 4 }
}

/** Whether these bytes can still become a status line: what speaks another protocol is found out at once. */
function isBeginning (bytes: Buffer): boolean {
  const start = 'HTTP/1.'
  return start.startsWith(bytes.toString('latin1', 0, start.length))
}
