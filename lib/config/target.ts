/** What users set per route, and what one resolved entry of the table looks like to the rest of the plugin. */
import type { FastifyRequest, onRequestHookHandler, preHandlerHookHandler, preValidationHookHandler, RegisterOptions } from 'fastify'
import type { ForwardedMode } from '../http/forwarded.ts'
import type { HeaderMap } from '../http/header-map.ts'
import type { PathPrefix, RouterRules } from '../http/path-pattern.ts'
import type { TunnelReason, TunnelTimers } from '../tunnel/tunnel.ts'
import type { Duration } from './duration.ts'
import type { TlsOptions } from './tls-options.ts'
import type { Address, BalancerRef } from './upstream-url.ts'

/**
 * Chooses the upstream of one exchange.
 * @param signal aborts when the client leaves, or `connectTimeout` is over
 * @returns an upstream as a string, in any form that the `upstream` option takes; later than `connectTimeout` it is a 504
 */
export type UpstreamFunction = (request: FastifyRequest, signal: AbortSignal) => string | URL | Promise<string | URL>

/** A live tunnel. */
export interface TunnelInfo {
  /** Unique within the process. */
  readonly id: string
  /** The route's full path. */
  readonly route: string
  /** The upstream's URL. */
  readonly upstream: string
  /** The client's address, as Fastify's `request.ip` has it. */
  readonly client: string
  /** The protocol that was switched to, such as `websocket`. */
  readonly protocol: string
  /** The version of HTTP by which the client asked for it: `1.1` or `2.0`. */
  readonly httpVersion: string
  /** Milliseconds since the epoch. */
  readonly openedAt: number
  /** Milliseconds since the switch. */
  readonly age: number
  /** `suspended` once it has been quiet for `asyncDelay` with `async: true`: its request is complete and released. */
  readonly state: 'active' | 'suspended'
  /** Bytes after the switch, client to upstream. */
  readonly bytesFromClient: number
  /** Bytes after the switch, upstream to client. */
  readonly bytesFromUpstream: number
  /** Destroys both connections. The outcome's reason is `killed`, and its detail the text given here. */
  close (reason?: string): void
}

/** How a tunnel ended. */
export interface TunnelOutcome {
  /** The first cause of its end, the same as in metrics and log. */
  readonly reason: TunnelReason
  /** Who ended it. */
  readonly by: 'client' | 'upstream' | 'proxy'
  /** Milliseconds since the switch. */
  readonly duration: number
  /** Bytes after the switch, client to upstream. */
  readonly bytesFromClient: number
  /** Bytes after the switch, upstream to client. */
  readonly bytesFromUpstream: number
  /** The code of the first WebSocket Close frame that passed; 1005 for one without a code. */
  readonly closeCode?: number
  /** The text given to `close(reason)`. */
  readonly detail?: string
  /** What broke, where something did. */
  readonly error?: Error
}

export interface Limits {
  /** Live tunnels of the whole server. Default: 10,000. Beyond: 503. */
  maxTunnels?: number
  /** Live tunnels of one client: its address, for IPv6 its /64. Default: none. Beyond: 429. */
  maxTunnelsPerClient?: number
  /** Live tunnels of one upstream. Default: none. Beyond: 503. */
  maxTunnelsPerUpstream?: number
  /** Forwards of the whole server, those that wait for their turn or a connection included. Default: 10,000. Beyond: 503. */
  maxForwards?: number
  /**
   * Connections of one upstream of one entry that carry forwards. Default: 1,024. Beyond, a balancer asks another member; where
   * there is none, forwards wait in order, at most `timeout`, and are a 503 then. httpd: `max=`, `acquire=`.
   */
  maxConnectionsPerUpstream?: number
  /** Bytes that a client may send before the 101. Default: 16 KiB. Beyond that they are not read. */
  earlyData?: number
  /** Bytes of an upstream's response head. Default: 16 KiB. Beyond: 502. */
  maxResponseHead?: number
}

/** What makes spans of attempts at upstreams, such as `tracing()` of `fastify-wstunnel/otel`. */
export interface Tracing {
  /** Headers of the client that are dropped: each attempt writes its own. */
  readonly fields: readonly string[]
  /** @param attempt.resend how many attempts came before */
  start (request: FastifyRequest, attempt: { kind: 'forward' | 'upgrade', route: string, upstream: string, resend: number }): TracedAttempt
}

/** One attempt at one upstream. */
export interface TracedAttempt {
  /** Writes the headers that tell the upstream of it. */
  inject (set: (name: string, value: string) => void): void
  /** Dispatches or dials, hidden from other instrumentation. */
  within<T> (dial: () => T): T
  /** Called once: the response's head has come, or none. */
  end (outcome: { status?: number, error?: Error }): void
}

/** Places that several instances share. Taken by reference. */
export interface LeaseStore {
  /** Milliseconds after which a lease that was not renewed is free. The plugin renews each third of it. */
  readonly ttl: number
  /** Takes a place of a client, if fewer than `max` are taken. */
  acquire (key: string, lease: string, max: number): Promise<boolean>
  /** @param leases lease → key; those that are missing are added */
  renew (leases: ReadonlyMap<string, string>): Promise<void>
  release (key: string, lease: string): Promise<void>
}

