/** The timetable of a drain: when WebSockets are sent Close 1001, and when the remaining tunnels end. */
import { monotonicNow } from '../net/clock.ts'
import type { EndpointName } from '../tunnel/endpoint.ts'

/**
 * The parts of the window in which WebSockets are sent Close 1001: first the clients, spread so that they do not reconnect all at once,
 * then the upstreams whose clients' Close has not reached them.
 */
const closeSchedule = { client: { from: 0.75, to: 0.82 }, upstream: { from: 0.86, to: 0.9 } } as const

/** The time that ending tunnels takes at the end of the window: milliseconds for each, and at most this part of the window. */
const endingTime = { each: 0.2, most: 0.1 }

/** A tunnel, as a drain sees it. */
export interface Drainable {
  /** Sends one side a Close 1001, if the protocol has one. */
  requestClose (to: EndpointName): void
  /** Ends the tunnel at once. */
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
   * @param timeout the window in milliseconds
   * @param tunnels the live tunnels, at any time
   * @param tellFrom the part of the window at which Close 1001 begins for clients
   * @param breakOff ends everything else, at the timeout
   */
  constructor (timeout: number, tunnels: ReadonlySet<Drainable>, { tellFrom = closeSchedule.client.from, breakOff = () => {} }: DrainOptions = {}) {
    this.#timeout = timeout
    this.#tunnels = tunnels
    for (const to of ['client', 'upstream'] as const) {
      const until = closeSchedule[to].to
      const from = to === 'client' ? tellFrom : closeSchedule[to].from
      this.#at(from, () => this.#spread(timeout * (until - from), (tunnel) => tunnel.requestClose(to)))
    }
    // Thousands of tunnels take a while to end, and must be gone soon after the timeout.
    this.#at(1 - endingTime.most, () => {
      const lead = Math.min(timeout * endingTime.most, tunnels.size * endingTime.each)
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

  /** Calls `act` for each tunnel, spread over the next `window` milliseconds, in the order in which they were opened. */
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

  /** Schedules a call at a part of the window: 1 is its end. */
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
