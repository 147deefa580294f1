/** Counters and histograms: plain numbers that an exchange adds to as it goes, and that can be summed. */
import { type TunnelReason, tunnelReasons } from '../tunnel/reasons.ts'

/** The stages at which an upgrade can be refused, in their order. */
export const refusalStages = ['decision', 'limit', 'dial', 'handshake', 'upstream'] as const

/**
 * The stage at which an upgrade was refused. `decision`: the offer or the request was not acceptable (400, 403, 426). `limit`: a limit or
 * the drain (429, 503). `dial`: no connection to the upstream. `handshake`: connected, but no verified response (502, 504). `upstream`: the
 * upstream refused with a response of its own, which was relayed.
 */
export type RefusalStage = typeof refusalStages[number]

/** The class of a status code. */
export type StatusClass = '1xx' | '2xx' | '3xx' | '4xx' | '5xx'

/** The upper bounds of the buckets, in milliseconds. */
const latencyBounds = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000]
const lifetimeBounds = [100, 1000, 10_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 604_800_000]

/** A histogram with cumulative buckets, as in Prometheus; values above the last bound count only in `count`. */
export interface Histogram {
  /** The number of values. */
  count: number
  /** The sum of all values, in milliseconds. */
  sum: number
  /** The buckets. `le`: the upper bound in milliseconds; `count`: the number of values up to that bound. */
  buckets: Array<{ le: number, count: number }>
}

export class HistogramCounter {
  readonly #bounds: readonly number[]
  /** Empty until there is a value: in a table of thousands of entries, most have none. */
  #counts: number[] = []
  #count = 0
  #sum = 0

  constructor (bounds: readonly number[]) {
    this.#bounds = bounds
  }

  observe (value: number): void {
    this.#count++
    this.#sum += value
    const bounds = this.#bounds
    if (this.#counts.length === 0) this.#counts = bounds.map(() => 0)
    for (let i = 0; i < bounds.length; i++) {
      if (value <= (bounds[i] as number)) {
        (this.#counts[i] as number)++
        return
      }
    }
  }

  add (other: HistogramCounter): void {
    this.#count += other.#count
    this.#sum += other.#sum
    if (other.#counts.length === 0) return
    if (this.#counts.length === 0) this.#counts = other.#counts.map(() => 0)
    for (let i = 0; i < this.#counts.length; i++) (this.#counts[i] as number) += other.#counts[i] as number
  }

  snapshot (): Histogram {
    let count = 0
    const buckets = this.#bounds.map((le, i) => {
      count += this.#counts[i] ?? 0
      return { le, count }
    })
    return { count: this.#count, sum: this.#sum, buckets }
  }
}

const noneClosed: Readonly<Record<TunnelReason, number>> = zeros(tunnelReasons)
const noneRefused: Readonly<Record<RefusalStage, number>> = zeros(refusalStages)

/** The counters of the exchanges of one upstream, or of those exchanges of a route that reached none. */
export class Counters {
  /** Upgrades in flight. Metrics do not show them, but an upstream that is being dialled is not idle. */
  pending = 0
  active = 0
  suspended = 0
  opened = 0
  readonly closed: Record<TunnelReason, number> = { ...noneClosed }
  readonly refused: Record<RefusalStage, number> = { ...noneRefused }
  tunnelBytesFromClient = 0
  tunnelBytesFromUpstream = 0
  readonly handshake: HistogramCounter = new HistogramCounter(latencyBounds)
  readonly lifetime: HistogramCounter = new HistogramCounter(lifetimeBounds)

  inFlight = 0
  readonly status: Record<StatusClass, number> = { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 }
  aborted = 0
  failed = 0
  forwardBytesFromClient = 0
  forwardBytesFromUpstream = 0
  readonly duration: HistogramCounter = new HistogramCounter(latencyBounds)

  /** The number of exchanges in flight and live tunnels, for limits and balancers. */
  get busy (): number {
    return this.pending + this.active + this.suspended + this.inFlight
  }

  add (other: Counters): void {
    this.pending += other.pending
    this.active += other.active
    this.suspended += other.suspended
    this.opened += other.opened
    for (const reason of tunnelReasons) this.closed[reason] += other.closed[reason]
    for (const stage of refusalStages) this.refused[stage] += other.refused[stage]
    this.tunnelBytesFromClient += other.tunnelBytesFromClient
    this.tunnelBytesFromUpstream += other.tunnelBytesFromUpstream
    this.handshake.add(other.handshake)
    this.lifetime.add(other.lifetime)
    this.inFlight += other.inFlight
    for (const key of Object.keys(this.status) as StatusClass[]) this.status[key] += other.status[key]
    this.aborted += other.aborted
    this.failed += other.failed
    this.forwardBytesFromClient += other.forwardBytesFromClient
    this.forwardBytesFromUpstream += other.forwardBytesFromUpstream
    this.duration.add(other.duration)
  }
}

function zeros<Key extends string> (keys: readonly Key[]): Record<Key, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<Key, number>
}
