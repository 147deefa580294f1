/**
 * What is under way, in no order. Not a `Set`: each time that one grows or shrinks it leaves a table behind that refers to the next, and
 * where one of these was tenured, dead or not, V8's scavenger keeps all that come after it, with whatever was in them (bench/LOG.md).
 */

/** Something that knows its index in a dense set: -1 while it is in none. */
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

  /** Returns whether it was there. */
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

  /** Those that are there now, whoever comes and goes meanwhile. */
  values (): Item[] {
    return [...this.#items]
  }
}
