/** A member of a balancer: its state, and what is counted of it. httpd: the worker of a BalancerMember. */
import { type TargetUpstreams } from '../upstream/target-upstreams.ts'
import { Upstream } from '../upstream/upstream.ts'
import type { MemberConfig, MemberInfo, MemberState } from './options.ts'
import { type Candidate, hash32 } from './policies.ts'
import { statusLetters } from './resolve-options.ts'

/** A failed member's time out is doubled with each failure in a row, up to this many times `retry`. */
const longestRetry = 8

/** What a member that comes back has of its load factor at first. */
const smallestShare = 0.1

/** What members of one balancer have in common. Durations in milliseconds. */
export interface MemberSettings {
  readonly retry: number
  readonly slowStart: number
  readonly clock: () => number
  readonly onChange: (member: Member, from: MemberState, cause: Error | undefined) => void
}

export class Member implements Candidate {
  lbStatus = 0
  elected = 0
  failures = 0
  /** When it came to its state, in milliseconds since the epoch. */
  since: number = Date.now()
  readonly seed: number
  #config: MemberConfig
  readonly #settings: MemberSettings
  #state: MemberState
  #healthy = true
  /** Until when it is in error, by the clock; `undefined` where it is not. */
  #errorUntil: number | undefined = undefined
  #failuresInARow = 0
  /** When it joined or came back; `undefined` once it has its full share. */
  #rampFrom: number | undefined = undefined
  /** What puts a newcomer's traffic level with that of the others. */
  #trafficOffset = 0
  /** One for each target that has sent it something. */
  readonly #upstreams: Map<TargetUpstreams, Upstream> = new Map()

  constructor (config: MemberConfig, settings: MemberSettings) {
    this.#config = config
    this.#settings = settings
    this.seed = hash32(config.address.label)
    this.#state = this.#derive()
  }

  get url (): string { return this.#config.address.label }
  get route (): string | undefined { return this.#config.route }
  get config (): MemberConfig { return this.#config }
  get state (): MemberState { return this.#state }

  /** Whether it may be chosen for what names its route; others ask `isOpen`, too. */
  get isUsable (): boolean {
    return (this.#state === 'up' || this.#state === 'draining') && this.#healthy && this.#errorUntil === undefined && !this.#isFull
  }

  get isDraining (): boolean { return this.#config.status.draining }

  get #isFull (): boolean {
    return this.#config.max !== Infinity && this.busy >= this.#config.max
  }

  get weight (): number {
    const { loadFactor } = this.#config
    if (this.#rampFrom === undefined) return loadFactor
    const share = (this.#settings.clock() - this.#rampFrom) / this.#settings.slowStart
    if (share < 1) return loadFactor * Math.max(smallestShare, share)
    this.#rampFrom = undefined
    return loadFactor
  }

  get busy (): number {
    let sum = 0
    for (const { counters } of this.#upstreams.values()) sum += counters.busy
    return sum
  }

  get tunnels (): number {
    let sum = 0
    for (const upstream of this.#upstreams.values()) sum += upstream.tunnels
    return sum
  }

  get traffic (): number {
    return this.#bytes('FromClient') + this.#bytes('FromUpstream') + this.#trafficOffset
  }

  #bytes (direction: 'FromClient' | 'FromUpstream'): number {
    let sum = 0
    for (const { counters } of this.#upstreams.values()) sum += counters[`tunnelBytes${direction}`] + counters[`forwardBytes${direction}`]
    return sum
  }

  /** Its upstream for a target's exchanges. */
  upstreamFor (targetUpstreams: TargetUpstreams): Upstream {
    let upstream = this.#upstreams.get(targetUpstreams)
    if (upstream === undefined) {
      upstream = new Upstream(this.#config.address, targetUpstreams.target, this.#config.connection)
      this.#upstreams.set(targetUpstreams, upstream)
    }
    return upstream
  }

  /** The upstream that a target's exchanges have had, if any. */
  upstreamOf (targetUpstreams: TargetUpstreams): Upstream | undefined {
    return this.#upstreams.get(targetUpstreams)
  }

  get upstreams (): Upstream[] {
    return [...this.#upstreams.values()]
  }

  /** Other options, from now on. Connections that live stay as they are. */
  configure (config: MemberConfig): void {
    const { address, connection } = this.#config
    this.#config = config
    if (config.address !== address || config.connection !== connection) {
      for (const upstream of this.#upstreams.values()) upstream.reconnect(config.address, config.connection)
    }
    this.#settle(undefined)
  }

  /** Leaves it out for a while. Exchanges that fail together are one failure: those that it left in are no news. */
  fail (cause: Error | undefined): void {
    const { retry, clock } = this.#settings
    if (this.#config.status.ignoreErrors || (this.#errorUntil !== undefined && clock() < this.#errorUntil)) return
    const times = Math.min(2 ** this.#failuresInARow, longestRetry)
    this.#failuresInARow++
    this.#errorUntil = clock() + retry * times
    this.#settle(cause)
  }

  succeed (): void {
    this.#failuresInARow = 0
  }

  /** When it may be tried again, by the clock. */
  get retryAt (): number | undefined { return this.#errorUntil }

  /** Takes it out of error, where its time has come or `now` is left out. */
  recover (now?: number): void {
    if (this.#errorUntil === undefined || (now !== undefined && now < this.#errorUntil)) return
    this.#errorUntil = undefined
    this.#settle(undefined)
  }

  /** What its health checks say. */
  setHealth (healthy: boolean, cause: Error | undefined): void {
    this.#healthy = healthy
    if (healthy) this.#errorUntil = undefined
    this.#settle(cause)
  }

  /** Begins with a small share of the work, and with as much traffic as those that were there before. */
  join (trafficByWeight: number): void {
    if (this.#settings.slowStart > 0) this.#rampFrom = this.#settings.clock()
    this.#trafficOffset += Math.max(0, trafficByWeight * this.#config.loadFactor - this.traffic)
  }

  #derive (): MemberState {
    const { stopped, disabled, draining } = this.#config.status
    if (stopped) return 'stopped'
    if (disabled) return 'disabled'
    if (draining) return 'draining'
    if (this.#errorUntil !== undefined) return 'error'
    return this.#healthy ? 'up' : 'unhealthy'
  }

  #settle (cause: Error | undefined): void {
    const from = this.#state
    this.#state = this.#derive()
    if (from === this.#state) return
    this.since = Date.now()
    this.#settings.onChange(this, from, cause)
  }

  info (): MemberInfo {
    const { loadFactor, lbSet, max, status, redirect } = this.#config
    const { url, route, state, since, busy, tunnels, elected, failures } = this
    return {
      url,
      route: route ?? null,
      redirect: redirect ?? null,
      state,
      since,
      status: statusLetters(status),
      loadFactor,
      lbSet,
      max: max === Infinity ? null : max,
      busy,
      tunnels,
      elected,
      failures,
      bytesFromClient: this.#bytes('FromClient'),
      bytesFromUpstream: this.#bytes('FromUpstream')
    }
  }

  /** Ends its pools, and gives what it has counted to the targets. */
  async leave (): Promise<void> {
    const upstreams = [...this.#upstreams]
    this.#upstreams.clear()
    await Promise.all(upstreams.map(async ([targetUpstreams, upstream]) => targetUpstreams.retire(upstream)))
  }
}
