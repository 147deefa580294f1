/** The messages that the plugin publishes on `diagnostics_channel`. */
import type { FastifyRequest } from 'fastify'
import { channel, type Channel } from 'node:diagnostics_channel'
import type { TunnelInfo, TunnelOutcome } from '../config/options.ts'
import type { RefusalStage } from '../upstream/counters.ts'

/** The message of the `diagnostics_channel` `fastify-wstunnel:tunnel:open`: both connections have switched, and no byte has been copied yet. */
export interface TunnelOpenMessage {
  /** The tunnel, live: `close(reason)` ends it. */
  readonly tunnel: TunnelInfo
  /** The request of the upgrade. A long tunnel keeps in memory what you keep of it. */
  readonly request: FastifyRequest
}

/**
 * The message of the `diagnostics_channel` `fastify-wstunnel:tunnel:close`: both connections are closed. Published once for each tunnel,
 * outside of its request's context.
 */
export interface TunnelCloseMessage {
  /** The tunnel, with its final numbers. */
  readonly tunnel: TunnelInfo
  /** The outcome, as `onTunnelClose` gets it. */
  readonly outcome: TunnelOutcome
}

/** The message of the `diagnostics_channel` `fastify-wstunnel:tunnel:refused`: an upgrade became no tunnel. */
export interface TunnelRefusedMessage {
  /** The stage that the upgrade had reached; the metrics count by it. */
  readonly stage: RefusalStage
  /** The error, most often a `WstunnelError`; `undefined` if the upstream's own response was relayed. */
  readonly error: unknown
  /** The full path of the entry. */
  readonly route: string
  /** The request; `undefined` for an upgrade without one: it came during `close()`, or with too many header fields. */
  readonly request: FastifyRequest | undefined
}

/** The channels, by their event. */
export const channels: { readonly open: Channel, readonly close: Channel, readonly refused: Channel, readonly member: Channel } = {
  open: channel('fastify-wstunnel:tunnel:open'),
  close: channel('fastify-wstunnel:tunnel:close'),
  refused: channel('fastify-wstunnel:tunnel:refused'),
  member: channel('fastify-wstunnel:member:state')
}
