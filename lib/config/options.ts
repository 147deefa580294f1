/** The options of a route as users write them, and what their functions are given. */
import type { FastifyRequest, onRequestHookHandler, preHandlerHookHandler, preValidationHookHandler, RegisterOptions } from 'fastify'
import type { ForwardedMode } from '../http/forwarded.ts'
import type { HeaderMap } from '../http/header-map.ts'
import type { TunnelReason } from '../tunnel/reasons.ts'
import type { Duration } from './duration.ts'
import type { TlsOptions } from './tls-options.ts'

/**
 * A function that chooses the upstream of one exchange.
 * @param signal aborts when the client leaves, or after `connectTimeout`
 * @returns an upstream as a string, in any form that the option `upstream` takes. A promise that takes longer than `connectTimeout` is a
 * 504; any other value is a 500 (FST_WSTUNNEL_INVALID_UPSTREAM)
 */
export type UpstreamFunction = (request: FastifyRequest, signal: AbortSignal) => string | URL | Promise<string | URL>

/** A live tunnel. */
export interface TunnelInfo {
  /** Unique within the process. */
  readonly id: string
  /** The route's full path. */
  readonly route: string
  /** The upstream's URL, without credentials. */
  readonly upstream: string
  /** The client's address, from Fastify's `request.ip`. */
  readonly client: string
  /** The protocol of the tunnel, such as `websocket`. */
  readonly protocol: string
  /** The version of HTTP of the client's request: `1.1` or `2.0`. */
  readonly httpVersion: string
  /** The time of the switch, in milliseconds since the epoch. */
  readonly openedAt: number
  /** The milliseconds since the switch. */
  readonly age: number
  /** `suspended` once the tunnel has been quiet for `asyncDelay` with `async: true`: its request is complete and released. Else `active`. */
  readonly state: 'active' | 'suspended'
  /** Bytes from the client to the upstream since the switch. */
  readonly bytesFromClient: number
  /** Bytes from the upstream to the client since the switch. */
  readonly bytesFromUpstream: number
  /** Destroys both connections. The outcome's reason is `killed`; its `detail` is the text given here. */
  close (reason?: string): void
}

/** How a tunnel ended. */
export interface TunnelOutcome {
  /** The first cause of the end, the same as in metrics and log. */
  readonly reason: TunnelReason
  /** The party that ended it. */
  readonly by: 'client' | 'upstream' | 'proxy'
  /** The milliseconds from the switch to the end. */
  readonly duration: number
  /** Bytes from the client to the upstream since the switch. */
  readonly bytesFromClient: number
  /** Bytes from the upstream to the client since the switch. */
  readonly bytesFromUpstream: number
  /** The code of the first WebSocket Close frame that passed; 1005 for one without a code. Absent if none passed. */
  readonly closeCode?: number
  /** The text given to `close(reason)`. */
  readonly detail?: string
  /** The error that ended the tunnel, if there was one. */
  readonly error?: Error
}

/** The limits of a server. */
export interface Limits {
  /** The maximum number of tunnels and handshakes of the whole server; beyond it an upgrade is a 503. 0: every upgrade is. Default: 10,000. */
  maxTunnels?: number
  /**
   * The maximum number of tunnels and handshakes of one client; beyond it an upgrade is a 429. A client is an IPv4 address, or the /64 of
   * an IPv6 address. 0: every upgrade is refused. Default: none.
   */
  maxTunnelsPerClient?: number
  /**
   * The maximum number of tunnels and handshakes of one upstream of one entry; beyond it an upgrade is a 503. 0: every upgrade is.
   * Default: none.
   */
  maxTunnelsPerUpstream?: number
  /**
   * The maximum number of forwards of the whole server, including those that wait for their turn or a connection; beyond it a forward is a
   * 503. 0: every forward is. Default: 10,000.
   */
  maxForwards?: number
  /**
   * The maximum number of connections that carry forwards to one upstream of one entry. Beyond it a balancer tries another member; if there
   * is none, forwards wait in order, at most `timeout`, and then get a 503. 0: every forward waits that long. Default: 1,024.
   * httpd: `max=`, `acquire=`.
   */
  maxConnectionsPerUpstream?: number
  /**
   * The maximum number of bytes that the server reads from a client before the 101; later bytes stay in the socket. It also bounds the body
   * of an upgrade to another protocol than WebSocket: a longer one is a 400. With 0 the server reads nothing before the 101, and any such
   * body is a 400. Default: 16 KiB.
   */
  earlyData?: number
  /** The maximum size of an upstream's response head, in bytes, at least 1; a longer one is a 502. Default: 16 KiB. */
  maxResponseHead?: number
}

