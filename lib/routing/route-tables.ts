/** The tables of all registrations on one server: which entry may have a request that the router has not seen, or has read in one way of several. */
import type { FastifyInstance } from 'fastify'
import type { Target } from '../config/target.ts'
import { defaultRules, type RouterRules } from '../http/path-pattern.ts'
import { acceptedToken } from './decision.ts'
import { type Indexed, PathIndex } from './path-index.ts'
import type { RequestFacts } from './request-facts.ts'
import { bySpecificity, firstOf, type Found, isSwitch, type Metered, type RouteTable } from './route-table.ts'

export class RouteTables {
  /** How this server's router reads paths. */
  readonly rules: RouterRules
  readonly #tables: RouteTable[] = []
  readonly #index: PathIndex<RouteTable>
  /** A target for each set of protocols that is accepted somewhere. */
  readonly #acceptors: Map<string, Target> = new Map()
  /** Whether the server has a `rewriteUrl`; `undefined` until a request has shown it. */
  #rewrites: boolean | undefined = undefined

  constructor (rules: RouterRules) {
    this.rules = rules
    this.#index = new PathIndex(rules)
  }

  add (table: RouteTable): void {
    this.#tables.push(table)
    this.#index.add(table, table.targets)
    for (const target of table.targets) if (target.upstream !== false) this.#acceptors.set(String(target.upgrade), target)
  }

  /** Those of all tables, in the order of registration. */
  get targets (): Target[] {
    return this.#tables.flatMap(({ targets }) => targets)
  }

  metered (): Metered[] {
    return this.#tables.flatMap((table) => table.metered())
  }

  /** The router looks a request up. */
  onLookup (request: object): void {
    this.#rewrites ??= 'originalUrl' in request
  }

  /** Whether a path, read in another way, would be another entry's than the one that the router has found. */
  isAmbiguous (path: string, found: Target, host: string): boolean {
    return this.#index.isAmbiguous(path, found, host)
  }

  /**
   * What the router may make of a request that it has not seen yet: `undefined` where no entry has its path. One that would
   * switch, were it sound, is not ordinary: it is refused, and never given back to be read again. Only the router decides: a
   * request for which this is wrong takes the longer way.
   * @param alone whether nobody else listens for upgrades
   */
  previewDecision (facts: RequestFacts, alone: boolean): 'switch' | 'ordinary' | undefined {
    const found = this.find(facts)
    if (found !== undefined) return isSwitch(found.decision) ? 'switch' : 'ordinary'
    // `rewriteUrl` may make any path one of ours.
    const mayBeOurs = alone && this.#rewrites !== false && !facts.body
    return mayBeOurs && [...this.#acceptors.values()].some((target) => acceptedToken(target, facts) !== undefined) ? 'switch' : undefined
  }

  /**
   * The entry that would switch, or else the first that would take the request; of one with a body, whose way back is shut once
   * it is routed, the entry that the router most likely finds.
   */
  find (facts: RequestFacts): Found | undefined {
    let first: Found | undefined
    const entries = facts.path === undefined ? [...this.#any()] : this.#index.having(facts.path)
    for (const table of bySpecificity(entries)) {
      const found = firstOf(entries, table, facts)
      if (found === undefined) continue
      if (facts.body || isSwitch(found.decision)) return found
      first ??= found
    }
    return first
  }

  * #any (): Iterable<Indexed<RouteTable>> {
    for (const table of this.#tables) for (const [rank, target] of table.targets.entries()) yield { table, rank, target }
  }

  async destroy (): Promise<void> {
    await Promise.all(this.#tables.map((table) => table.destroy()))
  }
}

/** How the router of an application reads paths. Fastify takes these options at its own top level as well. */
export function rulesOf ({ initialConfig }: FastifyInstance): RouterRules {
  const given: Partial<RouterRules> = { ...initialConfig, ...initialConfig.routerOptions }
  const names = Object.keys(defaultRules) as Array<keyof RouterRules>
  return Object.freeze(Object.fromEntries(names.map((name) => [name, given[name] ?? defaultRules[name]]))) as unknown as RouterRules
}
