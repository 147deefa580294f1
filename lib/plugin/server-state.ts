/** One state per server: what every registration on it shares, from wherever it is called. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { Balancer, type MemberChange } from '../balancer/balancer.ts'
import { controlOf } from '../balancer/control.ts'
import type { BalancerControl } from '../balancer/options.ts'
import { forName } from '../config/suggestions.ts'
import type { LeaseStore, Target } from '../config/target.ts'
import { logging } from '../config/user-function.ts'
import { InvalidOptionsError, type WstunnelError } from '../errors.ts'
import { defaultRules, parsePrefix, patternKey, type RouterRules, segmentKey } from '../http/path-pattern.ts'
import { Leases } from '../lifecycle/leases.ts'
import { Registry } from '../lifecycle/registry.ts'
import { TunnelLimits } from '../lifecycle/tunnel-limits.ts'
import type { TunnelSession } from '../lifecycle/tunnel-session.ts'
import { monotonicNow } from '../net/clock.ts'
import { channels } from '../observability/channels.ts'
import { type MetricsSnapshot, snapshotSteps } from '../observability/metrics-snapshot.ts'
import { countRefusal } from '../observability/refusals.ts'
import { finish, finishInTurns } from '../net/steps.ts'
import { acceptedToken } from '../routing/decision.ts'
import { type Indexed, PathIndex } from '../routing/path-index.ts'
import { type RawRequest, readFacts, type RequestFacts } from '../routing/request-facts.ts'
import type { Constraints, Placement } from '../routing/route-placement.ts'
import { bySpecificity, firstOf, type Found, isSwitch, RouteTable } from '../routing/route-table.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import type { Config } from './options.ts'

/** A path of the router, taken by the registration in a scope. */
interface Claim {
  readonly scope: FastifyInstance
  readonly constraints: Constraints
  readonly methods: readonly string[]
}

export class ServerState {
  readonly server: FastifyInstance['server']
  /** Puts a request through Fastify's router. */
  readonly routing: FastifyInstance['routing']
  readonly registry: Registry = new Registry()
  readonly limits: TunnelLimits = new TunnelLimits()
  /** Those of all registrations, by name. */
  readonly balancers: Map<string, Balancer> = new Map()
  readonly #leases: Map<LeaseStore, Leases> = new Map()
  readonly #log: FastifyBaseLogger
  #drainTimeout: number | undefined = undefined
  #rootDrainTimeout = 0
  readonly #tables: RouteTable[] = []
  /** How this server's router reads paths. */
  readonly rules: RouterRules
  readonly #index: PathIndex<RouteTable>
  /** A target for each set of protocols that is accepted somewhere. */
  readonly #acceptors: Map<string, Target> = new Map()
  readonly #claims: Map<string, Claim[]> = new Map()
  /** Whether the server has a `rewriteUrl`; `undefined` until a request has shown it. */
  #rewrites: boolean | undefined = undefined
  readonly #startedAt: number = monotonicNow()
  #closing: Promise<void> | undefined = undefined
  /** Whether the application is ready to take what comes. */
  isReady = false

  constructor (app: FastifyInstance) {
    this.rules = rulesOf(app)
    this.#index = new PathIndex(this.rules)
    this.server = app.server
    this.routing = app.routing
    this.#log = app.log
  }

