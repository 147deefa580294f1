/** One snapshot for each scrape, although a registry asks every family for itself. */
import type { MetricsSnapshot } from '../index.ts'

/** How old a snapshot may be for a family that has not had it yet, in milliseconds: a scrape takes less than that. */
const maxAge = 1000

export class Scrape<Key> {
  readonly #take: () => Promise<MetricsSnapshot>
  readonly #size: number
  #current: { readonly snapshot: Promise<MetricsSnapshot>, readonly takenAt: number, readonly served: Set<Key> } | undefined = undefined

  /** @param size how many families ask in one scrape; after the last the snapshot is let go */
  constructor (take: () => Promise<MetricsSnapshot>, size: number) {
    this.#take = take
    this.#size = size
  }

  /** A family that asks again begins a new scrape. */
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
