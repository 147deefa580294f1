/**
 * The server's `'upgrade'` event: whose an offer is, and how it gets to its owner. With any such listener Node gives
 * every request that asks for an upgrade here; those that will not switch are given back, and become plain requests.
 */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { DrainingError, TooManyHeadersError, type WstunnelError } from '../errors.ts'
import { reinjectedToken, replaceUpgradeToken } from '../http/hop-by-hop.ts'
import { isHttp2 } from '../http/version.ts'
import { restartReading } from '../net/socket.ts'
import { isTruncated, type RawRequest, readFacts } from '../routing/request-facts.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import { trackUpgrade, type UpgradeExchanges } from './awaited-upgrade.ts'
import { connectionsOf, keepConnections } from './connections.ts'
import { answerExpectations } from './expectation.ts'
import { dropFront, frontOf, keepFront } from './front.ts'
import { Http1Front } from './front-http1.ts'
import { type Instance, instancesOn, isAlone, isInCharge, removeInstance, type TakeServer } from './instances.ts'
import { isLastRequest, keepResponse, whenIdle } from './pipelining.ts'
import { reinject, serializeRequest } from './reinject.ts'
import { closeInStages, isAnswered } from './staged-close.ts'
import { type ForeignUpgrades, foreignUpgradesOf, isTaken, traceOf, UnclaimedUpgrades } from './unclaimed-upgrade.ts'
import { keepBehind } from './upgrade-body.ts'
import { assignUpgradeResponse, guard, type UpgradeResponse } from './upgrade-response.ts'

/** What the listener needs of its instance. */
export interface ListeningInstance extends Instance {
  readonly server: Server
  /** Milliseconds that a drain may take. */
  readonly drainTimeout: number
  readonly registry: Instance['registry'] & UpgradeExchanges
  /** Counts an upgrade that is refused before the router has seen it. */
  refusedUnrouted (request: RawRequest, stage: RefusalStage, error: WstunnelError): void
}

/** An instance that listens to its server. */
export interface Listening {
  /** Whether another instance has taken over, so that the server goes on. */
  readonly isReplaced: boolean
  /** The instance has begun to close: where the server does, upgrades of other listeners have as long as the drain may take. */
  close (): void
  stop (): void
}

interface Context {
  readonly instance: ListeningInstance
  readonly foreign: ForeignUpgrades
  readonly unclaimed: UnclaimedUpgrades
}

/** @param takeServer done to the server as long as any instance listens to it */
export function listen (instance: ListeningInstance, takeServer: TakeServer): Listening {
  const { server } = instance
  const { peers } = instancesOn(server, (...args) => {
    const untakes = [takeServer(...args), keepConnections(server)]
    return () => { for (const untake of untakes) untake() }
  })
  peers.push(instance)
  const foreign = foreignUpgradesOf(server)
  const unclaimed = new UnclaimedUpgrades(foreign, ({ request, stream, head }) => answerUnclaimed(instance, request, stream, head))
  const context = { instance, foreign, unclaimed }
  // Each of this instance's own, so that whoever takes one off takes the right one off.
  const onUpgrade = function onWstunnelUpgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (isInCharge(peers, instance)) accept(context, request, socket, head)
  }
  const onRequest = function onWstunnelRequest (request: IncomingMessage, response: ServerResponse): void {
    if (!isHttp2(request)) keepResponse(request, response)
    if (isInCharge(peers, instance) && isLastRequest(request, server.maxRequestsPerSocket)) response.setHeader('connection', 'close')
  }
  // First of all listeners, so that no client error finds the socket without one.
  server.prependListener('upgrade', onUpgrade)
  server.prependListener('request', onRequest)
  const stopExpectations = answerExpectations(server)
  // Before Fastify's own listener, which writes a response.
  const onClientError = function onWstunnelClientError (_: Error, socket: Socket): void { if (isAnswered(socket)) socket.destroy() }
  server.prependListener('clientError', onClientError)
  let end: NodeJS.Timeout | undefined
  // A turn after the drain: what that has just answered goes out first.
  const endAll = (): void => {
    foreign.destroy()
    connectionsOf(server)?.destroy()
  }
  return {
    get isReplaced () {
      return peers.some((peer) => peer.isReady && !peer.registry.closing && peer.routing !== instance.routing)
    },
    close () {
      if (this.isReplaced) return
      connectionsOf(server)?.goAway()
      end ??= setTimeout(() => setImmediate(endAll), instance.drainTimeout).unref()
    },
    stop () {
      clearTimeout(end)
      server.off('upgrade', onUpgrade)
      server.off('request', onRequest)
      stopExpectations()
      server.off('clientError', onClientError)
      removeInstance(server, instance)
    }
  }
}