/** What is led back to the client's side of a response's headers. */
export interface ReverseOptions {
  /**
   * `Location` and `Content-Location`. `'absolute'`: only those with the upstream's scheme and authority; targets such as `/login`
   * stay, as in httpd and nginx. Default: true. httpd: ProxyPassReverse.
   */
  location?: boolean | 'absolute'
  /** `Path` of `Set-Cookie`. Default: true. httpd: ProxyPassReverseCookiePath. */
  cookiePath?: boolean
  /** `Domain` of `Set-Cookie`, if it is the upstream's host: it is removed. Default: true. httpd: ProxyPassReverseCookieDomain. */
  cookieDomain?: boolean
}

/** What can be set per route, and at the top as a default for all routes. */
export interface CommonOptions {
  /** Where to, by URL, per request, or `false`: not proxied. httpd: ProxyPass, `!`. Default: none; it has to be given. */
  upstream?: string | URL | UpstreamFunction | false
  /**
   * Which methods the route serves. Default: all that Node parses, but CONNECT and TRACE; of a route for WebSockets only
   * (`fallbackToHttp: false`), GET.
   */
  methods?: readonly string[]
  /**
   * Which protocols may be upgraded to: a token, a list of them, `'ANY'` or `'NONE'`. Default: `'websocket'` for ws, wss
   * and functions, none for http and https. httpd: `upgrade=`.
   */
  upgrade?: string | readonly string[]
  /** Whether a ws target serves plain HTTP too. Default: true. httpd: ProxyWebsocketFallbackToProxyHttp. */
  fallbackToHttp?: boolean
  /** Whether a quiet tunnel's request is completed and released. Default: true. httpd: ProxyWebsocketAsync. */
  async?: boolean
  /** How long a tunnel has to be quiet for that. Default: 0, at once. httpd: ProxyWebsocketAsyncDelay. */
  asyncDelay?: Duration
  /** Ends a tunnel in which no byte moved either way. Default: 0, never. httpd: ProxyWebsocketIdleTimeout. */
  idleTimeout?: Duration
  /** For a connection to the upstream, TLS included. Default: 10s. httpd: `connectiontimeout=`. */
  connectTimeout?: Duration
  /**
   * For the upstream's response head, and for more of its body; for a client, to send more of its own or to take more of the
   * response. Default: 60s. httpd: `timeout=`, ProxyTimeout, Timeout.
   */
  timeout?: Duration
  /** From the dial to a verified 101. Default: 10s. */
  handshakeTimeout?: Duration
  /** Ends a tunnel of which one side has ended this long ago. Default: 30s. */
  halfCloseTimeout?: Duration
  /** Ends a tunnel this long after the switch. Default: 0, never. */
  maxLifetime?: Duration
  /** Ends a tunnel of which one side has bytes waiting and drains none of them. Default: 60s. */
  stallTimeout?: Duration
  /** TCP keep-alive on both sockets of a tunnel. Default: 30s; 0 is off. httpd: `keepalive=`. */
  keepAlive?: Duration
  /** Sends the client's Host to the upstream. Default: false. httpd: ProxyPreserveHost. */
  preserveHost?: boolean
  /**
   * Leads redirects and cookies of the upstream back through this server: below the route's prefix, at the client's scheme and host.
   * Not for `fallbackToHttp: false`, which relays bytes. Default: true. httpd: ProxyPassReverse*.
   */
  reverse?: boolean | ReverseOptions
  /** Which fields tell the upstream who asked. Default: `'x-forwarded'`. httpd: ProxyAddHeaders. */
  forwarded?: ForwardedMode
  /** The Via field, both ways. Default: `'off'`. httpd: ProxyVia. */
  via?: 'off' | 'on' | 'full' | 'block'
  /**
   * Changes the headers of a request or an upgrade just before they are written. It returns them at once: a promise, also that of an
   * async function, is a 500 (FST_WSTUNNEL_FUNCTION). What takes time belongs into a hook. httpd: RequestHeader. Default: none.
   */
  rewriteRequestHeaders?: (request: FastifyRequest, headers: HeaderMap) => HeaderMap
  /**
   * Changes the headers of a response, a 101 too, and returns them at once, as `rewriteRequestHeaders` does. Not for
   * `fallbackToHttp: false`, which relays bytes. httpd: Header. Default: none.
   */
  rewriteHeaders?: (headers: HeaderMap, request: FastifyRequest) => HeaderMap
  /** TLS towards the upstream. httpd: SSLProxy*. Default: `{}`, verification on, TLS 1.2 or later. */
  tls?: TlsOptions
  /** Exact origins (`https://app.example`) that may open a WebSocket. Default: any. Others, and none: 403. */
  allowedOrigins?: readonly string[]
  /** Bounds, limit by limit over those at the top. Default: see each. httpd: `max=`. */
  limits?: Limits
  /** Makes spans, and the headers by which the upstream goes on with them. Default: none. */
  tracing?: Tracing
  /** Whether each forward has a connection of its own, which ends with it. Default: false. httpd: `disablereuse=`. */
  disableReuse?: boolean
  /** Which requests the route is for, as Fastify's route option. Default: none. httpd: `<VirtualHost>`. */
  constraints?: Record<string, unknown>
  /** What hooks find in `request.routeOptions.config`. Default: none. httpd: `<Location>`. */
  config?: Record<string, unknown>
  /** The level of the route's own log lines. Default: the scope's. httpd: LogLevel. */
  logLevel?: NonNullable<RegisterOptions['logLevel']>
  /** How values are logged. Default: the scope's. */
  logSerializers?: NonNullable<RegisterOptions['logSerializers']>
  /** Hooks before the decision is acted on; those of the scope come first. Default: none. httpd: `<Location>`. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[]
  /** Hooks after `onRequest`. Default: none. httpd: `<Location>`. */
  preValidation?: preValidationHookHandler | preValidationHookHandler[]
  /** Hooks just before the upstream is dialled. Default: none. httpd: `<Location>`. */
  preHandler?: preHandlerHookHandler | preHandlerHookHandler[]
  /** Called after the switch. What it throws is logged. Default: none. */
  onTunnelOpen?: (tunnel: TunnelInfo, request: FastifyRequest) => void
  /** Called once both connections are closed. What it throws is logged. Default: none. httpd: CustomLog. */
  onTunnelClose?: (tunnel: TunnelInfo, outcome: TunnelOutcome) => void
}

