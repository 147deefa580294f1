/** The options of balancers: what a user writes, and what the rest of the plugin gets to see of it. */
import type { Duration } from '../config/duration.ts'
import type { ConnectionOverrides } from '../config/target.ts'
import type { TlsOptions } from '../config/tls-options.ts'
import type { Address } from '../config/upstream-url.ts'
import type { DnsSource } from './dns-discovery.ts'
import type { Candidate, Policy } from './policies.ts'
import type { HashSource, Stickiness, StickyCookie } from './session-affinity.ts'

/** What may differ from the route's own option for one member. */
export interface MemberConnection {
  /** TLS towards this member, instead of the route's. Default: the route's. */
  tls?: TlsOptions
  /** For a connection to it, TLS included; 0 is none. Default: the route's. httpd: `connectiontimeout=`. */
  connectTimeout?: Duration
  /** For its response head, and for more of its body; 0 is none. Default: the route's. httpd: `timeout=`. */
  timeout?: Duration
  /** From the dial to a verified 101; 0 is none. Default: the route's. */
  handshakeTimeout?: Duration
}

/** What all members have. httpd: the parameters of BalancerMember. */
export interface MemberDefaults extends MemberConnection {
  /** Its share of the work, against that of the others; 1 to 100, decimals too. Default: 1. httpd: `loadfactor=`. */
  loadFactor?: number
  /** Members of the lowest set are chosen while there is a usable one among them; 0 to 99. Default: 0. httpd: `lbset=`. */
  lbSet?: number
  /** The most exchanges, tunnels included, at a time. Default: none. httpd: `max=`. */
  max?: number
  /**
   * Letters, each with an optional `+`: `D` disabled, `S` stopped, `I` never put in error, `R` spare, `H` hot standby, `N` drain;
   * `-` takes one away again. httpd: `status=`.
   * Default: none.
   */
  status?: string
}

/** One upstream of a balancer. */
export interface MemberOptions extends MemberDefaults {
  /** A ws, wss, http or https URL, or `unix:/path|URL`; its path comes before that of the request. */
  url: string | URL
  /** What sticky sessions know it by. Default: none; with `stickyCookie` a short digest of the URL. httpd: `route=`. */
  route?: string
  /** The route that takes its sessions while it is unusable. httpd: `redirect=`. Default: none. */
  redirect?: string
}

/** Members that follow DNS: one for each address. */
export interface DnsMembers extends MemberDefaults {
  /** The name. It is what is sent as Host, and what a TLS certificate must hold. */
  dns: string
  /** Default: `'A'`. `'SRV'` brings ports, weights (`loadFactor`) and priorities (`lbSet`) of its own (RFC 2782). */
  type?: 'A' | 'AAAA' | 'SRV'
  /** How often it is looked up. Default: 30s. */
  refresh?: Duration
  /** Servers to ask, as `'127.0.0.1:53'`. Default: the system's. */
  servers?: readonly string[]
  /** Default: `'ws'`, which serves plain HTTP too. */
  scheme?: 'ws' | 'wss' | 'http' | 'https'
  /** Of A and AAAA. Default: the scheme's. */
  port?: number
  /** Comes before the path of the request. Default: none. */
  path?: string
}

/** Active health checks. httpd: mod_proxy_hcheck. */
export interface HealthCheckOptions {
  /** What is asked: a connection, a response, or a WebSocket handshake. Default: `'TCP'`. httpd: `hcmethod=`. */
  method?: 'TCP' | 'GET' | 'HEAD' | 'WS'
  /** Path and query. Default: `/`. httpd: `hcuri=`. */
  uri?: string
  /** Between two probes, give or take a tenth. Default: 30s. httpd: `hcinterval=`. */
  interval?: Duration
  /** For a whole probe. Default: 5s. */
  timeout?: Duration
  /** Passes in a row that make a member healthy again. Default: 1. httpd: `hcpasses=`. */
  passes?: number
  /** Failures in a row that make it unhealthy. Default: 1. httpd: `hcfails=`. */
  fails?: number
  /** Which statuses pass, as numbers and ranges: `[200, '300-399']`. Default: 200 to 399. */
  status?: ReadonlyArray<number | string>
  /** What the first 64 KiB of the body must hold or match. For GET. httpd: `hcexpr=`. Default: any. */
  body?: string | RegExp
}

/** A way to choose, beside httpd's. */
export type LbMethod = 'bybusyness' | 'byrequests' | 'bytraffic' | 'random' | 'p2c' | 'hash' | LbFunction

/** Chooses one of at least one candidate, and returns it. `key()` is what `hashBy` names. */
export type LbFunction = (candidates: readonly Candidate[], context: { random (): number, key (): string }) => Candidate

