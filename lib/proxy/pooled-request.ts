/** A forward's request at one upstream: the connection that carries it, and the time that it is given. */
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { ClosedError, InvalidResponseError, timedOut, toProxyError, type WstunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import { authenticatesConnection, isAuthenticatedByConnection } from '../http/hop-by-hop.ts'
import { RequestContext } from '../net/async-context.ts'
import type { Borrower, ConnectionPool, Ticket } from '../upstream/connection-pool.ts'
import { maxInterim } from '../upstream/continue-filter.ts'
import type { PoolClient } from '../upstream/pool-client.ts'
import type { AttemptTrace } from './attempt-trace.ts'
import { type BodyOwner, counted } from './request-body.ts'
import type { Flow } from './response-body.ts'
import { type Timely, UpstreamTimer } from './upstream-timeout.ts'

/** Who has a request sent. It is told of heads and data as they come, and once of the end, whole or not. */
export interface RequestOwner {
  /** A response's head, those of interim responses first. */
  responseStarted (status: number, headers: HeaderList, reason: string): void
  /** Returns whether there is room for more. */
  responseData (chunk: Buffer): boolean
  responseEnded (): void
  /** No response, or not all of it. */
  responseFailed (error: WstunnelError): void
  /** So many bytes of the request's body are on their way. */
  bodyTaken (bytes: number): void
}

/** What is asked. */
export interface Asked {
  readonly method: string
  /** In origin-form. */
  readonly path: string
  readonly headers: HeaderList
  /** Whether it may be sent once more where no response to it has come (RFC 9110, 9.2.2). */
  readonly idempotent: boolean
  readonly body: Readable | null
  /** Whether that comes from a socket, and from nobody else. */
  readonly bodyOfSocket: boolean
  /** For TLS: its own name, and never the client's Host, which undici would take, and open a connection for each. */
  readonly servername: string | undefined
}

/** How it is sent. */
export interface Sending {
  readonly pool: ConnectionPool
  /** Whether it has a connection of its own, which ends with it. */
  readonly unshared: boolean
  /** Milliseconds without a byte of the upstream, where it is the one that is waited for; 0 is none. */
  readonly timeout: number
  /** Begins the trace of an attempt, where there is one: each time that it is sent. */
  readonly trace?: (() => AttemptTrace | undefined) | undefined
}

export class PooledRequest implements Dispatcher.DispatchHandler, Borrower, BodyOwner, Flow, Timely {
  readonly #owner: RequestOwner
  readonly #timer: UpstreamTimer = new UpstreamTimer(this)
  /** The request's own: connections are made outside of it, and others have had them before. */
  readonly #context: RequestContext = new RequestContext()
  #asked: Asked | undefined = undefined
  #sending: Sending | undefined = undefined
  #trace: AttemptTrace | undefined = undefined
  /** The connection that is waited for. */
  #ticket: Ticket | undefined = undefined
  #connection: PoolClient | undefined = undefined
  #controller: Dispatcher.DispatchController | undefined = undefined
  /** Why it is not wanted any more. */
  #aborted: Error | undefined = undefined
  /** Whether the next bytes are the client's to send. */
  #awaitsBody = false
  #bodyTaken = false
  /** Interim responses so far. */
  #interim = 0
  /** Whether all of the response has come. */
  #ended = false

  constructor (owner: RequestOwner) {
    this.#owner = owner
  }

  /** Whether some of it may have been sent. */
  get sent (): boolean {
    return this.#controller !== undefined
  }

  /** Whether some of the request's body has been taken. */
  get hasTakenBody (): boolean {
    return this.#bodyTaken
  }

  /** Whether no other exchange has used its connection: an older one may have been closed for its age. */
  get fresh (): boolean {
    return (this.#connection?.exchanges ?? 1) === 1
  }

  /** Sends it; once more where it was sent before, and failed. */
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
    // Only here: the pool may have it wait, and then another request's end gives it its connection.
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
    if (this.#connection !== undefined && isAuthenticatedByConnection(status, headers)) this.#connection.kept = false
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
   * Whether it met a kept connection that its upstream was just closing, which says nothing of the upstream: then it is sent once more, on a
   * connection of its own (RFC 9112, 9.3.1).
   */
  #metItsEnd (error: Error): boolean {
    if (!(error instanceof ClosedError) || this.#aborted !== undefined || this.#bodyTaken || this.fresh) return false
    return this.#connection?.hasAnswered === false && (!this.sent || this.#asked?.idempotent === true)
  }

  #over (): void {
    this.#timer.stop()
    this.#connection?.letGo(this.#controller)
  }

  /** Nobody wants it any more. */
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

  /** The response is read on: from now on its upstream is waited for. */
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
    if (this.#controller !== undefined) this.#controller.abort(error) // which has undici tell us of it
    else void this.#connection?.destroy(error) // it has not even sent the request
  }
}

function latin1 (raw: ReadonlyArray<Buffer | string>): string[] {
  return raw.map((part) => typeof part === 'string' ? part : part.toString('latin1'))
}
