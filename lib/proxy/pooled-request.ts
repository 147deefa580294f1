/** A forward's request to one upstream: the connection that carries it, and its timer. */
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ClosedError, InvalidResponseError, timedOut, toProxyError, type WstunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { authenticatesConnection } from '../http/hop-by-hop.ts'
import { RequestContext } from '../net/async-context.ts'
import type { Borrower, ConnectionPool, Ticket } from '../upstream/connection-pool.ts'
import { maxInterim } from '../upstream/continue-filter.ts'
import type { PoolClient } from '../upstream/pool-client.ts'
import type { AttemptTrace } from './attempt-trace.ts'
import { type BodyOwner, counted } from './request-body.ts'
import type { Flow } from './response-body.ts'
import { type Timely, UpstreamTimer } from './upstream-timeout.ts'

/** The caller of a request. It gets heads and data as they come, and one end, complete or not. */
export interface RequestOwner {
  /** Called for each response head, interim ones first. */
  responseStarted (status: number, headers: HeaderList, reason: string): void
  /** Called for a piece of the body. Returns true if there is room for more. */
  responseData (chunk: Buffer): boolean
  responseEnded (): void
  /** Called if there is no response, or only a part of it. */
  responseFailed (error: WstunnelError): void
  /** Called when undici has taken bytes of the request's body. */
  bodyTaken (bytes: number): void
}

/** The request. */
export interface Asked {
  readonly method: string
  /** The request target in origin-form. */
  readonly path: string
  readonly headers: HeaderList
  /** True if the request may be sent once more when no response has come (RFC 9110, 9.2.2). */
  readonly idempotent: boolean
  readonly body: Readable | null
  /** True if the body comes straight from a socket. */
  readonly bodyOfSocket: boolean
  /** The upstream's own name for TLS. It is never the client's Host, which undici would use, and open a connection for each. */
  readonly servername: string | undefined
}

/** The options of sending. */
export interface Sending {
  readonly pool: ConnectionPool
  /** True if the request has a connection of its own, which ends with it. */
  readonly unshared: boolean
  /** The milliseconds without a byte of the upstream while the request waits for it; 0 is no limit. */
  readonly timeout: number
  /** Begins the trace of an attempt, if the target has tracing: called each time that the request is sent. */
  readonly trace?: (() => AttemptTrace | undefined) | undefined
}

export class PooledRequest implements Dispatcher.DispatchHandler, Borrower, BodyOwner, Flow, Timely {
  readonly #owner: RequestOwner
  readonly #timer: UpstreamTimer = new UpstreamTimer(this)
  /** The context of the request. Connections are made outside of it, and have served other requests before. */
  readonly #context: RequestContext = new RequestContext()
  #asked: Asked | undefined = undefined
  #sending: Sending | undefined = undefined
  #trace: AttemptTrace | undefined = undefined
  /** The connection that the request waits for. */
  #ticket: Ticket | undefined = undefined
  #connection: PoolClient | undefined = undefined
  #controller: Dispatcher.DispatchController | undefined = undefined
  /** The reason why the request was aborted. */
  #aborted: Error | undefined = undefined
  /** True if the client must send the next bytes. */
  #awaitsBody = false
  #bodyTaken = false
  /** The number of interim responses so far. */
  #interim = 0
  /** True if the response is complete. */
  #ended = false

  constructor (owner: RequestOwner) {
    this.#owner = owner
  }

  /** True if bytes of the request may have been sent. */
  get sent (): boolean {
    return this.#controller !== undefined
  }

  /** True if undici has taken bytes of the request's body. */
  get hasTakenBody (): boolean {
    return this.#bodyTaken
  }

  /** True if no other exchange has used its connection: the upstream may have closed an older one for its age. */
  get fresh (): boolean {
    return (this.#connection?.exchanges ?? 1) === 1
  }

  /** Sends the request, or sends it again after a failure. */
  send (asked: Asked, sending: Sending): void {
    this.#asked = asked
    this.#sending = sending
    this.#connect(sending.unshared)
  }

  #connect (unshared: boolean): void {
    const { pool, trace } = this.#sending as Sending
    this.#trace = trace?.()
    this.#controller = undefined
    this.#connection = undefined
    this.#interim = 0
    const connection = unshared ? undefined : pool.take()
    if (connection !== undefined) this.connected(connection)
    else this.#ticket = pool.wait(this, unshared)
  }

  connected (connection: PoolClient): void {
    this.#context.runInAsyncScope(this.#dispatch, this, connection)
  }

