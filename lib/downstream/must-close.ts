/**
 * Whether a client's connection of HTTP/1 must close behind a response, and why. Everybody who finds a reason marks the request; the response says
 * `Connection: close` in one place, `closingHead`.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { tokens } from '../http/header-list.ts'
import { isHttp2 } from '../http/version.ts'

/**
 * - `invalid`: where the request ends cannot be trusted, so nothing may be read behind it
 * - `timeout`: its body did not come in time
 * - `upgrade`: it is an upgrade's, which Node's parser has let go of
 * - `draining`: the server closes
 * - `client`: the client asked for it, or is one of HTTP/1.0 that did not ask for the opposite
 * - `response`: the response says so, for a reason of its hook's or route's own
 */
export type CloseReason = 'invalid' | 'timeout' | 'upgrade' | 'draining' | 'client' | 'response'

const reasons = new WeakMap<IncomingMessage, CloseReason>()
const connections = new WeakSet<EventEmitter>()

/** Marks a request as one whose connection closes behind the response. The first reason stays. */
export function markMustClose (request: IncomingMessage, reason: CloseReason): void {
  if (isHttp2(request) || reasons.has(request)) return
  reasons.set(request, reason)
  connections.add(request.socket)
}

/** Whether the request came behind one whose response is the last: it is not processed (RFC 9112, 9.6). */
export function isBehindLast (request: IncomingMessage): boolean {
  return connections.has(request.socket) && !reasons.has(request)
}

/** Gives the response its `Connection`, just before its head is written. Returns why the connection closes behind it, if it does. */
export function closingHead ({ raw }: FastifyRequest, reply: FastifyReply): CloseReason | undefined {
  const given = reply.getHeader('connection')
  const reason = reasons.get(raw) ?? (saysClose(raw.headers.connection, raw.httpVersion) ? 'client' : undefined)
  if (reason === undefined) return saysClose(given, '1.1') ? 'response' : undefined
  // Node says it for the client's sake, but not where there is a field already.
  if (reason !== 'client' || given !== undefined) reply.header('connection', withClose(given))
  return reason
}

/** A value of `Connection` that says `close`, with the other options that it had; `keep-alive` is none of them. */
export function withClose (value: unknown): string {
  const options = listOf(value).filter((option) => !/^(?:close|keep-alive)$/i.test(option))
  return [...options, 'close'].join(', ')
}

/** Whether a message ends its connection (RFC 9112, 9.3). */
function saysClose (value: unknown, version: string): boolean {
  const options = tokens(listOf(value).join())
  return options.includes('close') || (version === '1.0' && !options.includes('keep-alive'))
}

function listOf (value: unknown): string[] {
  return [value ?? []].flat().flatMap((item) => String(item).split(',')).map((option) => option.trim()).filter((option) => option !== '')
}
