/** Places that several instances share: leases in a store, renewed while their tunnels live. If the store fails, every client gets a place. */
import { randomUUID } from 'node:crypto'
import type { LeaseStore } from '../config/options.ts'
import { monotonicNow } from '../net/clock.ts'
import { outsideRequests } from '../net/async-context.ts'

/** The milliseconds that a store has to answer. */
const answerTimeout = 250

/** The milliseconds for which a failed store is not asked again. */
const failurePauseMs = 1000

/** The maximum number of releases remembered for a failed store: leases also expire by themselves. */
const maxOwed = 10_000

/** A place of one client. */
export interface Lease {
  /** Resolves to true if the client has the place; `true` if the store is not asked. Never rejects. */
  readonly granted: Promise<boolean> | true
  /** Gives the place back, also one that is still requested. Without effect the second time. */
  release (): void
}

/** The leases of one server in one store. */
export class Leases {
  readonly #store: LeaseStore
  readonly #tell: (error: Error | undefined) => void
  /** The leases that are held, lease → key. */
  readonly #held: Map<string, string> = new Map()
  #timer: NodeJS.Timeout | undefined = undefined
  /** The renewal in flight, and the time until which it is awaited. */
  #renewal: { readonly until: number } | undefined = undefined
  /** The leases to give back once the store answers again, lease → key. */
  readonly #owed: Map<string, string> = new Map()
  #failing = false
  #askAgainAt = 0

  /** @param tell called once with the error when the store fails, and with `undefined` when it answers again */
  constructor (store: LeaseStore, tell: (error: Error | undefined) => void) {
    this.#store = store
    this.#tell = tell
  }

  /** Requests a place, for at most 250 ms. Without an answer the client has it, and the next renewal adds it. */
  acquire (key: string, max: number): Lease {
    const lease = randomUUID()
    this.#held.set(lease, key)
    this.#timer ??= outsideRequests(startTimer, this, this.#store.ttl / 3)
    if (monotonicNow() < this.#askAgainAt) return { granted: true, release: () => this.#release(lease, key) }
    const asked = attempt(() => this.#store.acquire(key, lease, max))
    // Give back a place that comes late, or that may be taken although its answer was lost.
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

  /** Remembers a release for later. The client library of an unreachable store would keep each call in memory. */
  #owe (key: string, lease: string): void {
    if (this.#owed.size < maxOwed) this.#owed.set(lease, key)
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
    // Only one renewal at a time: a client library without a connection keeps every call. After the ttl there is nothing left to wait for.
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
    // This renewal may have added leases again that ended meanwhile.
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
    this.#askAgainAt = monotonicNow() + failurePauseMs
    if (this.#failing) return
    this.#failing = true
    this.#tell(cause instanceof Error ? cause : new Error('the lease store failed', { cause }))
  }
}

function startTimer (leases: Leases, interval: number): NodeJS.Timeout {
  return setInterval(() => { void leases.renew() }, interval).unref()
}

/** Calls a function of the store; a synchronous error becomes a rejection. */
async function attempt<T> (call: () => Promise<T>): Promise<T> {
  return await call()
}

function inTime<T> (promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the lease store did not answer within ${ms} ms`)), ms).unref()
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
