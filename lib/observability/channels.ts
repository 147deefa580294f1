/** What is published on `diagnostics_channel`. */
import { channel, type Channel } from 'node:diagnostics_channel'

/** `diagnostics_channel`s: messages are `{ tunnel, request }`, `{ tunnel, outcome }` and `{ stage, error, route, request }`. */
export const channels: { readonly open: Channel, readonly close: Channel, readonly refused: Channel, readonly member: Channel } = {
  open: channel('fastify-wstunnel:tunnel:open'),
  close: channel('fastify-wstunnel:tunnel:close'),
  refused: channel('fastify-wstunnel:tunnel:refused'),
  member: channel('fastify-wstunnel:member:state')
}
