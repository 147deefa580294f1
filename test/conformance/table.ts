/** What a scenario is made of. */
import type { ClientStep, UpstreamStep } from './ends.ts'
import type { RuleName } from './normalise.ts'

/** One line of ProxyPass, and one entry of our `routes`. */
export interface Route {
  path: string
  /**
   * `ws://A/`: a scripted upstream, over TLS for `wss` and `https`; `http://refused/`, `http://gone/`: nobody listens; `http://nowhere/`: no such name;
   * `http://deaf/`: takes no connection; `wss://plain/`: speaks no TLS; `balancer://x/`: one of the table's; `false`: not proxied.
   */
  upstream: string | false
  upgrade?: string | readonly string[]
}

/** TLS towards the upstreams. */
export interface TlsTable {
  /** `unset`: as it comes, SSLProxyVerify none there; `on`: both are given the authority; `off`: both are told not to verify. */
  verify: 'unset' | 'on' | 'off'
  /** What the upstreams show. `good`: for localhost, from the authority. */
  certificate?: 'good' | 'for another name' | 'expired' | 'of a stranger'
  maxVersion?: 'TLSv1.2' | 'TLSv1.1'
}

/** A `BalancerMember`, and one of our `members`, in our words. */
export interface MemberTable {
  /** As that of a route: `http://A`. */
  url: string
  loadFactor?: number
  route?: string
  redirect?: string
  lbSet?: number
  status?: string
  max?: number
}

/** `<Proxy balancer://…>`, and one of our `balancers`, in our words. */
export interface BalancerTable {
  members: readonly MemberTable[]
  lbMethod?: 'byrequests' | 'bytraffic' | 'bybusyness' | undefined
  stickySession?: string
  stickySessionSep?: string
  /** Here only: httpd has no such thing. */
  stickyCookie?: object
  maxAttempts?: number
  noFailover?: boolean
  forceRecovery?: boolean | undefined
  failOnStatus?: readonly number[]
  /** Seconds; a parameter of each member there. */
  retry?: number
}

/** A routes table for both: a virtual host of httpd, and a server of our own. */
export interface Table {
  routes: readonly Route[]
  balancers?: Readonly<Record<string, BalancerTable>>
  /** ProxyWebsocketFallbackToProxyHttp, which is a directive of the whole virtual host. Default: true. */
  fallbackToHttp?: boolean
  /** Seconds: `Timeout` and ProxyTimeout there; `timeout`, `handshakeTimeout` and `idleTimeout` here. */
  timeout?: number
  /** Seconds, where it is another: ProxyTimeout there, `idleTimeout` here. */
  idleTimeout?: number
  /** As it stands on both sides: `timeout=` there, `timeout` and `handshakeTimeout` here. */
  timeoutText?: string
  /** Seconds. */
  connectTimeout?: number
  preserveHost?: boolean
  /**
   * ProxyPassReverse, …CookiePath and …CookieDomain for each route there, as an administrator writes them, http for ws; our `reverse` does the
   * same by default.
   */
  reverse?: true
  via?: 'on' | 'block'
  forwarded?: false
  trustProxy?: true
  tls?: TlsTable
  /** Here only: httpd has no such thing. */
  allowedOrigins?: readonly string[]
  /** ProxyWebsocketAsync, where httpd knows it: 2.4 does not. */
  async?: boolean
  /** Sets X-Proxy and X-Hook on responses: `Header` there; `rewriteHeaders` and a hook here. */
  setHeaders?: true
  /** Fastify's prefix; there, the path of every route begins with it. */
  prefix?: string
  /** Compares the status in the access log, too. */
  log?: true
}

export interface Scenario {
  name: string
  table: Table
  client: readonly ClientStep[]
  /** What the upstream does with the requests it gets, in order of their arrival; the last one serves the rest, too. */
  upstream: ReadonlyArray<readonly UpstreamStep[]>
  /** Rules of normalisation that do not hold here: what they hide is what the scenario is about. */
  exact?: readonly RuleName[]
  /** What we do, wherever that is known from the design and not only from httpd. */
  ours?: readonly string[]
  /** A deliberate difference: its row in docs/differences-from-httpd.md. `ours` is then required. */
  differs?: string
}
