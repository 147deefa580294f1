/** One state per server: what every registration on it shares, from wherever it is called. */
import { channel, type Channel } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import type { Duplex } from 'node:stream'
import { Gate } from './admission.ts'
import { isFree } from './connection.ts'
import type { RefusalStage } from './counters.ts'
import { decide, readFacts, type Decision, type Facts, type RawRequest } from './decision.ts'
import type { WstunnelError } from './errors.ts'
import { snapshot, type MetricsSnapshot, type Metered } from './metrics.ts'
import type { Config, Target } from './options.ts'
import { Registry, type OpenTunnel } from './registry.ts'
import { clock } from './tunnel.ts'
import { Upstreams } from './upstream.ts'

/** `diagnostics_channel`s: messages are `{ tunnel, request }`, `{ tunnel, outcome }` and `{ stage, error, route, request }`. */
export const channels: { readonly open: Channel, readonly close: Channel, readonly refused: Channel } = {
  open: channel('fastify-wstunnel:tunnel:open'),
  close: channel('fastify-wstunnel:tunnel:close'),
  refused: channel('fastify-wstunnel:tunnel:refused')
}

/** The table of one registration. */
export class Table {
  readonly targets: readonly Target[]
  readonly caseSensitive: boolean
  readonly #upstreams: Map<Target, Upstreams>

  constructor (targets: readonly Target[], caseSensitive: boolean) {
    this.targets = targets
    this.caseSensitive = caseSensitive
    this.#upstreams = new Map(targets.map((target) => [target, new Upstreams(target)]))
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
  }

  add (config: Config, caseSensitive: boolean): Table {
    // A registration that only decorates has nothing to drain.
    if (config.targets.length > 0) this.#drainTimeout = Math.max(this.#drainTimeout ?? 0, config.drainTimeout)
    else this.#rootDrainTimeout = config.drainTimeout
    const table = new Table(config.targets, caseSensitive)
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
  foresee (request: RawRequest): 'switch' | 'ordinary' | undefined {
    const found = this.#find(request)
    if (found === undefined) return undefined
    return isSwitch(found.decision) ? 'switch' : 'ordinary'
  }

  /** The table that would switch, or else the first that has the path. */
  #find (request: RawRequest): Found | undefined {
    const facts = readFacts(request)
    let first: Found | undefined
    for (const table of this.#tables) {
      const decision = table.decide(facts)
      if (decision.kind === 'none') continue
      if (isSwitch(decision)) return { table, decision }
      first ??= { table, decision }
    }
    return first
  }

  metrics (): MetricsSnapshot {
    return snapshot(this.registry, this.#tables.flatMap((table) => table.metered()), clock() - this.#startedAt)
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
    const found = this.#find(request)
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
    await Promise.all(this.#tables.map((table) => table.destroy()))
  }
}

function isSwitch (decision: Decision): boolean {
  const { kind } = decision
  return kind === 'tunnel' || kind === 'upgrade' || (kind === 'refuse' && decision.unsound === true)
}
