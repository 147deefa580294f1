/** The client of a forward is given as long as its upstream (httpd: Timeout). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Server } from 'node:http'
import { ClientGoneError, ClientTimeoutError } from '../errors.ts'

/** An exchange, as its client's timer looks at it. */
export interface ClientProgress {
  readonly over: boolean
  /** Whether some of the request's body has been read. */
  readonly hasTakenBody: boolean
  /** Bytes of the response that wait for the client. */
  readonly waitingBytes: number
  /** Of what waits for it. */
  clientTakesNothing (error: Error): void
  /** Of what it has announced. */
  clientSendsNothing (error: Error): void
}

/** Sets the timer, unless the server has one of its own. Returns whether it did. */
export function watchClient (request: FastifyRequest, { raw }: FastifyReply, timeout: number, exchange: ClientProgress): boolean {
  if (timeout === 0 || (request.server.server as Partial<Server>).timeout !== 0) return false
  raw.setTimeout(timeout, () => onClientIdle(request, raw, exchange))
  return true
}

/** Nothing has moved on the client's connection. Whose turn was it? */
function onClientIdle ({ raw: request }: FastifyRequest, response: FastifyReply['raw'], exchange: ClientProgress): void {
  if (exchange.over) return
  if (response.writableLength > 0 || exchange.waitingBytes > 0) exchange.clientTakesNothing(new ClientGoneError())
  else if (exchange.hasTakenBody && !request.complete && request.readableLength === 0) exchange.clientSendsNothing(new ClientTimeoutError())
  // else the upstream's, which has timers of its own
}
