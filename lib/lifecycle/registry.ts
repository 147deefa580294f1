/** The live tunnels and exchanges of one server: the sweep over their timers, and the drain. */
import type { Target } from '../config/target.ts'
import { outsideRequests } from '../net/async-context.ts'
import { monotonicNow } from '../net/clock.ts'
import { DenseSet, type Indexed } from '../net/dense-set.ts'
import type { TunnelEnds } from '../tunnel/tunnel.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { DrainPlan } from './drain-schedule.ts'
import { type TunnelFacts, TunnelSession, type TunnelSessionOwner } from './tunnel-session.ts'

/**
 * The interval of the sweep over the timers of all tunnels, in milliseconds: a fortieth of the shortest timer, within these bounds. No
 * timer fires later than two intervals after its time, and thousands of idle tunnels cost next to nothing.
 */
const pace = { fastest: 100, slowest: 1000, share: 1 / 40 }

/** An exchange that lives for a while and can be aborted: an upgrade in flight or a forward. */
export interface Breakable extends Indexed {
  abort (): void
  /** Called when a drain begins. An upgrade without a place is refused at once; the rest may go on until it is aborted. */
  drainBegun? (): void
}

/** Upstreams whose tunnels are being closed. */
interface Retirement {
  readonly upstreams: readonly Upstream[]
  readonly left: Set<TunnelSession>
  /** True after the window: tunnels that still open are ended at once. */
  readonly over: boolean
  readonly done: () => void
}

export class Registry implements TunnelSessionOwner {
  /** True if new upgrades are refused. */
  draining = false
  /** True while the server closes, so that it keeps no connection alive. */
  closing = false
  readonly #tunnels: Set<TunnelSession> = new Set()
  readonly #upgrades: DenseSet<Breakable> = new DenseSet()
  readonly #forwards: DenseSet<Breakable> = new DenseSet()
  #sweeper: NodeJS.Timeout | undefined = undefined
  /** The milliseconds between two sweeps; without meaning if there is no sweeper. */
  #pace = pace.slowest
  #nextId = 1
  readonly #retiring: Set<Retirement> = new Set()
  /** The callers that wait for the last exchange to end. */
  #waiting: Array<{ readonly forwards: boolean, readonly done: () => void }> = []

  get size (): number {
    return this.#tunnels.size
  }

  /** The live tunnels. Iteration stays valid while tunnels open and close. */
  values (): IterableIterator<TunnelSession> {
    return this.#tunnels.values()
  }

