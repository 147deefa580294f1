/** Upstreams: where a target's exchanges go, with the pool that carries its forwards and the counters of all. */
import type { FastifyRequest } from 'fastify'
import type { ConnectionOverrides, Target, UpstreamFunction } from '../config/target.ts'
import type { TlsOptions } from '../config/tls-options.ts'
import { type Address, type BalancerRef, parseAddress, parseBalancerRef } from '../config/upstream-url.ts'
import { InvalidUpstreamError, TimeoutError } from '../errors.ts'
import { mapPath } from '../http/path-prefix.ts'
import type { DialOptions } from './connect.ts'
import { ConnectionPool } from './connection-pool.ts'
import { Counters } from './counters.ts'

/** An upstream as its own URLs name it. */
export type UpstreamAddress = Pick<Address, 'secure' | 'authority' | 'hostname' | 'path'>

/** Where one exchange goes, told of how that went. */
export interface Choice {
  readonly upstream: Upstream
  /** A `Set-Cookie` that makes the client's next exchange go there, too. */
  readonly cookie: string | undefined
  /**
   * What leads back from this choice's responses, by address: the path of each is what takes the place of the route's prefix there.
   * The chosen upstream first; then the other members of its balancer.
   */
  readonly bases: readonly UpstreamAddress[]
  /** The upstream's path for a request's. */
  pathFor (path: string, matched: number): string
  /** Where there is room, if its own upstream has none for another forward now; itself where there is none anywhere. */
  withRoom (): Choice
  /** A response has come, or the switch. */
  answered (status: number): void
  /** None has. Returns where to try next; `undefined` where the error stands. */
  failed (error: unknown, failure: Failure): Choice | undefined
}

/** How an exchange failed. */
export interface Failure {
  /** Whether a connection stood, and something may have been sent. */
  readonly sent: boolean
  /** Whether the exchange may be sent once more (RFC 9110, 9.2.2). */
  readonly again: boolean
  /** Whether it was the connection's first exchange: an older one may have been closed for its age. */
  readonly fresh: boolean
}

/** A balancer, as targets ask it. */
export interface UpstreamSelector {
  /** @throws WstunnelError 503 where no member is usable */
  select (request: FastifyRequest, targetUpstreams: TargetUpstreams, path: string): Choice
  /** The upstreams that a target's exchanges have had there. */
  upstreamsOf (targetUpstreams: TargetUpstreams): Iterable<Upstream>
}

/** One upstream of one target, and its live state. httpd: a worker. By itself it is its own and only choice. */
export class Upstream implements Choice {
  readonly counters: Counters = new Counters()
  readonly cookie: undefined = undefined
  readonly #target: Target
  #address: Address
  #own: ConnectionOverrides
  #dialOptions: DialOptions | undefined = undefined
  #pool: ConnectionPool | undefined = undefined

  constructor (address: Address, target: Target, own: ConnectionOverrides = {}) {
    this.#target = target
    this.#address = address
    this.#own = own
  }

  get address (): Address {
    return this.#address
  }

  get dialOptions (): DialOptions {
    if (this.#dialOptions === undefined) {
      const { tls, connectTimeout, keepAlive } = this.#target
      this.#dialOptions = {
        address: this.#address, tls: tlsTowards(this.#own, tls), connectTimeout: this.#own.connectTimeout ?? connectTimeout, keepAlive
      }
    }
    return this.#dialOptions
  }

  /** Milliseconds. */
  get timeout (): number {
    return this.#own.timeout ?? this.#target.timeout
  }

  /** Milliseconds. */
  get handshakeTimeout (): number {
    return this.#own.handshakeTimeout ?? this.#target.handshakeTimeout
  }

  /** Other options, from the next connection on; the exchanges under way end on theirs. */
  reconnect (address: Address, own: ConnectionOverrides): void {
    this.#address = address
    this.#own = own
    this.#dialOptions = undefined
    this.#pool?.close()
    this.#pool = undefined
  }

  get label (): string {
    return this.address.label
  }

  /** Live tunnels. */
  get tunnels (): number {
    return this.counters.active + this.counters.suspended
  }

  get upstream (): Upstream {
    return this
  }

  get bases (): readonly UpstreamAddress[] {
    return [this.#address]
  }

  pathFor (path: string, matched: number): string {
    const { path: base } = this.#address
    return mapPath(path, matched, this.#target.atRoot ? base.replace(/\/$/, '') : base)
  }

  withRoom (): Choice {
    return this
  }

  answered (): void {}

  failed (): undefined {}

  /** Connections for forwards; upgrades never take theirs from here. */
  get pool (): ConnectionPool {
    this.#pool ??= this.#openPool()
    return this.#pool
  }

  #openPool (): ConnectionPool {
    const { address, dialOptions, timeout } = this
    const { maxConnectionsPerUpstream, maxResponseHead } = this.#target.limits
    return new ConnectionPool({
      origin: `${address.secure ? 'https' : 'http'}://${address.authority}`,
      dialOptions,
      maxConnections: maxConnectionsPerUpstream,
      timeout,
      maxResponseHead
    })
  }

  /** Whether another forward would have to wait for a connection. */
  get isFull (): boolean {
    return this.#pool?.isFull === true
  }

  /** Ends the pool; forwards that are under way are aborted. */
  async destroy (): Promise<void> {
    await this.#pool?.destroy()
  }
}

