/** The end of a response at the client, for each version of HTTP: when it comes, if it is complete, and how to cut it off. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { reset } from '../net/socket.ts'
import { whenClosed } from './pipelining.ts'
import { isHeadWritten } from './upgrade-response.ts'

type Response = FastifyReply['raw'] & { readonly stream?: { readonly destroyed: boolean, readonly rstCode?: number, destroy (error: Error): void } }

/**
 * Calls back when the response is finished, and when its connection is closed.
 * @returns a function that stops watching the connection, for a response that waits behind another
 */
export function watchEnd ({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply, callback: () => void): (() => void) | undefined {
  raw.on('finish', callback)
  raw.on('close', callback)
  if (raw.socket !== null) return undefined
  raw.once('socket', endInTurn)
  return whenClosed(socket, callback)
}

/**
 * Ends the connection in the turn of a waiting response that was destroyed. Node does so itself up to version 22; Node 24 sends the part of
 * the response that exists, and leaves the connection open.
 */
function endInTurn (this: FastifyReply['raw'], socket: Socket): void {
  if (this.destroyed) socket.destroy()
}

/** Returns true if the client has already disconnected, so that no callback will follow. */
export function isClientGone ({ raw: { socket } }: FastifyRequest, raw: Response): boolean {
  return socket.destroyed || raw.destroyed || raw.stream?.destroyed === true
}

/** Returns true if the client was sent the whole response. HTTP/2 reports a reset stream as finished. */
export function isComplete (raw: Response): boolean {
  return raw.writableFinished && (raw.stream?.rstCode ?? 0) === 0
}

/**
 * Cuts off an incomplete response so that its client can tell. HTTP/1.0 has no chunks: a body without a length that just ends is a whole
 * one (RFC 9112, 8). Over HTTP/2 Node resets a destroyed response with NO_ERROR, which clients take for a regular end; after an error it
 * sends INTERNAL_ERROR (RFC 9113, 8.1).
 */
export function truncateResponse (raw: Response): void {
  if (!isHeadWritten(raw)) return
  if (raw.stream !== undefined) raw.stream.destroy(new Error('the response was cut short'))
  else if (raw.req.httpVersion === '1.0' && raw.socket !== null) reset(raw.socket)
}
