/** The life of an upgrade, from the handler to the tunnel: admit, choose, shake hands, then switch or relay the refusal. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { LeaseStore, Target, TracedAttempt } from '../config/target.ts'
import { readable } from '../config/user-function.ts'
import { abortReply, completeRequest, hijackSocket, relayRaw } from '../downstream/hijack.ts'
import { PendingClient } from '../downstream/pending-client.ts'
import { guard, isHeadWritten, type PendingUpgrade, pendingUpgradeOf } from '../downstream/upgrade-response.ts'
import { ClientGoneError, ClientLimitError, DrainingError, HeadWrittenError, InvalidHeaderError } from '../errors.ts'
import type { Framing } from '../http/body-reader.ts'
import { fieldValue, type HeaderList, serialise } from '../http/header-list.ts'
import { isFraming } from '../http/hop-by-hop.ts'
import type { Breakable } from '../lifecycle/registry.ts'
import type { TunnelSlot } from '../lifecycle/tunnel-limits.ts'
import { RequestContext } from '../net/async-context.ts'
import { monotonicNow } from '../net/clock.ts'
import { keepAlive } from '../net/socket.ts'
import { logAborted, logFailure, warnOnce } from '../observability/failure-lines.ts'
import { closeReporter, emitOpen, warnOfHost } from '../observability/tunnel-events.ts'
import type { ServerState } from '../plugin/server-state.ts'
import type { Decision } from '../routing/decision.ts'
import type { RouteTable } from '../routing/route-table.ts'
import { FrameTracker } from '../tunnel/websocket-frames.ts'
import { discard } from '../upstream/connect.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import { Http1Exchange, type Http1ExchangeOwner, type UpgradeResult } from '../upstream/http1-exchange.ts'
import { RawResponseBody } from '../upstream/http1-response-body.ts'
import type { Choice, Upstream } from '../upstream/upstream.ts'
import { applyResponseHead, deliver, rewrittenHeaders, sendError } from './client-response.ts'
import type { Origin } from './reverse.ts'
import { buildUpstreamRequest, isIdempotent } from './upstream-request.ts'

type Accepted = Extract<Decision, { kind: 'upgrade-raw' | 'upgrade' }>

/** Answers an accepted upgrade, in the route handler. */
export function upgrade (
  state: ServerState, table: RouteTable, request: FastifyRequest, reply: FastifyReply, decision: Accepted
): void {
  const pendingUpgrade = pendingUpgradeOf(request.raw) as PendingUpgrade // looked for when it was decided
  new UpgradeExchange(state, table, request, reply, decision, pendingUpgrade).begin()
}

/** With callbacks rather than promises: the tunnel begins in the turn in which the answer is read. */
class UpgradeExchange implements Breakable, Http1ExchangeOwner {
  readonly #state: ServerState
  readonly #table: RouteTable
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #decision: Accepted
  readonly #client: PendingClient
  readonly #pendingUpgrade: PendingUpgrade
  /** The request's: the upstream's connection is made outside of it, and so answers from outside. */
  readonly #context: RequestContext = new RequestContext()
  #stage: RefusalStage = 'limit'
  #slot: TunnelSlot | undefined = undefined
  index = -1
  /** The choice that is being tried, and the attempt. */
  #choice: Choice | undefined = undefined
  #exchange: Http1Exchange | undefined = undefined
  #startedAt = 0
  readonly #begunAt: number = monotonicNow()
  #traced: TracedAttempt | undefined = undefined
  #attempts = 0
  /** Where the exchange counts as under way. */
  #upstream: Upstream | undefined = undefined
  /** The refusal that is being relayed. */
  #body: RawResponseBody | undefined = undefined

  constructor (state: ServerState, table: RouteTable, request: FastifyRequest, reply: FastifyReply, decision: Accepted, pendingUpgrade: PendingUpgrade) {
    this.#state = state
    this.#table = table
    this.#request = request
    this.#reply = reply
    this.#decision = decision
    this.#pendingUpgrade = pendingUpgrade
    this.#client = new PendingClient(pendingUpgrade, decision.target.limits.earlyData)
  }

  /** A drain is over. */
  abort (): void {
    this.#client.abort(new DrainingError())
  }

