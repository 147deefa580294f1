/** The options of a registration as users write them, and the resolved form. */
import type { BalancerConfig } from '../balancer/config.ts'
import type { BalancerOptions } from '../balancer/options.ts'
import type { Duration } from '../config/duration.ts'
import type { CommonOptions, LeaseStore, Limits } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import type { Http2Options, Http2Settings } from '../http2/options.ts'

/** The options of one entry. httpd: a ProxyPass line. */
export interface RouteOptions extends CommonOptions {
  /** The path prefix below Fastify's own prefix; it matches on segment boundaries. Default: `/`. httpd: the path of ProxyPass. */
  path?: string
}

/** The options of a registration: one route, or a table of routes with defaults at the top. */
export interface WstunnelOptions extends RouteOptions {
  /** The limits, as those of a route, with a store in addition. Default: see each. httpd: `max=`. */
  limits?: Limits & {
    /**
     * A store that counts `maxTunnelsPerClient` over all instances that share it, such as `redisLeases(client)` of
     * `fastify-wstunnel/redis`. It is asked after the limits of this instance; without an answer within 250 ms only these apply.
     * Default: none.
     */
    store?: LeaseStore
  }
  /** Fastify's prefix for the registration. Default: none. */
  prefix?: string
  /** The table of entries: the first that matches decides. Without it, the options at the top are the only entry. Default: none. */
  routes?: readonly RouteOptions[]
  /** The balancers by name, for `balancer://name/path`. A name is unique on the whole server. Default: none. httpd: `<Proxy balancer://name>`. */
  balancers?: Readonly<Record<string, BalancerOptions>>
  /**
   * The path of a health check. It answers with JSON: the server's readiness, its drain, and the number of members that are up; 200 or 503.
   * Default: none.
   */
  healthPath?: string
  /**
   * WebSockets over HTTP/2 (RFC 8441), on a server with `http2: true`. It holds for the whole server: all registrations that set it must set the
   * same. httpd: `H2WebSockets`. Default: none.
   */
  http2?: Http2Options
  /** How long `close()` lets tunnels and forwards go on; 0 ends them at once. Default: 10s. */
  drainTimeout?: Duration
}

/** The resolved options of a registration. */
export interface Config {
  readonly targets: readonly Target[]
  readonly balancers: readonly BalancerConfig[]
  readonly healthPath: string | undefined
  /** `undefined` if the registration does not set it. */
  readonly http2: Http2Settings | undefined
  /** The drain timeout in milliseconds. */
  readonly drainTimeout: number
  /** The findings about values that are allowed, but most likely a mistake: for the log. */
  readonly warnings: readonly string[]
}
