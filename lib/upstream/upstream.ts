/** One upstream: the destination of exchanges, with its counters and the pool that carries its forwards. */
import type { ConnectionOverrides, Target } from '../config/target.ts'
import type { TlsOptions } from '../config/tls-options.ts'
import type { Address } from '../config/upstream-url.ts'
import { mapPath } from '../http/path-prefix.ts'
import type { DialOptions } from './connect.ts'
import { ConnectionPool } from './connection-pool.ts'
import { Counters } from './counters.ts'

/** The parts of an upstream's address that occur in its own URLs. */
export type UpstreamAddress = Pick<Address, 'secure' | 'authority' | 'hostname' | 'path'>

/** The upstream chosen for one exchange. The exchange reports its result to it. */
export interface Choice {
  readonly upstream: Upstream
  /** A `Set-Cookie` value that binds the client's next exchanges to this upstream. */
  readonly cookie: string | undefined
  /**
   * The addresses that responses of this choice are mapped back from. The path of each replaces the route's prefix there. The chosen
   * upstream comes first, then the other members of its balancer.
   */
  readonly bases: readonly UpstreamAddress[]
  /** Returns the upstream's path for a request's path. */
  pathFor (path: string, matched: number): string
  /** Returns a choice that has room for another forward, if this one's upstream has none now; itself if no upstream has room. */
  withRoom (): Choice
  /** Called when a response has come, or the switch. */
  answered (status: number): void
  /** Called when no response came. Returns the next choice, or `undefined` if the error is final. */
  failed (error: unknown, failure: Failure): Choice | undefined
}

/** The facts of a failed exchange. */
export interface Failure {
  /** True if there was a connection, so that bytes may have been sent. */
  readonly sent: boolean
  /** True if the exchange may be sent once more (RFC 9110, 9.2.2). */
  readonly again: boolean
  /** True if it was the connection's first exchange; the upstream may have closed an older connection for its age. */
  readonly fresh: boolean
}

/** One upstream of one target, and its live state (httpd: a worker). As a choice it is its own and only one. */
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

  /** The timeout in milliseconds. */
  get timeout (): number {
    return this.#own.timeout ?? this.#target.timeout
  }

  /** The handshake timeout in milliseconds. */
  get handshakeTimeout (): number {
    return this.#own.handshakeTimeout ?? this.#target.handshakeTimeout
  }

  /** Changes the options from the next connection on; exchanges in flight keep theirs. */
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

  /** The number of live tunnels. */
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
    return mapPath(path, matched, this.#target.atRoot && base.endsWith('/') ? base.slice(0, -1) : base)
  }

  withRoom (): Choice {
    return this
  }

  answered (): void {}

  failed (): undefined {}

  /** The pool of connections for forwards; upgrades never use it. */
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

  /** True if another forward would have to wait for a connection. */
  get isFull (): boolean {
    return this.#pool?.isFull === true
  }

  /** Ends the pool; forwards in flight are aborted. */
  async destroy (): Promise<void> {
    await this.#pool?.destroy()
  }
}

/** Returns the TLS options of a member: its own, or those of its route. */
export function tlsTowards ({ tls, servername }: ConnectionOverrides, byDefault: TlsOptions): TlsOptions {
  const options = tls ?? byDefault
  return servername === undefined ? options : { servername, ...options }
}