  add (config: Config): RouteTable {
    // A registration that only decorates has nothing to drain.
    if (config.targets.length > 0) this.#drainTimeout = Math.max(this.#drainTimeout ?? 0, config.drainTimeout)
    else this.#rootDrainTimeout = config.drainTimeout
    for (const balancer of config.balancers) this.balancers.set(balancer.name, new Balancer(balancer, this.registry, (change) => this.#tell(change)))
    const table = new RouteTable(config.targets, this.balancers)
    this.#tables.push(table)
    this.#index.add(table, config.targets)
    for (const target of config.targets) if (target.upstream !== false) this.#acceptors.set(String(target.upgrade), target)
    return table
  }

  /** This server's leases in a store. */
  leasesIn (store: LeaseStore): Leases {
    const known = this.#leases.get(store)
    if (known !== undefined) return known
    const leases = new Leases(store, (err) => logging(() => {
      if (err === undefined) this.#log.info('the store of leases answers again')
      else this.#log.warn({ err }, 'the store of leases fails: until it answers, maxTunnelsPerClient holds for this instance alone')
    }))
    this.#leases.set(store, leases)
    return leases
  }

  /** Milliseconds: the longest of all registrations with routes. */
  get drainTimeout (): number {
    return this.#drainTimeout ?? this.#rootDrainTimeout
  }

  /**
   * Remembers which paths and methods of the router a registration has.
   * @throws InvalidOptionsError where another one has them already
   */
  claim (scope: FastifyInstance, placements: readonly Placement[]): void {
    const { segments, slash } = parsePrefix(scope.prefix)
    const outer = segments.map((segment) => `/${segmentKey(segment, this.rules)}`).join('') + (slash ? '/' : '')
    for (const { pattern, groups } of placements) {
      const path = `${outer}${patternKey(pattern, this.rules)}`
      for (const { constraints, candidates } of groups) {
        const known = this.#claims.get(path) ?? []
        // A host that is a RegExp is none of the group's constraints: the candidate checks it.
        for (const { target: { route, constraints: own }, methods } of candidates) {
          const told = { ...constraints, ...own }
          const other = known.find((claim) => claim.scope !== scope && isDeepStrictEqual(claim.constraints, told) && claim.methods.some((method) => methods.includes(method)))
          if (other !== undefined) throw new InvalidOptionsError(`${route}: registered twice: an earlier registration of this plugin on the same server has ${path} already. Give each a prefix or path of its own, put both into one routes table (the first entry that matches decides), or tell them apart by methods or constraints`)
          known.push({ scope, constraints: told, methods })
        }
        this.#claims.set(path, known)
      }
    }
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
    const found = this.#find(facts)
    if (found !== undefined) return isSwitch(found.decision) ? 'switch' : 'ordinary'
    // `rewriteUrl` may make any path one of ours.
    const mayBeOurs = alone && this.#rewrites !== false && !facts.body
    return mayBeOurs && [...this.#acceptors.values()].some((target) => acceptedToken(target, facts) !== undefined) ? 'switch' : undefined
  }

  /**
   * The entry that would switch, or else the first that would take the request; of one with a body, whose way back is shut once
   * it is routed, the entry that the router most likely finds.
   */
  #find (facts: RequestFacts): Found | undefined {
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

  /** Begins what balancers do by themselves. */
  async ready (): Promise<void> {
    this.isReady = true
    const used = new Set(this.#tables.flatMap(({ targets }) => targets.map(({ upstream }) => upstream))
      .flatMap((upstream) => typeof upstream === 'object' && 'balancer' in upstream ? [upstream.balancer] : []))
    const byFunction = this.#tables.some(({ targets }) => targets.some(({ upstream }) => typeof upstream === 'function'))
    for (const name of this.balancers.keys()) {
      if (!used.has(name) && !byFunction) this.#log.warn(`balancer ${name} is used by no route`)
    }
    await Promise.all([...this.balancers.values()].map((balancer) => balancer.start()))
  }

  health (): { ready: boolean, draining: boolean, balancers: Record<string, { up: number, members: number }> } {
    const { draining } = this.registry
    const balancers = Object.fromEntries([...this.balancers].map(([name, { up, size }]) => [name, { up, members: size }]))
    return { ready: !draining && Object.values(balancers).every(({ up }) => up > 0), draining, balancers }
  }

  /** @throws InvalidOptionsError */
  control (name: string): BalancerControl {
    const balancer = this.balancers.get(name)
    if (balancer === undefined) throw new InvalidOptionsError(`name: expected a balancer, got '${name}'${forName(name, [...this.balancers.keys()])}`)
    return controlOf(balancer, this.registry)
  }

  #tell (change: MemberChange): void {
    if (channels.member.hasSubscribers) channels.member.publish(change)
    logging(() => this.#write(change))
  }

  #write (change: MemberChange): void {
    const { error: err, ...line } = change
    if (err !== undefined || ('to' in change && (change.to === 'error' || change.to === 'unhealthy'))) this.#log.warn({ ...line, ...(err === undefined ? {} : { err }) }, titleOf(change))
    else this.#log.info(line, titleOf(change))
  }

  metrics (): MetricsSnapshot {
    return finish(this.#snapshotSteps())
  }

  async sampleMetrics (): Promise<MetricsSnapshot> {
    return await finishInTurns(this.#snapshotSteps())
  }

  #snapshotSteps (): Generator<undefined, MetricsSnapshot> {
    return snapshotSteps(this.registry, this.#tables.flatMap((table) => table.metered()), monotonicNow() - this.#startedAt, this.balancers.values())
  }

  tunnels (): IterableIterator<TunnelSession> {
    return this.registry.values()
  }

  /** Counts an upgrade that was refused before it was routed, where a table has its path. */
  refusedUnrouted (request: RawRequest, stage: RefusalStage, error: WstunnelError): void {
    const found = this.#find(readFacts(request, this.rules))
    if (found === undefined) return
    const { table, target } = found.entry
    countRefusal(target, stage, table.upstreamsOf(target).unattributed, error, undefined)
  }

  /** Begins the drain of an application that closes. Returns at once; `closed` waits for it. */
  close (): void {
    this.registry.closing = true
    this.#closing ??= this.registry.drain(this.drainTimeout, true)
  }

  async closed (): Promise<void> {
    await this.#closing
    await Promise.all([...this.#tables.map((table) => table.destroy()), ...[...this.balancers.values()].map((balancer) => balancer.stop())])
  }
}

/** Fastify takes these options at its own top level as well. */
function rulesOf ({ initialConfig }: FastifyInstance): RouterRules {
  const given: Partial<RouterRules> = { ...initialConfig, ...initialConfig.routerOptions }
  const names = Object.keys(defaultRules) as Array<keyof RouterRules>
  return Object.freeze(Object.fromEntries(names.map((name) => [name, given[name] ?? defaultRules[name]]))) as unknown as RouterRules
}

function titleOf (change: MemberChange): string {
  if ('member' in change) return 'balancer member changed'
  return change.error === undefined ? 'balancer members found' : 'look-up of balancer members failed'
}
