/**
 * A list whose members come and go all the time. A Set would do, but for the collector: each time that its members have been
 * replaced V8 gives it a new table, and the old ones, once tenured, keep all later ones and their members from being scavenged.
 */

/** A member's place in its list. */
export class Entry<T> {
  readonly value: T
  /** Grows from one member to the next. */
  readonly order: number
  listed = true
  previous: Entry<T> | undefined
  next: Entry<T> | undefined = undefined

  constructor (value: T, order: number, previous: Entry<T> | undefined) {
    this.value = value
    this.order = order
    this.previous = previous
  }
}

export class List<T> implements Iterable<T> {
  size = 0
  #first: Entry<T> | undefined = undefined
  #last: Entry<T> | undefined = undefined
  #order = 0

  add (value: T): Entry<T> {
    const entry = new Entry(value, this.#order++, this.#last)
    if (this.#last === undefined) this.#first = entry
    else this.#last.next = entry
    this.#last = entry
    this.size++
    return entry
  }

  /** Returns whether it was there. */
  remove (entry: Entry<T>): boolean {
    if (!entry.listed) return false
    const { previous, next } = entry
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    // What is gone must not keep alive what is not.
    entry.previous = entry.next = undefined
    entry.listed = false
    this.size--
    return true
  }

  /** In the order in which they were added; may be iterated while they come and go, and tells of those that came meanwhile. */
  * [Symbol.iterator] (): Generator<T, undefined> {
    for (let entry = this.#first; entry !== undefined;) {
      const next: Entry<T> | undefined = entry.next
      yield entry.value
      // Members come at the end only: what was the next one still is, unless it has left as well.
      entry = entry.listed ? entry.next : next?.listed === true ? next : this.#after(entry)
    }
  }

  #after (gone: Entry<T>): Entry<T> | undefined {
    let entry = this.#first
    while (entry !== undefined && entry.order < gone.order) entry = entry.next
    return entry
  }
}
