/** The target that one resolved entry of a table becomes. */
import type { ForwardedMode } from '../http/forwarded.ts'
import type { PathPrefix, RouterRules } from '../http/path-pattern.ts'
import type { TunnelTimers } from '../tunnel/reasons.ts'
import type { CommonOptions, LeaseStore, Limits, ReverseOptions, Tracing, UpstreamFunction } from './options.ts'
import type { TlsOptions } from './tls-options.ts'
import type { Address, BalancerRef } from './upstream-url.ts'

/** The durations of an entry, in milliseconds; 0 is none. */
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

/** The options of an entry that go to Fastify's route. */
export type FastifyRouteSettings = Pick<CommonOptions, 'config' | 'logLevel' | 'logSerializers' | 'onRequest' | 'preValidation' | 'preHandler'>

/** One resolved entry of the table: every option has its value. */
export interface Target {
  /** The full path, as in metrics and logs. */
  readonly route: string
  /** The prefix of a request's path: Fastify's prefix, then the entry's own path. */
  readonly prefix: PathPrefix
  /** The entry's own path, below Fastify's prefix. */
  readonly path: PathPrefix
  /** The rules by which Fastify's router reads paths. */
  readonly rules: RouterRules
  /** The configured methods; `undefined` if the entry serves all that it can. */
  readonly methods: readonly string[] | undefined
  /** The methods that it serves. */
  readonly allMethods: readonly string[]
  readonly constraints: Readonly<Record<string, unknown>> | undefined
  readonly upstream: Address | BalancerRef | UpstreamFunction | false
  /** True for ws and wss, for balancers of such members, and for functions, since their scheme is unknown before a call. */
  readonly webSocket: boolean
  /** True if the prefix stands for the root of the upstream's path, instead of a text to be replaced literally. */
  readonly atRoot: boolean
  /** The accepted protocols in lower case, or one of the two special words. */
  readonly upgrade: readonly string[] | 'ANY' | 'NONE'
  readonly fallbackToHttp: boolean
  readonly async: boolean
  /** A duration in milliseconds, like the others; 0 is none. */
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
  /** The store that counts the tunnels of a client over all instances. */
  readonly store: LeaseStore | undefined
  readonly disableReuse: boolean
  /** The timers of this target's tunnels. */
  readonly timers: TunnelTimers
  readonly settings: FastifyRouteSettings
  readonly onTunnelOpen: CommonOptions['onTunnelOpen']
  readonly onTunnelClose: CommonOptions['onTunnelClose']
}

/** The options in which a member of a balancer differs from its route. */
export interface ConnectionOverrides {
  readonly tls?: TlsOptions
  /** The name for which a certificate is verified if `tls` gives none: the name that was looked up in DNS. */
  readonly servername?: string
  /** Milliseconds. */
  readonly connectTimeout?: number
  /** Milliseconds. */
  readonly timeout?: number
  /** Milliseconds. */
  readonly handshakeTimeout?: number
}