  #dispatch (connection: PoolClient): void {
    const { method, path, headers, body, servername } = this.#asked as Asked
    const { unshared, timeout } = this.#sending as Sending
    const trace = this.#trace
    this.#ticket = undefined
    this.#connection = connection
    this.#timer.start(timeout)
    if (authenticatesConnection(headers, 'authorization')) connection.kept = false
    const dispatch = (): boolean => connection.dispatch({
      method: method as Dispatcher.HttpMethod,
      path,
      headers: (trace === undefined ? headers : trace.inject(headers)) as string[],
      body: body === null ? null : counted(body, this) as unknown as Readable,
      reset: unshared ? true : method === 'HEAD' ? false : undefined, // undici would end the connection of each HEAD
      servername
    } as Dispatcher.DispatchOptions, this)
    // Begin the trace only here: the request may wait in the pool, and then get its connection in the context of another request's end.
    if (trace === undefined) dispatch()
    else trace.within(dispatch)
  }

  unconnected (error: Error): void {
    this.#ticket = undefined
    this.#failed(toProxyError(error))
  }

  #failed (error: WstunnelError): void {
    this.#trace?.end({ error })
    this.#context.runInAsyncScope(this.#owner.responseFailed, this.#owner, error)
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#aborted !== undefined) controller.abort(this.#aborted)
  }

  onResponseStart (controller: Dispatcher.DispatchController, status: number, _: unknown, reason = ''): void {
    if (status < 200) this.#interim++
    else {
      this.#timer.refresh()
      this.#trace?.end({ status })
    }
    if (this.#interim + (this.#connection?.hiddenInterim ?? 0) > maxInterim) return controller.abort(new InvalidResponseError())
    const headers = latin1(controller.rawHeaders as Array<Buffer | string>)
    ;(controller as { rawHeaders: unknown }).rawHeaders = [] // its Buffers would keep all bytes of their read
    this.#connection?.responded(status, headers)
    if (status >= 200) headers.push(...this.#connection?.withheld ?? [])
    this.#context.runInAsyncScope(this.#owner.responseStarted, this.#owner, status, headers, reason)
  }

  onResponseData (controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#timer.refresh()
    if (!this.#owner.responseData(chunk)) this.#connection?.hold(controller)
  }

  onResponseEnd (): void {
    this.#over()
    if (this.#ended) return
    if (this.#connection?.broken === true) return this.#failed(new ClosedError())
    this.#ended = true
    this.#context.runInAsyncScope(this.#owner.responseEnded, this.#owner)
  }

  onResponseError (_: Dispatcher.DispatchController, cause: Error): void {
    this.#over()
    const error = toProxyError(cause)
    if (!this.#metItsEnd(error)) return this.#failed(error)
    this.#trace?.end({ error })
    this.#context.runInAsyncScope(this.#connect, this, true)
  }

  /**
   * Returns true if the upstream was just closing its kept connection, which says nothing about the upstream. The request is then sent once
   * more, on a connection of its own (RFC 9112, 9.3.1).
   */
  #metItsEnd (error: Error): boolean {
    if (!(error instanceof ClosedError) || this.#aborted !== undefined || this.#bodyTaken || this.fresh) return false
    return this.#connection?.hasAnswered === false && (!this.sent || this.#asked?.idempotent === true)
  }

  #over (): void {
    this.#timer.stop()
    this.#connection?.letGo(this.#controller)
  }

  /** Aborts the request: its caller does not need it any more. */
  abort (reason: Error): void {
    if (this.#aborted !== undefined) return
    this.#aborted = reason
    this.#timer.stop()
    this.#trace?.end({ error: reason })
    this.#ticket?.cancel()
    this.#controller?.abort(reason)
  }

  get paused (): boolean {
    return this.#controller?.paused === true
  }

  /** Reads the response on: from now on the timer waits for the upstream. */
  resume (): void {
    this.#timer.refresh()
    this.#controller?.resume()
  }

  awaited (): void {
    this.#awaitsBody = true
  }

  taken (bytes: number): void {
    this.#bodyTaken = true
    this.#awaitsBody = false
    this.#timer.refresh()
    this.#owner.bodyTaken(bytes)
  }

  get isPassedOn (): boolean {
    return this.#asked?.bodyOfSocket === true && this.#connection?.isFlushed === true
  }

  get waitsForClient (): boolean {
    return this.#awaitsBody || this.paused
  }

  upstreamIsLate (): void {
    const error = timedOut('timeout')
    if (this.#controller !== undefined) this.#controller.abort(error) // undici then reports the error
    else void this.#connection?.destroy(error) // undici has not sent the request yet
  }
}

function latin1 (raw: ReadonlyArray<Buffer | string>): string[] {
  return raw.map((part) => typeof part === 'string' ? part : part.toString('latin1'))
}
