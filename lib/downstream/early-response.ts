/** The hook of every response on this plugin's routes: it handles what is left of a request that is answered before it was read. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Duplex, pipeline, Readable, Transform } from 'node:stream'
import { isHttp2 } from '../http/version.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import { flush } from '../net/socket.ts'
import { closingHead, markMustClose } from './must-close.ts'
import { dropOfReplaced } from './replaced-response.ts'
import { dropBody, isUnread, keepOpen } from './staged-close.ts'
import { UpgradeResponse } from './upgrade-response.ts'

/** The payload whose end is held, by connection. */
const heldPayloads = new WeakMap<Duplex, Readable>()

/** The payloads of Fastify whose end the hook can hold. */
type Payload = Readable | string | Buffer | null | undefined

type Done = (error: Error | null, payload?: unknown) => void

/**
 * The last `onSend` hook. A connection that stays open reads the rest of the request's body and drops it. A connection that closes with
 * unread bytes would be reset, and the response lost; so the hook holds the response's end until the body has been read (RFC 9112, 9.6).
 * Both are bounded in time.
 */
export function wstunnelOnSend (request: FastifyRequest, reply: FastifyReply, given: unknown, done: Done): void {
  const { raw } = request
  dropOfReplaced(reply, given)
  if (isHttp2(raw)) return done(null, given)
  // Node would write a text together with the head, in UTF-8, which would change the head's latin1 bytes.
  const payload = typeof given === 'string' ? Buffer.from(given) : given
  // The response of an upgrade announces the close itself, and closes in stages.
  if (UpgradeResponse.is(reply.raw)) return done(null, payload)
  if (isUnframed(request, reply, payload)) markMustClose(raw, 'unframed')
  const closes = closingHead(request, reply) !== undefined
  if (!isUnread(raw)) return done(null, payload)
  if (!closes) {
    // Before Node's own listener, which would drop the body without a bound; it leaves a request alone that is being read.
    reply.raw.prependOnceListener('finish', () => keepOpen(raw))
    return done(null, payload)
  }
  if (hasUnknownEnd(raw)) return done(null, payload)
  if (isPayload(payload) && !hasNoContent(request, reply)) done(null, holdEnd(raw, reply, payload))
  else dropBody(raw, () => done(null, payload))
}

/** Returns true for a body whose length is not known, for a client that reads no chunks (RFC 9112, 6.3). */
function isUnframed (request: FastifyRequest, reply: FastifyReply, payload: unknown): boolean {
  if (request.raw.httpVersion !== '1.0' || hasNoContent(request, reply) || reply.hasHeader('content-length')) return false
  return payload !== null && payload !== undefined && !Buffer.isBuffer(payload)
}

/** Returns true if no reader can tell the end of the body: Node's parser is about to fail on it. */
function hasUnknownEnd ({ headers, httpVersion }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding']
  return coding !== undefined && (httpVersion === '1.0' || coding.toLowerCase() !== 'chunked')
}

/** Returns true if a response ends with its head, so that there is no end to hold. */
function hasNoContent ({ method }: FastifyRequest, { statusCode }: FastifyReply): boolean {
  return method === 'HEAD' || statusCode === 204 || statusCode === 304
}

function isPayload (payload: unknown): payload is Payload {
  return payload === null || payload === undefined || typeof payload === 'string' || Buffer.isBuffer(payload) || payload instanceof Readable
}

/** Returns the same content as a stream that ends once the request's body has been read. */
function holdEnd (request: IncomingMessage, reply: FastifyReply, payload: Payload): Transform {
  const held = new Transform({
    transform (chunk, _, callback) { callback(null, chunk) },
    flush (callback) { dropBody(request, () => callback()) }
  })
  heldPayloads.set(request.socket, held)
  if (payload instanceof Readable) {
    pipeline(payload, held, () => {}) // Fastify gets the errors from `held`
    return held
  }
  const content = payload ?? ''
  // Also over the upstream's length: a hook may have replaced the content, which Fastify notices of a text or a Buffer, not of a stream.
  reply.header('content-length', String(Buffer.byteLength(content)))
  if (content.length === 0) reply.raw.once('pipe', writeHead)
  held.end(content)
  return held
}

/**
 * Writes what there is of a held response, in this turn: its connection is about to be destroyed, because Node's parser has failed behind
 * the request.
 */
export function writeHeld (socket: Duplex): void {
  const held = heldPayloads.get(socket)
  let chunk: unknown
  do { chunk = held?.read() ?? null } while (chunk !== null) // a flowing stream gives one chunk at a time
  flush(socket)
}

function writeHead (this: ServerResponse): void {
  this.write(emptyBuffer)
}
