/** The life of an upgrade, from the route's handler to the tunnel: a machine whose phases and events are the table of `proxy/upgrade-phase`. */
import type { FastifyReply } from 'fastify'
import type { LeaseStore } from '../config/target.ts'
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

/** What an upgrade needs of its server. */
export interface UpgradeServer {
  readonly registry: Registry
  readonly limits: TunnelLimits
  readonly leases: LeaseStores
}

/** Answers an accepted upgrade, in the route handler. */
export function upgrade (server: UpgradeServer, upstreams: TargetUpstreams, accepted: AcceptedUpgrade): void {
  new Upgrade(server, upstreams, accepted).begin()
}

const kUpgrade: unique symbol = Symbol('fastify-wstunnel.upgrade')

type Response = FastifyReply['raw'] & { [kUpgrade]?: Upgrade | undefined }

/**
 * One upgrade. It calls back rather than awaits, so that the tunnel begins in the turn in which the upstream's answer is read. It is the request's
 * asynchronous context as well: an upstream's connection is made outside of that, and answers from outside.
 */
class Upgrade extends RequestContext implements Breakable, Http1ExchangeOwner, FrontWatcher {
  index = -1
  /** Written by `#move` alone. */
  #phase: Phase = 'admit'
  readonly #server: UpgradeServer
  readonly #upstreams: TargetUpstreams
  readonly #accepted: AcceptedUpgrade
  readonly #begunAt: number = monotonicNow()
  /** The place among the tunnels: the tunnel's at the switch. */
  #slot: TunnelSlot | undefined = undefined
  /** For an `upstream` function. */
  #controller: AbortController | undefined = undefined
  /** The last attempt at an upstream, and how many there were. */
  #attempt: UpgradeAttempt | undefined = undefined
  #attempts = 0
  /** The request's, which goes behind its head. */
  #requestBody: Buffer | undefined = undefined
  /** The response that is relayed. */
  #body: RawResponseBody | undefined = undefined

  constructor (server: UpgradeServer, upstreams: TargetUpstreams, accepted: AcceptedUpgrade) {
    super()
    this.#server = server
    this.#upstreams = upstreams
    this.#accepted = accepted
  }

