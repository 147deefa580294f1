/**
 * A set without an order, for the exchanges and tunnels in flight. It is not a `Set`: whenever that grows or shrinks, it leaves a table
 * behind that refers to the next; once one of these is tenured, dead or not, V8's scavenger keeps all later ones, with everything in them
 * (bench/LOG.md).
 */

/** An item that stores its own index in a dense set: -1 while it is in none. */
export interface Indexed {
  index: number
}

export class DenseSet<Item extends Indexed> {
  readonly #items: Item[] = []

  get size (): number {
    return this.#items.length
  }

  add (item: Item): void {
    item.index = this.#items.length
    this.#items.push(item)
  }

  /** Removes an item. Returns true if the set contained it. */
  delete (item: Item): boolean {
    const { index } = item
    if (index === -1) return false
    item.index = -1
    const last = this.#items.pop() as Item
    if (last === item) return true
    this.#items[index] = last
    last.index = index
    return true
  }

  /** Returns a copy of the current items: later changes of the set do not affect it. */
  values (): Item[] {
    return [...this.#items]
  }
}
