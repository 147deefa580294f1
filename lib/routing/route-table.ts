/** The table of one registration: its targets in order, each with its upstreams. */
import type { Balancer } from '../balancer/balancer.ts'
import type { Target } from '../config/target.ts'
import { TargetUpstreams } from '../upstream/target-upstreams.ts'
import { decide, type Decision } from './decision.ts'
import { type Indexed, isOfHost } from './path-index.ts'
import type { RequestFacts } from './request-facts.ts'

/** One target and its upstreams, as the metrics snapshot reads them. */
export interface Metered {
  readonly target: Target
  readonly upstreams: TargetUpstreams
}

/** The table of one registration. */
export class RouteTable {
  readonly targets: readonly Target[]
  readonly #upstreams: Map<Target, TargetUpstreams>

  constructor (targets: readonly Target[], balancers: ReadonlyMap<string, Balancer>) {
    this.targets = targets
    this.#upstreams = new Map(targets.map((target) => [target, new TargetUpstreams(target, balancers)]))
  }

  upstreamsOf (target: Target): TargetUpstreams {
    return this.#upstreams.get(target) as TargetUpstreams
  }

  metered (): Metered[] {
    return [...this.#upstreams].map(([target, upstreams]) => ({ target, upstreams }))
  }

  async destroy (): Promise<void> {
    await Promise.all([...this.#upstreams.values()].map((upstreams) => upstreams.destroy()))
  }
}

export interface Found {
  readonly entry: Indexed<RouteTable>
  readonly decision: Exclude<Decision, { kind: 'none' }>
}

/** Returns the tables of some entries, the one with the longest prefix first. */
export function bySpecificity (entries: ReadonlyArray<Indexed<RouteTable>>): RouteTable[] {
  const [first] = entries
  if (first === undefined) return []
  if (entries.every(({ table }) => table === first.table)) return [first.table] // nearly always
  const lengths = new Map<RouteTable, number>()
  for (const { table, target: { prefix } } of entries) lengths.set(table, Math.max(lengths.get(table) ?? 0, prefix.segments.length))
  return [...lengths].sort((a, b) => b[1] - a[1]).map(([table]) => table)
}

/** Returns the outcome of a request in a table: the first of its entries that switches, up to one that takes every request. */
export function firstOf (entries: ReadonlyArray<Indexed<RouteTable>>, table: RouteTable, facts: RequestFacts): Found | undefined {
  const host = facts.hosts[0] ?? (facts.absolute ? undefined : facts.authority)
  let first: Found | undefined
  for (const entry of entries) {
    const { target } = entry
    if (entry.table !== table || !target.allMethods.includes(facts.method)) continue
    if (host !== undefined && !isOfHost(target, host)) continue // it cannot be the router's choice
    const decision = decide([target], facts)
    if (decision.kind !== 'none') {
      if (isSwitch(decision)) return { entry, decision }
      first ??= { entry, decision }
    }
    if (target.constraints === undefined && (decision.kind !== 'none' || target.upstream === false)) break
  }
  return first
}

export function isSwitch (decision: Decision): boolean {
  const { kind } = decision
  return kind === 'upgrade-raw' || kind === 'upgrade' || (kind === 'refuse' && decision.isInvalidUpgrade === true)
}
