/** A connection of an upstream's pool, dialled by this plugin and used by undici. It handles ends of the connection that undici does not see. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Client, type Dispatcher } from 'undici'
import { ClosedError } from '../errors.ts'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import { isAuthenticatedByConnection } from '../http/hop-by-hop.ts'
import { type UpstreamConnection, wasReset } from './connect.ts'
import { ContinueFilter } from './continue-filter.ts'

/** The pool that keeps a connection. */
export interface ConnectionOwner {
  /** Called when an exchange has ended and the connection is still open. */
  released (connection: PoolClient): void
  /** Called when the connection has ended. */
  disconnected (connection: PoolClient): void
}

export interface ConnectionOptions {
  readonly origin: string
  /** The maximum size of a response head, in bytes. */
  readonly maxResponseHead: number
}

/** One connection of a pool. It gets a new exchange only when the one before has ended. */
export class PoolClient extends Client {
  /** True if the connection broke although undici sees a regular end of a response without a length (RFC 9112, 8). */
  broken = false
  /** True if the connection may have another exchange after this one. */
  kept = true
  /** The number of exchanges so far: after the first, the upstream may close the connection for its age at any time. */
  exchanges = 0
  readonly #continueFilter: ContinueFilter = new ContinueFilter()
  /** True once no more bytes will come, so that no response can be paused. */
  #ended = false
  /** The response that was paused, and may still be. */
  #held: Dispatcher.DispatchController | undefined = undefined
  readonly #stream: Duplex
  /** The method of the last request. */
  #method = ''
  readonly #owner: ConnectionOwner

  constructor ({ origin, maxResponseHead }: ConnectionOptions, dialled: UpstreamConnection, owner: ConnectionOwner) {
    let given = false
    super(origin, {
      pipelining: 1,
      headersTimeout: 0, // each exchange has its own timer
      bodyTimeout: 0,
      maxHeaderSize: maxResponseHead,
      connect: (_, callback) => {
        // undici asks for another connection if this one ended before the request was written. It takes the answer in a later turn.
        const error = given ? new ClosedError() : null
        given = true
        queueMicrotask(() => error === null ? callback(null, dialled.stream as Socket) : callback(error, null))
      }
    })
    this.#stream = dialled.stream
    this.#owner = owner
    this.#continueFilter.watch(dialled.stream)
    this.#watch(dialled)
    this.on('drain', () => owner.released(this))
    this.on('disconnect', () => owner.disconnected(this))
  }

  /** True if, as far as is known, neither side has ended the connection. */
  get isOpen (): boolean {
    return !this.#ended && !this.#stream.destroyed && !this.destroyed
  }

  /** True if the kernel has all bytes written to the connection. */
  get isFlushed (): boolean {
    return this.#stream.writableLength === 0
  }

  /** The number of interim responses hidden from undici. */
  get hiddenInterim (): number {
    return this.#continueFilter.taken
  }

  /** The fields of the response hidden from undici. */
  get withheld (): readonly string[] {
    return this.#continueFilter.withheld
  }

  /** True if a byte of the response to the last request has come. */
  get hasAnswered (): boolean {
    return this.#continueFilter.begun
  }

  /** Pauses a response, unless it has come completely. */
  hold (response: Dispatcher.DispatchController): void {
    if (this.#ended) return
    this.#held = response
    response.pause()
  }

  /** Called when the response has ended: an idle connection must not keep its last exchange alive. */
  letGo (response: Dispatcher.DispatchController | undefined): void {
    if (this.#held === response) this.#held = undefined
  }

  /**
   * Handles the connection's end before undici does. If a response said `close` or had no length, undici then asserts that its parser is
   * not paused, and a failed assertion would end the process (nodejs/undici#5360).
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
      // The parser of a destroyed socket cannot be resumed. undici takes a reset for an end, and asks the parser only then; it does not do
      // so after any other failure.
      if (this.#held?.paused === true && error.code === 'ECONNRESET') error.code = 'ECONNABORTED'
    })
  }

  /** Called with the head of each response, which may be the reason that no other exchange gets this connection. */
  responded (status: number, headers: HeaderList): void {
    // undici keeps the connection of a HEAD for `Connection: keep-alive`; its parser, for `Proxy-Connection: close`, refuses the next response.
    const isClosedToParser = this.#method === 'HEAD' && fieldValue(headers, 'proxy-connection') !== undefined
    if (isClosedToParser || isAuthenticatedByConnection(status, headers)) this.kept = false
  }

  override dispatch (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#continueFilter.expect(options.method)
    this.#held = undefined
    this.#method = options.method
    this.exchanges++
    const isAccepted = super.dispatch(options, handler)
    if (!isAccepted && this.stats.size === 0) this.#end()
    return isAccepted
  }

  /** Ends the connection: undici has refused a request that it cannot write, such as one with two Host fields, and emits no event for that. */
  #end (): void {
    this.#stream.destroy()
    this.#owner.disconnected(this)
  }
}
