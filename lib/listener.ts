/**
 * The server's `'upgrade'` event: whose an offer is, and how it gets to its owner. With any such listener Node gives
 * every request that asks for an upgrade here; those that will not switch are given back, and become plain requests.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  handBack, handedBack, keepOffer, rebuildHead, respondOn, whenFree, type Offered, type UpgradeResponse
} from './connection.ts'
import { readFacts } from './decision.ts'
import { replaceUpgradeToken } from './headers.ts'
import type { ServerState } from './state.ts'

/** Listens. Returns the remover. */
export function listen (state: ServerState): () => void {
  const server = state.server as Server
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => accept(state, request, socket, head)
  // First of all listeners, so that no client error finds the socket without one.
  server.prependListener('upgrade', onUpgrade)
  const undecline = declineEarly(state, server)
  return () => {
    server.off('upgrade', onUpgrade)
    undecline()
  }
}

/** Newer Nodes ask before they take a request for an upgrade: what is declined there needs no giving back. */
function declineEarly (state: ServerState, server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }): () => void {
  const before = server.shouldUpgradeCallback
  if (before === undefined) return () => {}
  server.shouldUpgradeCallback = function (request) {
    const fate = state.foresee(request)
    if (fate === 'switch') return true
    if (readFacts(request).body) return server.listenerCount('upgrade') > 1 && fate === undefined && before.call(server, request)
    // Someone else may want it, or Fastify's `rewriteUrl` make it ours.
    return fate === undefined || server.listenerCount('upgrade') > 1
  }
  return () => { server.shouldUpgradeCallback = before }
}

function accept (state: ServerState, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', onSocketError)
  socket.allowHalfOpen = true // https and http2 sockets are not: an upstream's last bytes would be lost
  const response = respondOn(request, socket)
  if (response === undefined) {
    // Pipelined behind a request that is not answered yet: a 101 now would come before that answer. Heard again in order.
    whenFree(socket, () => giveBack(state, request, socket, Buffer.concat([rebuildHead(request), head])))
    return
  }
  const offered = { socket, head, eager: head.length > 0 }
  keepOffer(request, offered)
  const fate = state.foresee(request)
  const alone = state.server.listenerCount('upgrade') === 1
  // What no table knows may still be ours once Fastify's `rewriteUrl` has seen it; it needs the socket then.
  if (alone && (fate === 'switch' || (fate === undefined && isBare(request, head)))) return route(state, response, request, offered)
  response.detachSocket(socket as IncomingMessage['socket'])
  if (alone) return decline(state, request, socket, head)
  process.nextTick(() => {
    // Another listener may have taken it: @fastify/websocket, say, which puts it through the router as we do.
    const own = socket.destroyed ? undefined : respondOn(request, socket)
    if (own === undefined) return
    if (fate === 'switch') return route(state, own, request, offered)
    own.detachSocket(socket as IncomingMessage['socket'])
    if (fate === 'ordinary') decline(state, request, socket, head)
  })
}

/** Through the router, on a response of its own: whatever answers there, answers this client. */
function route (state: ServerState, response: UpgradeResponse, request: IncomingMessage, offered: Offered): void {
  if (offered.eager) response.setHeader('connection', 'close')
  response.once('finish', () => settle(state, response, request, offered))
  state.routing(request, response)
}

/** After an ordinary response: the connection is HTTP again, or it is closed. */
function settle (state: ServerState, response: UpgradeResponse, request: IncomingMessage, { socket, eager }: Offered): void {
  if (!response.headersSent) return // hijacked, for the tunnel
  response.detachSocket(socket as IncomingMessage['socket'])
  const over = eager || response.closes || state.registry.closing || /\bclose\b/i.test(request.headers.connection ?? '')
  if (over || request.httpVersion !== '1.1' || !request.complete) request.socket.destroySoon()
  else giveBack(state, request, socket, Buffer.alloc(0))
}

/** No upgrade: the request becomes a plain one, with its body, and the decision is taken again in its route. */
function decline (state: ServerState, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  if (request.socket !== socket || !request.complete) {
    // Node 26 reads the body of such a request itself. It has nothing to be given back, only to be routed.
    const response = respondOn(request, socket)
    if (response !== undefined) route(state, response, request, { socket, head, eager: true })
    return
  }
  const plain = rebuildHead(request, (value) => replaceUpgradeToken(value, handedBack))
  giveBack(state, request, socket, Buffer.concat([plain, head]))
}

/** Whether nothing follows the head. */
function isBare (request: IncomingMessage, head: Buffer): boolean {
  return head.length === 0 && !readFacts(request).body
}

function giveBack (state: ServerState, request: IncomingMessage, socket: Duplex, bytes: Buffer): void {
  socket.off('error', onSocketError)
  state.returned(request.socket)
  handBack(state.server, request.socket, bytes)
}

function onSocketError (this: Duplex): void {
  this.destroy()
}
