/**
 * The reader of HTTP/1.1 response bodies: it finds the end of a body (RFC 9112, 6 and 7). It is strict, for the same reason as the reader
 * of heads: two readers that disagree about an end make response smuggling possible.
 */
import { fieldValue, type HeaderList } from './header-list.ts'

/** The way in which a body is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length', readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' }

/** Returns the framing of a response (RFC 9112, 6.3), or `undefined` if it is ambiguous or unknown: such a response is refused. */
export function responseFraming (method: string, status: number, headers: HeaderList): Framing | undefined {
  const transferEncoding = fieldValue(headers, 'transfer-encoding')
  const contentLength = fieldValue(headers, 'content-length')
  if (transferEncoding !== undefined && contentLength !== undefined) return undefined
  if (transferEncoding !== undefined && transferEncoding.toLowerCase() !== 'chunked') return undefined
  if (contentLength !== undefined && !/^\d{1,15}$/.test(contentLength)) return undefined
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' }
  if (transferEncoding !== undefined) return { kind: 'chunked' }
  if (contentLength !== undefined) return { kind: 'length', length: Number(contentLength) }
  return { kind: 'close' }
}

const states = { size: 0, extension: 1, sizeEnd: 2, data: 3, dataCr: 4, dataLf: 5, trailer: 6, trailerEnd: 7 } as const
type State = typeof states[keyof typeof states]

const cr = 0x0d
const lf = 0x0a

/** The maximum size, in bytes, of one chunk's extensions and of all trailers together. The reader skips both and never passes them on. */
const maxFramingBytes = 8192

/** Reads one response body from a connection, piece by piece. */
export class BodyReader {
  /** True if the body is complete. */
  done: boolean
  readonly #framing: Framing
  #remaining: number
  #state: State = states.size
  #digits = 0
  #skipped = 0
  #lineLength = 0

  constructor (framing: Framing) {
    this.#framing = framing
    this.#remaining = framing.kind === 'length' ? framing.length : 0
    this.done = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)
  }

  /**
   * Takes the next bytes, and calls `onData` for each run of the body's own bytes (not copied).
   * @returns how many of the bytes belong to this body, framing included; fewer than `bytes` has once `done` is true
   * @throws Error if the chunked framing is malformed
   */
  read (bytes: Buffer, onData: (data: Buffer) => void): number {
    if (this.done) return 0
    if (this.#framing.kind === 'chunked') return this.#readChunks(bytes, onData)
    if (this.#framing.kind === 'close') {
      onData(bytes)
      return bytes.length
    }
    const taken = Math.min(bytes.length, this.#remaining)
    this.#remaining -= taken
    this.done = this.#remaining === 0
    onData(taken === bytes.length ? bytes : bytes.subarray(0, taken))
    return taken
  }

  /** Called when the connection ends. Returns true if the body is complete then. */
  end (): boolean {
    if (this.#framing.kind === 'close') this.done = true
    return this.done
  }

  #readChunks (bytes: Buffer, onData: (data: Buffer) => void): number {
    let at = 0
    while (at < bytes.length && !this.done) {
      if (this.#state === states.data) {
        const taken = Math.min(bytes.length - at, this.#remaining)
        onData(bytes.subarray(at, at + taken))
        this.#remaining -= taken
        at += taken
        if (this.#remaining === 0) this.#state = states.dataCr
      } else {
        this.#readFraming(bytes[at] as number)
        at++
      }
    }
    return at
  }

  /** Reads one byte of the framing around the data (RFC 9112, 7.1). */
  #readFraming (byte: number): void {
    switch (this.#state) {
      case states.size: {
        const digit = hexDigit(byte)
        if (digit !== -1) {
          if (++this.#digits > 12) throw new Error('a chunk is too large')
          this.#remaining = this.#remaining * 16 + digit
        } else if (this.#digits === 0) throw new Error('a chunk has no size')
        else if (byte === cr) this.#state = states.sizeEnd
        else if (byte === 0x3b) this.#state = states.extension // ';'
        else throw new Error('a chunk size is malformed')
        return
      }
      case states.extension:
        if (byte === cr) this.#state = states.sizeEnd
        else this.#skip(byte)
        return
      case states.sizeEnd:
        if (byte !== lf) throw new Error('a chunk size is malformed')
        this.#digits = 0
        this.#skipped = 0
        this.#state = this.#remaining === 0 ? states.trailer : states.data
        return
      case states.dataCr:
        if (byte !== cr) throw new Error('a chunk is longer than its size')
        this.#state = states.dataLf
        return
      case states.dataLf:
        if (byte !== lf) throw new Error('a chunk is longer than its size')
        this.#state = states.size
        return
      case states.trailer:
        if (byte === cr) this.#state = states.trailerEnd
        else {
          this.#lineLength++
          this.#skip(byte)
        }
        return
      case states.trailerEnd:
        if (byte !== lf) throw new Error('a trailer is malformed')
        this.done = this.#lineLength === 0
        this.#lineLength = 0
        this.#state = states.trailer
        return
      default:
        throw new Error('unreachable')
    }
  }

  #skip (byte: number): void {
    if (byte === lf) throw new Error('a bare line feed in chunked framing')
    if (++this.#skipped > maxFramingBytes) throw new Error('too much chunked framing')
  }
}

function hexDigit (byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
