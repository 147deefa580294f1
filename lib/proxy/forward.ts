/** One forward: a plain HTTP exchange through undici, with both bodies streamed and one end. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Socket } from 'node:net'
import type { Target } from '../config/target.ts'
import { readable } from '../config/user-function.ts'
import { type ClientProgress, watchClient } from '../downstream/client-timeout.ts'
import { markMustClose } from '../downstream/must-close.ts'
import { whenTurn } from '../downstream/pipelining.ts'
import { isClientGone, isComplete, truncateResponse, watchEnd } from '../downstream/response-completion.ts'
import { closeBehind } from '../downstream/staged-close.ts'
import { ClientGoneError, DrainingError, isProxyError, type WstunnelError } from '../errors.ts'
import type { HeaderList } from '../http/header-list.ts'
import type { Breakable, Registry } from '../lifecycle/registry.ts'
import type { TunnelLimits } from '../lifecycle/tunnel-limits.ts'
import { logAborted, logFailure } from '../observability/failure-lines.ts'
import { ForwardRecorder } from '../upstream/recorders.ts'
import type { TargetUpstreams } from '../upstream/target-upstreams.ts'
import type { Choice } from '../upstream/upstream.ts'
import { AttemptTrace } from './attempt-trace.ts'
import { sendError, sendInformational } from './client-response.ts'
import { PooledRequest, type RequestOwner } from './pooled-request.ts'
import { RelayedResponse, type RelayOwner } from './relayed-response.ts'
import { hasOwnLength, requestBody } from './request-body.ts'
import { buildUpstreamRequest, isIdempotent } from './upstream-request.ts'

/** The dependencies of `forward()`. */
export interface ForwardOptions {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly target: Target
  readonly matched: number
  readonly upstreams: TargetUpstreams
  readonly registry: Registry
  readonly gate: TunnelLimits
}

/** Forwards a request. Sends the reply when the response comes, or an error instead. */
export function forward (options: ForwardOptions): void {
  const exchange = new Forward(options)
  if (exchange.over) return
  try {
    exchange.admit()
  } catch (error) {
    return exchange.fail(error)
  }
  // It waits behind another response on its connection. Meanwhile it has its place and is tracked, so that it counts and a drain can end
  // it.
  whenTurn(options.request.raw, options.reply.raw, () => begin(options, exchange))
}

function begin (options: ForwardOptions, exchange: Forward): void {
  if (exchange.over) return
  try {
    const choice = options.upstreams.choose(options.request, () => exchange.signal())
    if (choice instanceof Promise) choice.then((chosen) => exchange.start(chosen)).catch((error) => exchange.fail(error))
    else exchange.start(choice)
  } catch (error) {
    exchange.fail(error)
  }
}

class Forward implements Breakable, RequestOwner, RelayOwner, ClientProgress {
  readonly #options: ForwardOptions
  readonly #recorder: ForwardRecorder
  index = -1
  /** Stops watching the connection, for a response that waits behind another. */
  readonly #unwatch: (() => void) | undefined
  /** Gives back the place among the forwards of this server. */
  #release: (() => void) | undefined = undefined
  #choice: Choice | undefined = undefined
  readonly #sent: PooledRequest = new PooledRequest(this)
  #attempts = 0
  /** True if the client's timer is set. */
  #watching = false
  #leaving: AbortController | undefined = undefined
  /** The reason why the exchange was aborted, if it was. */
  #broken: Error | undefined = undefined
  #failed = false
  #finished = false
  /** True if the upstream's response has begun; a 102 or 103 that was sent on counts. */
  #responding = false
  /** True if the upstream's response has ended, completely or not. */
  #answered = false
  #response: RelayedResponse | undefined = undefined

  constructor (options: ForwardOptions) {
    this.#options = options
    this.#recorder = new ForwardRecorder(options.upstreams.unattributed)
    options.registry.track('forward', this)
    this.#unwatch = watchEnd(options.request, options.reply, () => this.#finish())
    if (isClientGone(options.request, options.reply.raw)) this.#finish() // the client left during the hooks
  }

  /** True if there is no client to answer. */
  get over (): boolean {
    return this.#finished
  }

  /**
   * Takes a place among the forwards.
   * @throws LimitError 503
   */
  admit (): void {
    const { gate, target: { limits } } = this.#options
    this.#release = gate.admitForward(limits)
  }

  /** Returns a signal that aborts when the client leaves. It is made on the first call. */
  signal (): AbortSignal {
    this.#leaving ??= new AbortController()
    return this.#leaving.signal
  }

