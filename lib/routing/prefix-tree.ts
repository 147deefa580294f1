/** A tree of values by path prefix, segment by segment: it finds the prefixes that cover a path or a pattern, and those that cross a pattern. */
import { type PathPattern, type PathPrefix, type RouterRules, type Segment, segmentKey } from '../http/path-pattern.ts'

const none: readonly never[] = []

interface Item<T> {
  readonly prefix: PathPrefix
  readonly value: T
}

interface Child<T, S extends Segment = Segment> {
  readonly segment: S
  readonly node: Node<T>
}

type Static = Segment & { readonly kind: 'static' }
type Compound = Segment & { readonly kind: 'compound' }

/** A node of the tree. Most nodes of a large table are leaves with one item, so they have no map and no list of their own. */
class Node<T> {
  statics: Map<string, Child<T, Static>> | undefined = undefined
  compounds: Map<string, Child<T, Compound>> | undefined = undefined
  parameter: Child<T> | undefined = undefined
  items: ReadonlyArray<Item<T>> = none
}

function * childrenOf<T> (node: Node<T>): Iterable<Child<T>> {
  yield * node.statics?.values() ?? none
  yield * node.compounds?.values() ?? none
  if (node.parameter !== undefined) yield node.parameter
}

/** A prefix that shares some paths with a pattern, while neither covers all paths of the other. */
export interface Crossing<T> {
  readonly value: T
  readonly prefix: PathPrefix
  /** The segments of the shared paths, each from the more specific of the two. */
  readonly segments: readonly Segment[]
}

export class PrefixTree<T> {
  readonly #root: Node<T> = new Node()
  readonly #rules: RouterRules

  constructor (rules: RouterRules) {
    this.#rules = rules
  }

  add (prefix: PathPrefix, value: T): void {
    let node = this.#root
    for (const segment of prefix.segments) node = (this.#same(node, segment) ?? this.#grow(node, segment)).node
    node.items = [...node.items, { prefix, value }]
  }

  #grow (parent: Node<T>, segment: Segment): Child<T> {
    const node = new Node<T>()
    const key = segmentKey(segment, this.#rules)
    if (segment.kind === 'static') (parent.statics ??= new Map()).set(key, { segment, node })
    else if (segment.kind === 'compound') (parent.compounds ??= new Map()).set(key, { segment, node })
    else parent.parameter = { segment, node }
    return { segment, node }
  }

  /** Returns the child that matches the same segments. */
  #same (node: Node<T>, segment: Segment): Child<T> | undefined {
    if (segment.kind === 'parameter') return node.parameter
    return (segment.kind === 'static' ? node.statics : node.compounds)?.get(segmentKey(segment, this.#rules))
  }

  /** Yields the children that match a segment and others, too. */
  * #wider (node: Node<T>, segment: Segment): Iterable<Child<T>> {
    if (segment.kind === 'parameter') return
    if (segment.kind === 'static') for (const child of node.compounds?.values() ?? none) if (child.segment.matches.test(segment.text)) yield child
    if (node.parameter !== undefined) yield node.parameter
  }

  /** Yields the children that match some of the texts that a segment matches. */
  * #narrower (node: Node<T>, segment: Segment): Iterable<Child<T>> {
    if (segment.kind === 'static') return
    for (const child of node.statics?.values() ?? none) if (segment.kind === 'parameter' || segment.matches.test(child.segment.text)) yield child
    if (segment.kind === 'parameter') yield * node.compounds?.values() ?? none
  }

  /** Returns the values of all prefixes that cover every path of a pattern. */
  covering ({ segments, exact }: PathPattern): T[] {
    const found: T[] = []
    const visit = (node: Node<T>, depth: number): void => {
      for (const { prefix, value } of node.items) if (depth < segments.length || !exact || this.#hasItself(prefix)) found.push(value)
      const segment = segments[depth]
      if (segment === undefined) return
      const same = this.#same(node, segment)
      if (same !== undefined) visit(same.node, depth + 1)
      if (node.compounds !== undefined || node.parameter !== undefined) for (const child of this.#wider(node, segment)) visit(child.node, depth + 1)
    }
    visit(this.#root, 0)
    return found
  }

  /** Returns true if a prefix covers its own path with nothing after it. */
  #hasItself ({ slash }: PathPrefix): boolean {
    return !slash || this.#rules.ignoreTrailingSlash
  }

  /** Returns the values of all prefixes that cover a path, given by its decoded segments; the last segment is empty if the path ends with a slash. */
  having (segments: readonly string[]): T[] {
    return this.covering({ segments: segments.map((text) => ({ kind: 'static', text })), exact: true })
  }

  /** Returns the prefixes that cross a pattern, except those that the router prefers to it: at the first difference the router prefers the narrower one. */
  crossing ({ segments, exact }: PathPattern): Array<Crossing<T>> {
    const found: Array<Crossing<T>> = []
    /**
     * Walks the tree.
     * @param wins the pattern was narrower at an earlier segment
     * @param loses the prefix was narrower at an earlier segment, or is longer
     */
    const visit = (node: Node<T>, common: readonly Segment[], wins: boolean, loses: boolean): void => {
      const segment = segments[common.length]
      if (wins && loses) {
        for (const { prefix, value } of node.items) {
          if (segment !== undefined || !exact || this.#hasItself(prefix)) found.push({ value, prefix, segments: [...common, ...segments.slice(common.length)] })
        }
      }
      if (segment === undefined) {
        if (wins && !exact) for (const child of childrenOf(node)) visit(child.node, [...common, child.segment], wins, true)
        return
      }
      const same = this.#same(node, segment)
      if (same !== undefined) visit(same.node, [...common, segment], wins, loses)
      for (const child of this.#wider(node, segment)) visit(child.node, [...common, segment], true, loses)
      if (wins) for (const child of this.#narrower(node, segment)) visit(child.node, [...common, child.segment], wins, true)
    }
    visit(this.#root, [], false, false)
    return found
  }
}
