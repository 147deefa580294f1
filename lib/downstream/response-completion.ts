/** The end of a response at the client, for each version of HTTP: when it has come, what it was, and how one is brought about. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { reset } from '../net/socket.ts'
import { whenClosed } from './pipelining.ts'
import { isHeadWritten } from './upgrade-response.ts'

type Response = FastifyReply['raw'] & { readonly stream?: { readonly destroyed: boolean, readonly rstCode?: number, destroy (error: Error): void } }

/**
 * Calls back when the response is finished, and when its connection is closed.
 * @returns stops watching the connection, where the response waits behind another
 */
export function watchEnd ({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply, callback: () => void): (() => void) | undefined {
  raw.on('finish', callback)
  raw.on('close', callback)
  if (raw.socket !== null) return undefined
  raw.once('socket', endInTurn)
  return whenClosed(socket, callback)
}

/**
 * Where a response is destroyed that waits behind another, its turn ends the connection. Node does that by itself up to 22; 24
 * sends what there is of it, and leaves the connection open.
 */
function endInTurn (this: FastifyReply['raw'], socket: Socket): void {
  if (this.destroyed) socket.destroy()
}

/** Whether the client has left already: then nothing calls back any more. */
export function isClientGone ({ raw: { socket } }: FastifyRequest, raw: Response): boolean {
  return socket.destroyed || raw.destroyed || raw.stream?.destroyed === true
}

/** Whether the client was sent all of it. Of a stream that was reset, HTTP/2 says that its writing has finished. */
export function isComplete (raw: Response): boolean {
  return raw.writableFinished && (raw.stream?.rstCode ?? 0) === 0
}

/**
 * Ends a response that is not whole so that its client can tell. HTTP/1.0 has no chunks: a body of no length that just ends is a whole one
 * (RFC 9112, 8). Over HTTP/2 Node resets a destroyed response with NO_ERROR, which clients take for the end of a whole one; after an error it is
 * INTERNAL_ERROR (RFC 9113, 8.1).
 */
export function truncateResponse (raw: Response): void {
  if (!isHeadWritten(raw)) return
  if (raw.stream !== undefined) raw.stream.destroy(new Error('the response broke off'))
  else if (raw.req.httpVersion === '1.0' && raw.socket !== null) reset(raw.socket)
}
