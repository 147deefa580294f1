/**
 * `100 Continue` without being asked: RFC 9110, 15.2 wants a client to be able to take it, and some servers send it before every
 * answer to a POST; undici ends the connection. So it is taken out of what undici reads, where a response begins and nowhere else.
 */
import type { Readable } from 'node:stream'

/** More of them before one response are a flood, and undici's to refuse (httpd: 10). */
const maxInterim = 8
/** An interim head longer than this is not waited for. */
const maxHeldBytes = 16_384

const endOfHead = Buffer.from('\r\n\r\n')
const nothing: Buffer = Buffer.alloc(0)
const statusAt = 'HTTP/1.1 '.length

/** The connections of one client of undici's, one after the other, each with one request at a time. */
export class ContinueFilter {
  #expected = false
  #left = 0

  /** A request is to be sent: what comes next is the beginning of a response. */
  expect (): void {
    this.#expected = true
    this.#left = maxInterim
  }

  /** Looks at what is read from this stream before the reader does: at less than half the cost of reading it and putting it back. */
  watch (stream: Readable): void {
    const read = stream.read
    let held = nothing
    stream.read = (size?: number): Buffer | null => {
      const chunk: Buffer | null = read.call(stream, size)
      if (chunk === null || !this.#expected) return chunk
      const { passed, rest } = this.#take(held.length === 0 ? chunk : Buffer.concat([held, chunk]))
      held = rest
      return passed.length > 0 ? passed : stream.read(size)
    }
  }

  /** What passes of these bytes, and what cannot be told yet. */
  #take (bytes: Buffer): { passed: Buffer, rest: Buffer } {
    let passed = nothing
    let at = 0
    while (at < bytes.length) {
      const end = interimEnd(bytes, at)
      if (end === -1) return { passed, rest: bytes.subarray(at) }
      if (end === at || this.#left === 0) {
        this.#expected = false
        return { passed: at === 0 ? bytes : Buffer.concat([passed, bytes.subarray(at)]), rest: nothing }
      }
      if (isContinue(bytes.toString('latin1', at, end))) this.#left--
      else passed = Buffer.concat([passed, bytes.subarray(at, end)])
      at = end
    }
    return { passed, rest: nothing }
  }
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

function isContinue (head: string): boolean {
  return /^HTTP\/1\.[01] 100(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/.test(head)
}
