/** What an exchange adds to the counters of its upstream: a recorder for each that has begun, with one end. */
import { monotonicNow } from '../net/clock.ts'
import type { TunnelReason } from '../tunnel/reasons.ts'
import type { Counters, StatusClass } from './counters.ts'

/** Of one forward, from the handler to the end of its response. */
export class ForwardRecorder {
  #counters: Counters
  readonly #startedAt: number = monotonicNow()
  /** Whether it counts as in flight, which it does from its first upstream on. */
  #inFlight = false
  #ended = false

  /** @param unattributed those of its route, for a forward that reaches no upstream */
  constructor (unattributed: Counters) {
    this.#counters = unattributed
  }

  /** Milliseconds since it began. */
  get age (): number {
    return monotonicNow() - this.#startedAt
  }

  /** It goes to this upstream now, and from the one before. */
  enter (counters: Counters): void {
    if (this.#inFlight) this.#counters.inFlight--
    this.#inFlight = true
    this.#counters = counters
    counters.inFlight++
  }

  fromClient (bytes: number): void {
    this.#counters.forwardBytesFromClient += bytes
  }

  fromUpstream (bytes: number): void {
    this.#counters.forwardBytesFromUpstream += bytes
  }

  /**
   * Without effect the second time.
   * @param outcome.failed whether the upstream is to blame
   * @param outcome.status that of the response, where the client got all of it
   */
  end ({ failed, status }: { readonly failed: boolean, readonly status: number | undefined }): void {
    if (this.#ended) return
    this.#ended = true
    const counters = this.#counters
    if (this.#inFlight) counters.inFlight--
    counters.duration.observe(this.age)
    if (failed) counters.failed++
    if (status !== undefined) counters.status[`${Math.trunc(status / 100)}xx` as StatusClass]++
    else if (!failed) counters.aborted++
  }
}

/** Of one attempt of an upgrade at one upstream, from the choice to the answer. */
export class AttemptRecorder {
  readonly #counters: Counters
  /** 0 before the dial, and once it is timed. */
  #startedAt = 0
  #ended = false

  constructor (counters: Counters) {
    this.#counters = counters
    counters.pending++
  }

  /** The upstream is dialled. */
  dialled (): void {
    this.#startedAt = monotonicNow()
  }

  /** A connection stood, and this is what the handshake took. Without effect the second time. */
  handshaken (): void {
    if (this.#startedAt > 0) this.#counters.handshake.observe(monotonicNow() - this.#startedAt)
    this.#startedAt = 0
  }

  /** Without effect the second time. */
  end (): void {
    if (this.#ended) return
    this.#ended = true
    this.#counters.pending--
  }
}

/** Of one tunnel, from the switch to its end. */
export class TunnelRecorder {
  readonly #counters: Counters
  readonly #startedAt: number
  #state: 'active' | 'suspended' = 'active'
  #fromClient = 0
  #fromUpstream = 0
  #ended = false

  constructor (counters: Counters, startedAt: number) {
    this.#counters = counters
    this.#startedAt = startedAt
    counters.opened++
    counters.active++
  }

  /** Milliseconds since the switch. */
  get age (): number {
    return monotonicNow() - this.#startedAt
  }

  get state (): 'active' | 'suspended' {
    return this.#state
  }

  suspend (): void {
    if (this.#ended || this.#state === 'suspended') return
    this.#counters.active--
    this.#counters.suspended++
    this.#state = 'suspended'
  }

  /** @param fromClient bytes of the tunnel so far, as those from the upstream: what is new of them is counted */
  bytes (fromClient: number, fromUpstream: number): void {
    this.#counters.tunnelBytesFromClient += fromClient - this.#fromClient
    this.#counters.tunnelBytesFromUpstream += fromUpstream - this.#fromUpstream
    this.#fromClient = fromClient
    this.#fromUpstream = fromUpstream
  }

  /** Without effect the second time. */
  end (reason: TunnelReason, duration: number): void {
    if (this.#ended) return
    this.#ended = true
    this.#counters[this.#state]--
    this.#counters.closed[reason]++
    this.#counters.lifetime.observe(duration)
  }
}
