/** The options of balancers as users write them, and what their metrics, control and messages show. */
import type { Duration } from '../config/duration.ts'
import type { TlsOptions } from '../config/tls-options.ts'
import type { Candidate } from './policies.ts'
import type { StickyCookie } from './session-affinity.ts'

/** The options in which a member may differ from its route. */
export interface MemberConnection {
  /** TLS to this member. Default: the route's. */
  tls?: TlsOptions
  /**
   * How long the plugin waits for a connection to this member, TLS included; then it tries another one, or the exchange is a 504. 0: no
   * limit. Default: the route's. httpd: `connectiontimeout=`.
   */
  connectTimeout?: Duration
  /** How long the plugin waits for this member's response head, and for more of its body. 0: no limit. Default: the route's. httpd: `timeout=`. */
  timeout?: Duration
  /** How long an upgrade may take from the dial to a verified 101. 0: no limit. Default: the route's. */
  handshakeTimeout?: Duration
}

/** The options that apply to each member. httpd: the parameters of BalancerMember. */
export interface MemberDefaults extends MemberConnection {
  /** The member's share of the work, relative to the other members: 1 to 100, decimals allowed. Default: 1. httpd: `loadfactor=`. */
  loadFactor?: number
  /** The member's set, 0 to 99. The balancer chooses among the lowest set that has a usable member. Default: 0. httpd: `lbset=`. */
  lbSet?: number
  /**
   * The maximum number of exchanges at a time, tunnels included; beyond it the balancer chooses another member, or the exchange is a 503.
   * 0 is an error. Default: none. httpd: `max=`.
   */
  max?: number
  /**
   * The initial status, as letters, each with an optional `+`: `D` disabled, `S` stopped, `I` never put in error, `R` spare, `H` hot
   * standby, `N` drain; `-` removes a letter. Default: none. httpd: `status=`.
   */
  status?: string
}

/** One upstream of a balancer. */
export interface MemberOptions extends MemberDefaults {
  /** The URL of the member: ws, wss, http or https, or `unix:/path|URL`. Its path precedes that of the request. */
  url: string | URL
  /** The route by which sticky sessions name the member. Default: none; with `stickyCookie`, a short digest of the URL. httpd: `route=`. */
  route?: string
  /** The route of the member that takes this one's sessions while it is unusable. Default: none. httpd: `redirect=`. */
  redirect?: string
}

/** Members that follow DNS: one for each address of a name. */
export interface DnsMembers extends MemberDefaults {
  /** The name to look up. It is also sent as Host, and a TLS certificate must contain it. */
  dns: string
  /** The type of the DNS records. With `'SRV'`, records also give ports, weights (`loadFactor`) and priorities (`lbSet`) (RFC 2782). Default: `'A'`. */
  type?: 'A' | 'AAAA' | 'SRV'
  /** The time between two lookups; above 0. Default: 30s. */
  refresh?: Duration
  /** The DNS servers, such as `'127.0.0.1:53'`. Default: the system's. */
  servers?: readonly string[]
  /** The scheme of the members' URLs; `'ws'` serves plain HTTP, too. Default: `'ws'`. */
  scheme?: 'ws' | 'wss' | 'http' | 'https'
  /** The port for A and AAAA records. Default: the scheme's. */
  port?: number
  /** The path that precedes the path of the request. Default: none. */
  path?: string
}

/** The options of active health checks. httpd: mod_proxy_hcheck. */
export interface HealthCheckOptions {
  /**
   * The kind of probe: `'TCP'` for a connection, `'GET'` and `'HEAD'` for a response, `'WS'` for a WebSocket handshake. Default: `'TCP'`.
   * httpd: `hcmethod=`.
   */
  method?: 'TCP' | 'GET' | 'HEAD' | 'WS'
  /** The path and query of the probe. Default: `/`. httpd: `hcuri=`. */
  uri?: string
  /** The time between two probes, above 0, ± 10 %. Default: 30s. httpd: `hcinterval=`. */
  interval?: Duration
  /** How long a whole probe may take, above 0; a longer one fails. Default: 5s. */
  timeout?: Duration
  /** The number of passes in a row that make a member healthy again, at least 1. Default: 1. httpd: `hcpasses=`. */
  passes?: number
  /** The number of failures in a row that make a member unhealthy, at least 1. Default: 1. httpd: `hcfails=`. */
  fails?: number
  /** The statuses that pass, as numbers and ranges: `[200, '300-399']`. Default: 200 to 399. */
  status?: ReadonlyArray<number | string>
  /**
   * The text that the first 64 KiB of the body must contain, or the RegExp that they must match. Only for `'GET'`. Default: any body
   * passes. httpd: `hcexpr=`.
   */
  body?: string | RegExp
}