/** Every duration that an entry may have, in milliseconds; 0 is none. */
export interface Durations {
  readonly asyncDelay: number
  readonly idleTimeout: number
  readonly connectTimeout: number
  readonly timeout: number
  readonly handshakeTimeout: number
  readonly halfCloseTimeout: number
  readonly maxLifetime: number
  readonly stallTimeout: number
  readonly keepAlive: number
}

/** What a route is registered with at Fastify. */
export type FastifyRouteSettings = Pick<CommonOptions, 'config' | 'logLevel' | 'logSerializers' | 'onRequest' | 'preValidation' | 'preHandler'>

/** One entry of the table, resolved: every option has its value. */
export interface Target {
  /** The full path, as shown in metrics and logs. */
  readonly route: string
  /** What a request path begins with: Fastify's prefix, and the entry's own path. */
  readonly prefix: PathPrefix
  /** The entry's own path, below Fastify's prefix. */
  readonly path: PathPrefix
  /** How Fastify's router reads paths. */
  readonly rules: RouterRules
  /** The methods given; `undefined` where it serves all that it can. */
  readonly methods: readonly string[] | undefined
  /** The methods that it serves. */
  readonly allMethods: readonly string[]
  readonly constraints: Readonly<Record<string, unknown>> | undefined
  readonly upstream: Address | BalancerRef | UpstreamFunction | false
  /** ws and wss, and balancers of such members; functions too, since their scheme is not known before they are called. */
  readonly webSocket: boolean
  /** Whether the prefix stands for the root of the upstream's path, and not for a text to be replaced literally. */
  readonly atRoot: boolean
  /** Lower case, or the two words that are no tokens. */
  readonly upgrade: readonly string[] | 'ANY' | 'NONE'
  readonly fallbackToHttp: boolean
  readonly async: boolean
  /** Milliseconds, as are the others; 0 is none. */
  readonly asyncDelay: number
  readonly connectTimeout: number
  readonly timeout: number
  readonly handshakeTimeout: number
  readonly keepAlive: number
  readonly preserveHost: boolean
  readonly reverse: Readonly<Required<ReverseOptions>> | false
  readonly forwarded: ForwardedMode
  readonly via: 'off' | 'on' | 'full' | 'block'
  readonly rewriteRequestHeaders: CommonOptions['rewriteRequestHeaders']
  readonly rewriteHeaders: CommonOptions['rewriteHeaders']
  readonly tls: TlsOptions
  readonly allowedOrigins: readonly string[] | undefined
  readonly limits: Readonly<Required<Limits>>
  readonly tracing: Tracing | undefined
  /** Who counts the tunnels of a client over all instances. */
  readonly store: LeaseStore | undefined
  readonly disableReuse: boolean
  /** The timers of this target's tunnels. */
  readonly timers: TunnelTimers
  readonly settings: FastifyRouteSettings
  readonly onTunnelOpen: CommonOptions['onTunnelOpen']
  readonly onTunnelClose: CommonOptions['onTunnelClose']
}

/** What a member says differently from its route. */
export interface ConnectionOverrides {
  readonly tls?: TlsOptions
  /** The name that a certificate is verified for, where `tls` says none: that which DNS was asked for. */
  readonly servername?: string
  /** Milliseconds. */
  readonly connectTimeout?: number
  /** Milliseconds. */
  readonly timeout?: number
  /** Milliseconds. */
  readonly handshakeTimeout?: number
}