/** The source of trace spans for attempts at upstreams, such as `tracing()` of `fastify-wstunnel/otel`. */
export interface Tracing {
  /** The client's headers that are dropped, by name: each attempt writes its own. */
  readonly fields: readonly string[]
  /**
   * Called when an attempt begins, in the context of its request. An error that it, or the returned attempt, throws is logged and changes
   * nothing.
   * @param attempt.url the URL of the request at the upstream, without the query, which may contain credentials
   * @param attempt.resend how many attempts came before
   */
  start (request: FastifyRequest, attempt: { kind: 'forward' | 'upgrade', route: string, upstream: string, url: string, resend: number }): TracedAttempt
}

/** One attempt at one upstream. */
export interface TracedAttempt {
  /** Writes the headers that carry the trace to the upstream. */
  inject (set: (name: string, value: string) => void): void
  /** Calls `dial`, which dispatches or dials, hidden from other instrumentation, and returns its result. */
  within<T> (dial: () => T): T
  /** Called once, when the response's head has come or the attempt has failed. */
  end (outcome: { status?: number, error?: Error }): void
}

/** A store of places (leases) that several instances share, for `limits.store`. The plugin takes it by reference. */
export interface LeaseStore {
  /** The milliseconds after which an unrenewed lease is free, above 0 and below 2³¹. The plugin renews every third of it. */
  readonly ttl: number
  /** Takes a place of a client if fewer than `max` are taken. Resolves to true if it took one. */
  acquire (key: string, lease: string, max: number): Promise<boolean>
  /**
   * Renews leases.
   * @param leases lease → key; the store adds those that it does not have
   */
  renew (leases: ReadonlyMap<string, string>): Promise<void>
  /** Gives a place back. If this fails, the place is free after `ttl`. */
  release (key: string, lease: string): Promise<void>
}

/** The response headers whose URLs, paths and domains are mapped back to the client's side. httpd: ProxyPassReverse*. */
export interface ReverseOptions {
  /**
   * Maps `Location` and `Content-Location`. `'absolute'`: only values with the upstream's scheme and authority; a value such as `/login`
   * stays, as in httpd and nginx. Default: true. httpd: ProxyPassReverse.
   */
  location?: boolean | 'absolute'
  /** Maps the `Path` of `Set-Cookie`. Default: true. httpd: ProxyPassReverseCookiePath. */
  cookiePath?: boolean
  /** Removes the `Domain` of `Set-Cookie` if it is the upstream's host. Default: true. httpd: ProxyPassReverseCookieDomain. */
  cookieDomain?: boolean
}

