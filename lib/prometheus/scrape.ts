/** One snapshot for each scrape, although a registry collects every family separately. */
import type { MetricsSnapshot } from '../index.ts'

/** The maximum age in milliseconds of a snapshot that another family has taken: a scrape is shorter. */
const maxAge = 1000

export class Scrape<Key> {
  readonly #take: () => Promise<MetricsSnapshot>
  readonly #size: number
  #current: { readonly snapshot: Promise<MetricsSnapshot>, readonly takenAt: number, readonly served: Set<Key> } | undefined = undefined

  /** @param size the number of families of a scrape; after the last one the snapshot is released */
  constructor (take: () => Promise<MetricsSnapshot>, size: number) {
    this.#take = take
    this.#size = size
  }

  /** Returns the snapshot of the current scrape. A family that asks again begins a new scrape. */
  for (family: Key): Promise<MetricsSnapshot> {
    const now = performance.now()
    let current = this.#current
    if (current === undefined || current.served.has(family) || now - current.takenAt > maxAge) {
      current = this.#current = { snapshot: this.#take(), takenAt: now, served: new Set() }
    }
    current.served.add(family)
    if (current.served.size === this.#size) this.#current = undefined
    return current.snapshot
  }
}
