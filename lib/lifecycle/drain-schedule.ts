/** The timetable of a drain: when WebSockets are told to go, and when what is left is broken off. */
import { monotonicNow } from '../net/clock.ts'
import type { EndpointName } from '../tunnel/endpoint.ts'

/**
 * The parts of the window in which WebSockets are told to go: first the clients, spread so that they do not return as one herd,
 * and then the upstreams of those that have not passed a client's Close on to them.
 */
const closeSchedule = { client: { from: 0.75, to: 0.82 }, upstream: { from: 0.86, to: 0.9 } } as const

/** What breaking a tunnel off takes of the window's end: milliseconds for each, and at most this part of the window. */
const breakingOff = { each: 0.2, most: 0.1 }

/** A tunnel, as a drain sees it. */
export interface Drainable {
  /** Tells one side to go, where the protocol has a word for that. */
  requestClose (to: EndpointName): void
  /** Ends it at once. */
  drained (): void
}

export interface DrainOptions {
  readonly tellFrom?: number
  readonly breakOff?: () => void
}

export class DrainPlan {
  readonly #timeout: number
  readonly #tunnels: ReadonlySet<Drainable>
  readonly #startedAt: number = monotonicNow()
  readonly #timers: Set<NodeJS.Timeout> = new Set()

  /**
   * @param timeout milliseconds
   * @param tunnels those that live, at any time
   * @param tellFrom the part of the window from which on clients are told
   * @param breakOff ends what there is besides, at the timeout
   */
  constructor (timeout: number, tunnels: ReadonlySet<Drainable>, { tellFrom = closeSchedule.client.from, breakOff = () => {} }: DrainOptions = {}) {
    this.#timeout = timeout
    this.#tunnels = tunnels
    for (const to of ['client', 'upstream'] as const) {
      const until = closeSchedule[to].to
      const from = to === 'client' ? tellFrom : closeSchedule[to].from
      this.#at(from, () => this.#spread(timeout * (until - from), (tunnel) => tunnel.requestClose(to)))
    }
    // Thousands of tunnels take a while to end, and are to be gone soon after the timeout.
    this.#at(1 - breakingOff.most, () => {
      const lead = Math.min(timeout * breakingOff.most, tunnels.size * breakingOff.each)
      this.#in(this.#left() - lead, () => this.#spread(lead, (tunnel) => tunnel.drained()))
    })
    this.#at(1, () => {
      for (const tunnel of tunnels) tunnel.drained()
      breakOff()
    })
  }

  cancel (): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** Does something to each tunnel at its own moment of the next `window` milliseconds, in the order in which they were opened. */
  #spread (window: number, act: (tunnel: Drainable) => void): void {
    const tunnels = [...this.#tunnels]
    const startedAt = monotonicNow()
    let next = 0
    const step = (): void => {
      const share = window === 0 ? 1 : (monotonicNow() - startedAt) / window
      const until = Math.min(tunnels.length, Math.ceil(share * tunnels.length))
      for (; next < until; next++) {
        const tunnel = tunnels[next] as Drainable
        if (this.#tunnels.has(tunnel)) act(tunnel)
      }
      if (next < tunnels.length) this.#in(window / 50, step)
    }
    step()
  }

  #left (): number {
    return this.#timeout - (monotonicNow() - this.#startedAt)
  }

  /** At a part of the window: 1 is its end. */
  #at (part: number, act: () => void): void {
    this.#in(this.#timeout * part, act)
  }

  #in (ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, Math.max(0, ms))
    this.#timers.add(timer)
  }
}