/** The options of a route. At the top level they are the defaults of all routes. */
export interface CommonOptions {
  /**
   * The upstream: a URL, a function that returns one for each request, or `false` for paths that are not proxied. Default: none; it is
   * required. httpd: ProxyPass, `!`.
   */
  upstream?: string | URL | UpstreamFunction | false
  /**
   * The methods that the route serves. Default: all that Node parses, except CONNECT and TRACE; GET for a route for WebSockets only
   * (`fallbackToHttp: false`). httpd: `<Limit>`.
   */
  methods?: readonly string[]
  /**
   * The protocols that clients may upgrade to: a token, a list of tokens, `'ANY'` or `'NONE'`. Default: `'websocket'` for ws, wss and
   * functions, none for http and https. httpd: `upgrade=`.
   */
  upgrade?: string | readonly string[]
  /** Makes a ws or wss target serve plain HTTP, too. Default: true. httpd: ProxyWebsocketFallbackToProxyHttp. */
  fallbackToHttp?: boolean
  /** Completes and releases the request of a quiet tunnel. Default: true. httpd: ProxyWebsocketAsync. */
  async?: boolean
  /** How long a tunnel must be quiet before `async` completes its request. Default: 0, at once. httpd: ProxyWebsocketAsyncDelay. */
  asyncDelay?: Duration
  /** Ends a tunnel after this time without a byte in either direction. Default: 0, never. httpd: ProxyWebsocketIdleTimeout. */
  idleTimeout?: Duration
  /**
   * How long the plugin waits for a connection to the upstream, TLS included; then the exchange is a 504.
   * 0: only the system's limit applies. Default: 10s. httpd: `connectiontimeout=`.
   */
  connectTimeout?: Duration
  /**
   * How long the plugin waits for the upstream's response head (then a 504) and for more of its body; and for a client to send more of its
   * body (then a 408) or to take more of the response. 0: no limit. Default: 60s. httpd: `timeout=`, ProxyTimeout, Timeout.
   */
  timeout?: Duration
  /** How long an upgrade may take from the dial to a verified 101; then it is a 504. 0: no limit. Default: 10s. */
  handshakeTimeout?: Duration
  /** Ends a tunnel this long after one side has ended. 0: never. Default: 30s. */
  halfCloseTimeout?: Duration
  /** Ends a tunnel this long after the switch. Default: 0, never. */
  maxLifetime?: Duration
  /** Ends a tunnel after this time in which bytes waited for one side and it drained none of them. 0: never. Default: 60s. */
  stallTimeout?: Duration
  /** The idle time before TCP keep-alive probes, on both sockets of a tunnel; 0 is off. Default: 30s. httpd: `keepalive=`. */
  keepAlive?: Duration
  /** Sends the client's Host to the upstream. Default: false. httpd: ProxyPreserveHost. */
  preserveHost?: boolean
  /**
   * Maps redirects and cookies of the upstream back to this server: below the route's prefix, at the client's scheme and host. Without
   * effect for `fallbackToHttp: false`, which relays bytes. Default: true. httpd: ProxyPassReverse*.
   */
  reverse?: boolean | ReverseOptions
  /** The fields that describe the client to the upstream. Default: `'x-forwarded'`. httpd: ProxyAddHeaders. */
  forwarded?: ForwardedMode
  /**
   * Adds this server to the `Via` field in both directions (RFC 9110, 7.6.3). `'full'` adds a comment, too; `'block'` removes the field;
   * `'off'` does not change it. Default: `'off'`. httpd: ProxyVia.
   */
  via?: 'off' | 'on' | 'full' | 'block'
  /**
   * Changes the headers of a request or an upgrade just before they are written, and returns them synchronously. A promise, also that of an
   * async function, is a 500 (FST_WSTUNNEL_FUNCTION); use a hook for asynchronous work. Default: none. httpd: RequestHeader.
   */
  rewriteRequestHeaders?: (request: FastifyRequest, headers: HeaderMap) => HeaderMap
  /**
   * Changes the headers of a response, a 101 included, and returns them synchronously, as `rewriteRequestHeaders` does. Without effect for
   * `fallbackToHttp: false`, which relays bytes. Default: none. httpd: Header.
   */
  rewriteHeaders?: (headers: HeaderMap, request: FastifyRequest) => HeaderMap
  /** The options of TLS to the upstream. Default: `{}`, verification on, TLS 1.2 or later. httpd: SSLProxy*. */
  tls?: TlsOptions
  /** The exact origins (`https://app.example`) that may open a WebSocket; another origin, or a missing one, is a 403 (RFC 6455, 10.2). Default: any. */
  allowedOrigins?: readonly string[]
  /** The limits of this route; each one given here overrides the one at the top level. Default: see each. httpd: `max=`. */
  limits?: Limits
  /** The source of trace spans, which also writes the trace headers for the upstream. Default: none. */
  tracing?: Tracing
  /** Uses a connection of its own for each forward, and closes it afterwards. Default: false. httpd: `disablereuse=`. */
  disableReuse?: boolean
  /** The constraints of the requests that the route serves, as in Fastify's route option. Default: none. httpd: `<VirtualHost>`. */
  constraints?: Record<string, unknown>
  /** The object that hooks find in `request.routeOptions.config`. Default: none. httpd: `<Location>`. */
  config?: Record<string, unknown>
  /** The level of the route's log lines. Default: the scope's. httpd: LogLevel. */
  logLevel?: NonNullable<RegisterOptions['logLevel']>
  /** The serializers of the route's log lines. Default: the scope's. */
  logSerializers?: NonNullable<RegisterOptions['logSerializers']>
  /** Hooks that run before the plugin acts on the decision; those of the scope run first. Default: none. httpd: `<Location>`. */
  onRequest?: onRequestHookHandler | onRequestHookHandler[]
  /** Hooks that run after `onRequest`. Default: none. httpd: `<Location>`. */
  preValidation?: preValidationHookHandler | preValidationHookHandler[]
  /** Hooks that run just before the plugin dials the upstream. Default: none. httpd: `<Location>`. */
  preHandler?: preHandlerHookHandler | preHandlerHookHandler[]
  /** Called after the switch. An error that it throws is logged. Default: none. */
  onTunnelOpen?: (tunnel: TunnelInfo, request: FastifyRequest) => void
  /** Called once, when both connections are closed. An error that it throws is logged. Default: none. httpd: CustomLog. */
  onTunnelClose?: (tunnel: TunnelInfo, outcome: TunnelOutcome) => void
}
