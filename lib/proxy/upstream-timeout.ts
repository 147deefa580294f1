/** The timer of an upstream's response: for its final head, and then for more of its body (httpd: `timeout=`). */

/** An exchange, as its upstream's timer sees it. */
export interface Timely {
  /** True while the exchange waits for the client, not for the upstream. */
  readonly waitsForClient: boolean
  /** Called when the upstream has sent nothing for too long. */
  upstreamIsLate (): void
}

/** One of Node's own timers, which is exact to the millisecond: those of undici are late by up to a second. */
export class UpstreamTimer {
  readonly #exchange: Timely
  #timer: NodeJS.Timeout | undefined = undefined

  constructor (exchange: Timely) {
    this.#exchange = exchange
  }

  /**
   * Starts the timer.
   * @param timeout the time in milliseconds; 0 is no limit
   */
  start (timeout: number): void {
    this.stop()
    if (timeout > 0) this.#timer = setTimeout(elapsed, timeout, this)
  }

  /** Restarts the time: the upstream has sent bytes, or the exchange waits for it from now on. */
  refresh (): void {
    this.#timer?.refresh()
  }

  stop (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** @internal */
  elapsed (): void {
    if (this.#exchange.waitsForClient) return this.refresh()
    this.stop()
    this.#exchange.upstreamIsLate()
  }
}

function elapsed (timer: UpstreamTimer): void {
  timer.elapsed()
}
