/**
 * The server's `'upgrade'` event: whose an offer is, and how it gets to its owner. With any such listener Node gives
 * every request that asks for an upgrade here; those that will not switch are given back, and become plain requests.
 */
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  handBack, handedBack, keepOffer, keepResponse, rebuild, respondOn, whenFree, type Offered, type UpgradeResponse
} from './connection.ts'
import type { RefusalStage } from './counters.ts'
import { isTruncated, readFacts } from './request-facts.ts'
import { DrainingError, TooManyHeadersError, type WstunnelError } from './errors.ts'
import { replaceUpgradeToken } from './headers.ts'
import type { ServerState } from './state.ts'

const nothing = Buffer.alloc(0)

/** Listens. Returns the remover. */
export function listen (state: ServerState): () => void {
  const server = state.server as Server
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => accept(state, request, socket, head)
  // First of all listeners, so that no client error finds the socket without one.
  server.prependListener('upgrade', onUpgrade)
  server.prependListener('request', keepResponse)
  server.on('checkContinue', onCheckContinue)
  const untake = takeAll(state, server)
  return () => {
    server.off('upgrade', onUpgrade)
    server.off('request', keepResponse)
    server.off('checkContinue', onCheckContinue)
    untake()
  }
}

/** What Node does by itself, but for a response behind one that is not finished: it would put the `100` into its body. */
function onCheckContinue (this: Server, request: IncomingMessage, response: ServerResponse): void {
  if (this.listenerCount('checkContinue') > 1) return // the user's own, and the answer is theirs
  if (response.socket !== null) response.writeContinue()
  this.emit('request', request, response)
}

/**
 * From 24.9 on Node asks before it takes a request for an upgrade. Where we are the only ones to hear of those, all are taken:
 * of one that is declined here, Node loses what it has read behind it, and a request that was cut in two is read from its middle.
 */
function takeAll (state: ServerState, server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }): () => void {
  const before = server.shouldUpgradeCallback
  if (before === undefined) return () => {}
  server.shouldUpgradeCallback = function (request) {
    return server.listenerCount('upgrade') === 1 || state.foresee(readFacts(request, state.rules), false) === 'switch' || before.call(server, request)
  }
  return () => { server.shouldUpgradeCallback = before }
}

/** @param stream the connection; on Node 26, what comes behind a body that is still to be read */
function accept (state: ServerState, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const { socket } = request
  socket.on('error', onSocketError)
  if (stream !== socket) stream.on('error', onSocketError)
  // It is closing behind a response that was the last one: nothing that comes then is processed (RFC 9112, 9.6).
  if (socket.writableEnded) return
  socket.allowHalfOpen = true // https and http2 sockets are not: an upstream's last bytes would be lost
  // Node may have stopped reading for the body of the request before, unknown to the stream: nobody would start it again.
  socket.push('')
  const response = respondOn(request, socket)
  // What framing, and what body, it has cannot be known: it must not be read again.
  if (response !== undefined && isTruncated(request, state.server)) return refuse(state, response, request, 'decision', new TooManyHeadersError())
  if (response === undefined) {
    // Pipelined behind a request that is not answered yet: a 101 now would come before that answer. Heard again in order.
    whenFree(socket, () => {
      if (stream !== socket || isTruncated(request, state.server)) accept(state, request, stream, head)
      else giveBack(state, request, Buffer.concat([rebuild(request), head]))
    })
    return
  }
  const facts = readFacts(request, state.rules)
  // An empty head is a part of all that was read with the request, and would keep that.
  const offered = { socket, head: head.length > 0 ? head : nothing, eager: head.length > 0 || facts.body }
  keepOffer(request, offered)
  const alone = state.server.listenerCount('upgrade') === 1
  const fate = state.foresee(facts, alone)
  // Fastify would answer this one itself, without a word about when to come back.
  if (fate === 'switch' && state.registry.closing) return refuse(state, response, request, 'limit', new DrainingError())
  if (alone && fate === 'switch') return route(state, response, request, offered)
  response.detachSocket(socket)
  if (alone) return decline(state, request, stream, head)
  process.nextTick(() => {
    // Another listener may have taken it: @fastify/websocket, say, which puts it through the router as we do.
    const own = socket.destroyed ? undefined : respondOn(request, socket)
    if (own === undefined) return
    if (fate === 'switch') return route(state, own, request, offered)
    own.detachSocket(socket)
    if (fate === 'ordinary') decline(state, request, stream, head)
  })
}

