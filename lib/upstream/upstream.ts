/** One upstream: where an exchange goes, with the pool that carries its forwards and its counters. */
import type { ConnectionOverrides, Target } from '../config/target.ts'
import type { TlsOptions } from '../config/tls-options.ts'
import type { Address } from '../config/upstream-url.ts'
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
