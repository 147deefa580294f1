/** The options of a registration: what a user writes, and what becomes of it. */
import type { BalancerConfig, BalancerOptions } from '../balancer/options.ts'
import type { Duration } from '../config/duration.ts'
import type { CommonOptions, LeaseStore, Limits, Target } from '../config/target.ts'
import type { Http2Options, Http2Settings } from '../http2/options.ts'

/** One ProxyPass line. */
export interface RouteOptions extends CommonOptions {
  /** A prefix on segment boundaries, below Fastify's own. Default: `/`. httpd: the path of ProxyPass. */
  path?: string
}

export interface WstunnelOptions extends RouteOptions {
  /** Bounds, as those of a route; here with a store besides. Default: see each. httpd: `max=`. */
  limits?: Limits & {
    /**
     * Counts `maxTunnelsPerClient` over all instances that share it, such as `redisLeases(client)` of `fastify-wstunnel/redis`. Asked behind the
     * limits of this instance; without an answer within 250 ms these alone hold. Default: none.
     */
    store?: LeaseStore
  }
  /** Fastify's prefix. Default: none. */
  prefix?: string
  /** The table: the first entry that matches decides. Without it, the options at the top are the one entry. Default: none. */
  routes?: readonly RouteOptions[]
  /** Sets of upstreams by name, for `balancer://name/path`. A name stands for the whole server. httpd: `<Proxy balancer://name>`. Default: none. */
  balancers?: Readonly<Record<string, BalancerOptions>>
  /** A path that tells, as JSON, whether the server is ready, draining, and how many members are up: 200 or 503. Default: none. */
  healthPath?: string
  /** WebSockets over HTTP/2 (RFC 8441), on a server with `http2: true`. One for the whole server: registrations that have it say the same. httpd: `H2WebSockets`. Default: none. */
  http2?: Http2Options
  /** How long `close()` lets tunnels and forwards go on. Default: 10s. */
  drainTimeout?: Duration
}

/** A registration's options, resolved. */
export interface Config {
  readonly targets: readonly Target[]
  readonly balancers: readonly BalancerConfig[]
  readonly healthPath: string | undefined
  /** `undefined` where the registration does not say. */
  readonly http2: Http2Settings | undefined
  /** Milliseconds. */
  readonly drainTimeout: number
  /** What is allowed but hardly meant: for the log. */
  readonly warnings: readonly string[]
}
