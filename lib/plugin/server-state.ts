/** The state of one server, shared by every registration on it: it owns the parts, each of which is in its own folder. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { type BalancerHealth, Balancers } from '../balancer/balancers.ts'
import type { ListeningInstance } from '../downstream/upgrade-listener.ts'
import type { WstunnelError } from '../errors.ts'
import type { ConnectInstance } from '../http2/extended-connect.ts'
import type { Http2Settings } from '../http2/options.ts'
import { LeaseStores } from '../lifecycle/lease-stores.ts'
import { Registry } from '../lifecycle/registry.ts'
import { TunnelLimits } from '../lifecycle/tunnel-limits.ts'
import { monotonicNow } from '../net/clock.ts'
import { finish, finishInTurns } from '../net/steps.ts'
import { memberReporter } from '../observability/member-events.ts'
import type { MetricsSnapshot } from '../observability/metrics.ts'
import { snapshotSteps } from '../observability/metrics-snapshot.ts'
import { countRefusal } from '../observability/refusals.ts'
import type { UpgradeServer } from '../proxy/upgrade.ts'
import { type RawRequest, readFacts } from '../routing/request-facts.ts'
import { RouteClaims } from '../routing/route-claims.ts'
import { RouteTable } from '../routing/route-table.ts'
import { RouteTables, rulesOf } from '../routing/route-tables.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import type { Config } from './options.ts'

export class ServerState implements UpgradeServer, ListeningInstance, ConnectInstance {
  readonly server: FastifyInstance['server']
  /** Routes a request through Fastify. */
  readonly routing: FastifyInstance['routing']
  readonly registry: Registry = new Registry()
  readonly limits: TunnelLimits = new TunnelLimits()
  readonly leases: LeaseStores
  readonly balancers: Balancers
  readonly tables: RouteTables
  readonly claims: RouteClaims
  readonly #log: FastifyBaseLogger
  readonly #startedAt: number = monotonicNow()
  #drainTimeout: number | undefined = undefined
  #rootDrainTimeout = 0
  #closing: Promise<void> | undefined = undefined
  /** True if the application is ready for requests. */
  isReady = false
  /** What registrations say of HTTP/2; `undefined` until one does. */
  http2: { readonly settings: Http2Settings, stop (): void } | undefined = undefined

  constructor (app: FastifyInstance) {
    const rules = rulesOf(app)
    this.server = app.server
    this.routing = app.routing
    this.leases = new LeaseStores(app.log)
    this.balancers = new Balancers(this.registry, memberReporter(app.log))
    this.tables = new RouteTables(rules)
    this.claims = new RouteClaims(rules)
    this.#log = app.log
  }

  add (config: Config): RouteTable {
    // A registration that only decorates has nothing to drain.
    if (config.targets.length > 0) this.#drainTimeout = Math.max(this.#drainTimeout ?? 0, config.drainTimeout)
    else this.#rootDrainTimeout = config.drainTimeout
    for (const balancer of config.balancers) this.balancers.add(balancer)
    const table = new RouteTable(config.targets, this.balancers.byName)
    this.tables.add(table)
    return table
  }

  /** The drain timeout in milliseconds: the longest of all registrations with routes. */
  get drainTimeout (): number {
    return this.#drainTimeout ?? this.#rootDrainTimeout
  }

  async ready (): Promise<void> {
    this.isReady = true
    await this.balancers.start(this.tables.targets, this.#log)
  }

  health (): { ready: boolean, draining: boolean, balancers: BalancerHealth } {
    const { draining } = this.registry
    const balancers = this.balancers.health()
    return { ready: !draining && Object.values(balancers).every(({ up }) => up > 0), draining, balancers }
  }

  metrics (): MetricsSnapshot {
    return finish(this.#snapshotSteps())
  }

  async sampleMetrics (): Promise<MetricsSnapshot> {
    return await finishInTurns(this.#snapshotSteps())
  }

  #snapshotSteps (): Generator<undefined, MetricsSnapshot> {
    return snapshotSteps(this.registry, this.tables.metered(), monotonicNow() - this.#startedAt, this.balancers.byName.values())
  }

  /** Counts an upgrade that was refused before it was routed, if a table covers its path. */
  refusedUnrouted (request: RawRequest, stage: RefusalStage, error: WstunnelError): void {
    const found = this.tables.find(readFacts(request, this.tables.rules))
    if (found === undefined) return
    const { table, target } = found.entry
    countRefusal(target, stage, table.upstreamsOf(target).unattributed, error, undefined)
  }

  /** Starts the drain of a closing application. Returns at once; `closed` waits for its end. */
  close (): void {
    this.registry.closing = true
    this.#closing ??= this.registry.drain(this.drainTimeout, true)
  }

  async closed (): Promise<void> {
    await this.#closing
    await Promise.all([this.tables.destroy(), this.balancers.stop()])
  }
}