/** A named set of upstreams, and how one is chosen. httpd: `<Proxy balancer://name>`. */
export interface BalancerOptions {
  /** Default: `'bybusyness'`, which counts tunnels while they live. httpd: `lbmethod=`, `byrequests` by default. */
  lbMethod?: LbMethod
  /** What `hash` goes by: `'client'`, `'header:name'`, `'cookie:name'` or `'query:name'`. Default: `'client'`, its address. */
  hashBy?: string
  /** The cookie, and after a `|` the URL parameter, that name a route. Default: none. httpd: `stickysession=`. */
  stickySession?: string
  /** What stands before the route in that value; `'Off'`: the whole value is the route. Default: `.`. httpd: `stickysessionsep=`. */
  stickySessionSep?: string
  /** Sets that cookie ourselves, on responses and on the 101. Default: not. httpd: a Header directive, which misses the 101. */
  stickyCookie?: StickyCookie
  /** Its upstreams, one by one or by DNS. httpd: BalancerMember. */
  members: readonly MemberOptions[] | DnsMembers
  /** How long a failed member is left out, doubled with each failure in a row up to eight times. Default: 60s. httpd: `retry=`. */
  retry?: Duration
  /** Statuses that put a member in error; the response is sent on. Default: none. httpd: `failonstatus=`. */
  failOnStatus?: readonly number[]
  /** Whether a response that does not come in time puts a member in error. Default: false. httpd: `failontimeout=`. */
  failOnTimeout?: boolean
  /** How many other members are tried for one exchange. Default: all. httpd: `maxattempts=`. */
  maxAttempts?: number
  /** Whether a session whose member is down is refused (503). Default: false. httpd: `nofailover=`. */
  noFailover?: boolean
  /** Whether all members are tried again at once when all are in error. Default: false, 503 with Retry-After. httpd: `forcerecovery=`, On. */
  forceRecovery?: boolean
  /** Active checks of each member. Default: none. */
  healthCheck?: HealthCheckOptions
  /** How long a member that joins or comes back takes to get its full share. Default: 0. */
  slowStart?: Duration
  /** In [0, 1). Default: Math.random. */
  random?: () => number
  /** Milliseconds, from any zero. Default: a monotonic clock. */
  clock?: () => number
}

/**
 * `up`: chosen as its load factor says. `error`: left out until `retry` is over. `unhealthy`: a health check says so.
 * `draining`: only sessions that name its route. `disabled`, `stopped`: never chosen.
 */
export type MemberState = 'up' | 'error' | 'unhealthy' | 'draining' | 'disabled' | 'stopped'

/** A member, its state and its counters. Plain; a fresh object each time. */
export interface MemberInfo {
  /** Its URL. */
  url: string
  /** What sticky sessions know it by, or null. */
  route: string | null
  /** The route that takes its sessions while it is unusable, or null. */
  redirect: string | null
  /** Whether it may be chosen. */
  state: MemberState
  /** Since when, in milliseconds since the epoch. */
  since: number
  /** The status letters that are set. */
  status: string
  /** Its share of the work. */
  loadFactor: number
  /** The set that it belongs to; the lowest usable is chosen from. */
  lbSet: number
  /** The most exchanges at a time; null: no bound. */
  max: number | null
  /** Exchanges now: requests, upgrades under way and live tunnels. */
  busy: number
  /** Live tunnels. */
  tunnels: number
  /** How often it was chosen. */
  elected: number
  /** How often it failed: no connection, no response, or one of `failOnStatus`. */
  failures: number
  /** Bytes of bodies and tunnels. */
  bytesFromClient: number
  /** Bytes of bodies and tunnels. */
  bytesFromUpstream: number
}

/** A balancer and its members, as metrics show them. */
export interface BalancerMetrics {
  /** Its name. */
  balancer: string
  /** Its policy; `custom` for a function. */
  lbMethod: string
  /** Members that may be chosen now. */
  up: number
  /** In the order of their configuration. */
  members: MemberInfo[]
}

/** What may be changed of a member while it serves. */
export type MemberChanges = Pick<MemberOptions, 'loadFactor' | 'lbSet' | 'max' | 'status' | 'redirect'>

