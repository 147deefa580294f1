/** The connection of an upgrade in other hands than those of Fastify and Node's HTTP, and what they are to hear of it nevertheless. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'
import { reset } from '../net/socket.ts'
import type { RawResponseBody } from '../upstream/http1-response-body.ts'
import { closeInStages } from './staged-close.ts'
import { dropPendingUpgrade, isGuard, UpgradeResponse } from './upgrade-response.ts'

/** Takes the connection out of Fastify's and Node's hands. */
export function hijackSocket (reply: FastifyReply, request: FastifyRequest, socket: Duplex): void {
  reply.hijack()
  dropPendingUpgrade(request.raw)
  reply.raw.detachSocket(socket as Socket)
}

/**
 * Lets Fastify complete a hijacked request: `onResponse` and the "request completed" line. Made here, by itself, so that
 * the tunnel keeps nothing alive but the response, and that until it is called.
 * @param socket the client's connection
 */
export function completeRequest (response: ServerResponse, status: number, socket: Duplex): () => void {
  return () => {
    response.statusCode = status
    if (socket.destroyed || !endsWithResponse(response)) response.emit('finish')
    else socket.once('close', () => response.emit('finish'))
  }
}

/**
 * Whether somebody besides Fastify waits for the end of a response that another plugin has made for the upgrade: @fastify/http-proxy
 * then destroys the connection. Such a request is completed when its connection has closed.
 */
function endsWithResponse (response: ServerResponse): boolean {
  return !UpgradeResponse.is(response) && response.listeners('finish').filter((listener) => !isGuard(listener)).length > 1
}

/** Relays an answer as it comes, and ends the connection behind it. */
export function relayRaw (reply: FastifyReply, request: FastifyRequest, socket: Duplex, head: Buffer, body: RawResponseBody, status: number): void {
  hijackSocket(reply, request, socket)
  socket.write(head)
  const complete = completeRequest(reply.raw, status, socket)
  body.once('error', () => reset(socket)) // a mere end may be the message's
  pipeline(body, socket, (error) => {
    complete()
    if (error !== undefined && error !== null) socket.destroy()
    else closeInStages(request.raw.socket)
  })
}

/**
 * Nobody is there to be answered, or no answer is possible, but hooks and the log are still to hear of the end.
 * @param status 499 is nginx's code for a client that has left
 */
export function abortReply (reply: FastifyReply, socket: Duplex, status: number = 499): void {
  socket.destroy()
  if (reply.sent) return
  reply.hijack()
  completeRequest(reply.raw, status, socket)()
}