  begin (): void {
    // Fastify's handlerTimeout, or a user's hook, may answer while we wait. The connection is then theirs, and first of all ours no more.
    this.#reply.raw.prependOnceListener('finish', guard(() => this.#answered()))
    try {
      const { target } = this.#decision
      const { registry, limits } = this.#state
      if (isHeadWritten(this.#reply.raw)) throw new HeadWrittenError() // by a hook: a 101 would come behind it
      if (registry.draining) throw new DrainingError()
      this.#slot = limits.acquire(this.#request.ip ?? '', target.limits)
      registry.track('upgrade', this)
      this.#client.watch()
      if (target.store !== undefined && target.limits.maxTunnelsPerClient !== Infinity) return this.#askStore(this.#slot, target.store)
    } catch (error) {
      return this.#fail(error)
    }
    this.#choose()
  }

  /** The place among all instances comes behind those of this one. */
  #askStore (slot: TunnelSlot, store: LeaseStore): void {
    this.#client.throwIfGone()
    const lease = this.#state.leasesIn(store).acquire(slot.client, this.#decision.target.limits.maxTunnelsPerClient)
    slot.keep(lease)
    if (lease.granted === true) return this.#choose()
    this.#client.raceAbort(lease.granted).then((granted) => {
      if (!granted) return this.#fail(new ClientLimitError())
      if (this.#state.registry.draining) return this.#fail(new DrainingError())
      this.#choose()
    }, (error) => this.#fail(error))
  }

  #choose (): void {
    let choosing: Choice | Promise<Choice>
    try {
      this.#stage = 'dial'
      this.#client.throwIfGone() // during the hooks: nobody is asked where it should go
      choosing = this.#table.upstreamsOf(this.#decision.target).choose(this.#request, () => this.#client.signal)
    } catch (error) {
      return this.#fail(error)
    }
    if (choosing instanceof Promise) this.#client.raceAbort(choosing).then((choice) => this.#try(choice), (error) => this.#fail(error))
    else this.#try(choosing)
  }

