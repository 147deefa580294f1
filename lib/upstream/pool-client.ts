/** A connection of an upstream's pool, dialled by us and spoken by undici: what undici does not see of its end. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Client, type Dispatcher } from 'undici'
import { dial, type DialOptions, type UpstreamConnection, wasReset } from './connect.ts'
import { ContinueFilter } from './continue-filter.ts'

/** What one exchange asks of a pool. */
export interface PooledOptions extends Dispatcher.DispatchOptions {
  /** Set by the connection that takes it: whether it has served another one before. */
  reused?: boolean
  /** The same: whether it broke, where undici sees a regular end of a response that has no length (RFC 9112, 8). */
  connection?: PooledConnection
}

/** What an exchange sees of the connection that carries it. */
export interface PooledConnection {
  readonly broken: boolean
  /** Whether the kernel has all that was written to it. */
  readonly isFlushed: boolean
  /** Pauses a response, unless all of it has come. */
  pauseResponse (response: Dispatcher.DispatchController): void
  /** The response is over: a connection at rest is not to keep the exchange that it had. */
  releaseResponse (response: Dispatcher.DispatchController | undefined): void
}

/** One connection of a pool. */
export class PoolClient extends Client implements PooledConnection {
  broken = false
  readonly #continueFilter: ContinueFilter
  /** Nothing more is to come: nothing can be held back. */
  #ended = false
  /** The response that was held back, and may be so still. */
  #held: Dispatcher.DispatchController | undefined = undefined
  #used = false
  #stream: Duplex | undefined = undefined

  constructor (origin: URL, options: object, dialOptions: DialOptions) {
    const continueFilter = new ContinueFilter()
    super(origin, {
      ...options,
      connect: (_, callback) => {
        dial(dialOptions, (error, dialled) => {
          if (error !== null || dialled === null) return callback(error as Error, null)
          continueFilter.watch(dialled.stream)
          this.#watch(dialled)
          callback(null, dialled.stream as Socket)
        })
      }
    })
    this.#continueFilter = continueFilter
    this.on('disconnect', () => { this.#used = false })
  }

  get isFlushed (): boolean {
    return this.#stream?.writableLength === 0
  }

  pauseResponse (response: Dispatcher.DispatchController): void {
    if (this.#ended) return
    this.#held = response
    response.pause()
  }

  releaseResponse (response: Dispatcher.DispatchController | undefined): void {
    if (this.#held === response) this.#held = undefined
  }

  /**
   * Hears of its end before undici, which asserts then that its parser is not held, and would end the process with that where a
   * response said `close` or had no length (nodejs/undici#5360).
   */
  #watch ({ stream, transport }: UpstreamConnection): void {
    this.broken = false
    this.#ended = false
    this.#stream = stream
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

  /** A pool gives a connection its next request when the one before is over. */
  override dispatch (options: PooledOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#continueFilter.expect()
    this.#held = undefined
    options.connection = this
    options.reused = this.#used
    this.#used = true
    return super.dispatch(options, handler)
  }
}
