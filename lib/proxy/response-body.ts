/** A response's body on its way to the client. */
import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ClientGoneError } from '../errors.ts'
import { releaseOnceWritten } from '../net/buffer-release.ts'
import { ignoreErrors } from '../net/socket.ts'

/** With so much waiting for a client the upstream is held: two chunks as they are read, so that the usual one is no reason to stop. */
const maxWaitingBytes = 131_072

/** What brings it. */
export type Flow = Pick<Dispatcher.DispatchController, 'paused' | 'resume' | 'abort'>

/**
 * The body as Fastify sends it. It is an ordinary stream to whoever reads it, at the reader's pace. Where nobody but the response
 * does, what comes is written to it at once: a stream of 64 KiB chunks would stop and start the upstream at each.
 */
export class ResponseBody extends Readable {
  readonly #controller: Flow
  /** The response that is written to without the stream. */
  #direct: ServerResponse | undefined = undefined

  constructor (controller: Flow) {
    super()
    this.#controller = controller
    ignoreErrors(this) // an asynchronous onSend hook may be at work before Fastify listens
  }

  /** Takes what has come from the upstream, and its memory with it. Returns whether there is room for more: else the upstream is to be held until it is resumed. */
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
    this.resume() // so that it ends, with nothing in it any more
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

  /** Somebody else begins to read: from now on it is a stream for both. */
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
 * Whether what waits for the client waits in the response itself. Middleware puts a `write` of its own there, `inject()` does as
 * well: what that says is all that is known of what waits behind it.
 */
function isPlain (destination: NodeJS.WritableStream): destination is ServerResponse {
  return destination instanceof ServerResponse && destination.write === ServerResponse.prototype.write
}

/** Returns whether there is room for more. `write` itself says no to every chunk of 64 KiB, whatever became of it. */
function write (response: ServerResponse, chunk: Buffer): boolean {
  if (response.destroyed || response.writableEnded) return true // its close ends the exchange
  // What is no socket hands the chunk itself on.
  const written = response.req.socket instanceof Socket ? releaseOnceWritten(chunk) : undefined
  return response.write(chunk, written) || response.writableLength < maxWaitingBytes
}
