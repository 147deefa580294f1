/** The life of an upgrade, from the route's handler to the tunnel: a machine whose phases and events are the table of `proxy/upgrade-phase`. */
import type { FastifyReply } from 'fastify'
import type { LeaseStore } from '../config/options.ts'
import { readable } from '../config/user-function.ts'
import type { FrontWatcher } from '../downstream/front.ts'
import { guard, isHeadWritten } from '../downstream/upgrade-response.ts'
import { ClientGoneError, ClientLimitError, DrainingError, HeadWrittenError } from '../errors.ts'
import type { Framing } from '../http/body-reader.ts'
import type { LeaseStores } from '../lifecycle/lease-stores.ts'
import type { Breakable, Registry } from '../lifecycle/registry.ts'
import type { TunnelLimits, TunnelSlot } from '../lifecycle/tunnel-limits.ts'
import { RequestContext } from '../net/async-context.ts'
import { monotonicNow } from '../net/clock.ts'
import { watchStall } from '../net/stall-watch.ts'
import { logUpgradeEnd } from '../observability/failure-lines.ts'
import { countRefusal } from '../observability/refusals.ts'
import { discard } from '../upstream/connect.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import type { Http1ExchangeOwner, UpgradeResult } from '../upstream/http1-exchange.ts'
import type { RawResponseBody } from '../upstream/http1-response-body.ts'
import type { TargetUpstreams } from '../upstream/target-upstreams.ts'
import type { Choice } from '../upstream/upstream.ts'
import { sendError } from './client-response.ts'
import type { Origin } from './reverse.ts'
import { type AcceptedUpgrade, acceptSwitch, openTunnel, relayOf } from './upgrade-answer.ts'
import { UpgradeAttempt } from './upgrade-attempt.ts'
import { type Ending, type Phase, refusalStage, type Step, stepOf, type UpgradeEvent } from './upgrade-phase.ts'
import { isIdempotent } from './upstream-request.ts'

/** The parts of the server that an upgrade uses. */
export interface UpgradeServer {
  readonly registry: Registry
  readonly limits: TunnelLimits
  readonly leases: LeaseStores
}

/** Answers an accepted upgrade. Called in the route handler. */
export function upgrade (server: UpgradeServer, upstreams: TargetUpstreams, accepted: AcceptedUpgrade): void {
  new Upgrade(server, upstreams, accepted).begin()
}

const kUpgrade: unique symbol = Symbol('fastify-wstunnel.upgrade')

type Response = FastifyReply['raw'] & { [kUpgrade]?: Upgrade | undefined }

/**
 * One upgrade. It uses callbacks instead of promises, so that the tunnel begins in the same turn in which the upstream's response is read.
 * It is also the request's asynchronous context: connections to upstreams are made outside of that context, and call back from outside.
 */
class Upgrade extends RequestContext implements Breakable, Http1ExchangeOwner, FrontWatcher {
  index = -1
  /** The phase. Only `#move` writes it. */
  #phase: Phase = 'admit'
  readonly #server: UpgradeServer
  readonly #upstreams: TargetUpstreams
  readonly #accepted: AcceptedUpgrade
  readonly #begunAt: number = monotonicNow()
  /** The place among the tunnels; the tunnel takes it over at the switch. */
  #slot: TunnelSlot | undefined = undefined
  /** Aborts a pending `upstream` function. */
  #controller: AbortController | undefined = undefined
  /** The last attempt at an upstream. `#attempts` is the number of attempts. */
  #attempt: UpgradeAttempt | undefined = undefined
  #attempts = 0
  /** The request's body, sent after its head. */
  #requestBody: Buffer | undefined = undefined
  /** The body of the response that is relayed. */
  #body: RawResponseBody | undefined = undefined
  /** Stops watching the client that gets it. */
  #unwatch: (() => void) | undefined = undefined

  constructor (server: UpgradeServer, upstreams: TargetUpstreams, accepted: AcceptedUpgrade) {
    super()
    this.#server = server
    this.#upstreams = upstreams
    this.#accepted = accepted
  }

  /** Makes the step for an event. Returns `undefined`, and does nothing, if the event has no effect in this phase. */
  #move (event: UpgradeEvent): Step | undefined {
    const step = stepOf(this.#phase, event)
    if (step !== undefined) this.#phase = step.to
    return step
  }

  // ---- admit: a place among the tunnels

