/** The client's socket while it waits for its answer: early bytes are kept up to a limit, and its leaving is noticed. */
import type { Duplex } from 'node:stream'
import type { Offered } from './connection.ts'
import { ClientGoneError } from './errors.ts'

export class WaitingClient {
  readonly #offered: Offered
  readonly #socket: Duplex
  readonly #limit: number
  readonly #controller: AbortController = new AbortController()
  #early: Buffer[]
  #size: number
  #watching = false

  constructor (offered: Offered, limit: number) {
    const { socket, head } = offered
    this.#offered = offered
    this.#socket = socket
    this.#limit = limit
    this.#early = head.length > 0 ? [head] : []
    this.#size = head.length
  }

  /** Whether its leaving would be noticed. */
  get watching (): boolean {
    return this.#watching
  }

  get signal (): AbortSignal {
    return this.#controller.signal
  }

  watch (): void {
    this.#watching = true
    const socket = this.#socket
    socket.on('data', this.#onData)
    socket.on('end', this.#onGone)
    socket.on('close', this.#onGone)
    if (socket.destroyed || socket.readableEnded) this.#onGone()
    else if (this.#size >= this.#limit) socket.pause()
    else socket.resume()
  }

  abort (reason: Error): void {
    this.#controller.abort(reason)
  }

  /** Does not wait on for what a client that has left asked for. */
  async unlessGone<T> (promise: Promise<T>): Promise<T> {
    const { signal } = this
    signal.throwIfAborted()
    let onAbort = (): void => {}
    try {
      return await Promise.race([promise, new Promise<never>((_resolve, reject) => {
        onAbort = () => reject(signal.reason)
        signal.addEventListener('abort', onAbort)
      })])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Stops watching. Returns what came too early, in order, once. */
  release (): Buffer {
    if (this.#watching) {
      this.#watching = false
      const socket = this.#socket
      socket.pause()
      socket.off('data', this.#onData)
      socket.off('end', this.#onGone)
      socket.off('close', this.#onGone)
    }
    const early = this.#early.length === 1 ? this.#early[0] as Buffer : Buffer.concat(this.#early)
    this.#early = []
    return early
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#offered.eager = true
    this.#early.push(chunk)
    this.#size += chunk.length
    if (this.#size >= this.#limit) this.#socket.pause()
  }

  readonly #onGone = (): void => {
    this.#controller.abort(new ClientGoneError())
  }
}
