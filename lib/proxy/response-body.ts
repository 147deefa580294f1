/** The body of a response on its way to the client. */
import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ClientGoneError } from '../errors.ts'
import { releaseOnceWritten } from '../net/buffer-release.ts'
import { ignoreErrors } from '../net/socket.ts'

/** The bytes waiting for a client at which the upstream is paused: two chunks, so that a single one does not pause it. */
const maxWaitingBytes = 131_072

/** The controls of undici's response. */
export type Flow = Pick<Dispatcher.DispatchController, 'paused' | 'resume' | 'abort'>

/**
 * The body that Fastify sends: an ordinary stream, read at the reader's pace. If only the response reads it, chunks are written to the
 * response directly: with chunks of 64 KiB, the stream would stop and start the upstream at each.
 */
export class ResponseBody extends Readable {
  readonly #controller: Flow
  /** The response that chunks are written to directly. */
  #direct: ServerResponse | undefined = undefined

  constructor (controller: Flow) {
    super()
    this.#controller = controller
    ignoreErrors(this) // an asynchronous onSend hook may run before Fastify listens
  }

  /**
   * Takes a chunk from the upstream, together with its memory. Returns true if there is room for more; else the caller pauses the upstream
   * until it is resumed.
   */
  accept (chunk: Buffer): boolean {
    if (this.#direct === undefined) return this.push(chunk)
    return write(this.#direct, chunk)
  }

  override pipe<T extends NodeJS.WritableStream> (destination: T, options?: { end?: boolean }): T {
    if (isPlain(destination) && options?.end !== false && this.#isUnread()) this.#begin(destination)
    else super.pipe(destination, options)
    return destination
  }

  override unpipe (destination?: NodeJS.WritableStream): this {
    if (this.#direct === undefined || (destination !== undefined && destination !== this.#direct)) return super.unpipe(destination)
    const response = this.#stop()
    this.pause()
    response.emit('unpipe', this)
    this.#controller.resume()
    return this
  }

  override pause (): this {
    this.#becomeStream()
    return super.pause()
  }

  #isUnread (): boolean {
    return !this.destroyed && this.readableFlowing === null && this.listenerCount('data') === 0 && this.listenerCount('readable') === 0
  }

  #begin (response: ServerResponse): void {
    this.#direct = response
    response.on('drain', this.#onDrain)
    this.on('end', this.#onEnd)
    this.on('newListener', this.#onListener)
    response.emit('pipe', this)
    let room = true
    for (let chunk = this.read(); chunk !== null; chunk = this.read()) room = write(response, chunk)
    this.resume() // so that the stream, which is empty now, ends
    if (room) this.#controller.resume()
  }

  #stop (): ServerResponse {
    const response = this.#direct as ServerResponse
    this.#direct = undefined
    response.off('drain', this.#onDrain)
    this.off('end', this.#onEnd)
    this.off('newListener', this.#onListener)
    return response
  }

  readonly #onDrain = (): void => {
    this.#controller.resume()
  }

  readonly #onEnd = (): void => {
    this.#stop().end()
  }

  /** The listener of `'newListener'`: if another reader appears, the body becomes a stream for both. */
  readonly #onListener = (event: string | symbol): void => {
    if (event === 'data' || event === 'readable') this.#becomeStream()
  }

  #becomeStream (): void {
    if (this.#direct === undefined) return
    super.pipe(this.#stop())
    this.#controller.resume()
  }

  override _read (): void {
    if (this.#direct === undefined && this.#controller.paused) this.#controller.resume()
  }

  override _destroy (error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#direct !== undefined) this.#stop()
    if (!this.readableEnded) this.#controller.abort(error ?? new ClientGoneError())
    callback(error)
  }
}

/**
 * Returns true if the response itself buffers the bytes that wait for the client. Middleware and `inject()` override `write`; then its
 * result is the only sign of what is buffered.
 */
function isPlain (destination: NodeJS.WritableStream): destination is ServerResponse {
  return destination instanceof ServerResponse && destination.write === ServerResponse.prototype.write
}

/** Writes a chunk. Returns true if there is room for more. `write` returns false for every chunk of 64 KiB, even if it was sent completely. */
function write (response: ServerResponse, chunk: Buffer): boolean {
  if (response.destroyed || response.writableEnded) return true // the response's close ends the exchange
  // A response without a socket passes the chunk itself on, so its memory must stay.
  const written = response.req.socket instanceof Socket ? releaseOnceWritten(chunk) : undefined
  return response.write(chunk, written) || response.writableLength < maxWaitingBytes
}
