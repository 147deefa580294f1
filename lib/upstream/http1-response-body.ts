/** The body of an upstream's response that is no switch: it is read from the connection of the handshake, which ends with it. */
import type { Socket } from 'node:net'
import { type Duplex, Readable } from 'node:stream'
import { ClosedError, InvalidResponseError, timedOut } from '../errors.ts'
import { BodyReader, type Framing } from '../http/body-reader.ts'
import { ignoreErrors } from '../net/socket.ts'
import { wasReset } from './connect.ts'

export interface RawResponseBodyOptions {
  readonly stream: Duplex
  readonly transport: Socket
  readonly framing: Framing
  /** The bytes of the body that came with the head. */
  readonly rest: Buffer
  /** The maximum milliseconds without a byte; 0 is no limit. */
  readonly timeout: number
  /** True to yield the bytes as they came, with their framing, instead of the body's content. */
  readonly raw: boolean
}

export class RawResponseBody extends Readable {
  readonly #stream: Duplex
  readonly #transport: Socket
  readonly #reader: BodyReader
  readonly #raw: boolean
  readonly #timeout: number
  #timer: NodeJS.Timeout | undefined = undefined
  #pushed = 0

  constructor ({ stream, transport, framing, rest, timeout, raw }: RawResponseBodyOptions) {
    super()
    this.#stream = stream
    this.#transport = transport
    this.#reader = new BodyReader(framing)
    this.#raw = raw
    this.#timeout = timeout
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('end', () => this.#ended(!wasReset(transport)))
    stream.on('error', (cause) => this.destroy(new ClosedError({ cause })))
    stream.on('close', () => this.#ended(false))
    stream.pause()
    ignoreErrors(this) // an asynchronous onSend hook may run before Fastify listens
    this.#take(rest)
  }

  /** True if the upstream has sent the whole body. */
  get whole (): boolean {
    return this.#reader.done
  }

  /** The number of bytes that its reader has taken. */
  get taken (): number {
    return this.#pushed - this.readableLength
  }

  override _read (): void {
    if (this.destroyed) return
    this.#await()
    this.#stream.resume()
  }

  override _destroy (error: Error | null, callback: (error: Error | null) => void): void {
    this.#stopAwaiting()
    this.#stream.destroy()
    this.#transport.destroy()
    callback(error)
  }

  #take (chunk: Buffer): void {
    if (this.destroyed || this.readableEnded) return
    this.#timer?.refresh()
    let more = true
    try {
      const taken = this.#reader.read(chunk, (data) => {
        if (!this.#raw) more = this.#pass(data) && more
      })
      if (this.#raw && taken > 0) more = this.#pass(chunk.subarray(0, taken))
    } catch (cause) {
      this.destroy(new InvalidResponseError({ cause }))
      return
    }
    if (this.#reader.done) this.#finish()
    else if (!more) {
      this.#stream.pause()
      this.#stopAwaiting() // this body waits for the client, not for the upstream
    }
  }

  #pass (bytes: Buffer): boolean {
    this.#pushed += bytes.length
    return this.push(bytes)
  }

  #await (): void {
    if (this.#timeout > 0) this.#timer ??= setTimeout(() => this.destroy(timedOut('timeout')), this.#timeout)
  }

  #stopAwaiting (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #ended (regularly: boolean): void {
    if (this.#reader.done) return
    if (regularly && this.#reader.end()) this.#finish()
    else this.destroy(new ClosedError())
  }

  /** Ends the connection: no request asked for bytes after the response. */
  #finish (): void {
    this.#stopAwaiting()
    this.push(null)
    this.#stream.destroy()
    this.#transport.destroy()
  }
}
