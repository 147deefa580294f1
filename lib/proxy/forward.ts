/** A plain HTTP exchange: through undici, both bodies streamed, ended in one place. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Target } from '../config/target.ts'
import { type ClientProgress, watchClient } from '../downstream/client-timeout.ts'
import { isClientGone, isComplete, truncateResponse, watchEnd } from '../downstream/response-completion.ts'
import { ClientGoneError, ClosedError, DrainingError, isProxyError, toProxyError } from '../errors.ts'
import type { Breakable, Registry } from '../lifecycle/registry.ts'
import { monotonicNow } from '../net/clock.ts'
import type { Counters, StatusClass } from '../upstream/counters.ts'
import type { PooledOptions } from '../upstream/pool-client.ts'
import type { Choice, TargetUpstreams } from '../upstream/upstream.ts'
import { applyResponseHead, type Head, sendError, sendInformational } from './client-response.ts'
import { type BodyOwner, counted, requestBody } from './request-body.ts'
import { ResponseBody } from './response-body.ts'
import { buildUpstreamRequest, isIdempotent } from './upstream-request.ts'

/** What a forward needs. */
export interface ForwardOptions {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly target: Target
  readonly matched: number
  readonly upstreams: TargetUpstreams
  readonly registry: Registry
}

/** Sends the request on. The reply is sent when the response comes, or an error instead of it. */
export function forward (options: ForwardOptions): void {
  const exchange = new Forward(options)
  if (exchange.over) return
  try {
    const choice = options.upstreams.choose(options.request, () => exchange.signal())
    if (choice instanceof Promise) choice.then((chosen) => exchange.start(chosen)).catch((error) => exchange.fail(error))
    else exchange.start(choice)
  } catch (error) {
    exchange.fail(error as Error)
  }
}

class Forward implements Dispatcher.DispatchHandler, Breakable, BodyOwner, ClientProgress {
  readonly #options: ForwardOptions
  readonly #startedAt: number = monotonicNow()
  index = -1
  /** Stops watching the connection, where the response waits behind another. */
  readonly #unwatch: (() => void) | undefined
  #choice: Choice | undefined = undefined
  /** What the pool was asked, the last time. */
  #asked: PooledOptions | undefined = undefined
  /** Whether some of the request's body has been taken. */
  #bodyTaken = false
  /** Whether the client has a timer. */
  #watching = false
  #counters: Counters
  /** Whether the exchange counts as in flight at an upstream. */
  #inFlight = false
  #controller: Dispatcher.DispatchController | undefined = undefined
  #leaving: AbortController | undefined = undefined
  /** Why the exchange is broken off, once it is. */
  #broken: Error | undefined = undefined
  #failed = false
  #finished = false
  /** Whether the upstream's response has begun, be it with a hint that was sent on. */
  #responding = false
  /** Whether the upstream's response is over, in whichever way. */
  #answered = false
  /** A response that has just come, until it is known whether it is whole. */
  #pending: { readonly head: Head, readonly chunks: Buffer[] } | undefined = undefined
  /** Takes the response's head back from the reply. */
  #takeBack: (() => void) | undefined = undefined
  /** Its body, where it is not. */
  #body: ResponseBody | undefined = undefined

  constructor (options: ForwardOptions) {
    this.#options = options
    this.#counters = options.upstreams.unattributed
    options.registry.track('forward', this)
    this.#unwatch = watchEnd(options.request, options.reply, () => this.#finish())
    if (isClientGone(options.request, options.reply.raw)) this.#finish() // while hooks were at work
  }

  /** Whether there is nobody to answer. */
  get over (): boolean {
    return this.#finished
  }

  /** Aborts when the client leaves. Made only for those who ask. */
  signal (): AbortSignal {
    this.#leaving ??= new AbortController()
    return this.#leaving.signal
  }

