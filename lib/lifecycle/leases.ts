/** Places that several instances share: leases in a store, renewed while their tunnels live. A store that fails lets everybody in. */
import { randomUUID } from 'node:crypto'
import type { LeaseStore } from '../config/target.ts'
import { monotonicNow } from '../net/clock.ts'
import { outsideRequests } from '../net/async-context.ts'

/** Milliseconds that a store has for an answer. */
const answerTimeout = 250

/** Milliseconds for which a store that has failed is not asked again. */
const pause = 1000

/** How many releases are kept for a store that has failed: leases run out by themselves, too. */
const mostOwed = 10_000

/** A place of one client. */
export interface Lease {
  /** Whether the client has it; without a promise where the store is not asked. Never rejects. */
  readonly granted: Promise<boolean> | true
  /** Gives it back, also one that is yet to come. Without effect the second time. */
  release (): void
}

/** The leases of one server in one store. */
export class Leases {
  readonly #store: LeaseStore
  readonly #tell: (error: Error | undefined) => void
  /** Lease → key. */
  readonly #held: Map<string, string> = new Map()
  #timer: NodeJS.Timeout | undefined = undefined
  /** The call that renews, and until when it is waited for. */
  #renewal: { readonly until: number } | undefined = undefined
  /** Leases to be given back, lease → key, once the store answers again. */
  readonly #owed: Map<string, string> = new Map()
  #failing = false
  #askAgainAt = 0

  /** @param tell hears of a failure, once, and of `undefined` when the store answers again */
  constructor (store: LeaseStore, tell: (error: Error | undefined) => void) {
    this.#store = store
    this.#tell = tell
  }

  /** Asks for a place, at most 250 ms. Where there is no answer, the client has it, and the next renewal adds it. */
  acquire (key: string, max: number): Lease {
    const lease = randomUUID()
    this.#held.set(lease, key)
    this.#timer ??= outsideRequests(startTimer, this, this.#store.ttl / 3)
    if (monotonicNow() < this.#askAgainAt) return { granted: true, release: () => this.#release(lease, key) }
    const asked = attempt(() => this.#store.acquire(key, lease, max))
    // What comes late, or may have been taken though its answer is lost, is given back.
    const settled = (): void => { if (!this.#held.has(lease)) this.#giveBack(key, lease) }
    const granted = inTime(asked, answerTimeout).then((answer) => {
      this.#works()
      if (answer === false) this.#forget(lease)
      return answer !== false
    }, (error) => {
      this.#fails(error)
      asked.then(settled, settled)
      return true
    })
    let isAnswered = false
    const answered = (): void => { isAnswered = true }
    granted.then(answered, answered)
    return {
      granted,
      release: () => {
        if (isAnswered) this.#release(lease, key)
        else if (this.#forget(lease)) asked.then(settled, settled)
      }
    }
  }

  #release (lease: string, key: string): void {
    if (this.#forget(lease)) this.#giveBack(key, lease)
  }

  #giveBack (key: string, lease: string): void {
    if (monotonicNow() < this.#askAgainAt) return this.#owe(key, lease)
    attempt(() => this.#store.release(key, lease)).then(() => this.#works(), (error) => {
      this.#owe(key, lease)
      this.#fails(error)
    })
  }

  /** A client of a store that is gone would keep each call in memory. */
  #owe (key: string, lease: string): void {
    if (this.#owed.size < mostOwed) this.#owed.set(lease, key)
  }

  #forget (lease: string): boolean {
    const known = this.#held.delete(lease)
    if (this.#held.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    return known
  }

  /** @internal */
  async renew (): Promise<void> {
    const now = monotonicNow()
    // One at a time: a client without a connection keeps what it is asked for. After the ttl there is nothing left to wait for.
    if (this.#renewal !== undefined && now < this.#renewal.until) return
    const own = this.#renewal = { until: now + this.#store.ttl }
    const over = (): void => { if (this.#renewal === own) this.#renewal = undefined }
    const leases = new Map(this.#held)
    const renewed = attempt(() => this.#store.renew(leases))
    try {
      await inTime(renewed, Math.max(answerTimeout, this.#store.ttl / 3))
      this.#works()
    } catch (error) {
      this.#fails(error)
    }
    renewed.then(over, over)
    // Those that ended meanwhile may have been added again.
    const giveBack = (): void => { for (const [lease, key] of leases) if (!this.#held.has(lease)) this.#giveBack(key, lease) }
    renewed.then(giveBack, () => {})
  }

  #works (): void {
    this.#askAgainAt = 0
    if (!this.#failing) return
    this.#failing = false
    this.#tell(undefined)
    const owed = [...this.#owed]
    this.#owed.clear()
    for (const [lease, key] of owed) this.#giveBack(key, lease)
  }

  #fails (cause: unknown): void {
    this.#askAgainAt = monotonicNow() + pause
    if (this.#failing) return
    this.#failing = true
    this.#tell(cause instanceof Error ? cause : new Error('the store of leases failed', { cause }))
  }
}

function startTimer (leases: Leases, interval: number): NodeJS.Timeout {
  return setInterval(() => { void leases.renew() }, interval).unref()
}

/** A function of the user's may throw. */
async function attempt<T> (call: () => Promise<T>): Promise<T> {
  return await call()
}

function inTime<T> (promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the store of leases has not answered within ${ms} ms`)), ms).unref()
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
