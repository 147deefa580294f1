/** A request's body on its way to the upstream. */
import type { FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { announcesBody } from './headers.ts'

/** The request's body as a stream, or `null`. The parser for `*` has put it there; a GET's is only on the raw request. */
export function requestBody (request: FastifyRequest): Readable | null {
  const stream = (request.raw as IncomingMessage & { stream?: { endAfterHeaders: boolean } }).stream
  if (!(stream === undefined ? announcesBody(request.raw.headers) : !stream.endAfterHeaders)) return null
  return request.body instanceof Readable ? request.body : request.raw
}

/** The body as undici is to read it: counted, and without the right to destroy the client's connection. */
export async function * counted (body: Readable, onChunk: (bytes: number) => void): AsyncGenerator<Buffer> {
  onChunk(0)
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    onChunk(chunk.length)
    yield chunk
  }
}
