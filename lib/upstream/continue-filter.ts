/**
 * What undici is not to see of a response's beginning.
 *
 * `100 Continue` without being asked: RFC 9110, 15.2 wants a client to be able to take it, and some servers send it before every
 * answer to a POST; undici ends the connection. So it is taken out of what undici reads, where a response begins and nowhere else.
 *
 * The length of a body that does not come: RFC 9112, 6.3 has a 204 and a 304 end with their head whatever that says, and a response to HEAD;
 * undici waits for the body of the former, and ends the connection of the latter unless it is told that it may be kept.
 */
import type { Readable } from 'node:stream'
import { endOfHead, fieldChar, tchar } from '../http/syntax.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'

/** More interim responses than this before one final one are a flood (httpd: 10). */
export const maxInterim = 8
/** An interim head longer than this is not waited for. */
const maxHeldBytes = 16_384

const nothingWithheld: readonly string[] = []
const statusAt = 'HTTP/1.1 '.length

/** The connections of one client of undici's, one after the other, each with one request at a time. */
export class ContinueFilter {
  /** Whether a byte has come since a request was sent. */
  begun = false
  /** How many have been taken out since then. */
  taken = 0
  /** The Content-Length that a 304 has, as a field: that of the response to a GET. */
  withheld: readonly string[] = nothingWithheld
  #expected = false
  #toHead = false

  /** A request is to be sent: what comes next is the beginning of a response. */
  expect (method = 'GET'): void {
    this.#expected = true
    this.#toHead = method === 'HEAD'
    this.withheld = nothingWithheld
    this.begun = false
    this.taken = 0
  }

  /** Looks at what is read from this stream before the reader does: at less than half the cost of reading it and putting it back. */
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

  /** Of a response without a body, which begins at `at`. A head that is not plain is for others to refuse. */
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

  /** What passes of these bytes, and what cannot be told yet. */
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

/** Whether the response that begins at `at` is a 204 or a 304, as far as it has come. */
function hasNoBody (bytes: Buffer, at: number): boolean {
  const second = bytes[at + statusAt + 1]
  if (second !== undefined && second !== 0x30) return false // as in nearly all but a 200
  const start = bytes.toString('latin1', at, at + statusAt + 3)
  return ['HTTP/1.1 204', 'HTTP/1.1 304', 'HTTP/1.0 204', 'HTTP/1.0 304'].some((each) => each.startsWith(start))
}

/** Where the interim head that begins at `at` ends: `at` where none begins, -1 where that is not known yet. */
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

/** A whole head of a response with such a status. */
function headOf (status: string): RegExp {
  return new RegExp(`^HTTP/1\\.[01] ${status}(?: [${fieldChar}]*)?\\r\\n(?:[${tchar}]+:[${fieldChar}]*\\r\\n)*\\r\\n$`)
}

function isContinue (head: string): boolean {
  return continueHead.test(head)
}
