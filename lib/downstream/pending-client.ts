/** The client's socket while it waits for its response: early bytes are kept up to a limit, and its leaving is noticed. */
import type { Duplex } from 'node:stream'
import { ClientGoneError } from '../errors.ts'
import type { PendingUpgrade } from './upgrade-response.ts'

export interface Abortable {
  abort (reason: Error): void
}

export class PendingClient {
  readonly #socket: Duplex
  readonly #limit: number
  #gone: Error | undefined = undefined
  #controller: AbortController | undefined = undefined
  #early: Buffer[]
  #size: number
  #watching = false
  /** What is done for it: aborted when it leaves, or is to wait no more. */
  inProgress: Abortable | undefined = undefined

  constructor ({ socket, head }: PendingUpgrade, limit: number) {
    this.#socket = socket
    this.#limit = limit
    this.#early = head.length > 0 ? [head] : []
    this.#size = head.length
  }

  /** Whether its leaving would be noticed. */
  get watching (): boolean {
    return this.#watching
  }

  /** Aborts when it leaves. Made only for those who ask: it costs as much as the rest of the waiting. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#gone !== undefined) this.#controller.abort(this.#gone)
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
    if (this.#gone !== undefined) return
    this.#gone = reason
    this.#controller?.abort(reason)
    this.inProgress?.abort(reason)
  }

  /** @throws why it waits no more */
  throwIfGone (): void {
    if (this.#gone !== undefined) throw this.#gone
  }

  /** Does not wait on for what a client that has left asked for. */
  raceAbort<T> (promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.inProgress = { abort: reject }
      promise.then(resolve, reject)
    })
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
    this.#early.push(chunk)
    this.#size += chunk.length
    if (this.#size >= this.#limit) this.#socket.pause()
  }

  readonly #onGone = (): void => {
    this.abort(new ClientGoneError())
  }
}
