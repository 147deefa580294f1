/**
 * The entries of all registrations by their whole paths. The index decides nothing: it predicts the router's choice, so that an upgrade
 * takes the right way to it, and finds paths that a later reader could take for another entry's.
 */
import type { Target } from '../config/target.ts'
import type { RouterRules } from '../http/path-pattern.ts'
import { decode, isDisputed, otherReadings, routerSegments } from './path-readings.ts'
import { PrefixTree } from './prefix-tree.ts'

/** An entry and its place in the tables. */
export interface Indexed<T> {
  readonly table: T
  readonly rank: number
  readonly target: Target
}

export class PathIndex<T> {
  readonly #tree: PrefixTree<Indexed<T>>
  readonly #rules: RouterRules

  constructor (rules: RouterRules) {
    this.#tree = new PrefixTree(rules)
    this.#rules = rules
  }

  add (table: T, targets: readonly Target[]): void {
    targets.forEach((target, rank) => this.#tree.add(target.prefix, { table, rank, target }))
  }

  /** Returns the entries whose prefix covers a raw path, in the order of their tables. */
  having (path: string): Array<Indexed<T>> {
    const merged = this.#rules.ignoreDuplicateSlashes ? path.replace(/\/{2,}/g, '/') : path
    return this.#tree.having(routerSegments(merged)).sort((a, b) => a.rank - b.rank)
  }

  /**
   * Returns true if an entry other than the router's choice would serve the path, read in another way.
   * @param host the host that the router has seen: entries for other hosts do not count
   */
  isAmbiguous (path: string, found: Target, host: string): boolean {
    if (path.length > this.#rules.maxParamLength && this.#isPassedOver(path, found, host)) return true
    if (!isDisputed(path)) return false
    const own = new Set(this.having(path).map(({ target }) => target))
    return otherReadings(path).some((segments) => {
      const others = this.#tree.having(segments).filter(({ target }) => isOfHost(target, host))
      if (others.length === 0) return false
      const stays = others.find(({ target }) => target === found)
      if (stays === undefined) return true
      return others.some(({ table, rank, target }) => !own.has(target) && (table !== stays.table || rank < stays.rank))
    })
  }

  /** Returns true if the router skipped an entry that would come first, because a parameter is too long for it. */
  #isPassedOver (path: string, found: Target, host: string): boolean {
    const { ignoreDuplicateSlashes, maxParamLength } = this.#rules
    const segments = (ignoreDuplicateSlashes ? path.replace(/\/{2,}/g, '/') : path).slice(1).split('/')
    const tooLong = segments.map((segment) => segment.length > maxParamLength && decode(segment).length > maxParamLength)
    if (!tooLong.includes(true)) return false
    const entries = this.having(path).filter(({ target }) => isOfHost(target, host))
    const own = entries.find(({ target }) => target === found)
    return entries.some(({ table, rank, target }) => {
      const isBehind = own !== undefined && table === own.table && rank >= own.rank
      return !isBehind && target.prefix.segments.some(({ kind }, i) => kind !== 'static' && tooLong[i] === true)
    })
  }
}

/** Returns false if an entry is for other hosts. */
export function isOfHost ({ constraints }: Target, host: string): boolean {
  const wanted = constraints?.host
  return wanted === undefined || (wanted instanceof RegExp ? wanted.test(host) : wanted === host)
}
