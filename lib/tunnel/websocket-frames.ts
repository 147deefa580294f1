/**
 * Follows the frame headers of one direction of a WebSocket stream (RFC 6455, 5.2), without touching or keeping payload. It finds the end
 * of a frame, where a Close may be injected, and the close code that has passed.
 */

const closeOpcode = 0x8
const none = 0

export class FrameTracker {
  /** The code of the Close frame that passed, set once its two bytes have come. 1005 if the frame had none. */
  closeCode: number | undefined = undefined
  /** True if a Close frame has begun: nothing may follow it. */
  closing = false
  /** True if the stream broke the framing rules: the tracker follows it no longer. */
  malformed = false

  readonly #masked: boolean
  #headerSize = 2
  #headerRead = 0
  #opcode = 0
  #length = 0
  #payload = 0 // remaining bytes of the current frame's payload
  #mask = 0 // the first two bytes of the masking key
  #code = 0
  #codeBytes = none // remaining bytes of the close code

  /** @param masked true if frames must be masked: the client's must be, the upstream's must not (5.1) */
  constructor (masked: boolean) {
    this.#masked = masked
  }

  /** True if the next byte would begin a frame. */
  get atBoundary (): boolean {
    return this.#payload === 0 && this.#headerRead === 0 && !this.malformed
  }

  /**
   * Follows the next bytes.
   * @param stop stops at the first frame boundary after the beginning of `bytes`
   * @returns how many bytes it followed; all of them without `stop`
   */
  push (bytes: Buffer, stop = false): number {
    let at = 0
    while (at < bytes.length && !this.malformed) {
      if (this.#payload > 0) {
        if (this.#codeBytes !== none) {
          this.#readCode(bytes[at] as number)
          this.#payload--
          at++
        } else {
          const taken = Math.min(this.#payload, bytes.length - at)
          this.#payload -= taken
          at += taken
        }
      } else {
        this.#readHeader(bytes[at] as number)
        at++
      }
      if (stop && this.#payload === 0 && this.#headerRead === 0) return at
    }
    return bytes.length
  }

  #readHeader (byte: number): void {
    const index = this.#headerRead++
    if (index === 0) {
      this.#opcode = byte & 0x0f
      const reserved = this.#opcode & 0x07
      if (reserved > 2) this.malformed = true
      return
    }
    if (index === 1) {
      const masked = (byte & 0x80) !== 0
      if (masked !== this.#masked) this.malformed = true
      const length = byte & 0x7f
      const extended = length === 126 ? 2 : length === 127 ? 8 : 0
      this.#length = extended === 0 ? length : 0
      this.#headerSize = 2 + extended + (masked ? 4 : 0)
    } else {
      const maskAt = this.#headerSize - (this.#masked ? 4 : 0)
      if (index < maskAt) {
        this.#length = this.#length * 256 + byte
        if (this.#length > Number.MAX_SAFE_INTEGER) this.malformed = true
      } else if (index < maskAt + 2) {
        this.#mask = ((this.#mask << 8) | byte) & 0xffff
      }
    }
    if (this.#headerRead === this.#headerSize) this.#beginPayload()
  }

  #beginPayload (): void {
    this.#headerRead = 0
    this.#headerSize = 2
    this.#payload = this.#length
    if (this.#opcode !== closeOpcode) return
    this.closing = true
    if (this.#length >= 2) this.#codeBytes = 2
    else this.closeCode ??= 1005
  }

  #readCode (byte: number): void {
    this.#code = (this.#code << 8) | byte
    if (--this.#codeBytes !== none) return
    this.closeCode ??= this.#masked ? this.#code ^ this.#mask : this.#code
  }
}

/**
 * Returns a Close frame (5.5.1).
 * @param mask four random bytes for a frame to an upstream; absent for a frame to a client (5.3)
 */
export function closeFrame (code: number, mask?: Buffer): Buffer {
  const payload = Buffer.from([code >> 8, code & 0xff])
  if (mask === undefined) return Buffer.concat([Buffer.from([0x88, payload.length]), payload])
  for (let i = 0; i < payload.length; i++) (payload[i] as number) ^= mask[i] as number
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask, payload])
}
