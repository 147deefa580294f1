/** The recorders of exchanges: each adds the numbers of one exchange to the counters of its upstream, and ends once. */
import { monotonicNow } from '../net/clock.ts'
import type { TunnelReason } from '../tunnel/reasons.ts'
import type { Counters, StatusClass } from './counters.ts'

/** The recorder of one forward, from the handler to the end of its response. */
export class ForwardRecorder {
  #counters: Counters
  readonly #startedAt: number = monotonicNow()
  /** True while the forward counts as in flight: from its first upstream on. */
  #inFlight = false
  #ended = false

  /** @param unattributed the counters of its route, for a forward that reaches no upstream */
  constructor (unattributed: Counters) {
    this.#counters = unattributed
  }

  /** The milliseconds since the forward began. */
  get age (): number {
    return monotonicNow() - this.#startedAt
  }

  /** Moves the forward to an upstream, away from the one before. */
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
   * Ends the record. Without effect the second time.
   * @param outcome.failed true if the upstream is to blame
   * @param outcome.status the status of the response if the client got all of it
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

/** The recorder of one attempt of an upgrade at one upstream, from the choice to the response. */
export class AttemptRecorder {
  readonly #counters: Counters
  /** The time of the dial; 0 before it, and after the handshake was timed. */
  #startedAt = 0
  #ended = false

  constructor (counters: Counters) {
    this.#counters = counters
    counters.pending++
  }

  /** Called when the dial begins. */
  dialled (): void {
    this.#startedAt = monotonicNow()
  }

  /** Records the time of the handshake; called only if there was a connection. Without effect the second time. */
  handshaken (): void {
    if (this.#startedAt > 0) this.#counters.handshake.observe(monotonicNow() - this.#startedAt)
    this.#startedAt = 0
  }

  /** Ends the record. Without effect the second time. */
  end (): void {
    if (this.#ended) return
    this.#ended = true
    this.#counters.pending--
  }
}

/** The recorder of one tunnel, from the switch to its end. */
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

  /** The milliseconds since the switch. */
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

  /**
   * Counts the bytes that are new since the last call.
   * @param fromClient bytes from the client since the switch
   * @param fromUpstream bytes from the upstream since the switch
   */
  bytes (fromClient: number, fromUpstream: number): void {
    this.#counters.tunnelBytesFromClient += fromClient - this.#fromClient
    this.#counters.tunnelBytesFromUpstream += fromUpstream - this.#fromUpstream
    this.#fromClient = fromClient
    this.#fromUpstream = fromUpstream
  }

  /** Ends the record. Without effect the second time. */
  end (reason: TunnelReason, duration: number): void {
    if (this.#ended) return
    this.#ended = true
    this.#counters[this.#state]--
    this.#counters.closed[reason]++
    this.#counters.lifetime.observe(duration)
  }
}
