/** Upstreams: where a target's exchanges go, with the pool that carries its forwards and the counters of all. */
import type { FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { Client, Pool, type Dispatcher } from 'undici'
import { parseAddress, type Address } from './address.ts'
import { Counters } from './counters.ts'
import { dial, type DialOptions } from './dial.ts'
import { InvalidUpstreamError } from './errors.ts'
import { Continues } from './interim.ts'
import type { Target, UpstreamFunction } from './options.ts'
import { mapPath } from './path.ts'

/** One upstream of one target, and its live state. httpd: a worker. */
export class Upstream {
  readonly address: Address
  readonly counters: Counters = new Counters()
  readonly dialling: DialOptions
  readonly #target: Target
  /** What the matched prefix is replaced by. */
  readonly #base: string
  #pool: Pool | undefined = undefined

  constructor (address: Address, target: Target) {
    this.address = address
    this.#target = target
    const { tls, connectTimeout, keepAlive } = target
    this.dialling = { address, tls, connectTimeout, keepAlive }
    this.#base = target.atRoot ? address.path.replace(/\/$/, '') : address.path
  }

  get label (): string {
    return this.address.label
  }

  /** Live tunnels. */
  get tunnels (): number {
    return this.counters.active + this.counters.suspended
  }

  /** The upstream's path for a request's. */
  pathFor (path: string, matched: number): string {
    return mapPath(path, matched, this.#base)
  }

  /** Connections for forwards; upgrades never take theirs from here. */
  get pool (): Pool {
    this.#pool ??= this.#openPool()
    return this.#pool
  }

  #openPool (): Pool {
    const { address, dialling } = this
    const { timeout, limits } = this.#target
    return new Pool(`${address.secure ? 'https' : 'http'}://${address.authority}`, {
      pipelining: 1,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      maxHeaderSize: limits.maxResponseHead,
      factory: (origin, options) => new Connection(origin, options, dialling)
    })
  }

  /** Ends the pool; forwards that are under way are aborted. */
  async destroy (): Promise<void> {
    await this.#pool?.destroy()
  }
}

/** One connection of a pool. */
class Connection extends Client {
  readonly #continues: Continues

  constructor (origin: URL, options: object, dialling: DialOptions) {
    const continues = new Continues()
    super(origin, {
      ...options,
      connect: (_, callback) => {
        dial(dialling, (error, dialled) => {
          if (error !== null || dialled === null) return callback(error as Error, null)
          continues.watch(dialled.stream)
          callback(null, dialled.stream as Socket)
        })
      }
    })
    this.#continues = continues
  }

  /** A pool gives a connection its next request when the one before is over. */
  override dispatch (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#continues.expect()
    return super.dispatch(options, handler)
  }
}

/** How many upstreams a function may name before those without an exchange are forgotten, oldest first. */
const mostRemembered = 1000

/** The upstreams of one target: one, or those that its function has named so far. */
export class Upstreams {
  /** Counters of upstreams that were forgotten, and of exchanges that never had one. */
  readonly rest: Counters = new Counters()
  readonly #target: Target
  readonly #known: Map<string, Upstream> = new Map()

  constructor (target: Target) {
    this.#target = target
    if (typeof target.upstream === 'object') this.#remember(target.upstream)
  }

  /**
   * The upstream for one exchange.
   * @throws InvalidUpstreamError where the function returned none; what the function throws is passed on
   */
  choose (request: FastifyRequest, signal: () => AbortSignal): Upstream | Promise<Upstream> {
    const { upstream } = this.#target
    if (typeof upstream !== 'function') return this.#known.values().next().value as Upstream
    return this.#ask(upstream, request, signal())
  }

  async #ask (choose: UpstreamFunction, request: FastifyRequest, signal: AbortSignal): Promise<Upstream> {
    const text: unknown = await choose(request, signal)
    const known = typeof text === 'string' ? this.#known.get(text) : undefined
    if (known !== undefined) {
      // Most recently used last.
      this.#known.delete(text as string)
      this.#known.set(text as string, known)
      return known
    }
    const address = typeof text === 'string' ? parseAddress(text) : undefined
    if (address === undefined) throw new InvalidUpstreamError()
    return this.#remember(address, text as string)
  }

  #remember (address: Address, key: string = address.label): Upstream {
    const upstream = new Upstream(address, this.#target)
    this.#known.set(key, upstream)
    if (this.#known.size > mostRemembered) this.#forgetOneBefore(upstream)
    return upstream
  }

  #forgetOneBefore (newest: Upstream): void {
    for (const [key, upstream] of this.#known) {
      if (upstream === newest || upstream.counters.busy > 0) continue
      this.#known.delete(key)
      this.rest.add(upstream.counters)
      void upstream.destroy()
      return
    }
  }

  values (): IterableIterator<Upstream> {
    return this.#known.values()
  }

  async destroy (): Promise<void> {
    await Promise.all([...this.values()].map((upstream) => upstream.destroy()))
  }
}
