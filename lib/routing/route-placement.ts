/**
 * The Fastify routes of a table, placed so that the router alone finds the entry that decides: for each pattern, the entries that cover all
 * of its paths, in the table's order. Pure functions, run once at registration.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Target } from '../config/target.ts'
import { type PathPattern, patternKey, patternsOf, type RouterRules } from '../http/path-pattern.ts'
import { PrefixTree } from './prefix-tree.ts'

export type Constraints = Readonly<Record<string, unknown>>

/** An entry as a candidate of one pattern. */
export interface Placed {
  readonly target: Target
  /** The methods that no earlier candidate takes in every case. */
  readonly methods: readonly string[]
}

/** The candidates of a pattern for requests that meet a set of constraints, in the table's order. */
export interface PlacedGroup {
  /** The constraints that the router checks; empty for all requests. */
  readonly constraints: Constraints
  readonly candidates: readonly Placed[]
}

export interface Placement {
  readonly pattern: PathPattern
  readonly groups: readonly PlacedGroup[]
}

export interface Placements {
  readonly list: readonly Placement[]
  /** The reason why Fastify's router cannot hold the table, if there is one. */
  readonly fault: string | undefined
  /** The entries that never decide, each with an earlier entry that takes every request. */
  readonly unreached: ReadonlyMap<Target, Target>
}

/** The maximum number of routes of one pattern and method that find-my-way holds if any of them has constraints. */
const maxCandidates = 31

const none: Constraints = Object.freeze({})

export function placeRoutes (targets: readonly Target[], rules: RouterRules): Placements {
  const tree = new PrefixTree<number>(rules)
  targets.forEach(({ path }, rank) => tree.add(path, rank))
  const mixed = findMixedSegments(targets)
  if (mixed !== undefined) return { list: [], fault: mixed, unreached: new Map() }

  const wanted = new Map<string, PathPattern>()
  const want = (pattern: PathPattern): void => {
    const key = patternKey(pattern, rules)
    if (!wanted.has(key)) wanted.set(key, Object.freeze({ segments: Object.freeze(pattern.segments), exact: pattern.exact }))
  }
  for (const { path } of targets) for (const pattern of patternsOf(path, rules)) want(pattern)
  const maxPatterns = 4 * targets.length + 1000
  const list: Placement[] = []
  const reached = new Set<Target>()
  // `wanted` grows during this loop.
  for (const pattern of wanted.values()) {
    if (wanted.size > maxPatterns) return { list: [], fault: tooManyPatterns(targets), unreached: new Map() }
    const ranks = tree.covering(pattern).sort((a, b) => a - b)
    const end = ranks.find((rank) => takesAll(targets[rank] as Target)) ?? Infinity
    for (const { value: rank, prefix, segments } of tree.crossing(pattern)) {
      if (rank > end) continue
      const longer = segments.length > pattern.segments.length
      want({ segments, exact: pattern.exact && !longer })
      if (longer && (!prefix.slash || rules.ignoreTrailingSlash)) want({ segments, exact: true })
    }
    const groups = groupsOf(ranks.filter((rank) => rank <= end).map((rank) => targets[rank] as Target))
    const crowded = groups.length === 1 && (groups[0]?.candidates.length ?? 0) <= maxCandidates ? undefined : findCrowd(groups)
    if (crowded !== undefined) return { list: [], fault: crowded, unreached: new Map() }
    for (const { candidates } of groups) for (const { target } of candidates) reached.add(target)
    list.push(Object.freeze({ pattern, groups: Object.freeze(groups) }))
  }
  const unreached = new Map<Target, Target>()
  targets.forEach((target, rank) => {
    if (reached.has(target)) return
    const shadow = tree.covering({ segments: target.path.segments, exact: false }).sort((a, b) => a - b).find((other) => other < rank)
    if (shadow !== undefined) unreached.set(target, targets[shadow] as Target)
  })
  return { list, fault: undefined, unreached }
}

/** Returns true if an entry takes every request that matches its path. */
function takesAll (target: Target): boolean {
  return target.constraints === undefined && target.methods === undefined && !skipsSome(target)
}

