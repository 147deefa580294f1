/** The client's side of an upgrade, over any version of HTTP. The upgrade and its tunnel know the client only by it. */
import type { FastifyReply } from 'fastify'
import type { Duplex, Readable } from 'node:stream'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import { isFraming } from '../http/hop-by-hop.ts'
import type { ResponseHead } from '../http/response-head.ts'
import type { ExpectedBody } from './upgrade-body.ts'

/** The callback of a front while its client waits. */
export interface FrontWatcher {
  /** Called when the client leaves; at most once, and possibly before `watch` returns. */
  clientGone (why: Error): void
}

/** A client that has requested an upgrade. */
export interface Front {
  /** The stream that the tunnel copies. */
  readonly stream: Duplex
  /** The connection under `stream`, which other streams of HTTP/2 share; `undefined` if it is not known. */
  readonly transport: Duplex | undefined
  /** The status with which the request completes after the switch. */
  readonly status: 101 | 200
  /** True once the router has given the request to an entry: no route of other code answers it. */
  isRouted: boolean
  /**
   * Reads the request's small body, which precedes all other bytes, until `release`. Only HTTP/1.1 has it.
   * @param done called once, possibly before this returns: with the body, or with the reason why there is none
   */
  readBody? (expected: ExpectedBody, done: (error: Error | null, body?: Buffer) => void): void
  /**
   * Watches for the client's leaving, until `release`.
   * @param earlyData the number of bytes that the client may send before the switch: the front reads no more than these
   */
  watch (watcher: FrontWatcher, earlyData: number): void
  /** Stops watching. Returns the client's early bytes in order, once; an empty buffer the second time. */
  release (): Buffer
  /** Does the same for a tunnel that takes over the stream in this turn: the stream is not paused for it. */
  handOver (): Buffer
  /**
   * Takes the client away from Fastify and sends the switch, with these headers and those that hooks have set on the reply.
   * @param token the protocol to which it switches
   * @returns a function that completes the request at Fastify: `onResponse`, and the "request completed" line. It keeps nothing alive but
   * the response
   * @throws InvalidHeaderError, and nothing was sent
   */
  accept (reply: FastifyReply, head: ResponseHead, headers: HeaderList, token: string): () => void
  /** Does the same with the upstream's head as it came. Only HTTP/1.1 has it. */
  acceptRaw? (reply: FastifyReply, head: Buffer): () => void
  /** Relays a response as it comes, completes the request, and ends the connection afterwards. Only HTTP/1.1 has it. */
  relayRaw? (reply: FastifyReply, head: Buffer, body: Readable, status: number): void
  /** Breaks off the response in flight to the client. */
  cut (): void
  /**
   * Drops the client without a response, and completes the request.
   * @param status the status for hooks and the log; the default 499 is nginx's code for a client that has disconnected
   */
  drop (reply: FastifyReply, status?: number): void
}

const kFront: unique symbol = Symbol('fastify-wstunnel.front')

/** A request of Node's, of any HTTP version. */
type WithFront = object & { [kFront]?: Front | undefined }

/** Stores the front of a request that asks for an upgrade, until the request has come through the router. */
export function keepFront (request: WithFront, front: Front): void {
  request[kFront] = front
}

/** Returns the front; `undefined` for a request that did not arrive as an upgrade, or is none any more. */
export function frontOf (request: WithFront): Front | undefined {
  return request[kFront]
}

export function dropFront (request: WithFront): void {
  request[kFront] = undefined
}

/** Returns the headers of a switch: the upstream's, then those that hooks have set on the reply. */
export function withReplyHeaders (headers: HeaderList, reply: FastifyReply): string[] {
  const merged = [...headers]
  const own = reply.getHeaders()
  for (const name of Object.keys(own)) {
    if (isFraming(name) || (name !== 'set-cookie' && fieldValue(merged, name) !== undefined)) continue
    const value = own[name]
    if (Array.isArray(value)) for (const item of value) merged.push(name, String(item))
    else merged.push(name, String(value))
  }
  return merged
}
