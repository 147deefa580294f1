/** A balancer's options, checked and completed. */
import type { ConnectionOverrides } from '../config/target.ts'
import type { Address } from '../config/upstream-url.ts'
import type { DnsSource } from './dns-discovery.ts'
import type { Policy } from './policies.ts'
import type { HashSource, Stickiness, StickyCookie } from './session-affinity.ts'

/** A balancer's `healthCheck`, resolved. Durations in milliseconds. */
export interface HealthCheck {
  /**
   * The kind of probe. `TCP`: a connection, with TLS if the member has it. `GET`, `HEAD`: a complete response (of a long one, its first 64
   * KiB). `WS`: a WebSocket handshake.
   */
  readonly method: 'TCP' | 'GET' | 'HEAD' | 'WS'
  /** The request target in origin-form, as sent. Not for TCP. */
  readonly uri: string
  /** The time from the beginning of one probe to the beginning of the next. */
  readonly interval: number
  /** The time that a whole probe may take. */
  readonly timeout: number
  readonly passes: number
  readonly fails: number
  /** The ranges of statuses that pass, inclusive. */
  readonly status: ReadonlyArray<readonly [from: number, to: number]>
  readonly body: string | RegExp | undefined
}

/** The flags of the status letters. */
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
  /** Infinity is none. */
  readonly max: number
  readonly status: StatusFlags
  readonly route: string | undefined
  readonly redirect: string | undefined
  readonly connection: ConnectionOverrides
}

/** The options from which an address found in DNS becomes a member. */
export interface MemberTemplate extends Omit<MemberConfig, 'address' | 'route' | 'redirect'> {
  readonly scheme: 'ws' | 'wss' | 'http' | 'https'
  readonly port: number | undefined
  readonly path: string
}

/** A balancer's options, resolved. Durations in milliseconds. */
export interface BalancerConfig {
  readonly name: string
  /** True if its members' scheme is ws or wss. */
  readonly webSocket: boolean
  /** The name of the policy for metrics; `custom` for a function. */
  readonly lbMethod: string
  readonly policy: Policy
  /** True if the policy reads traffic. */
  readonly byTraffic: boolean
  readonly hashBy: HashSource
  readonly stickiness: Stickiness | undefined
  readonly stickyCookie: StickyCookie | undefined
  readonly members: readonly MemberConfig[]
  readonly dns: { readonly source: DnsSource, readonly template: MemberTemplate } | undefined
  readonly retry: number
  readonly failOnStatus: readonly number[]
  readonly failOnTimeout: boolean
  /** Infinity is all. */
  readonly maxAttempts: number
  readonly noFailover: boolean
  readonly forceRecovery: boolean
  readonly healthCheck: HealthCheck | undefined
  readonly slowStart: number
  readonly random: () => number
  readonly clock: () => number
}