/** Returns true if an entry leaves some requests of its path, method and constraints to later entries. */
export function skipsSome ({ upstream, webSocket, fallbackToHttp, upgrade }: Target): boolean {
  return upstream !== false && webSocket && !fallbackToHttp && upgrade !== 'NONE'
}

/** Returns the constraints of an entry that the router checks. This plugin checks a host that is a RegExp: see `route-strategy`. */
function routerConstraints ({ constraints }: Target): Constraints {
  if (constraints === undefined) return none
  const { host, ...others } = constraints
  if (!(host instanceof RegExp)) return constraints
  return Object.keys(others).length === 0 ? none : others
}

/**
 * Returns one group for each set of constraints; the group of the earliest entry comes last, and if two sets hold, the router takes
 * the last.
 */
function groupsOf (targets: readonly Target[]): PlacedGroup[] {
  const sets: Constraints[] = []
  for (const target of targets) {
    const own = routerConstraints(target)
    if (own !== none && !sets.some((known) => isDeepStrictEqual(known, own))) sets.unshift(own)
  }
  const groups: PlacedGroup[] = []
  for (const constraints of [none, ...sets]) {
    const candidates = candidatesOf(targets.filter((target) => {
      const own = routerConstraints(target)
      return own === none || isDeepStrictEqual(own, constraints)
    }))
    // A set without an entry of its own is served by the routes for all requests.
    if (candidates.length > 0 && (constraints === none || candidates.some(({ target }) => routerConstraints(target) !== none))) {
      groups.push(Object.freeze({ constraints, candidates: Object.freeze(candidates) }))
    }
  }
  return groups
}

function candidatesOf (targets: readonly Target[]): Placed[] {
  const placed: Placed[] = []
  let taken: Set<string> | undefined
  for (const target of targets) {
    const methods = taken === undefined ? target.allMethods : target.allMethods.filter((method) => taken?.has(method) !== true)
    if (methods.length === 0) continue
    placed.push(Object.freeze({ target, methods: Object.freeze(methods) }))
    if (skipsSome(target) || target.constraints?.host instanceof RegExp) continue
    if (target.methods === undefined) break
    taken = new Set([...taken ?? [], ...methods])
  }
  return placed
}

function findCrowd (groups: readonly PlacedGroup[]): string | undefined {
  const byMethod = new Map<string, Target[]>()
  for (const { candidates } of groups) {
    for (const { target, methods } of candidates) {
      for (const method of methods) {
        const crowd = byMethod.get(method)
        if (crowd === undefined) byMethod.set(method, [target])
        else if (crowd.push(target) > maxCandidates) {
          const routes = [...new Set(crowd.map(({ route }) => route))].slice(0, 4).join(', ')
          return `expected at most ${maxCandidates} entries, each with its constraints, that have one path and method (${method}), ` +
            `as many as Fastify's router holds; got more for ${routes}`
        }
      }
    }
  }
  return undefined
}

function tooManyPatterns (targets: readonly Target[]): string {
  const routes = targets.filter(({ path }) => path.segments.some(({ kind }) => kind !== 'static')).slice(0, 4).map(({ route }) => route).join(', ')
  return `expected entries whose paths do not cross so often: ${routes} and others need more than ${4 * targets.length + 1000} routes; ` +
    'put the ones with parameters behind the ones without'
}

/** Returns a description of segments that mix parameters and text and cannot be compared: the router has one order for them, and the table another. */
function findMixedSegments (targets: readonly Target[]): string | undefined {
  const first = new Map<number, { text: string, route: string }>()
  for (const { path: { segments }, route } of targets) {
    for (const [depth, segment] of segments.entries()) {
      if (segment.kind !== 'compound') continue
      const known = first.get(depth)
      if (known === undefined) first.set(depth, { text: segment.text, route })
      else if (known.text !== segment.text) return `expected no two entries that mix parameters and text in one segment differently: ${known.route}, ${route}`
    }
  }
  return undefined
}
