/** A live tunnel, with what it is counted as: its facts, its suspension, and its one outcome. */
import { randomBytes } from 'node:crypto'
import type { Target, TunnelInfo, TunnelOutcome } from '../config/target.ts'
import { monotonicNow } from '../net/clock.ts'
import type { EndpointName } from '../tunnel/endpoint.ts'
import { type Ending, Tunnel, type TunnelEnds, type TunnelOwner } from '../tunnel/tunnel.ts'
import { closeFrame, type FrameTracker } from '../tunnel/websocket-frames.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Drainable } from './drain-schedule.ts'
import type { TunnelSlot } from './tunnel-limits.ts'

/** RFC 6455, 7.4.1: an endpoint is going away. */
const goingAway = 1001

/** What a tunnel is known by while it lives. Nothing of its request is in here: that would live as long. */
export interface TunnelFacts {
  readonly target: Target
  readonly upstream: Upstream
  /** The client's address. */
  readonly client: string
  readonly protocol: string
  /** Of the client's HTTP. */
  readonly httpVersion: string
  readonly slot: TunnelSlot
  readonly clientTracker: FrameTracker | undefined
  readonly upstreamTracker: FrameTracker | undefined
  /** Called once, when both connections are closed and everything is counted. */
  readonly onEnd: (tunnel: TunnelSession, outcome: TunnelOutcome) => void
}

/** Who keeps a tunnel while it lives. */
export interface TunnelSessionOwner {
  /** It has ended. */
  remove (tunnel: TunnelSession): void
}

/** A live tunnel, as its registry and its users see it. */
export class TunnelSession implements TunnelInfo, TunnelOwner, Drainable {
  readonly id: string
  readonly openedAt: number = Date.now()
  /** @internal Whether no sweep has seen it yet. */
  fresh = true
  readonly #facts: TunnelFacts
  readonly #owner: TunnelSessionOwner
  readonly #tunnel: Tunnel
  readonly #startedAt: number
  /** Completes the request at Fastify; gone once that has happened, and the request with it. */
  #complete: (() => void) | undefined
  #suspended = false
  /** What the upstream's counters have been told of. */
  #countedFromClient = 0
  #countedFromUpstream = 0
  #detail: string | undefined = undefined

  /** @internal */
  constructor (owner: TunnelSessionOwner, id: string, ends: TunnelEnds, facts: TunnelFacts, complete: () => void) {
    const { target } = facts
    this.id = id
    this.#owner = owner
    this.#facts = facts
    this.#complete = complete
    this.#startedAt = monotonicNow()
    this.#tunnel = new Tunnel(ends, target.timers, this, this.#startedAt)
    facts.upstream.counters.opened++
    facts.upstream.counters.active++
    if (target.async && target.asyncDelay === 0) this.#suspend()
  }

  /** @internal */
  get facts (): TunnelFacts { return this.#facts }
  get route (): string { return this.#facts.target.route }
  get upstream (): string { return this.#facts.upstream.label }
  get client (): string { return this.#facts.client }
  get protocol (): string { return this.#facts.protocol }
  get httpVersion (): string { return this.#facts.httpVersion }
  get age (): number { return monotonicNow() - this.#startedAt }
  get state (): 'active' | 'suspended' { return this.#suspended ? 'suspended' : 'active' }
  get bytesFromClient (): number { return this.#tunnel.client.bytes }
  get bytesFromUpstream (): number { return this.#tunnel.upstream.bytes }

  close (reason?: string): void {
    this.#detail ??= reason
    this.#tunnel.kill('killed')
  }

  /** What is shown where a tunnel is printed or serialised. */
  toJSON (): Record<string, unknown> {
    const { id, route, upstream, client, protocol, httpVersion, openedAt, age, state, bytesFromClient, bytesFromUpstream } = this
    return { id, route, upstream, client, protocol, httpVersion, openedAt, age, state, bytesFromClient, bytesFromUpstream }
  }

  /** @internal Begins to copy, the bytes that came too early first. */
  start (fromClient: Buffer | undefined, fromUpstream: Buffer | undefined): void {
    this.#tunnel.start(fromClient, fromUpstream)
  }

  /** @internal */
  sweep (now: number): void {
    this.#tunnel.sweep(now)
    const { target } = this.#facts
    if (target.async && !this.#suspended && now - this.#tunnel.quietSince >= target.asyncDelay) this.#suspend()
  }

  /** @internal */
  keepAlive (): void {
    this.#tunnel.keepAlive(this.#facts.target.keepAlive)
  }

  /** @internal Tells one side of a WebSocket to go. */
  requestClose (to: EndpointName): void {
    if (this.#facts.clientTracker === undefined) return
    this.#tunnel.requestClose(to, to === 'client' ? closeFrame(goingAway) : closeFrame(goingAway, randomBytes(4)))
  }

  /** @internal */
  drained (): void {
    this.#tunnel.kill('drained')
  }

  /** @internal Tells the counters of bytes that they have not been told of. */
  account (): void {
    const { counters } = this.#facts.upstream
    counters.tunnelBytesFromClient += this.bytesFromClient - this.#countedFromClient
    counters.tunnelBytesFromUpstream += this.bytesFromUpstream - this.#countedFromUpstream
    this.#countedFromClient = this.bytesFromClient
    this.#countedFromUpstream = this.bytesFromUpstream
  }

  /** @internal The one end of every tunnel. */
  tunnelEnded (ending: Ending): void {
    const { upstream, slot, clientTracker, upstreamTracker, onEnd } = this.#facts
    const { counters } = upstream
    const duration = this.age
    this.account()
    counters[this.state]--
    counters.closed[ending.reason]++
    counters.lifetime.observe(duration)
    slot.release()
    this.#owner.remove(this)
    const closeCode = clientTracker?.closeCode ?? upstreamTracker?.closeCode
    const outcome: { -readonly [key in keyof TunnelOutcome]: TunnelOutcome[key] } = {
      reason: ending.reason,
      by: ending.by,
      duration,
      bytesFromClient: this.bytesFromClient,
      bytesFromUpstream: this.bytesFromUpstream
    }
    if (closeCode !== undefined) outcome.closeCode = closeCode
    if (this.#detail !== undefined) outcome.detail = this.#detail
    if (ending.error !== undefined) outcome.error = ending.error
    onEnd(this, outcome)
    this.#finishRequest()
  }

  #suspend (): void {
    const { counters } = this.#facts.upstream
    this.#suspended = true
    counters.active--
    counters.suspended++
    this.#finishRequest()
  }

  #finishRequest (): void {
    const complete = this.#complete
    this.#complete = undefined
    complete?.()
  }
}