/** @param stream the connection; on Node 26, what comes behind a body that is still to be read */
function accept (context: Context, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const { instance, foreign, unclaimed } = context
  const { socket } = request
  if (socket as unknown === undefined) return // no request of Node's: @fastify/websocket has made it up, in `injectWS()`
  const alone = isAlone(instance.server)
  const traces = alone ? [] : [...new Set([socket, stream])].map(traceOf)
  for (const each of [socket, stream]) if (!each.listeners('error').includes(onSocketError)) each.on('error', onSocketError)
  keepBehind(stream, socket)
  // It is closing behind a response that was the last one: nothing that comes then is processed (RFC 9112, 9.6).
  if (socket.writableEnded) return
  for (const each of [socket, stream]) each.allowHalfOpen = true // https and http2 sockets are not: an upstream's last bytes would be lost
  restartReading(socket)
  const response = assignUpgradeResponse(request, socket)
  // What framing, and what body, it has cannot be known: it must not be read again.
  if (response !== undefined && isTruncated(request, instance.server)) return refuse(instance, response, request, 'decision', new TooManyHeadersError())
  if (response === undefined) {
    // Pipelined behind a request that is not answered yet: a 101 now would come before that answer. Heard again in order.
    whenIdle(socket, () => {
      if (stream !== socket || isTruncated(request, instance.server)) accept(context, request, stream, head)
      else reinjectConnection(instance, request, Buffer.concat([serializeRequest(request), head]))
    })
    return
  }
  const facts = readFacts(request, instance.tables.rules)
  keepFront(request, new Http1Front(socket, head, stream === socket ? undefined : stream))
  const fate = instance.tables.previewDecision(facts, alone)
  // Fastify would answer this one itself, without a word about when to come back.
  if (fate === 'switch' && instance.registry.closing) return refuse(instance, response, request, 'limit', new DrainingError())
  if (alone && fate === 'switch') return route(instance, response, request)
  response.detachSocket(socket)
  if (alone) return reinjectAsPlainRequest(instance, request, stream, head)
  process.nextTick(() => {
    // Another listener may have taken it: @fastify/websocket, say, which puts it through the router as we do.
    const own = traces.some(isTaken) ? undefined : assignUpgradeResponse(request, socket)
    if (own === undefined) return foreign.add(socket)
    if (fate === 'switch') return route(instance, own, request)
    own.detachSocket(socket)
    if (fate === 'ordinary') reinjectAsPlainRequest(instance, request, stream, head)
    else unclaimed.watch({ request, stream, head }, traces)
  })
}

/** Answers in Fastify's place, in the shape of its errors, and ends the connection. */
function refuse (instance: ListeningInstance, response: UpgradeResponse, request: IncomingMessage, stage: RefusalStage, error: WstunnelError): void {
  const { code, message, statusCode, retryAfter } = error
  instance.refusedUnrouted(request, stage, error)
  const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message })
  response.once('finish', () => closeInStages(request.socket))
  response.writeHead(statusCode, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) })
  }).end(body)
}

/** Through the router, on a response of its own: whatever answers there, answers this client. */
function route (instance: ListeningInstance, response: UpgradeResponse, request: IncomingMessage): void {
  trackUpgrade(instance.registry, response)
  instance.routing(request, response)
}

/** Nobody else has taken an upgrade of no path of ours. `rewriteUrl` may make it one of ours; else it becomes a plain request. */
function answerUnclaimed (instance: ListeningInstance, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const mayBeOurs = frontOf(request) !== undefined && instance.tables.previewDecision(readFacts(request, instance.tables.rules), true) === 'switch'
  const response = mayBeOurs ? assignUpgradeResponse(request, request.socket) : undefined
  if (response === undefined) reinjectAsPlainRequest(instance, request, stream, head)
  else route(instance, response, request)
}

/** No upgrade: the request becomes a plain one, with its body, and the decision is taken again in its route. */
function reinjectAsPlainRequest (instance: ListeningInstance, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  dropFront(request)
  if (stream !== request.socket) return serveInPlace(instance, request, stream)
  const plain = serializeRequest(request, (value) => replaceUpgradeToken(value, reinjectedToken))
  reinjectConnection(instance, request, Buffer.concat([plain, head]))
}

/** Answers a request that Node is still to read the body of. What comes behind it is read no more, and the connection ends. */
function serveInPlace (instance: ListeningInstance, request: IncomingMessage, behind: Duplex): void {
  const { socket, headers: { expect }, httpVersion } = request
  const response = assignUpgradeResponse(request, socket)
  if (response === undefined) return
  trackUpgrade(instance.registry, response)
  // Not before: to read what is behind the body is to read the body.
  request.once('end', () => behind.once('end', endToo).resume())
  const waits = httpVersion === '1.1' && expect !== undefined && /^100-continue$/i.test(expect)
  instance.server.emit(waits ? 'checkContinue' : 'request', request, response)
}

function endToo (this: Duplex): void {
  this.end()
}

function reinjectConnection (instance: ListeningInstance, request: IncomingMessage, bytes: Buffer): void {
  const { socket } = request
  // Node would wait for the end that has come already, and ends what a client has ended at once.
  if (socket.readableEnded) return socket.destroySoon()
  socket.off('error', onSocketError)
  reinject(instance.server, socket, bytes)
}

const onSocketError = guard(function onUpgradeSocketError (this: Duplex): void {
  this.destroy()
})
