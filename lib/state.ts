/** One state per server: what every registration on it shares, from wherever it is called. */
import { channel, type Channel } from 'node:diagnostics_channel'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Duplex } from 'node:stream'
import { Gate } from './admission.ts'
import { Balancer, type MemberChange } from './balancer.ts'
import { isFree } from './connection.ts'
import type { BalancerControl } from './balancing.ts'
import type { RefusalStage } from './counters.ts'
import { decide, readFacts, type Decision, type Facts, type RawRequest } from './decision.ts'
import { controlOf } from './control.ts'
import { InvalidOptionsError, type WstunnelError } from './errors.ts'
import { snapshot, type MetricsSnapshot, type Metered } from './metrics.ts'
import type { OpenTunnel } from './open-tunnel.ts'
import type { Config, Target } from './options.ts'
import { Registry } from './registry.ts'
import { clock } from './tunnel.ts'
import { Upstreams } from './upstream.ts'

/** `diagnostics_channel`s: messages are `{ tunnel, request }`, `{ tunnel, outcome }` and `{ stage, error, route, request }`. */
export const channels: { readonly open: Channel, readonly close: Channel, readonly refused: Channel, readonly member: Channel } = {
  open: channel('fastify-wstunnel:tunnel:open'),
  close: channel('fastify-wstunnel:tunnel:close'),
  refused: channel('fastify-wstunnel:tunnel:refused'),
  member: channel('fastify-wstunnel:member:state')
}

/** The table of one registration. */
export class Table {
  readonly targets: readonly Target[]
  readonly caseSensitive: boolean
  readonly #upstreams: Map<Target, Upstreams>

  constructor (targets: readonly Target[], caseSensitive: boolean, balancers: ReadonlyMap<string, Balancer>) {
    this.targets = targets
    this.caseSensitive = caseSensitive
    this.#upstreams = new Map(targets.map((target) => [target, new Upstreams(target, balancers)]))
  }

  decide (facts: Facts): Decision {
    return decide(this.targets, facts, this.caseSensitive)
  }

  upstreamsOf (target: Target): Upstreams {
    return this.#upstreams.get(target) as Upstreams
  }

  metered (): Metered[] {
    return [...this.#upstreams].map(([target, upstreams]) => ({ target, upstreams }))
  }

  async destroy (): Promise<void> {
    await Promise.all([...this.#upstreams.values()].map((upstreams) => upstreams.destroy()))
  }
}

interface Found {
  readonly table: Table
  readonly decision: Exclude<Decision, { kind: 'none' }>
}

export class ServerState {
  readonly server: FastifyInstance['server']
  /** Puts a request through Fastify's router. */
  readonly routing: FastifyInstance['routing']
  readonly registry: Registry = new Registry()
  readonly gate: Gate = new Gate()
  /** Those of all registrations, by name. */
  readonly balancers: Map<string, Balancer> = new Map()
  readonly #log: FastifyBaseLogger
  #drainTimeout: number | undefined = undefined
  #rootDrainTimeout = 0
  readonly #tables: Table[] = []
  /** Connections that were given back to Node. */
  readonly #returned: Set<Duplex> = new Set()
  readonly #startedAt: number = clock()
  #closing: Promise<void> | undefined = undefined

  constructor (app: FastifyInstance) {
    this.server = app.server
    this.routing = app.routing
    this.#log = app.log
  }

  add (config: Config, caseSensitive: boolean): Table {
    // A registration that only decorates has nothing to drain.
    if (config.targets.length > 0) this.#drainTimeout = Math.max(this.#drainTimeout ?? 0, config.drainTimeout)
    else this.#rootDrainTimeout = config.drainTimeout
    for (const balancer of config.balancers) this.balancers.set(balancer.name, new Balancer(balancer, this.registry, (change) => this.#tell(change)))
    const table = new Table(config.targets, caseSensitive, this.balancers)
    this.#tables.push(table)
    return table
  }

  /** Milliseconds: the longest of all registrations with routes. */
  get drainTimeout (): number {
    return this.#drainTimeout ?? this.#rootDrainTimeout
  }

  /**
   * What the tables make of a request whose route is not known yet: `undefined` where none has its path. One that would
   * switch, were it sound, is not ordinary: it is refused, and never given back to be read again.
   */
  foresee (facts: Facts): 'switch' | 'ordinary' | undefined {
    const found = this.#find(facts)
    if (found === undefined) return undefined
    return isSwitch(found.decision) ? 'switch' : 'ordinary'
  }

  /** The table that would switch, or else the first that has the path. */
  #find (facts: Facts): Found | undefined {
    let first: Found | undefined
    for (const table of this.#tables) {
      const decision = table.decide(facts)
      if (decision.kind === 'none') continue
      if (isSwitch(decision)) return { table, decision }
      first ??= { table, decision }
    }
    return first
  }

  /** Begins what balancers do by themselves. */
  async ready (): Promise<void> {
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
    if (balancer === undefined) throw new InvalidOptionsError(`name: expected a balancer, got '${name}'`)
    return controlOf(balancer, this.registry)
  }

  #tell (change: MemberChange): void {
    if (channels.member.hasSubscribers) channels.member.publish(change)
    const { error: err, ...line } = change
    if (err !== undefined || ('to' in change && (change.to === 'error' || change.to === 'unhealthy'))) this.#log.warn({ ...line, ...(err === undefined ? {} : { err }) }, titleOf(change))
    else this.#log.info(line, titleOf(change))
  }

  metrics (): MetricsSnapshot {
    return snapshot(this.registry, this.#tables.flatMap((table) => table.metered()), clock() - this.#startedAt, [...this.balancers.values()].map((balancer) => balancer.metrics()))
  }

  tunnels (): IterableIterator<OpenTunnel> {
    return this.registry.values()
  }

  refused (target: Target, stage: RefusalStage, counters: { refused: Record<RefusalStage, number> }, error: unknown, request: unknown): void {
    counters.refused[stage]++
    if (channels.refused.hasSubscribers) channels.refused.publish({ stage, error, route: target.route, request })
  }

  /** Counts an upgrade that was refused before it was routed, where a table has its path. */
  refusedUnrouted (request: RawRequest, stage: RefusalStage, error: WstunnelError): void {
    const found = this.#find(readFacts(request))
    if (found === undefined) return
    const { table, decision: { target } } = found
    this.refused(target, stage, table.upstreamsOf(target).rest, error, undefined)
  }

  /**
   * Keeps a connection that was given back to Node, until it closes. To Node it is one that has not sent its first request,
   * and so not idle: a closing server would wait for it.
   */
  returned (socket: Duplex): void {
    if (this.#returned.has(socket)) return
    this.#returned.add(socket)
    socket.once('close', () => this.#returned.delete(socket))
  }

  /** Begins the drain of a closing server. Returns at once; `closed` waits for it. */
  close (): void {
    this.registry.closing = true
    for (const socket of this.#returned) if (isFree(socket)) socket.destroy()
    this.#closing ??= this.registry.drain(this.drainTimeout, true)
  }

  async closed (): Promise<void> {
    this.close()
    await this.#closing
    await Promise.all([...this.#tables.map((table) => table.destroy()), ...[...this.balancers.values()].map((balancer) => balancer.stop())])
  }
}

function isSwitch (decision: Decision): boolean {
  const { kind } = decision
  return kind === 'tunnel' || kind === 'upgrade' || (kind === 'refuse' && decision.unsound === true)
}

function titleOf (change: MemberChange): string {
  if ('member' in change) return 'balancer member changed'
  return change.error === undefined ? 'balancer members found' : 'look-up of balancer members failed'
}