  /** Opens a tunnel, which stays registered until its end. */
  open (ends: TunnelEnds, facts: TunnelFacts, complete: () => void): TunnelSession {
    const tunnel = new TunnelSession(this, (this.#nextId++).toString(36), ends, facts, complete)
    this.#tunnels.add(tunnel)
    for (const { upstreams, left, over } of this.#retiring) {
      if (!upstreams.includes(facts.upstream)) continue
      left.add(tunnel)
      if (over) setImmediate(() => tunnel.drained())
    }
    this.#keepPace(paceFor(facts.target))
    return tunnel
  }

  #keepPace (wanted: number): void {
    if (this.#sweeper !== undefined && this.#pace <= wanted) return
    clearInterval(this.#sweeper)
    this.#pace = wanted
    this.#sweeper = outsideRequests(startSweeper, this, wanted)
  }

  /** @internal */
  remove (tunnel: TunnelSession): void {
    this.#tunnels.delete(tunnel)
    for (const { left } of this.#retiring) left.delete(tunnel)
    if (this.#tunnels.size === 0) {
      clearInterval(this.#sweeper)
      this.#sweeper = undefined
    }
    this.#settle()
  }

  /** Registers an exchange until it ends, so that a drain can wait for it and abort it. */
  track (kind: 'upgrade' | 'forward', exchange: Breakable): void {
    this.#rosterOf(kind).add(exchange)
  }

  /** Removes an exchange that has ended. Idempotent. */
  untrack (kind: 'upgrade' | 'forward', exchange: Breakable): void {
    if (this.#rosterOf(kind).delete(exchange)) this.#settle()
  }

  #rosterOf (kind: 'upgrade' | 'forward'): DenseSet<Breakable> {
    return kind === 'upgrade' ? this.#upgrades : this.#forwards
  }

  /** Adds the bytes that live tunnels have moved so far to the counters. */
  account (): void {
    for (const tunnel of this.#tunnels) tunnel.account()
  }

  /** @internal */
  sweep (): void {
    const now = monotonicNow()
    const fresh: TunnelSession[] = []
    for (const tunnel of this.#tunnels) {
      tunnel.sweep(now)
      if (!tunnel.fresh) continue
      tunnel.fresh = false
      fresh.push(tunnel)
    }
    keepAlive(fresh)
  }

  /**
   * Drains: refuses new upgrades, lets live tunnels go on for `timeout` milliseconds, sends WebSockets Close 1001 in the last part of that
   * time, and then ends the remaining tunnels.
   * @param forwards true to wait for forwards and abort them, too
   */
  async drain (timeout: number, forwards: boolean): Promise<void> {
    this.draining = true
    for (const upgrade of this.#upgrades.values()) upgrade.drainBegun?.()
    const plan = new DrainPlan(timeout, this.#tunnels, {
      breakOff: () => {
        for (const upgrade of this.#upgrades.values()) upgrade.abort()
        if (forwards) for (const forward of this.#forwards.values()) forward.abort()
      }
    })
    await new Promise<void>((resolve) => {
      this.#waiting.push({ forwards, done: resolve })
      this.#settle()
    })
    plan.cancel()
  }

  /**
   * Sends the tunnels of these upstreams Close 1001, spread over `window` milliseconds, then ends the remaining ones, also those whose
   * upgrades are still in flight. Resolves when none is left.
   */
  async retire (upstreams: readonly Upstream[], window: number): Promise<void> {
    const left = new Set([...this.#tunnels].filter(({ facts }) => upstreams.includes(facts.upstream)))
    const retirement = { upstreams, left, over: false, done: () => {} }
    const plan = new DrainPlan(window, left, { tellFrom: 0, breakOff: () => { retirement.over = true } })
    await new Promise<void>((resolve) => {
      retirement.done = resolve
      this.#retiring.add(retirement)
      this.#settle()
    })
    plan.cancel()
  }

  #settle (): void {
    for (const retirement of this.#retiring) {
      const { upstreams, left, done } = retirement
      if (left.size > 0 || upstreams.some(({ counters }) => counters.pending > 0)) continue
      this.#retiring.delete(retirement)
      done()
    }
    if (this.#waiting.length === 0 || this.#tunnels.size > 0 || this.#upgrades.size > 0) return
    const rest = this.#waiting.filter(({ forwards }) => forwards && this.#forwards.size > 0)
    const over = this.#waiting.filter((waiter) => !rest.includes(waiter))
    this.#waiting = rest
    for (const { done } of over) done()
  }
}

function paceFor ({ timers: { idle, halfClose, lifetime, stall }, asyncDelay }: Target): number {
  let shortest = Infinity
  for (const timer of [idle, halfClose, lifetime, stall, asyncDelay]) if (timer > 0 && timer < shortest) shortest = timer
  return Math.max(pace.fastest, Math.min(pace.slowest, shortest * pace.share))
}

/**
 * Enables TCP keep-alive at the first sweep after the switch: it takes eight system calls, and short tunnels never need it. It handles a
 * few tunnels at a time, so that thousands of new tunnels do not block the event loop.
 */
function keepAlive (tunnels: TunnelSession[]): void {
  for (const tunnel of tunnels.splice(-50)) tunnel.keepAlive()
  if (tunnels.length > 0) setImmediate(keepAlive, tunnels)
}

function startSweeper (registry: Registry, pace: number): NodeJS.Timeout {
  return setInterval(sweep, pace, registry).unref()
}

function sweep (registry: Registry): void {
  registry.sweep()
}
