/** The hook through which every response on our routes goes: what its connection does behind it, also if the request has not been read yet. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline, Readable, Transform } from 'node:stream'
import { isHttp2 } from '../http/version.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import { closingHead } from './must-close.ts'
import { dropOfReplaced } from './replaced-response.ts'
import { dropBody, isUnread, keepBehind } from './staged-close.ts'
import { UpgradeResponse } from './upgrade-response.ts'

/** What Fastify sends, in so far as its end can be held. */
type Payload = Readable | string | Buffer | null | undefined

type Done = (error: Error | null, payload?: unknown) => void

/**
 * An `onSend` hook, the last. A connection that goes on reads the rest of the request's body and drops it. One that closes would be reset with bytes unread, and
 * the response lost: its end is held until the body has been read (RFC 9112, 9.6). All of that for a bounded time.
 */
export function wstunnelOnSend (request: FastifyRequest, reply: FastifyReply, given: unknown, done: Done): void {
  const { raw } = request
  dropOfReplaced(reply, given)
  if (isHttp2(raw)) return done(null, given)
  // Node would write a text and the head before it as one, in UTF-8, and so other header bytes than those that were given.
  const payload = typeof given === 'string' ? Buffer.from(given) : given
  // The response of an upgrade says by itself that it closes, and does so in stages.
  if (UpgradeResponse.is(reply.raw)) return done(null, payload)
  const closes = closingHead(request, reply) !== undefined
  if (!isUnread(raw)) return done(null, payload)
  if (!closes) {
    // Before Node's own listener, which would drop the body without a bound: what has been read from is left alone.
    reply.raw.prependOnceListener('finish', () => keepBehind(raw))
    return done(null, payload)
  }
  if (hasUnknownEnd(raw)) return done(null, payload)
  if (isPayload(payload) && !hasNoContent(request, reply)) done(null, holdEnd(raw, reply, payload))
  else dropBody(raw, () => done(null, payload))
}

/** Whether nobody can tell where the body ends: Node's parser is about to fail on it. */
function hasUnknownEnd ({ headers, httpVersion }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding']
  return coding !== undefined && (httpVersion === '1.0' || coding.toLowerCase() !== 'chunked')
}

/** Whether a response is over with its head: then there is no end to be held. */
function hasNoContent ({ method }: FastifyRequest, { statusCode }: FastifyReply): boolean {
  return method === 'HEAD' || statusCode === 204 || statusCode === 304
}

function isPayload (payload: unknown): payload is Payload {
  return payload === null || payload === undefined || typeof payload === 'string' || Buffer.isBuffer(payload) || payload instanceof Readable
}

/** The same content, which ends when the request's body has been read. */
function holdEnd (request: IncomingMessage, reply: FastifyReply, payload: Payload): Transform {
  const held = new Transform({
    transform (chunk, _, callback) { callback(null, chunk) },
    flush (callback) { dropBody(request, () => callback()) }
  })
  if (payload instanceof Readable) {
    pipeline(payload, held, () => {}) // Fastify hears of its errors from `held`
    return held
  }
  const content = payload ?? ''
  if (!reply.hasHeader('content-length')) reply.header('content-length', String(Buffer.byteLength(content)))
  if (content.length === 0) reply.raw.once('pipe', writeHead)
  held.end(content)
  return held
}

function writeHead (this: ServerResponse): void {
  this.write(emptyBuffer)
}