  /** Whether someone else answers: Fastify tells only of the end of a response. */
  get #isAnswered (): boolean {
    return this.#reply.sent || isHeadWritten(this.#reply.raw)
  }

  /** A response was sent on this exchange's connection: by us, at its end, or by someone else, in its middle. */
  #answered (): void {
    if (!this.#client.watching) return // its own end: a switch, or an error that was sent
    if (this.#body === undefined) this.#client.abort(new ClientGoneError())
    else this.#body.destroy() // an onSend hook may have put another one in its place
    this.#client.release()
  }

  /** Asks the chosen upstream. */
  #try (choice: Choice): void {
    const { target, matched } = this.#decision
    this.#choice = choice
    this.#exchange = undefined
    try {
      const upstream = this.#enter(choice.upstream)
      this.#stage = 'limit'
      this.#slot?.acquireUpstream(upstream, target.limits.maxTunnelsPerUpstream)
      this.#stage = 'dial'
      const traced = this.#traced = target.tracing?.start(this.#request, { kind: 'upgrade', route: target.route, upstream: upstream.label, resend: this.#attempts++ })
      const { path, headers } = buildUpstreamRequest(this.#request, target, choice, matched, false, false, traced)
      const exchange = this.#exchange = this.#attempt(upstream, path, headers)
      this.#startedAt = monotonicNow()
      if (traced === undefined) exchange.run()
      else traced.within(() => exchange.run())
    } catch (error) {
      this.onError(readable(error))
    }
  }

  /** No answer: the next upstream is asked, where there is one. */
  onError (error: unknown): void {
    this.#context.runInAsyncScope(this.#tryNext, this, error)
  }

  #tryNext (error: unknown): void {
    this.#endTrace({ error: readable(error) })
    const sent = this.#exchange?.connected === true
    if (sent) {
      this.#stage = 'handshake'
      this.#choice?.upstream.counters.handshake.observe(monotonicNow() - this.#startedAt)
    }
    const again = !sent || isIdempotent(this.#request.method)
    let next: Choice | undefined
    try {
      next = this.#choice?.failed(error, { sent, again, fresh: true })
    } catch (cause) { // of a user's lbMethod, say
      return this.#fail(cause)
    }
    if (next === undefined) this.#fail(error)
    else this.#try(next)
  }

  /** The upstream has answered. */
  onResponse (answer: UpgradeResult): void {
    this.#context.runInAsyncScope(this.#take, this, answer)
  }

  #take (answer: UpgradeResult): void {
    this.#endTrace({ status: answer.head.status })
    const choice = this.#choice as Choice
    this.#stage = 'handshake'
    try {
      choice.upstream.counters.handshake.observe(monotonicNow() - this.#startedAt)
      choice.answered(answer.head.status)
      this.#client.inProgress = undefined
      if (this.#isAnswered) throw new ClientGoneError() // by someone else, meanwhile
      if (choice.cookie !== undefined) this.#reply.header('set-cookie', choice.cookie)
      const origin = { choice, matched: this.#decision.matched }
      if (answer.framing === undefined) this.#switch(answer, this.#client.release(), origin)
      else this.#relay(answer, answer.framing, origin)
    } catch (error) {
      discard(answer)
      return this.#fail(error)
    }
    this.#settle()
  }

  #endTrace (outcome: Parameters<TracedAttempt['end']>[0]): void {
    const traced = this.#traced
    this.#traced = undefined
    traced?.end(outcome)
  }

  /** The exchange is under way no more. A relay is, until the client has all of it, or leaves. */
  #settle (): void {
    this.#exchange = undefined // which holds both heads: this exchange may live as long as its tunnel
    this.#choice = undefined
    if (this.#upstream !== undefined) this.#upstream.counters.pending--
    if (this.#body !== undefined) return
    this.#client.release()
    this.#untrack()
  }

  #untrack (): void {
    this.#state.registry.untrack('upgrade', this)
  }

  #fail (cause: unknown): void {
    const error = readable(cause)
    this.#client.inProgress = undefined
    this.#client.abort(error) // an `upstream` function that was too slow hears of it by its signal
    this.#settle()
    this.#countRefusal(error)
    const reply = this.#reply
    const { socket } = this.#pendingUpgrade
    const { target } = this.#decision
    if (error instanceof ClientGoneError) logAborted(this.#request.log, target, this.#upstream?.label, monotonicNow() - this.#begunAt)
    else if (!(error instanceof HeadWrittenError)) logFailure(this.#request.log, 'upgrade', target, this.#upstream?.label, error)
    if (error instanceof HeadWrittenError) {
      this.#request.log.error({ err: error }, error.message)
      return abortReply(reply, socket, error.statusCode)
    }
    if (this.#isAnswered) return
    if (socket.destroyed || error instanceof ClientGoneError) return abortReply(reply, socket)
    sendError(this.#request, reply, error)
  }

  #enter (upstream: Upstream): Upstream {
    if (this.#upstream !== undefined) this.#upstream.counters.pending--
    this.#upstream = upstream
    upstream.counters.pending++
    return upstream
  }

  /** The attempt at one upstream, given up when the client leaves. */
  #attempt (upstream: Upstream, path: string, headers: HeaderList): Http1Exchange {
    const { target, token } = this.#decision
    const { raw } = this.#request
    const exchange = new Http1Exchange({
      dialOptions: upstream.dialOptions,
      head: requestHead(raw.method as string, path, headers, token),
      method: raw.method as string,
      token,
      key: token === 'websocket' ? fieldValue(headers, 'sec-websocket-key') ?? '' : undefined,
      handshakeTimeout: upstream.handshakeTimeout,
      maxResponseHead: target.limits.maxResponseHead
    }, this)
    this.#client.throwIfGone()
    this.#client.inProgress = exchange
    return exchange
  }

  /** The upstream agreed: from here on there is no HTTP on this connection. */
  #switch (answer: UpgradeResult, early: Buffer, origin: Origin): void {
    const reply = this.#reply
    const { target, kind, token } = this.#decision
    const { socket } = this.#pendingUpgrade
    const upstream = this.#upstream as Upstream
    const head = kind === 'upgrade-raw'
      ? answer.received.subarray(0, answer.headEnd)
      : responseHead(this.#request, reply, target, answer, origin, token)
    hijackSocket(reply, this.#request, socket)
    socket.write(head)
    const isWebSocket = token === 'websocket'
    const clientTracker = isWebSocket ? new FrameTracker(true) : undefined
    const upstreamTracker = isWebSocket ? new FrameTracker(false) : undefined
    ;(socket as Partial<Socket>).setNoDelay?.(true)
    ;(socket as Partial<Socket>).setTimeout?.(0)
    const tunnel = this.#state.registry.open(
      { client: socket, upstream: answer.stream, upstreamTransport: answer.transport, clientTracker, upstreamTracker },
      {
        target,
        upstream,
        client: this.#request.ip ?? '',
        protocol: token,
        slot: this.#slot as TunnelSlot,
        clientTracker,
        upstreamTracker,
        onEnd: closeReporter(this.#request.log, target)
      },
      completeRequest(reply.raw, 101, socket)
    )
    this.#slot = undefined // the tunnel's now
    emitOpen(tunnel, target, this.#request)
    tunnel.start(early, answer.received.subarray(answer.headEnd))
  }

  /** The upstream answered as a server that does not switch: the client gets that answer. */
  #relay (answer: UpgradeResult, framing: Framing, origin: Origin): void {
    const reply = this.#reply
    const { target, kind } = this.#decision
    const { timeout } = this.#upstream as Upstream
    const { head, stream, transport, received, headEnd } = answer
    const raw = kind === 'upgrade-raw'
    const { label } = this.#upstream as Upstream
    if (head.status < 300) warnOnce(this.#request.log, target, `the upstream answered an upgrade with ${head.status}: does it take WebSockets at this path?`, label)
    const takeBack = raw ? undefined : applyResponseHead(this.#request, reply, target, head, origin)
    const rest = received.subarray(headEnd)
    const body = new RawResponseBody({ stream, transport, framing, rest, timeout, raw })
    this.#body = body
    body.once('error', (error) => logFailure(this.#request.log, 'body', target, label, error))
    keepAlive(transport, target.keepAlive)
    const over = (): void => this.#untrack()
    reply.raw.once('close', over).once('finish', over)
    // The client may leave, or a drain be over, while the upstream is silent.
    const { socket } = this.#pendingUpgrade
    this.#client.inProgress = { abort: () => socket.destroy() }
    reply.raw.once('close', () => body.destroy())
    this.#stage = 'upstream'
    this.#countRefusal(undefined)
    if (head.status === 403) warnOfHost(this.#request, target)
    if (raw) return relayRaw(reply, this.#request, socket, received.subarray(0, headEnd), body, head.status)
    if (takeBack !== undefined) body.once('error', takeBack) // an onSend hook may be at work before the head is written
    if (framing.kind !== 'none') deliver(reply, body)
    else {
      body.destroy()
      deliver(reply)
    }
  }

  /** Counts what became no tunnel, and gives the place back. */
  #countRefusal (error: unknown): void {
    this.#slot?.release()
    this.#slot = undefined
    const counters = this.#upstream?.counters ?? this.#table.upstreamsOf(this.#decision.target).unattributed
    this.#state.refused(this.#decision.target, this.#stage, counters, error, this.#request)
  }
}

function requestHead (method: string, path: string, headers: HeaderList, token: string): Buffer {
  try {
    return serialise(`${method} ${path} HTTP/1.1`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** Our 101: the upstream's headers, those that hooks have set on the reply, and the two that make the switch. */
function responseHead (
  request: FastifyRequest, reply: FastifyReply, target: Target, answer: UpgradeResult, origin: Origin, token: string
): Buffer {
  const { head } = answer
  const headers = rewrittenHeaders(request, target, withoutContent(head.headers), origin)
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (isFraming(name) || (name !== 'set-cookie' && fieldValue(headers, name) !== undefined)) continue
    for (const item of Array.isArray(value) ? value : [value]) headers.push(name, String(item))
  }
  try {
    return serialise(`HTTP/1.1 101 ${head.reason}`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** RFC 9110, 8.6: a 101 has no content. */
function withoutContent (headers: HeaderList): HeaderList {
  if (fieldValue(headers, 'content-length') === undefined) return headers
  return headers.filter((_, i) => (headers[i - i % 2] as string).toLowerCase() !== 'content-length')
}
