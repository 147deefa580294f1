/** The client's side of an upgrade, whatever version of HTTP it speaks: all that the upgrade and its tunnel know of the client. */
import type { FastifyReply } from 'fastify'
import type { Duplex, Readable } from 'node:stream'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import { isFraming } from '../http/hop-by-hop.ts'
import type { ResponseHead } from '../http/response-head.ts'

/** Told while the client waits. */
export interface FrontWatcher {
  /** The client has left. Told at most once, and perhaps before `watch` returns. */
  clientGone (why: Error): void
}

/** One client that has asked for an upgrade. */
export interface Front {
  /** What the tunnel copies. */
  readonly stream: Duplex
  /** The connection under it, shared with other streams where that is HTTP/2; `undefined` where nothing is known of it. */
  readonly transport: Duplex | undefined
  /** The status that the request completes with after the switch. */
  readonly status: 101 | 200
  /**
   * Notices the client's leaving until `release`.
   * @param earlyData bytes that the client may send before the switch: it is read no further beyond them
   */
  watch (watcher: FrontWatcher, earlyData: number): void
  /** Stops watching. Returns the client's early bytes, in order, once. Without effect the second time. */
  release (): Buffer
  /**
   * Takes the client out of Fastify's hands and sends it the switch, with the headers that hooks have set on the reply besides these.
   * @param token the protocol to which it switches
   * @returns completes the request at Fastify: `onResponse`, and the "request completed" line. It keeps nothing alive but the response.
   * @throws InvalidHeaderError, and nothing was sent
   */
  accept (reply: FastifyReply, head: ResponseHead, headers: HeaderList, token: string): () => void
  /** The same, with the upstream's head as it came. Only HTTP/1.1 has it. */
  acceptRaw? (reply: FastifyReply, head: Buffer): () => void
  /** Relays a response as it comes, completes the request, and ends the connection behind it. Only HTTP/1.1 has it. */
  relayRaw? (reply: FastifyReply, head: Buffer, body: Readable, status: number): void
  /** Breaks off the response that the client is being sent. */
  cut (): void
  /**
   * Ends a client that nobody will answer, and completes the request.
   * @param status what hooks and the log hear of; 499, the default, is nginx's code for a client that has left
   */
  drop (reply: FastifyReply, status?: number): void
}

const kFront: unique symbol = Symbol('fastify-wstunnel.front')

/** A request as Node gives it, of any version. */
type WithFront = object & { [kFront]?: Front | undefined }

/** Keeps the front of a request that asks for an upgrade until the request has come through the router. */
export function keepFront (request: WithFront, front: Front): void {
  request[kFront] = front
}

/** `undefined` for a request that did not come as an upgrade, or is none any more. */
export function frontOf (request: WithFront): Front | undefined {
  return request[kFront]
}

export function dropFront (request: WithFront): void {
  request[kFront] = undefined
}

/** The headers of a switch: the upstream's, and those that hooks have set on the reply. */
export function withReplyHeaders (headers: HeaderList, reply: FastifyReply): string[] {
  const merged = [...headers]
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (isFraming(name) || (name !== 'set-cookie' && fieldValue(merged, name) !== undefined)) continue
    for (const item of Array.isArray(value) ? value : [value]) merged.push(name, String(item))
  }
  return merged
}
