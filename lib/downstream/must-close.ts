/**
 * The reasons why a client's HTTP/1 connection must close after a response. The code that finds a reason marks the request; `closingHead`
 * writes `Connection: close` into the response. Two responses say so without a mark: that of an upgrade (`upgrade-response`), and the last
 * one that `maxRequestsPerSocket` allows (`upgrade-listener`).
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { tokens } from '../http/header-list.ts'
import { trim } from '../http/syntax.ts'
import { isHttp2 } from '../http/version.ts'
import { pendingResponses } from './pipelining.ts'

/**
 * The reason why a connection closes.
 * - `invalid`: the end of the request cannot be trusted, so nothing may be read after it
 * - `timeout`: its body did not come in time
 * - `upgrade`: it is an upgrade, which Node's parser has let go of
 * - `draining`: the server closes
 * - `client`: the client requested it, or uses HTTP/1.0 without `keep-alive`
 * - `unframed`: only the close ends the response, which has no length, for a client that reads no chunks
 * - `response`: the response says so, for a reason of its hook or route
 */
export type CloseReason = 'invalid' | 'timeout' | 'upgrade' | 'draining' | 'client' | 'unframed' | 'response'

const reasons = new WeakMap<IncomingMessage, CloseReason>()
/**
 * The last request of each connection that closes: of those that were marked, the first in the order of the connection. A connection may become a
 * tunnel, which must not keep its request alive.
 */
const lastRequests = new WeakMap<EventEmitter, WeakRef<IncomingMessage>>()

/** Marks a request: its connection closes after the response. The first reason stays. */
export function markMustClose (request: IncomingMessage, reason: CloseReason): void {
  if (isHttp2(request) || reasons.has(request)) return
  reasons.set(request, reason)
  const last = lastRequests.get(request.socket)
  if (last === undefined || isBefore(request, last.deref())) lastRequests.set(request.socket, new WeakRef(request))
}

/** Returns true if the request follows one whose response is the last: it is not processed (RFC 9112, 9.6). */
export function isBehindLast (request: IncomingMessage): boolean {
  const last = lastRequests.get(request.socket)
  return last !== undefined && !reasons.has(request) && !isBefore(request, last.deref())
}

/**
 * Returns true if a request came before another one: its hooks may take longer, so that the other is marked first.
 * @param other `undefined` if it has been answered and collected
 */
function isBefore (request: IncomingMessage, other: IncomingMessage | undefined): boolean {
  const requests: ReadonlyArray<IncomingMessage | undefined> = pendingResponses(request.socket).map(({ req }) => req)
  const at = requests.indexOf(request)
  return at !== -1 && at < requests.indexOf(other)
}

/** Sets the response's `Connection`, just before its head is written. Returns the reason if the connection closes after it. */
export function closingHead ({ raw }: FastifyRequest, reply: FastifyReply): CloseReason | undefined {
  const given = reply.getHeader('connection')
  const reason = reasons.get(raw) ?? (saysClose(raw.headers.connection, raw.httpVersion) ? 'client' : undefined)
  // The response has had its own field since before the hooks: `upgrade-listener` sets it on the last one. Fastify's would replace it.
  const isLast = saysClose(reply.raw.getHeader('connection'), '1.1')
  if (reason === undefined && !isLast) return saysClose(given, '1.1') ? 'response' : undefined
  // For the client's reason Node writes `close` itself, unless the field is set already.
  if (reason !== 'client' || given !== undefined) reply.header('connection', withClose(given))
  return reason ?? 'response'
}

/** Returns a value of `Connection` with `close` and its other options, without `keep-alive`. */
export function withClose (value: unknown): string {
  const options = listOf(value).filter((option) => !/^(?:close|keep-alive)$/i.test(option))
  return [...options, 'close'].join(', ')
}

/** Returns true if a message ends its connection (RFC 9112, 9.3). */
function saysClose (value: unknown, version: string): boolean {
  if (value === undefined) return version === '1.0'
  const options = tokens(listOf(value).join())
  return options.includes('close') || (version === '1.0' && !options.includes('keep-alive'))
}

function listOf (value: unknown): string[] {
  return [value ?? []].flat().flatMap((item) => String(item).split(',')).map(trim).filter((option) => option !== '')
}