/** `app.wstunnel.balancer(name)`: a balancer while it runs. No change touches a tunnel that lives, unless it is asked to. */
export interface BalancerControl {
  /** As in `balancers`. */
  readonly name: string
  /** In the order of their configuration; those removed that still have exchanges are left out. */
  members (): MemberInfo[]
  /**
   * Adds a member. One that was removed and still has tunnels goes on with what is counted of it.
   * @throws FST_WSTUNNEL_INVALID_OPTIONS
   */
  add (member: MemberOptions): MemberInfo
  /**
   * Takes a member out; nothing new goes to it.
   * @param options.closeTunnels its WebSocket tunnels are told to go (1001) over this time, and then all are ended
   * @returns resolves when that is over; at once without it
   * @throws FST_WSTUNNEL_INVALID_OPTIONS where there is none of this URL
   */
  remove (url: string, options?: { closeTunnels?: Duration }): Promise<void>
  /** Lets a member take only the sessions that name its route (status `N`). As `remove`, otherwise. */
  drain (url: string, options?: { closeTunnels?: Duration }): Promise<void>
  /** Status `D`: nothing new goes to it. */
  disable (url: string): void
  /** Undoes `drain`, `disable` and a failure: the member is up again, with a slow start. */
  enable (url: string): void
  /** Other options, from the next choice on; `status` adds and takes away letters. */
  set (url: string, changes: MemberChanges): MemberInfo
}

/** A member's state has changed: by its health check, by a failure, by an exchange that came through again, or by `app.wstunnel.balancer(name)`. */
export interface MemberStateChange {
  /** Name of the balancer. */
  readonly balancer: string
  /** URL of the member; never credentials. */
  readonly member: string
  /** The state that it had. */
  readonly from: MemberState
  /** The state that it has now. */
  readonly to: MemberState
  /** What its upstream or its health check failed with; `undefined` where the change is no failure. */
  readonly error: Error | undefined
}

/** A look-up of a balancer's `dns` has changed its members, or has failed. */
export interface MemberLookup {
  /** Name of the balancer. */
  readonly balancer: string
  /** The DNS name that was looked up. */
  readonly name: string
  /** URLs of all members that the balancer has now; left out where the look-up failed. */
  readonly members?: readonly string[]
  /** What the look-up failed with: the members stay as they were. */
  readonly error?: Error
}

/** Message of the `diagnostics_channel` `fastify-wstunnel:member:state`. Only a `MemberStateChange` has `member`. */
export type MemberStateMessage = MemberStateChange | MemberLookup

/** A balancer's `healthCheck`, resolved. Durations in milliseconds. */
export interface HealthCheck {
  /**
   * `TCP`: the connection, with its TLS where the member has it. `GET`, `HEAD`: a complete answer (of a long one, its
   * first 64 KiB). `WS`: a WebSocket handshake.
   */
  readonly method: 'TCP' | 'GET' | 'HEAD' | 'WS'
  /** In origin-form, as it is sent. Not for TCP. */
  readonly uri: string
  /** From the beginning of one probe to the beginning of the next. */
  readonly interval: number
  /** For a whole probe. */
  readonly timeout: number
  readonly passes: number
  readonly fails: number
  /** Inclusive. */
  readonly status: ReadonlyArray<readonly [from: number, to: number]>
  readonly body: string | RegExp | undefined
}

/** What a status letter says. */
export interface StatusFlags {
  readonly disabled: boolean
  readonly stopped: boolean
  readonly ignoreErrors: boolean
  readonly spare: boolean
  readonly standby: boolean
  readonly draining: boolean
}

/** A member's options, resolved. */
export interface MemberConfig {
  readonly address: Address
  readonly loadFactor: number
  readonly lbSet: number
  /** Infinity: none. */
  readonly max: number
  readonly status: StatusFlags
  readonly route: string | undefined
  readonly redirect: string | undefined
  readonly connection: ConnectionOverrides
}

/** How an address that DNS told of becomes a member. */
export interface MemberTemplate extends Omit<MemberConfig, 'address' | 'route' | 'redirect'> {
  readonly scheme: 'ws' | 'wss' | 'http' | 'https'
  readonly port: number | undefined
  readonly path: string
}

/** A balancer's options, resolved. Durations in milliseconds. */
export interface BalancerConfig {
  readonly name: string
  /** Whether its members' scheme is ws or wss. */
  readonly webSocket: boolean
  /** As shown; `custom` for a function. */
  readonly lbMethod: string
  readonly policy: Policy
  /** Whether the policy looks at traffic. */
  readonly byTraffic: boolean
  readonly hashBy: HashSource
  readonly stickiness: Stickiness | undefined
  readonly stickyCookie: StickyCookie | undefined
  readonly members: readonly MemberConfig[]
  readonly dns: { readonly source: DnsSource, readonly template: MemberTemplate } | undefined
  readonly retry: number
  readonly failOnStatus: readonly number[]
  readonly failOnTimeout: boolean
  /** Infinity: all. */
  readonly maxAttempts: number
  readonly noFailover: boolean
  readonly forceRecovery: boolean
  readonly healthCheck: HealthCheck | undefined
  readonly slowStart: number
  readonly random: () => number
  readonly clock: () => number
}