/** A policy: how a balancer chooses a member. The names are httpd's where it has one. */
export type LbMethod = 'bybusyness' | 'byrequests' | 'bytraffic' | 'random' | 'p2c' | 'hash' | LbFunction

/** A function that chooses one of at least one candidate and returns it. `key()` returns the value that `hashBy` names; `random()` a number in [0, 1). */
export type LbFunction = (candidates: readonly Candidate[], context: { random (): number, key (): string }) => Candidate

/** A named set of upstreams, and the policy that chooses one. httpd: `<Proxy balancer://name>`. */
export interface BalancerOptions {
  /** The policy. Default: `'bybusyness'`, which counts tunnels while they live. httpd: `lbmethod=`, `byrequests` by default. */
  lbMethod?: LbMethod
  /** The key of the policy `hash`: `'client'`, `'header:name'`, `'cookie:name'` or `'query:name'`. Default: `'client'`, its address. */
  hashBy?: string
  /** The cookie, and after a `|` the URL parameter, that name a route. Default: none. httpd: `stickysession=`. */
  stickySession?: string
  /** The character before the route in that value; `'Off'`: the whole value is the route. Default: `.`. httpd: `stickysessionsep=`. */
  stickySessionSep?: string
  /** Makes the plugin set that cookie, on responses and on the 101. Default: not set. httpd: a Header directive, which misses the 101. */
  stickyCookie?: StickyCookie
  /** The members, one by one or by DNS. httpd: BalancerMember. */
  members: readonly MemberOptions[] | DnsMembers
  /**
   * How long a failed member is left out; each failure in a row doubles the time, up to eight times. 0: it takes part again at once.
   * Default: 60s. httpd: `retry=`.
   */
  retry?: Duration
  /** The statuses that put a member in error; the client still gets the response. Default: none. httpd: `failonstatus=`. */
  failOnStatus?: readonly number[]
  /** Puts a member in error if its response does not come within `timeout`. Default: false. httpd: `failontimeout=`. */
  failOnTimeout?: boolean
  /** The maximum number of other members tried for one exchange; 0: none. Default: all. httpd: `maxattempts=`. */
  maxAttempts?: number
  /** Refuses a session whose member is down (503) instead of choosing another one. Default: false. httpd: `nofailover=`. */
  noFailover?: boolean
  /** Tries all members again at once when all are in error. Default: false, 503 with Retry-After. httpd: `forcerecovery=`, On. */
  forceRecovery?: boolean
  /** Active health checks of each member. Default: none. */
  healthCheck?: HealthCheckOptions
  /** The time over which a member that joins or comes back reaches its full share. Default: 0, at once. */
  slowStart?: Duration
  /** The source of random numbers in [0, 1). Default: Math.random. */
  random?: () => number
  /** The clock in milliseconds, from any zero. Default: a monotonic clock. */
  clock?: () => number
}

/**
 * The state of a member. `up`: chosen by its load factor. `error`: left out until `retry` is over. `unhealthy`: failed its health check.
 * `draining`: serves only sessions that name its route. `disabled`, `stopped`: never chosen.
 */
export type MemberState = 'up' | 'error' | 'unhealthy' | 'draining' | 'disabled' | 'stopped'

