/** A request's body on its way to the upstream. */
import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { BodyConsumedError, RequestBodyError } from '../errors.ts'
import { announcesBody } from '../http/header-list.ts'
import { releaseBuffer } from '../net/buffer-release.ts'

/**
 * The request's body as a stream, or `null`. The parser for `*` has put it there; a GET's is only on the raw request.
 * @throws BodyConsumedError where some of it has been read already
 */
export function requestBody (request: FastifyRequest): Readable | null {
  const stream = (request.raw as IncomingMessage & { stream?: { endAfterHeaders: boolean } }).stream
  if (!(stream === undefined ? announcesBody(request.raw.headers) : !stream.endAfterHeaders)) return null
  const body = request.body instanceof Readable ? request.body : request.raw
  if (body.readableDidRead) throw new BodyConsumedError()
  return body
}

/**
 * Whether a body is as long as the client has announced it: its own, or one of a `preParsing` hook that vouches for that, as Fastify asks such
 * hooks to. Of a body that was decoded on the way, what they vouch for is what came.
 */
export function hasOwnLength (request: FastifyRequest, body: Readable | null): boolean {
  if (body === null || body === request.raw) return true
  const vouched = (body as Readable & { receivedEncodedLength?: unknown }).receivedEncodedLength
  return typeof vouched === 'number' && request.headers['content-encoding'] === undefined
}

/** What is told of a body on its way. */
export interface BodyOwner {
  /** More of it is the client's to send. */
  awaited (): void
  /** So many bytes have been taken of it; at the beginning and at the end none. */
  taken (bytes: number): void
  /** Whether the body came from a socket, and the kernel has all that was taken of it. */
  readonly isPassedOn: boolean
}

/**
 * The body as undici is to read it: counted, and without the right to destroy the client's connection. A chunk's memory is given back
 * when undici asks for the next one, unless somebody else has listened to the body, however briefly.
 */
export async function * counted (body: Readable, owner: BodyOwner): AsyncGenerator<Buffer> {
  owner.taken(0)
  let alone = body.listenerCount('data') === 0
  const onListener = (event: string | symbol): void => { if (event === 'data') alone = false }
  body.on('newListener', onListener)
  try {
    owner.awaited()
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      owner.taken(chunk.length)
      yield chunk
      if (alone && owner.isPassedOn) releaseBuffer(chunk)
      owner.awaited()
    }
  } catch (cause) {
    throw bodyFailure(cause)
  } finally {
    owner.taken(0)
    body.off('newListener', onListener)
  }
}

/** A body that cannot be read to its end, or decoded, is its client's fault, and no upstream's. */
function bodyFailure (cause: unknown): Error {
  const failure = new RequestBodyError({ cause })
  const status = (cause as { statusCode?: unknown } | null | undefined)?.statusCode
  if (typeof status === 'number' && status >= 400 && status <= 499) failure.statusCode = status
  return failure
}