/** Answers in Fastify's place, in the shape of its errors, and ends the connection. */
function refuse (state: ServerState, response: UpgradeResponse, request: IncomingMessage, stage: RefusalStage, error: WstunnelError): void {
  const { code, message, statusCode, retryAfter } = error
  state.refusedUnrouted(request, stage, error)
  const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message })
  response.once('finish', () => request.socket.destroySoon())
  response.writeHead(statusCode, {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) })
  }).end(body)
}

/** Through the router, on a response of its own: whatever answers there, answers this client. */
function route (state: ServerState, response: UpgradeResponse, request: IncomingMessage, offered: Offered): void {
  attend(state, response, request, offered)
  state.routing(request, response)
}

function attend (state: ServerState, response: UpgradeResponse, request: IncomingMessage, offered: Offered): void {
  if (offered.eager || asksToClose(request)) response.setHeader('connection', 'close')
  const { registry } = state
  const exchange = { place: -1, abort: () => setImmediate(dismiss, response, offered, untrack) }
  const untrack = (): void => registry.untrack('upgrade', exchange)
  registry.track('upgrade', exchange)
  response.on('finish', () => {
    settle(state, response, request, offered)
    untrack()
  })
  response.on('close', untrack)
}

/**
 * A drain is over, and whoever has the request has not answered: a hook that waits, or a route that is not ours. An answer that
 * has begun is an ordinary response, and not waited for.
 */
function dismiss (response: UpgradeResponse, { socket }: Offered, untrack: () => void): void {
  if (response.headersSent) untrack()
  else socket.destroy()
}

/** After an ordinary response: the connection is HTTP again, or it is closed. */
function settle (state: ServerState, response: UpgradeResponse, request: IncomingMessage, { socket, eager }: Offered): void {
  if (!response.headersSent) return // hijacked, for the tunnel
  response.detachSocket(socket as IncomingMessage['socket'])
  const over = eager || response.closes || state.registry.closing || asksToClose(request)
  if (over || request.httpVersion !== '1.1' || !request.complete) request.socket.destroySoon()
  else giveBack(state, request, nothing)
}

/** No upgrade: the request becomes a plain one, with its body, and the decision is taken again in its route. */
function decline (state: ServerState, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  if (stream !== request.socket) return serve(state, request, stream)
  const plain = rebuild(request, (value) => replaceUpgradeToken(value, handedBack))
  giveBack(state, request, Buffer.concat([plain, head]))
}

/** Answers a request that Node is still to read the body of. What comes behind it is read no more, and the connection ends. */
function serve (state: ServerState, request: IncomingMessage, behind: Duplex): void {
  const { socket, headers: { expect }, httpVersion } = request
  const response = respondOn(request, socket)
  if (response === undefined) return
  attend(state, response, request, { socket, head: nothing, eager: true })
  // Not before: to read what is behind the body is to read the body.
  request.once('end', () => behind.once('end', endToo).resume())
  const waits = httpVersion === '1.1' && expect !== undefined && /^100-continue$/i.test(expect)
  state.server.emit(waits ? 'checkContinue' : 'request', request, response)
}

function endToo (this: Duplex): void {
  this.end()
}

function giveBack (state: ServerState, request: IncomingMessage, bytes: Buffer): void {
  const { socket } = request
  // Node would wait for the end that has come already, and ends what a client has ended at once.
  if (socket.readableEnded) return socket.destroySoon()
  socket.off('error', onSocketError)
  state.returned(socket)
  handBack(state.server, socket, bytes)
}

function onSocketError (this: Duplex): void {
  this.destroy()
}

function asksToClose ({ headers }: IncomingMessage): boolean {
  return /\bclose\b/i.test(headers.connection ?? '')
}
