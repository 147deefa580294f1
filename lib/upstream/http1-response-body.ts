/** The body of an upstream's answer that is no switch: read off the handshake's connection, which ends with it. */
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
  /** What of the body came with the head. */
  readonly rest: Buffer
  /** Milliseconds without a byte; 0 is none. */
  readonly timeout: number
  /** Bytes as they came, with their framing, instead of the body's own. */
  readonly raw: boolean
}

export class RawResponseBody extends Readable {
  readonly #stream: Duplex
  readonly #transport: Socket
  readonly #reader: BodyReader
  readonly #raw: boolean
  readonly #timeout: number
  #timer: NodeJS.Timeout | undefined = undefined

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
    ignoreErrors(this) // an asynchronous onSend hook may be at work before Fastify listens
    this.#take(rest)
  }

  /** Whether the upstream has sent all of it. */
  get whole (): boolean {
    return this.#reader.done
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
        if (!this.#raw) more = this.push(data) && more
      })
      if (this.#raw && taken > 0) more = this.push(chunk.subarray(0, taken))
    } catch (cause) {
      this.destroy(new InvalidResponseError({ cause }))
      return
    }
    if (this.#reader.done) this.#finish()
    else if (!more) {
      this.#stream.pause()
      this.#stopAwaiting() // it is the client that we wait for
    }
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

  /** What the upstream sends after its answer, nobody asked for. */
  #finish (): void {
    this.#stopAwaiting()
    this.push(null)
    this.#stream.destroy()
    this.#transport.destroy()
  }
}
