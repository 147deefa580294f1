/** The body of a request on its way to the upstream. */
import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { BodyConsumedError, RequestBodyError } from '../errors.ts'
import { announcesBody } from '../http/header-list.ts'
import { releaseBuffer } from '../net/buffer-release.ts'

/**
 * Returns the request's body as a stream, or `null`. The parser for `*` sets it; a GET's body is only on the raw request.
 * @throws BodyConsumedError if some of it has been read already
 */
export function requestBody (request: FastifyRequest): Readable | null {
  const stream = (request.raw as IncomingMessage & { stream?: { endAfterHeaders: boolean } }).stream
  if (!(stream === undefined ? announcesBody(request.raw.headers) : !stream.endAfterHeaders)) return null
  const body = request.body instanceof Readable ? request.body : request.raw
  if (body.readableDidRead) throw new BodyConsumedError()
  return body
}

/**
 * Returns true if a body has the length that the client announced. That holds for the client's own body, and for one of a `preParsing` hook
 * that sets `receivedEncodedLength`, as Fastify asks such hooks to. A body decoded by a hook does not
 * count: that field is the length before decoding.
 */
export function hasOwnLength (request: FastifyRequest, body: Readable | null): boolean {
  if (body === null || body === request.raw) return true
  const vouched = (body as Readable & { receivedEncodedLength?: unknown }).receivedEncodedLength
  return typeof vouched === 'number' && request.headers['content-encoding'] === undefined
}

/** The callbacks of a body on its way. */
export interface BodyOwner {
  /** Called when the client must send more of it. */
  awaited (): void
  /** Called when undici has taken bytes of it; with 0 at the beginning and at the end. */
  taken (bytes: number): void
  /** True if the body came from a socket, and the kernel has all taken bytes. */
  readonly isPassedOn: boolean
}

/**
 * Yields the body for undici: counted, and without the power to destroy the client's connection. A chunk's memory is released when undici
 * asks for the next one, unless other code has ever listened to the body.
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

/** Returns the error for a body that cannot be read to its end, or decoded: the client is to blame, and no upstream. */
function bodyFailure (cause: unknown): Error {
  const failure = new RequestBodyError({ cause })
  const status = (cause as { statusCode?: unknown } | null | undefined)?.statusCode
  if (typeof status === 'number' && status >= 400 && status <= 499) failure.statusCode = status
  return failure
}