/** A member, its state and its counters: a plain object, fresh for each call. */
export interface MemberInfo {
  /** The member's URL, without credentials. */
  url: string
  /** The route by which sticky sessions name it, or null. */
  route: string | null
  /** The route of the member that takes its sessions while it is unusable, or null. */
  redirect: string | null
  /** The state, which says if it may be chosen. */
  state: MemberState
  /** The time of the last change of its state, in milliseconds since the epoch. */
  since: number
  /** The status letters that are set. */
  status: string
  /** The share of the work. */
  loadFactor: number
  /** The set; the balancer chooses among the lowest set with a usable member. */
  lbSet: number
  /** The maximum number of exchanges at a time; null for none. */
  max: number | null
  /** The number of exchanges in flight: requests, upgrades and live tunnels. */
  busy: number
  /** The number of live tunnels. */
  tunnels: number
  /** How often a selection chose it. */
  elected: number
  /** How often it failed: no connection, no response, or a status of `failOnStatus`. */
  failures: number
  /** Bytes from clients: bodies and tunnels. */
  bytesFromClient: number
  /** Bytes from the member: bodies and tunnels. */
  bytesFromUpstream: number
}

/** A balancer and its members, as metrics show them. */
export interface BalancerMetrics {
  /** Its name. */
  balancer: string
  /** The name of its policy; `custom` for a function. */
  lbMethod: string
  /** The number of members that may be chosen now. */
  up: number
  /** The members, in the order of their configuration. */
  members: MemberInfo[]
}

/** The options of a member that may change while it serves. */
export type MemberChanges = Pick<MemberOptions, 'loadFactor' | 'lbSet' | 'max' | 'status' | 'redirect'>

/** The control of a running balancer: `app.wstunnel.balancer(name)`. No change touches a live tunnel, unless `closeTunnels` asks for it. */
export interface BalancerControl {
  /** The name, as in `balancers`. */
  readonly name: string
  /** Returns the members in the order of their configuration, without removed members that still have exchanges. */
  members (): MemberInfo[]
  /**
   * Adds a member. A removed member that still has tunnels keeps its counters.
   * @throws FST_WSTUNNEL_INVALID_OPTIONS
   */
  add (member: MemberOptions): MemberInfo
  /**
   * Removes a member; it gets no new exchange.
   * @param options.closeTunnels the time over which its WebSocket tunnels are sent Close 1001; then all its tunnels end
   * @returns a promise that resolves at the end of that time; at once without `closeTunnels`
   * @throws FST_WSTUNNEL_INVALID_OPTIONS if no member has this URL
   */
  remove (url: string, options?: { closeTunnels?: Duration }): Promise<void>
  /** Drains a member: it takes only sessions that name its route (status `N`). `closeTunnels` and errors as for `remove`. */
  drain (url: string, options?: { closeTunnels?: Duration }): Promise<void>
  /** Disables a member (status `D`): it gets no new exchange. */
  disable (url: string): void
  /** Undoes `drain`, `disable` and a failure: the member is up again, with a slow start. */
  enable (url: string): void
  /** Changes options from the next choice on; `status` adds and removes letters. */
  set (url: string, changes: MemberChanges): MemberInfo
}

/** A change of a member's state: by its health check, by a failure, by an exchange that succeeded again, or by `app.wstunnel.balancer(name)`. */
export interface MemberStateChange {
  /** The name of the balancer. */
  readonly balancer: string
  /** The URL of the member; never credentials. */
  readonly member: string
  /** The state before. */
  readonly from: MemberState
  /** The state now. */
  readonly to: MemberState
  /** The error of its upstream or its health check; `undefined` if the change is no failure. */
  readonly error: Error | undefined
}

/** A lookup of a balancer's `dns` that changed its members, or failed. */
export interface MemberLookup {
  /** The name of the balancer. */
  readonly balancer: string
  /** The DNS name that was looked up. */
  readonly name: string
  /** The URLs of all members that the balancer has now; absent if the lookup failed. */
  readonly members?: readonly string[]
  /** The error of the lookup: the members stay as they were. */
  readonly error?: Error
}

/** The message of the `diagnostics_channel` `fastify-wstunnel:member:state`. Only a `MemberStateChange` has `member`. */
export type MemberStateMessage = MemberStateChange | MemberLookup
