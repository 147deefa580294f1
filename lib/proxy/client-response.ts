/** The upstream's response for the client: it goes through Fastify's reply, so that hooks and the headers of other plugins apply. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES } from 'node:http'
import type { Target } from '../config/target.ts'
import { immediate, readable } from '../config/user-function.ts'
import { keepContentFields } from '../downstream/replaced-response.ts'
import { isHeadWritten } from '../downstream/upgrade-response.ts'
import { InvalidHeaderError, InvalidResponseError, isProxyError } from '../errors.ts'
import { fieldValue, type HeaderList, tokens } from '../http/header-list.ts'
import { fromMap, toMap } from '../http/header-map.ts'
import { mergedVary, responseHeaders } from '../http/hop-by-hop.ts'
import { leadBack, type Origin } from './reverse.ts'

/** The status line and headers of an upstream. */
export interface Head {
  readonly status: number
  readonly reason: string
  readonly headers: HeaderList
}

/**
 * Returns the headers of a response: strips hop-by-hop fields, applies `reverse`, and then `rewriteHeaders`, which has the last word.
 * @throws InvalidHeaderError if that function returned headers that cannot be written, FunctionError if it returned a promise
 */
export function rewrittenHeaders (request: FastifyRequest, target: Target, raw: HeaderList, origin: Origin): string[] {
  const headers = responseHeaders(raw, target.via)
  leadBack(headers, request, target, origin)
  if (target.rewriteHeaders === undefined) return headers
  const map = immediate(target.rewriteHeaders(toMap(headers), request))
  try {
    return fromMap(map, headers)
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/**
 * Sets a response's status and headers on the reply. Returns a function that removes them, for an error that replaces the response before
 * they were written.
 * @throws InvalidResponseError if the status is none of a final response, or the head is larger than `maxResponseHead`
 */
export function applyResponseHead (request: FastifyRequest, reply: FastifyReply, target: Target, head: Head, origin: Origin): () => void {
  if (head.status < 200 || head.status > 599 || sizeOf(head.headers) > target.limits.maxResponseHead) throw new InvalidResponseError()
  const fields = groupHeaders(rewrittenHeaders(request, target, head.headers, origin))
  reply.code(head.status)
  if (request.raw.httpVersionMajor === 1) {
    keepReason(reply.raw, head)
    const upgrade = advertised(target, head)
    if (upgrade !== undefined) fields.set('upgrade', upgrade).set('connection', 'Upgrade')
  }
  if (head.status === 204) fields.delete('content-length') // RFC 9110, 8.6
  const vary = reply.getHeader('vary') // set by a hook, such as @fastify/cors
  if (vary !== undefined && fields.has('vary')) fields.set('vary', mergedVary([vary, fields.get('vary') ?? []].flat().map(String)))
  for (const [name, value] of fields) reply.header(name, value)
  keepContentFields(reply, head.status, fields)
  return () => {
    if (isHeadWritten(reply.raw)) return
    resetReason(request, reply)
    for (const name of fields.keys()) reply.removeHeader(name)
    if (vary !== undefined) reply.header('vary', vary)
  }
}

/** Keeps the upstream's reason phrase for the upstream's status: a hook may still change the status. */
function keepReason (raw: FastifyReply['raw'], { status, reason }: Head): void {
  if (reason === STATUS_CODES[status] || !/^[\t\x20-\x7e\x80-\xff]+$/.test(reason)) return
  Object.defineProperty(raw, 'statusMessage', {
    configurable: true,
    enumerable: true,
    get: () => raw.statusCode === status ? reason : '',
    set: (value: string) => Object.defineProperty(raw, 'statusMessage', { configurable: true, enumerable: true, writable: true, value })
  })
}

/**
 * Sends a 102 or 103 to the client (RFC 9110, 15.2), if it speaks HTTP/1.1 or later and has no bytes waiting: a hint that waits is useless.
 * Returns true if it sent something.
 */
export function sendInformational (request: FastifyRequest, { raw }: FastifyReply, status: number, headers: HeaderList): boolean {
  // A response that waits behind an unfinished one has no socket: Node would write the hint into the body of that one.
  if (isHeadWritten(raw) || request.raw.httpVersion === '1.0' || raw.socket === null || raw.socket.writableLength > 0) return false
  if (status === 102) return sendProcessing(raw)
  const link = status === 103 ? toMap(headers).link : undefined
  if (link === undefined) return false
  try {
    raw.writeEarlyHints({ link })
    return true
  } catch {
    return false // Node validates the fields before it writes any of them; the response can still follow
  }
}

/** Sends a 102. Node's HTTP/2 responses have no such method. */
function sendProcessing (raw: Partial<Pick<FastifyReply['raw'], 'writeProcessing'>>): boolean {
  raw.writeProcessing?.()
  return raw.writeProcessing !== undefined
}

/** Returns the headers by lower-case name, repeated fields as arrays. A Map takes half the time of an object without a prototype. */
function groupHeaders (list: HeaderList): Map<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (let i = 0; i < list.length; i += 2) {
    const key = (list[i] as string).toLowerCase()
    const value = list[i + 1] as string
    const known = fields.get(key)
    if (known === undefined) fields.set(key, value)
    else if (typeof known === 'string') fields.set(key, [known, value])
    else known.push(value)
  }
  return fields
}

/** The codes of refusals that are no failure. */
const refusals: ReadonlySet<string> = new Set(['FST_WSTUNNEL_LIMIT', 'FST_WSTUNNEL_CLIENT_LIMIT', 'FST_WSTUNNEL_DRAINING'])

/** Sends an error instead of a response, through Fastify's error handler. */
export function sendError (request: FastifyRequest, reply: FastifyReply, cause: unknown): void {
  // Fastify takes a value that is no Error for a payload, and a user's function may throw any value.
  const error = readable(cause)
  resetReason(request, reply)
  if (isProxyError(error)) {
    // The stack of such an error is useless, and longer than the request, of which there may be thousands.
    if (error.source !== 'internal' || error.cause === undefined) error.stack = String(error)
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
    if (refusals.has(error.code)) logAsRefusal(reply)
  }
  deliver(reply, error)
}

/**
 * Sends a payload through Fastify. An error thrown there by a hook, an error handler or a logger would reach our caller's callback and end
 * the process. So it is answered as an error, and if that throws, too, with the status alone.
 */
export function deliver (reply: FastifyReply, payload?: unknown): void {
  try {
    reply.send(payload)
  } catch (cause) {
    const { raw } = reply
    try {
      if (payload instanceof Error || raw.headersSent) throw cause
      reply.send(readable(cause))
    } catch {
      if (raw.headersSent) {
        raw.destroy()
        return
      }
      const status = raw.statusCode >= 400 ? raw.statusCode : 500
      for (const name of raw.getHeaderNames()) raw.removeHeader(name)
      raw.writeHead(status, { 'content-length': '0' }).end()
    }
  }
}

/** Logs a refusal for a limit or a drain at `info`: Fastify logs every 5xx as an error, but thousands of refusals are what a limit is for. */
function logAsRefusal (reply: FastifyReply): void {
  const { log } = reply
  reply.log = Object.create(log, { error: { value: log.info.bind(log) } }) as typeof log
}

/** Returns the size of headers on the wire in bytes. undici bounds only names and values, and so lets any number of short fields pass. */
function sizeOf (headers: HeaderList): number {
  let size = headers.length / 2 * ': \r\n'.length
  for (const part of headers) size += part.length
  return size
}

/** Removes the upstream's reason phrase, which does not fit an error that replaces the response. */
function resetReason ({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.httpVersionMajor === 1 && !isHeadWritten(reply.raw)) reply.raw.statusMessage = ''
}

/** Returns the protocols that a 426 must name (RFC 9110, 15.5.22), if the route would accept one of them. */
function advertised (target: Target, { status, headers }: Head): string | undefined {
  const value = fieldValue(headers, 'upgrade')
  if (value === undefined || status !== 426) return undefined
  const accepted = target.upgrade === 'NONE' ? ['websocket'] : target.upgrade
  return accepted === 'ANY' || tokens(value).some((token) => accepted.includes(token)) ? value : undefined
}
