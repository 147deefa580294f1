/** The timer of a forward's client: it has as long as the upstream (httpd: Timeout). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Server } from 'node:http'
import { Socket } from 'node:net'
import { ClientGoneError, ClientTimeoutError } from '../errors.ts'
import { isHttp2 } from '../http/version.ts'
import { destroyForgotten } from './forgotten-streams.ts'
import { UpgradeResponse } from './upgrade-response.ts'

/** The progress of an exchange, as its client's timer sees it. */
export interface ClientProgress {
  readonly over: boolean
  /** True if some of the request's body has been read. */
  readonly hasTakenBody: boolean
  /** The number of bytes of the response that wait for the client. */
  readonly waitingBytes: number
  /** Called if the client took none of the waiting bytes in time. */
  clientTakesNothing (error: Error): void
  /** Called if the client sent nothing of its announced body in time. */
  clientSendsNothing (error: Error): void
}

/** Sets the timer, unless the server has one of its own. Returns true if it did. */
export function watchClient (request: FastifyRequest, { raw }: FastifyReply, timeout: number, exchange: ClientProgress): boolean {
  if (isHttp2(request.raw)) destroyForgotten(raw)
  // The timer of the server is not for a connection on which Node has seen an upgrade.
  const hasTimer = (request.server.server as Partial<Server>).timeout !== 0 && !UpgradeResponse.is(raw)
  if (timeout === 0 || hasTimer) return false
  raw.setTimeout(timeout, () => onClientIdle(request, raw, exchange))
  // The request's socket, since a response that waits for its turn has none; an inject() has no timers.
  if (!isHttp2(request.raw) && request.raw.socket instanceof Socket) raw.prependOnceListener('finish', stopTimer)
  return true
}

/** The timer is the connection's. Node replaces it after the last response, but not if another request waits, which may be for a slow route. */
function stopTimer (this: FastifyReply['raw']): void {
  this.socket?.setTimeout(0)
}

/** The listener of the client's `'timeout'`: nothing has moved on its connection. It finds the side that should have acted. */
function onClientIdle ({ raw: request }: FastifyRequest, response: FastifyReply['raw'], exchange: ClientProgress): void {
  if (exchange.over) return
  if (response.writableLength > 0 || exchange.waitingBytes > 0) exchange.clientTakesNothing(new ClientGoneError())
  else if (exchange.hasTakenBody && !request.complete && request.readableLength === 0) exchange.clientSendsNothing(new ClientTimeoutError())
  // else it is the upstream's turn, which has its own timers
}
