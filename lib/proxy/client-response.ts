/** An upstream's response as the client gets it: through Fastify's reply, so that hooks and other plugins' headers hold. */
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

/** A status line and headers of an upstream. */
export interface Head {
  readonly status: number
  readonly reason: string
  readonly headers: HeaderList
}

/**
 * The headers of a response: hop-by-hop fields stripped, `reverse` applied, and behind it `rewriteHeaders`, which has the last word.
 * @throws InvalidHeaderError where that function returned what cannot be written, FunctionError where it returned a promise
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
 * Gives a response's status and headers to the reply. Returns what takes them back, for an error that takes their place
 * before they were written.
 * @throws InvalidResponseError for a status that is none of a final response, and for a head beyond `maxResponseHead`
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
  const vary = reply.getHeader('vary') // of a hook: @fastify/cors
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

/** The upstream's own phrase, for its own status: a hook may still answer with another one. */
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
 * RFC 9110, 15.2: 102 and 103 are for the client; it is HTTP/1.1 or later that may get them, and only while it takes what it gets:
 * a hint that waits helps nobody. Returns whether something was sent.
 */
export function sendInformational (request: FastifyRequest, { raw }: FastifyReply, status: number, headers: HeaderList): boolean {
  // Behind one that is not finished a response has no socket: Node would put the hint into its body.
  if (isHeadWritten(raw) || request.raw.httpVersion === '1.0' || raw.socket === null || raw.socket.writableLength > 0) return false
  if (status === 102) return sendProcessing(raw)
  const link = status === 103 ? toMap(headers).link : undefined
  if (link === undefined) return false
  try {
    raw.writeEarlyHints({ link })
    return true
  } catch {
    return false // Node looks at what it says before it writes any of it. The response is still to come.
  }
}

/** HTTP/2 responses of Node's have no such method. */
function sendProcessing (raw: Partial<Pick<FastifyReply['raw'], 'writeProcessing'>>): boolean {
  raw.writeProcessing?.()
  return raw.writeProcessing !== undefined
}

/** By lower-case name, repeated fields as arrays. A Map takes half the time of an object without a prototype. */
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

/** Refusals that are no failure of anybody's. */
const refusals: ReadonlySet<string> = new Set(['FST_WSTUNNEL_LIMIT', 'FST_WSTUNNEL_CLIENT_LIMIT', 'FST_WSTUNNEL_DRAINING'])

/** Sends an error instead of a response, through Fastify's error handler. */
export function sendError (request: FastifyRequest, reply: FastifyReply, cause: unknown): void {
  // Fastify takes what is no Error for a payload, and a user's function may throw anything.
  const error = readable(cause)
  resetReason(request, reply)
  if (isProxyError(error)) {
    // Where it was made says nothing to anybody, and is longer than the request, thousands of which may come.
    if (error.source !== 'internal' || error.cause === undefined) error.stack = String(error)
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
    if (refusals.has(error.code)) logAsRefusal(reply)
  }
  deliver(reply, error)
}

/**
 * Hands a payload to Fastify. A hook, an error handler or a logger that throws there would throw into whoever has called us back, and
 * so end the process: it is answered as an error, and where that throws, too, with the status alone.
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

/**
 * A refusal for a limit, or because of a drain, is no failure of the server's: Fastify logs every 5xx as an error, and thousands of them are just
 * what a limit is for.
 */
function logAsRefusal (reply: FastifyReply): void {
  const { log } = reply
  reply.log = Object.create(log, { error: { value: log.info.bind(log) } }) as typeof log
}

/** Bytes on the wire. Undici bounds only names and values, and so lets any number of short fields pass. */
function sizeOf (headers: HeaderList): number {
  let size = headers.length / 2 * ': \r\n'.length
  for (const part of headers) size += part.length
  return size
}

/** The reason phrase of an upstream's response does not fit an error that takes its place. */
function resetReason ({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (raw.httpVersionMajor === 1 && !isHeadWritten(reply.raw)) reply.raw.statusMessage = ''
}

/** The protocols that a 426 must tell of (RFC 9110, 15.5.22), where the route would accept one of them. */
function advertised (target: Target, { status, headers }: Head): string | undefined {
  const value = fieldValue(headers, 'upgrade')
  if (value === undefined || status !== 426) return undefined
  const accepted = target.upgrade === 'NONE' ? ['websocket'] : target.upgrade
  return accepted === 'ANY' || tokens(value).some((token) => accepted.includes(token)) ? value : undefined
}
