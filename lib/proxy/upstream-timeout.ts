/** The time that an upstream has for a response: up to its final head, and then for more of its body (httpd: `timeout=`). */

/** An exchange, as its upstream's timer looks at it. */
export interface Timely {
  /** Whether it is not the upstream that is waited for now. */
  readonly waitsForClient: boolean
  /** The upstream has sent nothing for too long. */
  upstreamIsLate (): void
}

/** A timer of Node's own, which is right to the millisecond: those of undici are late by up to a second. */
export class UpstreamTimer {
  readonly #exchange: Timely
  #timer: NodeJS.Timeout | undefined = undefined

  constructor (exchange: Timely) {
    this.#exchange = exchange
  }

  /** @param timeout in milliseconds; 0 is none */
  start (timeout: number): void {
    this.stop()
    if (timeout > 0) this.#timer = setTimeout(elapsed, timeout, this)
  }

  /** The upstream has sent something, or it is its turn from now on. */
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
