/**
 * Hides two things at the beginning of a response from undici. First, an unsolicited `100 Continue`: RFC 9110, 15.2 demands that a client
 * can take it, and some servers send it before every response to a POST; undici ends the connection. The filter removes it from the bytes
 * that undici reads, at the beginning of a response and nowhere else. Second, the length of a body that never comes: by RFC 9112, 6.3 a
 * 204, a 304 and a response to HEAD end with their head, whatever the length says. undici waits for the body of a 204 or 304, and ends the
 * connection after a response to HEAD unless it is told to keep it.
 */
import type { Readable } from 'node:stream'
import { endOfHead, fieldChar, tchar } from '../http/syntax.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'

/** The maximum number of interim responses before a final one; more are a flood (httpd: 10). */
export const maxInterim = 8
/** The maximum size of an interim head, in bytes; the filter does not wait for the end of a longer one. */
const maxHeldBytes = 16_384

const nothingWithheld: readonly string[] = []
const statusAt = 'HTTP/1.1 '.length

/** The filter of one undici client, whose connections follow one another, with one request at a time. */
export class ContinueFilter {
  /** True if a byte has come since the last request was sent. */
  begun = false
  /** The number of interim responses removed since then. */
  taken = 0
  /** The Content-Length of a 304, as a field: it is the length of the response to a GET. */
  withheld: readonly string[] = nothingWithheld
  #expected = false
  #toHead = false

  /** Called before a request is sent: the next bytes begin a response. */
  expect (method = 'GET'): void {
    this.#expected = true
    this.#toHead = method === 'HEAD'
    this.withheld = nothingWithheld
    this.begun = false
    this.taken = 0
  }

  /** Filters the bytes of a stream before its reader gets them, at less than half the cost of reading them and putting them back. */
  watch (stream: Readable): void {
    const read = stream.read
    let held = emptyBuffer
    stream.read = (size?: number): Buffer | null => {
      const chunk: Buffer | null = read.call(stream, size)
      if (chunk === null || !this.#expected) return chunk
      this.begun = true
      const { passed, rest } = this.#take(held.length === 0 ? chunk : Buffer.concat([held, chunk]))
      held = rest
      return passed.length > 0 ? passed : stream.read(size)
    }
  }

  #isOdd (bytes: Buffer, at: number): boolean {
    return hasNoBody(bytes, at) || (this.#toHead && 'HTTP/1.'.startsWith(bytes.toString('latin1', at, at + 7)))
  }

  /** Mends the head of a response without a body, which begins at `at`. A malformed head passes unchanged: undici refuses it. */
  #mend (passed: Buffer, bytes: Buffer, at: number): { passed: Buffer, rest: Buffer } {
    const end = bytes.indexOf(endOfHead, at)
    if (end === -1 && bytes.length - at <= maxHeldBytes) return { passed, rest: bytes.subarray(at) }
    this.#expected = false
    const head = end === -1 ? '' : bytes.toString('latin1', at, end + endOfHead.length)
    if (!plainHead.test(head)) return { passed: Buffer.concat([passed, bytes.subarray(at)]), rest: emptyBuffer }
    const rest = bytes.subarray(end + endOfHead.length)
    return { passed: Buffer.concat([passed, Buffer.from(this.#mended(head), 'latin1'), rest]), rest: emptyBuffer }
  }

  #mended (head: string): string {
    const status = head.slice(statusAt, statusAt + 3)
    if (status === '204' || status === '304') {
      const length = /\r\ncontent-length:[\t ]*(\d+)[\t ]*\r\n/i.exec(head)?.[1]
      if (status === '304' && length !== undefined) this.withheld = ['Content-Length', length]
      return head.replace(/(?<=\r\n)(?:content-length|transfer-encoding):[^\r]*\r\n/gi, '')
    }
    if (!this.#toHead || !head.startsWith('HTTP/1.1') || /\r\n(?:connection|content-length|transfer-encoding):/i.test(head)) return head
    return `${head.slice(0, -2)}Connection: keep-alive\r\n\r\n`
  }

  /** Splits bytes into those that pass, and those that cannot be judged yet. */
  #take (bytes: Buffer): { passed: Buffer, rest: Buffer } {
    let passed = emptyBuffer
    let at = 0
    while (at < bytes.length) {
      const end = interimEnd(bytes, at)
      if (end === -1) return { passed, rest: bytes.subarray(at) }
      if (end === at || this.taken === maxInterim) {
        if (end === at && this.#isOdd(bytes, at)) return this.#mend(passed, bytes, at)
        this.#expected = false
        return { passed: at === 0 ? bytes : Buffer.concat([passed, bytes.subarray(at)]), rest: emptyBuffer }
      }
      if (isContinue(bytes.toString('latin1', at, end))) this.taken++
      else passed = Buffer.concat([passed, bytes.subarray(at, end)])
      at = end
    }
    return { passed, rest: emptyBuffer }
  }
}

/** Returns true if the response that begins at `at` is a 204 or a 304, as far as its bytes have come. */
function hasNoBody (bytes: Buffer, at: number): boolean {
  const last = bytes[at + statusAt + 2]
  if (last !== undefined && last !== 0x34) return false // not `4`
  const start = bytes.toString('latin1', at, at + statusAt + 3)
  return ['HTTP/1.1 204', 'HTTP/1.1 304', 'HTTP/1.0 204', 'HTTP/1.0 304'].some((each) => each.startsWith(start))
}

/** Returns the end of the interim head that begins at `at`: `at` if none begins, -1 if the bytes do not tell yet. */
function interimEnd (bytes: Buffer, at: number): number {
  const one = bytes[at + statusAt]
  if (one !== undefined && (one !== 0x31 || bytes[at] !== 0x48)) return at // neither `1` nor `H`
  const start = bytes.toString('latin1', at, at + statusAt + 3)
  if (!'HTTP/1.'.startsWith(start.slice(0, 7)) || start.endsWith(' 101')) return at
  const end = bytes.indexOf(endOfHead, at)
  if (end !== -1) return end + endOfHead.length
  return bytes.length - at > maxHeldBytes ? at : -1
}

const plainHead = headOf('\\d\\d\\d')
const continueHead = headOf('100')

/** Returns an expression that matches a whole response head with such a status. */
function headOf (status: string): RegExp {
  return new RegExp(`^HTTP/1\\.[01] ${status}(?: [${fieldChar}]*)?\\r\\n(?:[${tchar}]+:[${fieldChar}]*\\r\\n)*\\r\\n$`)
}

function isContinue (head: string): boolean {
  return continueHead.test(head)
}
