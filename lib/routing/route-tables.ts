/**
 * The tables of all registrations on one server. They tell which entry may serve a request that the router has not seen yet, or has read in
 * one of several ways.
 */
import type { FastifyInstance } from 'fastify'
import type { Target } from '../config/target.ts'
import { defaultRules, type RouterRules } from '../http/path-pattern.ts'
import { acceptedToken } from './decision.ts'
import { type Indexed, PathIndex } from './path-index.ts'
import type { RequestFacts } from './request-facts.ts'
import { bySpecificity, firstOf, type Found, isSwitch, type Metered, type RouteTable } from './route-table.ts'

export class RouteTables {
  /** The rules by which this server's router reads paths. */
  readonly rules: RouterRules
  readonly #tables: RouteTable[] = []
  readonly #index: PathIndex<RouteTable>
  /** One target for each set of protocols that some entry accepts. */
  readonly #acceptors: Map<string, Target> = new Map()
  /** True if the server has a `rewriteUrl`; `undefined` until a request shows it. */
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

  /** The targets of all tables, in the order of registration. */
  get targets (): Target[] {
    return this.#tables.flatMap(({ targets }) => targets)
  }

  metered (): Metered[] {
    return this.#tables.flatMap((table) => table.metered())
  }

  /** Called when the router looks a request up. */
  onLookup (request: object): void {
    this.#rewrites ??= 'originalUrl' in request
  }

  /** Returns true if a path, read in another way, belongs to another entry than the router's choice. */
  isAmbiguous (path: string, found: Target, host: string): boolean {
    return this.#index.isAmbiguous(path, found, host)
  }

  /**
   * Predicts the outcome of a request that the router has not seen yet; `undefined` if no entry covers its path. A request that would
   * switch if it were valid is not ordinary: it is refused, and never reinjected to be read again. Only the router decides: a wrong
   * prediction just makes the request take the longer way.
   * @param alone true if nothing else listens for upgrades
   */
  previewDecision (facts: RequestFacts, alone: boolean): 'switch' | 'ordinary' | undefined {
    const found = this.find(facts)
    if (found !== undefined) return isSwitch(found.decision) ? 'switch' : 'ordinary'
    // `rewriteUrl` may map any path to one of ours.
    const mayBeOurs = alone && this.#rewrites !== false && !facts.body
    return mayBeOurs && [...this.#acceptors.values()].some((target) => acceptedToken(target, facts) !== undefined) ? 'switch' : undefined
  }

  /**
   * Returns the entry that would switch, or else the first that would take the request. For a request with a body, which cannot be
   * reinjected once it is routed, returns the entry that the router most likely finds.
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

/** Returns the rules by which an application's router reads paths. Fastify takes these options at its own top level as well. */
export function rulesOf ({ initialConfig }: FastifyInstance): RouterRules {
  const given: Partial<RouterRules> = { ...initialConfig, ...initialConfig.routerOptions }
  const names = Object.keys(defaultRules) as Array<keyof RouterRules>
  return Object.freeze(Object.fromEntries(names.map((name) => [name, given[name] ?? defaultRules[name]]))) as unknown as RouterRules
}