  begin (): void {
    const { registry, limits } = this.#server
    const { request, reply, front, decision: { target, bodyLength } } = this.#accepted
    const raw: Response = reply.raw
    // Fastify's handlerTimeout, or a user's hook, may respond in the meantime. The connection then belongs to that response.
    raw[kUpgrade] = this
    raw.prependListener('finish', onResponseEnd)
    if (isHeadWritten(raw)) return this.#end('headWritten', new HeadWrittenError())
    try {
      if (registry.draining) throw new DrainingError()
      this.#slot = limits.acquire(request.ip ?? '', target.limits)
    } catch (error) {
      return this.#fail(error)
    }
    registry.track('upgrade', this)
    if (bodyLength === 0 || front.readBody === undefined) return this.#watch()
    front.readBody(
      { request: request.raw, response: raw, length: bodyLength, timeout: target.timeout },
      (error, body) => this.runInAsyncScope(this.#bodyRead, this, error, body)
    )
  }

  #bodyRead (error: Error | null, body: Buffer | undefined): void {
    this.#requestBody = body
    if (error !== null) this.#fail(error)
    else if (this.#phase === 'admit') this.#watch()
  }

  #watch (): void {
    const { front, decision: { target } } = this.#accepted
    const shared = target.store !== undefined && target.limits.maxTunnelsPerClient !== Infinity ? target.store : undefined
    if (shared === undefined) this.#move('admitted')
    front.watch(this, target.limits.earlyData)
    if (shared === undefined) return this.#select()
    try {
      this.#askStore(shared)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Asks the store for the place shared by all instances, after the limits of this one. */
  #askStore (store: LeaseStore): void {
    if (this.#phase !== 'admit') return // the client had left
    const slot = this.#slot as TunnelSlot
    const lease = this.#server.leases.in(store).acquire(slot.client, this.#accepted.decision.target.limits.maxTunnelsPerClient)
    slot.keep(lease)
    if (lease.granted === true) {
      this.#move('admitted')
      return this.#select()
    }
    lease.granted.then((granted) => {
      if (!granted) this.#fail(new ClientLimitError())
      else if (this.#move('admitted') !== undefined) this.#select()
    }, (error) => this.#fail(error))
  }

  // ---- select: an upstream, or a balancer's member

  #select (): void {
    if (this.#phase !== 'select') return // the client left during the hooks: do not choose an upstream
    let choosing: Choice | Promise<Choice>
    try {
      choosing = this.#upstreams.choose(this.#accepted.request, () => this.#signal)
    } catch (error) {
      return this.#fail(error)
    }
    if (choosing instanceof Promise) choosing.then((choice) => this.#chosen(choice), (error) => this.#fail(error))
    else this.#chosen(choosing)
  }

  /** The signal that aborts when the client leaves. It is made on first use, since it costs as much as all the rest of the wait. */
  get #signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  #chosen (choice: Choice): void {
    if (this.#move('chosen') !== undefined) this.#try(choice)
  }

  // ---- exchange: dial, send the head, read the response

  #try (choice: Choice): void {
    this.#attempt?.leave()
    const attempt = this.#attempt = new UpgradeAttempt(choice)
    try {
      this.#slot?.acquireUpstream(attempt.upstream, this.#accepted.decision.target.limits.maxTunnelsPerUpstream)
      attempt.prepare(this.#accepted, this.#requestBody, this.#attempts++, this)
      if (this.#phase !== 'exchange') throw new ClientGoneError() // while a function of the options ran
      attempt.run()
    } catch (error) {
      this.onError(readable(error))
    }
  }

  /** Called without a response: tries the next upstream, if there is one. */
  onError (error: unknown): void {
    this.runInAsyncScope(this.#tryNext, this, error)
  }

  #tryNext (error: unknown): void {
    const attempt = this.#attempt as UpgradeAttempt
    attempt.end({ error: readable(error) })
    if (this.#phase !== 'exchange') return // the upgrade ended
    const sent = attempt.connected
    let next: Choice | undefined
    try {
      next = attempt.choice.failed(error, { sent, again: !sent || isIdempotent(this.#accepted.request.method), fresh: true })
    } catch (cause) { // an error of a user's lbMethod, for example
      return this.#fail(cause)
    }
    if (next === undefined) this.#fail(error)
    else if (this.#move('next') !== undefined) this.#try(next)
  }

  /** Called with the upstream's response. */
  onResponse (answer: UpgradeResult): void {
    this.runInAsyncScope(this.#take, this, answer)
  }

  #take (answer: UpgradeResult): void {
    const { reply, decision: { matched } } = this.#accepted
    const attempt = this.#attempt as UpgradeAttempt
    const { choice } = attempt
    try {
      attempt.end({ status: answer.head.status })
      choice.answered(answer.head.status)
      if (this.#isReplied) throw new ClientGoneError() // other code has responded meanwhile
      if (choice.cookie !== undefined) reply.header('set-cookie', choice.cookie)
      if (answer.framing === undefined) this.#switch(attempt, answer, { choice, matched })
      else this.#relay(attempt, answer, answer.framing, { choice, matched })
    } catch (error) {
      discard(answer)
      this.#fail(error)
    }
  }

  // ---- tunnel: from here on the client's connection carries no HTTP

  #switch (attempt: UpgradeAttempt, answer: UpgradeResult, origin: Origin): void {
    const complete = acceptSwitch(this.#accepted, answer, origin)
    const early = this.#accepted.front.handOver()
    this.#move('switched')
    ;(this.#accepted.reply.raw as Response)[kUpgrade] = undefined // the session completes the request, possibly at once
    openTunnel(this.#server.registry, this.#accepted, attempt.upstream, answer, this.#slot as TunnelSlot, complete, early)
    this.#slot = undefined
    attempt.leave()
    this.#leave()
  }

  // ---- relay: the client gets the upstream's response

  #relay (attempt: UpgradeAttempt, answer: UpgradeResult, framing: Framing, origin: Origin): void {
    const { body, send } = relayOf(this.#accepted, attempt.upstream, answer, framing, origin)
    this.#body = body
    this.#move('refused')
    this.#countRefusal(this.#stage('relay'), undefined)
    attempt.leave()
    const { reply, front, decision: { target } } = this.#accepted
    reply.raw.once('close', onResponseEnd) // while the upstream is silent the client may leave, or a drain end
    this.#unwatch = watchStall(front.stream, target.timers.stall, () => body.taken, () => this.clientGone(new ClientGoneError()))
    send()
  }

  // ---- done

  /** Called when the client leaves. */
  clientGone (why: Error): void {
    this.runInAsyncScope(this.#end, this, 'clientGone', why)
  }

  /** Called when a drain begins: an upgrade that still waits for the store gets no place. */
  drainBegun (): void {
    if (this.#phase === 'admit') this.abort()
  }

  /** Called at the end of a drain. */
  abort (): void {
    this.runInAsyncScope(this.#end, this, 'drained', new DrainingError())
  }

  /** Called when a response on this upgrade's connection ends: the relayed one, or one of other code. */
  responseEnded (): void {
    this.runInAsyncScope(this.#end, this, 'responseEnded')
  }

  #fail (cause: unknown): void {
    const error = readable(cause)
    const isGone = this.#accepted.front.stream.destroyed || error instanceof ClientGoneError
    if (this.#phase === 'tunnel') this.#end('failed', error) // not `replied`: the switch has been sent
    else this.#end(this.#isReplied ? 'replied' : isGone ? 'clientGone' : 'failed', error)
  }

  /** True if other code has responded: Fastify reports only the end of a response. */
  get #isReplied (): boolean {
    const { reply } = this.#accepted
    return reply.sent || isHeadWritten(reply.raw)
  }

  #end (event: Ending, cause?: Error): void {
    const from = this.#phase
    const action = this.#move(event)?.action
    if (from === 'done' || action === undefined) return
    if (action === 'complete') {
      this.#body?.destroy() // an onSend hook may have replaced it
      return this.#leave()
    }
    const error = cause ?? new ClientGoneError()
    this.#controller?.abort(error) // aborts an `upstream` function that is still pending
    const { request, reply, front, decision: { target } } = this.#accepted
    if (action === 'cut') return front.cut()
    const stage = this.#stage(from)
    this.#attempt?.abort(error)
    this.#attempt?.leave()
    this.#leave()
    this.#countRefusal(stage, error)
    logUpgradeEnd(request.log, target, this.#attempt?.upstream.label, error, monotonicNow() - this.#begunAt)
    if (action === 'answer') sendError(request, reply, error)
    else if (action === 'drop') front.drop(reply, error instanceof HeadWrittenError ? error.statusCode : undefined)
  }

  #stage (phase: Exclude<Phase, 'done'>): RefusalStage {
    return refusalStage(phase, { hasPlace: this.#slot?.hasUpstream === true, connected: this.#attempt?.connected === true })
  }

  /** Releases everything that is pending. */
  #leave (): void {
    const { reply, front } = this.#accepted
    ;(reply.raw as Response)[kUpgrade] = undefined
    front.release()
    this.#unwatch?.()
    this.#server.registry.untrack('upgrade', this)
  }

  /** Counts an upgrade that became no tunnel, and gives its place back. */
  #countRefusal (stage: RefusalStage, error: unknown): void {
    this.#slot?.release()
    this.#slot = undefined
    const counters = this.#attempt?.upstream.counters ?? this.#upstreams.unattributed
    countRefusal(this.#accepted.decision.target, stage, counters, error, this.#accepted.request)
  }
}

/** The listener of a response's `'finish'` and `'close'`. */
const onResponseEnd = guard(function onUpgradeResponseEnd (this: Response): void {
  this[kUpgrade]?.responseEnded()
})
