/** A live tunnel of the registry: its facts, its counts, its suspension, and its one outcome. */
import { randomBytes } from 'node:crypto'
import type { TunnelInfo, TunnelOutcome } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import { monotonicNow } from '../net/clock.ts'
import type { EndpointName } from '../tunnel/endpoint.ts'
import { type Ending, Tunnel, type TunnelEnds, type TunnelOwner } from '../tunnel/tunnel.ts'
import { closeFrame, type FrameTracker } from '../tunnel/websocket-frames.ts'
import { TunnelRecorder } from '../upstream/recorders.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Drainable } from './drain-schedule.ts'
import type { TunnelSlot } from './tunnel-limits.ts'

/** RFC 6455, 7.4.1: an endpoint is "going away". */
const goingAway = 1001

/** The facts of a live tunnel. They hold nothing of its request, which would otherwise live as long. */
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

/** The owner of a tunnel while it lives. */
export interface TunnelSessionOwner {
  /** Called when the tunnel has ended. */
  remove (tunnel: TunnelSession): void
}

/** A live tunnel, as its registry and users see it. */
export class TunnelSession implements TunnelInfo, TunnelOwner, Drainable {
  readonly id: string
  readonly openedAt: number = Date.now()
  /** @internal True until the first sweep. */
  fresh = true
  readonly #facts: TunnelFacts
  readonly #owner: TunnelSessionOwner
  readonly #tunnel: Tunnel
  readonly #recorder: TunnelRecorder
  /** Completes the request at Fastify; released after that, together with the request. */
  #complete: (() => void) | undefined
  #detail: string | undefined = undefined

  /** @internal */
  constructor (owner: TunnelSessionOwner, id: string, ends: TunnelEnds, facts: TunnelFacts, complete: () => void) {
    const { target } = facts
    this.id = id
    this.#owner = owner
    this.#facts = facts
    this.#complete = complete
    const suspended = target.async && target.asyncDelay === 0
    if (suspended) this.#finishRequest() // before the tunnel is counted: a listener of the response may throw
    const now = monotonicNow()
    this.#recorder = new TunnelRecorder(facts.upstream.counters, now)
    this.#tunnel = new Tunnel(ends, target.timers, this, now)
    if (suspended) this.#recorder.suspend()
  }

  /** @internal */
  get facts (): TunnelFacts { return this.#facts }
  get route (): string { return this.#facts.target.route }
  get upstream (): string { return this.#facts.upstream.label }
  get client (): string { return this.#facts.client }
  get protocol (): string { return this.#facts.protocol }
  get httpVersion (): string { return this.#facts.httpVersion }
  get age (): number { return this.#recorder.age }
  get state (): 'active' | 'suspended' { return this.#recorder.state }
  get bytesFromClient (): number { return this.#tunnel.client.bytes }
  get bytesFromUpstream (): number { return this.#tunnel.upstream.bytes }

  close (reason?: string): void {
    this.#detail ??= reason
    this.#tunnel.kill('killed')
  }

  /** Returns the properties that `JSON.stringify` shows. */
  toJSON (): Record<string, unknown> {
    const { id, route, upstream, client, protocol, httpVersion, openedAt, age, state, bytesFromClient, bytesFromUpstream } = this
    return { id, route, upstream, client, protocol, httpVersion, openedAt, age, state, bytesFromClient, bytesFromUpstream }
  }

  /** @internal Starts copying, the early bytes first. */
  start (fromClient: Buffer | undefined, fromUpstream: Buffer | undefined): void {
    this.#tunnel.start(fromClient, fromUpstream)
  }

  /** @internal */
  sweep (now: number): void {
    this.#tunnel.sweep(now)
    const { target } = this.#facts
    if (target.async && this.state === 'active' && now - this.#tunnel.quietSince >= target.asyncDelay) this.#suspend()
  }

  /** @internal */
  keepAlive (): void {
    this.#tunnel.keepAlive(this.#facts.target.keepAlive)
  }

  /** @internal Sends one side of a WebSocket a Close 1001. */
  requestClose (to: EndpointName): void {
    if (this.#facts.clientTracker === undefined) return
    this.#tunnel.requestClose(to, to === 'client' ? closeFrame(goingAway) : closeFrame(goingAway, randomBytes(4)))
  }

  /** @internal */
  drained (): void {
    this.#tunnel.kill('drained')
  }

  /** @internal Adds new bytes to the counters. */
  account (): void {
    this.#recorder.bytes(this.bytesFromClient, this.bytesFromUpstream)
  }

  /** @internal Called once, at the end of the tunnel. */
  tunnelEnded (ending: Ending): void {
    const { slot, clientTracker, upstreamTracker, onEnd } = this.#facts
    const duration = this.age
    this.account()
    this.#recorder.end(ending.reason, duration)
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
    this.#recorder.suspend()
    this.#finishRequest()
  }

  #finishRequest (): void {
    const complete = this.#complete
    this.#complete = undefined
    complete?.()
  }
}