  /** @throws InvalidHeaderError, and whatever a rewrite function throws */
  start (choice: Choice): void {
    const { request, reply, target, matched } = this.#options
    if (this.#finished || reply.sent) return
    const { upstream } = choice
    this.#choice = choice
    this.#enter(upstream.counters)
    const body = requestBody(request)
    const replaced = body !== request.raw && body !== null
    const { path, headers } = buildUpstreamRequest(request, target, choice, matched, !replaced, replaced)
    this.#asked = {
      path,
      method: request.method as Dispatcher.HttpMethod,
      headers: headers as string[],
      body: body === null ? null : counted(body, this) as unknown as Readable,
      // Not the client's Host, which undici would take, and open a connection for each.
      servername: upstream.address.secure ? upstream.address.hostname : undefined
    } as PooledOptions
    if (body !== null) this.#watchClient()
    try {
      upstream.pool.dispatch(this.#asked, this)
    } catch (error) {
      this.fail(toProxyError(error))
    }
  }

  taken (bytes: number): void {
    this.#bodyTaken = true
    this.#counters.forwardBytesFromClient += bytes
  }

  isPassedOn (body: Readable): boolean {
    const { raw } = this.#options.request // what inject() was given is the caller's
    return body === raw && raw.socket instanceof Socket && this.#asked?.connection?.isFlushed === true
  }

  #enter (counters: Counters): void {
    if (this.#inFlight) this.#counters.inFlight--
    this.#inFlight = true
    this.#counters = counters
    counters.inFlight++
  }

  /** Another upstream takes the exchange over, where that is allowed. */
  #tryNext (error: Error): boolean {
    if (this.#choice === undefined || this.#responding || this.#broken !== undefined || this.#finished) return false
    const sent = this.#controller !== undefined
    const again = !this.#bodyTaken && (!sent || isIdempotent(this.#options.request.method))
    try {
      const next = this.#choice.failed(error, { sent, again, fresh: this.#asked?.reused !== true })
      if (next === undefined) return false
      this.#controller = undefined
      this.start(next)
    } catch (error) {
      this.fail(error as Error) // of a function of the options; undici is to hear of none
    }
    return true
  }

  /** A drain is over. */
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
    if (this.#watching) return
    const { request, reply } = this.#options
    this.#watching = watchClient(request, reply, this.#choice?.upstream.timeout ?? 0, this)
  }

  get bodyTaken (): boolean {
    return this.#bodyTaken
  }

  get waitingBytes (): number {
    return this.#body?.readableLength ?? 0
  }

  clientTakesNothing (error: Error): void {
    this.#leave(error)
  }

  clientSendsNothing (error: Error): void {
    this.fail(error)
    this.#break(error)
  }

  #break (reason: Error): void {
    if (this.#broken !== undefined) return
    this.#broken = reason
    this.#leaving?.abort(reason)
    this.#controller?.abort(reason)
    this.#body?.destroy(reason)
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#broken !== undefined) controller.abort(this.#broken)
  }

  onResponseStart (controller: Dispatcher.DispatchController, status: number, _: unknown, reason = ''): void {
    const list = latin1(controller.rawHeaders as Array<Buffer | string>)
    if (status < 200) {
      if (sendInformational(this.#options.request, this.#options.reply, status, list)) this.#responding = true
      return
    }
    this.#responding = true
    this.#choice?.answered(status)
    if (this.#options.reply.sent) return this.#break(new ClientGoneError()) // answered by someone else: Fastify's handlerTimeout
    this.#pending = { head: { status, reason, headers: list }, chunks: [] }
    // RFC 9112, 6.3: these have no body, whatever their Content-Length says; undici would miss it.
    if (status === 204 || status === 304) return this.onResponseEnd()
    // What came in one read with its end is sent whole, at half the cost of a stream; for more is not waited.
    process.nextTick(startStream, this)
  }

  onResponseData (controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#counters.forwardBytesFromUpstream += chunk.length
    if (this.#pending !== undefined) this.#pending.chunks.push(chunk)
    else if (this.#body?.accept(chunk) === false) this.#asked?.connection?.pauseResponse(controller)
  }

  onResponseEnd (): void {
    this.#asked?.connection?.releaseResponse(this.#controller)
    if (!this.#answered && this.#asked?.connection?.broken === true) return this.#cutOff(new ClosedError())
    this.#answered = true
    this.#body?.push(null)
    const chunks = this.#begin()
    if (chunks === undefined) return
    const { reply } = this.#options
    const whole = chunks.length === 1 ? chunks[0] as Buffer : Buffer.concat(chunks)
    if (whole.length === 0) reply.send()
    // Fastify would call a Buffer without a type an octet-stream; a stream it leaves alone.
    else reply.send(reply.hasHeader('content-type') ? whole : Readable.from([whole]))
  }

  /** @internal */
  stream (): void {
    const chunks = this.#begin()
    const controller = this.#controller
    if (chunks === undefined || controller === undefined) return
    const body = new ResponseBody(controller)
    this.#body = body
    this.#watchClient()
    if (this.#takeBack !== undefined) body.once('error', this.#takeBack)
    for (const chunk of chunks) body.push(chunk)
    // A head without a body yet goes out at once, as soon as Fastify has written it: the client of a long poll waits for it.
    const { reply } = this.#options
    if (chunks.length === 0) reply.raw.once('pipe', flushHeaders)
    reply.send(body)
  }

  /** Gives the reply its head. Returns what has come of the body, once, unless the head cannot be sent. */
  #begin (): Buffer[] | undefined {
    if (this.#pending === undefined) return undefined
    const { head, chunks } = this.#pending
    this.#pending = undefined
    const { request, reply, target, registry } = this.#options
    if (reply.sent || this.#broken !== undefined) return undefined
    try {
      this.#takeBack = applyResponseHead(request, reply, target, head)
      const cookie = this.#choice?.cookie
      if (cookie !== undefined) reply.header('set-cookie', cookie)
      if (registry.closing && request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
      return chunks
    } catch (error) {
      this.fail(error as Error)
      this.#break(error as Error)
      return undefined
    }
  }

  onResponseError (_: Dispatcher.DispatchController, cause: Error): void {
    this.#asked?.connection?.releaseResponse(this.#controller)
    const error = toProxyError(cause)
    if (!this.#tryNext(error)) this.#cutOff(error)
  }

  #cutOff (error: Error): void {
    this.#answered = true
    this.fail(error)
  }

  /** No response, or not all of it. What came of it and was not sent yet is not sent. */
  fail (error: Error): void {
    if (this.#broken !== undefined || this.#finished) return
    this.#failed = isProxyError(error) && error.source === 'upstream'
    this.#pending = undefined
    const { request, reply } = this.#options
    if (this.#body === undefined) {
      if (!reply.sent) sendError(request, reply, error)
      return
    }
    truncateResponse(reply.raw)
    this.#body.destroy(error)
  }

  /** The one end of every forward: the response is finished, or its connection is closed. */
  #finish (): void {
    if (this.#finished) return
    this.#finished = true
    this.#unwatch?.()
    const { request, reply: { raw }, registry } = this.#options
    registry.untrack('forward', this)
    const counters = this.#counters
    if (this.#inFlight) counters.inFlight--
    counters.duration.observe(monotonicNow() - this.#startedAt)
    if (this.#failed) counters.failed++
    // Also where someone else has answered, or an onSend hook has put another body in place of ours.
    if (!this.#answered) this.#break(new ClientGoneError())
    this.#body?.destroy()
    if (!isComplete(raw)) {
      if (!this.#failed) counters.aborted++
      return
    }
    counters.status[`${Math.trunc(raw.statusCode / 100)}xx` as StatusClass]++
    // Node closes idle connections when a server begins to close; this one was not idle then.
    if (registry.closing && request.raw.httpVersionMajor === 1) request.raw.socket.destroySoon?.() // inject() has no such socket
  }
}

function flushHeaders (this: FastifyReply['raw']): void {
  this.flushHeaders()
}

function startStream (exchange: Forward): void {
  exchange.stream()
}

function latin1 (raw: ReadonlyArray<Buffer | string>): string[] {
  return raw.map((part) => typeof part === 'string' ? part : part.toString('latin1'))
}