  /** Writes the phase. Returns `undefined`, and does nothing, for an event that means nothing in this phase. */
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
    // Fastify's handlerTimeout, or a user's hook, may answer while we wait. The connection is then theirs, and first of all ours no more.
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
    front.readBody({ request: request.raw, response: raw, length: bodyLength, timeout: target.timeout }, (error, body) => this.runInAsyncScope(this.#bodyRead, this, error, body))
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

  /** The place among all instances comes behind those of this one. */
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
    if (this.#phase !== 'select') return // the client left during the hooks: nobody is asked where it should go
    let choosing: Choice | Promise<Choice>
    try {
      choosing = this.#upstreams.choose(this.#accepted.request, () => this.#signal)
    } catch (error) {
      return this.#fail(error)
    }
    if (choosing instanceof Promise) choosing.then((choice) => this.#chosen(choice), (error) => this.#fail(error))
    else this.#chosen(choosing)
  }

  /** Made only for those who ask: it costs as much as all the rest of the waiting. */
  get #signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  #chosen (choice: Choice): void {
    if (this.#move('chosen') !== undefined) this.#try(choice)
  }

  // ---- exchange: dial, send the head, read the answer

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

  /** No answer: the next upstream is asked, where there is one. */
  onError (error: unknown): void {
    this.runInAsyncScope(this.#tryNext, this, error)
  }

  #tryNext (error: unknown): void {
    const attempt = this.#attempt as UpgradeAttempt
    attempt.end({ error: readable(error) })
    if (this.#phase !== 'exchange') return // it was given up
    const sent = attempt.connected
    let next: Choice | undefined
    try {
      next = attempt.choice.failed(error, { sent, again: !sent || isIdempotent(this.#accepted.request.method), fresh: true })
    } catch (cause) { // of a user's lbMethod, say
      return this.#fail(cause)
    }
    if (next === undefined) this.#fail(error)
    else if (this.#move('next') !== undefined) this.#try(next)
  }

  /** The upstream has answered. */
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
      if (this.#isReplied) throw new ClientGoneError() // by someone else, meanwhile
      if (choice.cookie !== undefined) reply.header('set-cookie', choice.cookie)
      if (answer.framing === undefined) this.#switch(attempt, answer, { choice, matched })
      else this.#relay(attempt, answer, answer.framing, { choice, matched })
    } catch (error) {
      discard(answer)
      this.#fail(error)
    }
  }

  // ---- tunnel: from here on there is no HTTP at the client

  #switch (attempt: UpgradeAttempt, answer: UpgradeResult, origin: Origin): void {
    const complete = acceptSwitch(this.#accepted, answer, origin)
    const early = this.#accepted.front.release()
    this.#move('switched')
    ;(this.#accepted.reply.raw as Response)[kUpgrade] = undefined // the session completes the request, perhaps at once
    openTunnel(this.#server.registry, this.#accepted, attempt.upstream, answer, this.#slot as TunnelSlot, complete, early)
    this.#slot = undefined
    attempt.leave()
    this.#leave()
  }

  // ---- relay: the client is sent what the upstream answered instead

  #relay (attempt: UpgradeAttempt, answer: UpgradeResult, framing: Framing, origin: Origin): void {
    const { body, send } = relayOf(this.#accepted, attempt.upstream, answer, framing, origin)
    this.#body = body
    this.#move('refused')
    this.#countRefusal(this.#stage('relay'), undefined)
    attempt.leave()
    this.#accepted.reply.raw.once('close', onResponseEnd) // the client may leave, or a drain be over, while the upstream is silent
    send()
  }

  // ---- done

  /** The client has left. */
  clientGone (why: Error): void {
    this.runInAsyncScope(this.#end, this, 'clientGone', why)
  }

  /** Who still asks for a place among all instances has none. */
  drainBegun (): void {
    if (this.#phase === 'admit') this.abort()
  }

  /** A drain is over. */
  abort (): void {
    this.runInAsyncScope(this.#end, this, 'drained', new DrainingError())
  }

  /** A response on this upgrade's connection has ended: the one that is relayed, or someone else's. */
  responseEnded (): void {
    this.runInAsyncScope(this.#end, this, 'responseEnded')
  }

  #fail (cause: unknown): void {
    const error = readable(cause)
    const isGone = this.#accepted.front.stream.destroyed || error instanceof ClientGoneError
    if (this.#phase === 'tunnel') this.#end('failed', error) // whatever it looks like: the switch has been sent
    else this.#end(this.#isReplied ? 'replied' : isGone ? 'clientGone' : 'failed', error)
  }

  /** Whether someone else answers: Fastify tells only of the end of a response. */
  get #isReplied (): boolean {
    const { reply } = this.#accepted
    return reply.sent || isHeadWritten(reply.raw)
  }

  #end (event: Ending, cause?: Error): void {
    const from = this.#phase
    const action = this.#move(event)?.action
    if (from === 'done' || action === undefined) return
    if (action === 'complete') {
      this.#body?.destroy() // an onSend hook may have put another one in its place
      return this.#leave()
    }
    const error = cause ?? new ClientGoneError()
    this.#controller?.abort(error) // an `upstream` function that was too slow hears of it by its signal
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

  /** Nothing is under way any more. */
  #leave (): void {
    const { reply, front } = this.#accepted
    ;(reply.raw as Response)[kUpgrade] = undefined
    front.release()
    this.#server.registry.untrack('upgrade', this)
  }

  /** Counts what became no tunnel, and gives the place back. */
  #countRefusal (stage: RefusalStage, error: unknown): void {
    this.#slot?.release()
    this.#slot = undefined
    const counters = this.#attempt?.upstream.counters ?? this.#upstreams.unattributed
    countRefusal(this.#accepted.decision.target, stage, counters, error, this.#accepted.request)
  }
}

/** Of a response's `'finish'` and `'close'`. */
const onResponseEnd = guard(function onUpgradeResponseEnd (this: Response): void {
  this[kUpgrade]?.responseEnded()
})