/** TLS towards a member, by its own options or those of its route. */
export function tlsTowards ({ tls, servername }: ConnectionOverrides, byDefault: TlsOptions): TlsOptions {
  const options = tls ?? byDefault
  return servername === undefined ? options : { servername, ...options }
}

/** Waits for so many milliseconds; 0 is without end. */
async function inTime<T> (answer: T | Promise<T>, timeout: number): Promise<T> {
  if (typeof answer === 'string' || timeout === 0) return await answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(new TimeoutError()), timeout) })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/** How many upstreams a function may name before those without an exchange are forgotten, oldest first. */
const maxRemembered = 1000

/** The upstreams of one target: one, those of its balancer, or those that its function has named so far. */
export class TargetUpstreams {
  /** Counters of upstreams that were forgotten, and of exchanges that never had one. */
  readonly unattributed: Counters = new Counters()
  readonly target: Target
  readonly #known: Map<string, Upstream> = new Map()
  readonly #balancers: ReadonlyMap<string, UpstreamSelector>
  #forgetting: NodeJS.Immediate | undefined = undefined

  /** @param balancers those of the whole server */
  constructor (target: Target, balancers: ReadonlyMap<string, UpstreamSelector> = new Map()) {
    this.target = target
    this.#balancers = balancers
    const { upstream } = target
    if (typeof upstream === 'object' && 'label' in upstream) this.#remember(upstream)
  }

  /**
   * Where one exchange goes.
   * @throws InvalidUpstreamError where the function returned no upstream, TimeoutError where it took longer than `connectTimeout`; what the
   *   function throws is passed on
   * @throws WstunnelError 503 where a balancer has no usable member
   */
  choose (request: FastifyRequest, signal: () => AbortSignal): Choice | Promise<Choice> {
    const { upstream } = this.target
    if (typeof upstream === 'function') return this.#ask(upstream, request, signal())
    if (typeof upstream === 'object' && 'balancer' in upstream) return this.#select(upstream, request)
    return this.#known.values().next().value as Upstream
  }

  #select ({ balancer: name, path }: BalancerRef, request: FastifyRequest): Choice {
    const balancer = this.#balancers.get(name)
    if (balancer === undefined) throw new InvalidUpstreamError()
    return balancer.select(request, this, path)
  }

  async #ask (choose: UpstreamFunction, request: FastifyRequest, signal: AbortSignal): Promise<Choice> {
    const text: unknown = await inTime(choose(request, signal), this.target.connectTimeout)
    if (typeof text !== 'string') throw new InvalidUpstreamError()
    const known = this.#known.get(text)
    if (known !== undefined) {
      // Most recently used last.
      this.#known.delete(text)
      this.#known.set(text, known)
      return known
    }
    const ref = parseBalancerRef(text)
    if (ref !== undefined) return this.#select(ref, request)
    const address = parseAddress(text)
    if (address === undefined) throw new InvalidUpstreamError()
    return this.#remember(address, text)
  }

  #remember (address: Address, key: string = address.label): Upstream {
    const upstream = new Upstream(address, this.target)
    this.#known.set(key, upstream)
    if (this.#known.size > maxRemembered) this.#forgetSome()
    return upstream
  }

  /** Not at once: between its choice and its use, which are a few microtasks apart, an upstream looks idle. */
  #forgetSome (): void {
    this.#forgetting ??= setImmediate(() => {
      this.#forgetting = undefined
      for (const [key, upstream] of this.#known) {
        if (this.#known.size <= maxRemembered) return
        if (upstream.counters.busy > 0) continue
        this.#known.delete(key)
        void this.retire(upstream)
      }
    })
  }

  /** Keeps the counters of an upstream that goes, and ends its pool. */
  async retire (upstream: Upstream): Promise<void> {
    this.unattributed.add(upstream.counters)
    await upstream.destroy()
  }

  * values (): Generator<Upstream> {
    yield * this.#known.values()
    for (const balancer of this.#balancers.values()) yield * balancer.upstreamsOf(this)
  }

  async destroy (): Promise<void> {
    clearImmediate(this.#forgetting)
    this.#forgetting = undefined
    await Promise.all([...this.#known.values()].map((upstream) => upstream.destroy()))
  }
}
