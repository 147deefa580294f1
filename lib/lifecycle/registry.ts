/** The live tunnels of one server: the sweep over their timers, and the drain. */
import type { Target } from '../config/target.ts'
import { outsideRequests } from '../net/async-context.ts'
import { monotonicNow } from '../net/clock.ts'
import { DenseSet, type Indexed } from '../net/dense-set.ts'
import type { TunnelEnds } from '../tunnel/tunnel.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { DrainPlan } from './drain-schedule.ts'
import { type TunnelFacts, TunnelSession, type TunnelSessionOwner } from './tunnel-session.ts'

/**
 * How often the timers of all tunnels are looked at, in milliseconds: at a fortieth of the shortest timer of any, within these
 * bounds. No timer is later than twice that, and thousands of idle tunnels cost next to nothing.
 */
const pace = { fastest: 100, slowest: 1000, share: 1 / 40 }

/** Anything that lives for a while and can be broken off: a handshake under way, a forward. */
export interface Breakable extends Indexed {
  abort (): void
  /** A drain begins. What was not let in yet is refused at once; the rest may go on until it is broken off. */
  drainBegun? (): void
}

/** Upstreams whose tunnels were asked to go. */
interface Retirement {
  readonly upstreams: readonly Upstream[]
  readonly left: Set<TunnelSession>
  /** Whether their time is over: what comes yet is ended at once. */
  readonly over: boolean
  readonly done: () => void
}

export class Registry implements TunnelSessionOwner {
  /** Whether new upgrades are refused. */
  draining = false
  /** Whether the server closes, so that connections are not kept. */
  closing = false
  readonly #tunnels: Set<TunnelSession> = new Set()
  readonly #upgrades: DenseSet<Breakable> = new DenseSet()
  readonly #forwards: DenseSet<Breakable> = new DenseSet()
  #sweeper: NodeJS.Timeout | undefined = undefined
  /** Milliseconds between sweeps; of no meaning without a sweeper. */
  #pace = pace.slowest
  #nextId = 1
  readonly #retiring: Set<Retirement> = new Set()
  /** Called back when the last exchange that they wait for has ended. */
  #waiting: Array<{ readonly forwards: boolean, readonly done: () => void }> = []

  get size (): number {
    return this.#tunnels.size
  }

  /** The live tunnels. May be iterated while they come and go. */
  values (): IterableIterator<TunnelSession> {
    return this.#tunnels.values()
  }

  /** A tunnel from its switch to its end. */
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

  /** Keeps an exchange until it ends, so that a drain can wait for it and break it off. */
  track (kind: 'upgrade' | 'forward', exchange: Breakable): void {
    this.#rosterOf(kind).add(exchange)
  }

  /** It has ended. May be told more than once. */
  untrack (kind: 'upgrade' | 'forward', exchange: Breakable): void {
    if (this.#rosterOf(kind).delete(exchange)) this.#settle()
  }

  #rosterOf (kind: 'upgrade' | 'forward'): DenseSet<Breakable> {
    return kind === 'upgrade' ? this.#upgrades : this.#forwards
  }

  /** Tells the counters of all bytes that live tunnels have moved so far. */
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
   * Takes no new upgrade, lets live tunnels go on for `timeout` milliseconds, tells WebSockets to go in the last part of
   * that, and then ends what is left.
   * @param forwards whether forwards are waited for, and broken off, too
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
   * Tells the tunnels of these upstreams to go, spread over `window` milliseconds, and then ends what is left of them, also
   * those whose upgrades are still under way. Resolves when there is none.
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
 * Asks for TCP keep-alive, not at the switch but at the first sweep: it takes eight system calls, and what is over soon never needs it. A
 * few at a time, so that thousands that came at once hold nobody up.
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
