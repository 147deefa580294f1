/** What is published on `diagnostics_channel`. */
import type { FastifyRequest } from 'fastify'
import { channel, type Channel } from 'node:diagnostics_channel'
import type { TunnelInfo, TunnelOutcome } from '../config/target.ts'
import type { RefusalStage } from '../upstream/counters.ts'

/** Message of the `diagnostics_channel` `fastify-wstunnel:tunnel:open`: both connections have switched, and no byte has been copied yet. */
export interface TunnelOpenMessage {
  /** The tunnel, live: `close(reason)` ends it. */
  readonly tunnel: TunnelInfo
  /** The upgrade's request. Keep nothing of it that a long tunnel is not to hold in memory. */
  readonly request: FastifyRequest
}

/** Message of the `diagnostics_channel` `fastify-wstunnel:tunnel:close`: both connections are closed. Once for each tunnel, outside of its request's context. */
export interface TunnelCloseMessage {
  /** The tunnel, with its last numbers. */
  readonly tunnel: TunnelInfo
  /** Why it ended: what `onTunnelClose` gets. */
  readonly outcome: TunnelOutcome
}

/** Message of the `diagnostics_channel` `fastify-wstunnel:tunnel:refused`: an upgrade became no tunnel. */
export interface TunnelRefusedMessage {
  /** How far it had come; the metrics count by it. */
  readonly stage: RefusalStage
  /** What it was refused with, most often a `WstunnelError`; `undefined` where the upstream's own answer was relayed. */
  readonly error: unknown
  /** Full path of the entry. */
  readonly route: string
  /** `undefined` where it was refused before it was one: an upgrade that came during `close()`, or with too many header fields. */
  readonly request: FastifyRequest | undefined
}

/** The channels, by what they tell of. */
export const channels: { readonly open: Channel, readonly close: Channel, readonly refused: Channel, readonly member: Channel } = {
  open: channel('fastify-wstunnel:tunnel:open'),
  close: channel('fastify-wstunnel:tunnel:close'),
  refused: channel('fastify-wstunnel:tunnel:refused'),
  member: channel('fastify-wstunnel:member:state')
}
