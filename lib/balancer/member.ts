/** A member of a balancer: its state and its counters (httpd: the worker of a BalancerMember). */
import { type TargetUpstreams } from '../upstream/target-upstreams.ts'
import { Upstream } from '../upstream/upstream.ts'
import type { MemberConfig } from './config.ts'
import type { MemberInfo, MemberState } from './options.ts'
import { type Candidate, hash32 } from './policies.ts'
import { statusLetters } from './resolve-member.ts'

/** The maximum factor of `retry`: the time that a failed member is left out doubles with each failure in a row. */
const longestRetry = 8

/** The share of its load factor that a returning member begins with. */
const smallestShare = 0.1

/** The settings that members of one balancer share. Durations in milliseconds. */
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
  /** The time of the last change of its state, in milliseconds since the epoch. */
  since: number = Date.now()
  readonly seed: number
  #config: MemberConfig
  readonly #settings: MemberSettings
  #state: MemberState
  #healthy = true
  /** The time until which the member is in error, by `clock`; `undefined` if it is not in error. */
  #errorUntil: number | undefined = undefined
  #failuresInARow = 0
  /** The time at which the member joined or came back, by `clock`; `undefined` once it has its full share. */
  #rampFrom: number | undefined = undefined
  /** The bytes added to a newcomer's traffic so that it is level with the others. */
  #trafficOffset = 0
  /** The upstreams of the member, one for each target that has sent it an exchange. */
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

  /** True if the member may be chosen for an exchange that names its route; other exchanges also check `isOpen`. */
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

  /** Returns its upstream for a target's exchanges, and makes it on first use. */
  upstreamFor (targetUpstreams: TargetUpstreams): Upstream {
    let upstream = this.#upstreams.get(targetUpstreams)
    if (upstream === undefined) {
      upstream = new Upstream(this.#config.address, targetUpstreams.target, this.#config.connection)
      this.#upstreams.set(targetUpstreams, upstream)
    }
    return upstream
  }

  /** Returns its upstream for a target's exchanges, if there is one. */
  upstreamOf (targetUpstreams: TargetUpstreams): Upstream | undefined {
    return this.#upstreams.get(targetUpstreams)
  }

  get upstreams (): Upstream[] {
    return [...this.#upstreams.values()]
  }

  /** Changes the options from now on. Live connections keep theirs. */
  configure (config: MemberConfig): void {
    const { address, connection } = this.#config
    this.#config = config
    if (config.address !== address || config.connection !== connection) {
      for (const upstream of this.#upstreams.values()) upstream.reconnect(config.address, config.connection)
    }
    this.#settle(undefined)
  }

  /** Puts the member in error for a while. Exchanges that fail together count as one failure: while the member is in error, others change nothing. */
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

  /** The time at which it may be tried again, by `clock`. */
  get retryAt (): number | undefined { return this.#errorUntil }

  /** Takes the member out of error if its time has come, or if `now` is left out. */
  recover (now?: number): void {
    if (this.#errorUntil === undefined || (now !== undefined && now < this.#errorUntil)) return
    this.#errorUntil = undefined
    this.#settle(undefined)
  }

  /** Sets the result of its health checks. */
  setHealth (healthy: boolean, cause: Error | undefined): void {
    this.#healthy = healthy
    if (healthy) this.#errorUntil = undefined
    this.#settle(cause)
  }

  /** Starts with a small share of the work, and with as much traffic as the members that were there before. */
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

  /** Ends its pools, and adds its counters to those of the targets. */
  async leave (): Promise<void> {
    const upstreams = [...this.#upstreams]
    this.#upstreams.clear()
    await Promise.all(upstreams.map(async ([targetUpstreams, upstream]) => targetUpstreams.retire(upstream)))
  }
}