  /**
   * Builds the request and sends it to an upstream.
   * @throws InvalidHeaderError, and any error of a function of the options
   */
  start (chosen: Choice): void {
    const { request, reply, target, matched } = this.#options
    if (this.#finished || reply.sent) return
    const choice = chosen.withRoom()
    const { upstream } = choice
    this.#choice = choice
    this.#recorder.enter(upstream.counters)
    const body = requestBody(request)
    const replaced = body !== request.raw && body !== null
    const { path, headers } = buildUpstreamRequest(request, target, choice, matched, hasOwnLength(request, body), replaced)
    if (body !== null) this.#watchClient()
    this.#sent.send({
      method: request.method,
      path,
      headers,
      idempotent: isIdempotent(request.method),
      body,
      bodyOfSocket: body === request.raw && request.raw.socket instanceof Socket, // the stream given to inject() belongs to its caller
      servername: upstream.address.secure ? upstream.address.hostname : undefined
    }, {
      pool: upstream.pool,
      unshared: target.disableReuse,
      timeout: upstream.timeout,
      trace: target.tracing === undefined
        ? undefined
        : () => AttemptTrace.begin(request, target, { kind: 'forward', choice, matched, resend: this.#attempts++ })
    })
  }

  /** Sends the exchange to another upstream, if that is allowed. Returns true if it did. */
  #tryNext (error: Error): boolean {
    if (this.#choice === undefined || this.#responding || this.#broken !== undefined || this.#finished) return false
    const { sent, fresh, hasTakenBody } = this.#sent
    const again = !hasTakenBody && (!sent || isIdempotent(this.#options.request.method))
    try {
      const next = this.#choice.failed(error, { sent, again, fresh })
      if (next === undefined) return false
      this.start(next)
    } catch (error) {
      this.fail(error) // an error of a function of the options; undici must not see it
    }
    return true
  }

  /** Called at the end of a drain. */
  abort (): void {
    this.#leave(new DrainingError())
  }

  #leave (reason: Error): void {
    this.#break(reason)
    this.#finish()
    truncateResponse(this.#options.reply.raw)
    this.#options.reply.raw.destroy()
  }

  #watchClient (): void {
    if (this.#watching || this.#finished) return
    const { request, reply, target } = this.#options
    this.#watching = watchClient(request, reply, this.#choice?.upstream.timeout ?? target.timeout, this)
  }

  /** Sets the client's timer for a response that could not be written at once. */
  #watchUnwritten (): void {
    const { raw } = this.#options.reply
    if (!raw.writableEnded || raw.writableLength > 0) this.#watchClient()
  }

  get hasTakenBody (): boolean {
    return this.#sent.hasTakenBody
  }

  get waitingBytes (): number {
    return this.#response?.waitingBytes ?? 0
  }

  clientTakesNothing (error: Error): void {
    this.#leave(error)
  }

  clientSendsNothing (error: Error): void {
    markMustClose(this.#options.request.raw, 'timeout')
    this.fail(error)
    this.#break(error)
  }

  #break (reason: Error): void {
    if (this.#broken !== undefined) return
    this.#broken = reason
    this.#leaving?.abort(reason)
    this.#sent.abort(reason)
    this.#response?.destroy(reason)
  }

  bodyTaken (bytes: number): void {
    this.#recorder.fromClient(bytes)
  }

  responseStarted (status: number, headers: HeaderList, reason: string): void {
    if (status < 200) {
      if (sendInformational(this.#options.request, this.#options.reply, status, headers)) this.#responding = true
      return
    }
    this.#responding = true
    this.#choice?.answered(status)
    if (this.#options.reply.sent) return this.#break(new ClientGoneError()) // other code has answered, such as Fastify's handlerTimeout
    this.#response = new RelayedResponse(this.#options, this.#choice as Choice, { status, reason, headers }, this)
  }

  responseData (chunk: Buffer): boolean {
    this.#recorder.fromUpstream(chunk.length)
    return this.#response?.data(chunk) !== false
  }

  responseEnded (): void {
    this.#answered = true
    this.#response?.end()
    this.#watchUnwritten()
  }

  get flow (): PooledRequest {
    return this.#sent
  }

  get isBroken (): boolean {
    return this.#broken !== undefined
  }

  responseStreams (): void {
    this.#watchClient()
  }

  headFailed (error: Error): void {
    this.fail(error)
    this.#break(error)
  }

  responseFailed (error: WstunnelError): void {
    if (!this.#tryNext(error)) this.#cutOff(error)
  }

  #cutOff (error: Error): void {
    this.#answered = true
    this.fail(error)
  }

  /** Called if there is no response, or only a part of it. The part that was not sent yet is dropped. */
  fail (cause: unknown): void {
    if (this.#broken !== undefined || this.#finished) return
    const error = readable(cause)
    this.#failed = isProxyError(error) && error.source === 'upstream'
    const { request, reply, target } = this.#options
    logFailure(request.log, this.#response?.isStreamed === true ? 'body' : 'forward', target, this.#choice?.upstream.label, error)
    if (this.#response?.cutOff(error) !== true && !reply.sent) sendError(request, reply, error)
    this.#watchUnwritten()
  }

  /** The one end of every forward: the response is finished, or its connection is closed. */
  #finish (): void {
    if (this.#finished) return
    this.#finished = true
    this.#unwatch?.()
    this.#release?.()
    const { request, reply: { raw }, registry, target } = this.#options
    registry.untrack('forward', this)
    // Also if other code has answered, or an onSend hook has replaced the body.
    if (!this.#answered) this.#break(new ClientGoneError())
    this.#response?.destroy()
    const status = isComplete(raw) ? raw.statusCode : undefined
    this.#recorder.end({ failed: this.#failed, status })
    if (status === undefined) {
      const own = this.#broken !== undefined && !(this.#broken instanceof ClientGoneError) // a drain, or a client that took no bytes
      if (!this.#failed && !own) logAborted(request.log, target, this.#choice?.upstream.label, this.#recorder.age)
      return
    }
    // When a server begins to close, Node closes idle connections; this one was not idle then.
    if (registry.closing && request.raw.socket instanceof Socket && request.raw.httpVersionMajor === 1) closeBehind(request.raw)
  }
}
