/** A connection of an upstream's pool, dialled by us and spoken by undici: what undici does not see of its end. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Client, type Dispatcher } from 'undici'
import { ClosedError } from '../errors.ts'
import { type UpstreamConnection, wasReset } from './connect.ts'
import { ContinueFilter } from './continue-filter.ts'

/** Who keeps a connection. */
export interface ConnectionOwner {
  /** The exchange that it had is over, and it stands. */
  released (connection: PoolClient): void
  /** It has ended. */
  disconnected (connection: PoolClient): void
}

export interface ConnectionOptions {
  readonly origin: string
  /** Bytes of a response head. */
  readonly maxResponseHead: number
}

/** One connection of a pool. Another exchange is dispatched on it only when the one before is over. */
export class PoolClient extends Client {
  /** Whether it broke, where undici sees a regular end of a response that has no length (RFC 9112, 8). */
  broken = false
  /** Whether it may have another exchange after this one. */
  kept = true
  /** How many exchanges it has had: after the first it may be closed for its age at any time. */
  exchanges = 0
  readonly #continueFilter: ContinueFilter = new ContinueFilter()
  /** Nothing more is to come: nothing can be held back. */
  #ended = false
  /** The response that was held back, and may be so still. */
  #held: Dispatcher.DispatchController | undefined = undefined
  readonly #stream: Duplex

  constructor ({ origin, maxResponseHead }: ConnectionOptions, dialled: UpstreamConnection, owner: ConnectionOwner) {
    let given = false
    super(origin, {
      pipelining: 1,
      headersTimeout: 0, // an exchange has a timer of its own
      bodyTimeout: 0,
      maxHeaderSize: maxResponseHead,
      connect: (_, callback) => {
        // It asks for another one where this one has ended before the request was written. In a turn of its own it takes the answer in.
        const error = given ? new ClosedError() : null
        given = true
        queueMicrotask(() => error === null ? callback(null, dialled.stream as Socket) : callback(error, null))
      }
    })
    this.#stream = dialled.stream
    this.#continueFilter.watch(dialled.stream)
    this.#watch(dialled)
    this.on('drain', () => owner.released(this))
    this.on('disconnect', () => owner.disconnected(this))
  }

  /** Whether neither side has ended it, as far as is known. */
  get isOpen (): boolean {
    return !this.#ended && !this.#stream.destroyed && !this.destroyed
  }

  /** Whether the kernel has all that was written to it. */
  get isFlushed (): boolean {
    return this.#stream.writableLength === 0
  }

  /** How many interim responses have come that undici was not shown. */
  get hiddenInterim (): number {
    return this.#continueFilter.taken
  }

  /** Fields of the response that undici was not shown. */
  get withheld (): readonly string[] {
    return this.#continueFilter.withheld
  }

  /** Whether a byte of an answer to the last request has come. */
  get hasAnswered (): boolean {
    return this.#continueFilter.begun
  }

  /** Pauses a response, unless all of it has come. */
  hold (response: Dispatcher.DispatchController): void {
    if (this.#ended) return
    this.#held = response
    response.pause()
  }

  /** The response is over: a connection at rest is not to keep the exchange that it had. */
  letGo (response: Dispatcher.DispatchController | undefined): void {
    if (this.#held === response) this.#held = undefined
  }

  /**
   * Hears of its end before undici, which asserts then that its parser is not held, and would end the process with that where a
   * response said `close` or had no length (nodejs/undici#5360).
   */
  #watch ({ stream, transport }: UpstreamConnection): void {
    stream.once('end', () => {
      this.broken = wasReset(transport)
      this.#ended = true
      this.#held?.resume()
    })
    stream.once('error', (error: NodeJS.ErrnoException) => {
      this.broken = true
      this.#ended = true
      // Of a destroyed socket a parser cannot be let go. A reset is what undici takes for an end; of any other failure it does not ask it.
      if (this.#held?.paused === true && error.code === 'ECONNRESET') error.code = 'ECONNABORTED'
    })
  }

  override dispatch (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#continueFilter.expect(options.method)
    this.#held = undefined
    this.exchanges++
    return super.dispatch(options, handler)
  }
}
