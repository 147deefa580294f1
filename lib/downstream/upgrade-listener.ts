/**
 * The listener of the server's `'upgrade'` event: it finds the owner of each offer and passes the request on. With any such listener, Node
 * emits every request that offers an upgrade here; requests that will not switch are reinjected, and become plain requests.
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
import { writeHeld } from './early-response.ts'
import { answerExpectations } from './expectation.ts'
import { dropFront, frontOf, keepFront } from './front.ts'
import { Http1Front } from './front-http1.ts'
import { type Instance, instancesOn, isAlone, isInCharge, removeInstance, type TakeServer } from './instances.ts'
import { isLastRequest, keepResponse, whenIdle } from './pipelining.ts'
import { reinject, serializeRequest } from './reinject.ts'
import { closeInStages, isAnswered } from './staged-close.ts'
import { type ForeignUpgrades, foreignUpgradesOf, isTaken, traceOf, UnclaimedUpgrades } from './unclaimed-upgrade.ts'
import { recordListeners } from './upgrade-body.ts'
import { assignUpgradeResponse, guard, type UpgradeResponse } from './upgrade-response.ts'

/** The parts of an instance that the listener uses. */
export interface ListeningInstance extends Instance {
  readonly server: Server
  /** The milliseconds that a drain may take. */
  readonly drainTimeout: number
  readonly registry: Instance['registry'] & UpgradeExchanges
  /** Counts an upgrade that is refused before the router has seen it. */
  refusedUnrouted (request: RawRequest, stage: RefusalStage, error: WstunnelError): void
}

/** An instance that listens to its server. */
export interface Listening {
  /** True if another instance has taken over, so that the server goes on. */
  readonly isReplaced: boolean
  /** Called when the instance begins to close. If the server closes, too, upgrades of other listeners end with the drain timeout. */
  close (): void
  stop (): void
}

interface Context {
  readonly instance: ListeningInstance
  readonly foreign: ForeignUpgrades
  readonly unclaimed: UnclaimedUpgrades
}

/**
 * Starts listening.
 * @param takeServer the set-up of the server while any instance listens to it
 */
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
  // Functions of this instance, so that `off` removes the right listener.
  const onUpgrade = function onWstunnelUpgrade (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (isInCharge(peers, instance)) accept(context, request, socket, head)
  }
  const onRequest = function onWstunnelRequest (request: IncomingMessage, response: ServerResponse): void {
    if (!isHttp2(request)) keepResponse(request, response)
    if (isInCharge(peers, instance) && isLastRequest(request, server.maxRequestsPerSocket)) response.setHeader('connection', 'close')
  }
  // Before all other listeners, so that the socket has an error listener before any of them runs.
  server.prependListener('upgrade', onUpgrade)
  server.prependListener('request', onRequest)
  const stopExpectations = answerExpectations(server)
  // Before Fastify's own listener, which writes a response.
  const onClientError = function onWstunnelClientError (_: Error, socket: Socket): void {
    if (!isAnswered(socket)) return
    writeHeld(socket)
    socket.destroy()
  }
  server.prependListener('clientError', onClientError)
  let end: NodeJS.Timeout | undefined
  // A turn after the drain, so that the responses of that turn go out first.
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

/**
 * Handles an upgrade.
 * @param stream the connection; on Node 26, the stream of the bytes after a body that is still to be read
 */
function accept (context: Context, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const { instance, foreign, unclaimed } = context
  const { socket } = request
  if (socket as unknown === undefined) return // not a request of Node's: @fastify/websocket makes one in `injectWS()`
  const alone = isAlone(instance.server)
  const traces = alone ? [] : [...new Set([socket, stream])].map(traceOf)
  const streams = stream === socket ? [socket] : [socket, stream]
  for (const each of streams) {
    if (each.listenerCount('error', onSocketError) === 0) each.on('error', onSocketError)
  }
  recordListeners(stream, socket)
  // The connection is closing after its last response: later requests are not processed (RFC 9112, 9.6).
  if (socket.writableEnded) return
  for (const each of streams) each.allowHalfOpen = true // https and http2 sockets need it: else an upstream's last bytes would be lost
  restartReading(socket)
  const response = assignUpgradeResponse(request, socket)
  // Its framing and body are unknown: the request must not be read again.
  if (response !== undefined && isTruncated(request, instance.server)) return refuse(instance, response, request, 'decision', new TooManyHeadersError())
  if (response === undefined) {
    // It is pipelined behind a request without a response yet: a 101 now would overtake that response. It is emitted again in order.
    whenIdle(socket, () => {
      if (stream !== socket || isTruncated(request, instance.server)) accept(context, request, stream, head)
      else reinjectConnection(instance, request, Buffer.concat([serializeRequest(request), head]))
    })
    return
  }
  const facts = readFacts(request, instance.tables.rules)
  keepFront(request, new Http1Front(socket, head, stream === socket ? undefined : stream))
  const fate = instance.tables.previewDecision(facts, alone)
  // Fastify's own response to this one would have no Retry-After.
  if (fate === 'switch' && instance.registry.closing) return refuse(instance, response, request, 'limit', new DrainingError())
  if (alone && fate === 'switch') return route(instance, response, request)
  response.detachSocket(socket)
  if (alone) return reinjectAsPlainRequest(instance, request, stream, head)
  process.nextTick(() => {
    // Another listener may own it, such as @fastify/websocket, which routes it as this plugin does.
    const own = traces.some(isTaken) ? undefined : assignUpgradeResponse(request, socket)
    if (own === undefined) return foreign.add(socket)
    if (fate === 'switch') return route(instance, own, request)
    own.detachSocket(socket)
    if (fate === 'ordinary') reinjectAsPlainRequest(instance, request, stream, head)
    else unclaimed.watch({ request, stream, head }, traces)
  })
}

/** Sends an error in the shape of Fastify's errors, and ends the connection. */
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

/** Routes the request with a response of its own: the code that answers there answers this client. */
function route (instance: ListeningInstance, response: UpgradeResponse, request: IncomingMessage): void {
  trackUpgrade(instance.registry, response)
  instance.routing(request, response)
}

/** Handles an upgrade that no other listener owns and that has no entry's path. `rewriteUrl` may map it to an entry's; else it becomes a plain request. */
function answerUnclaimed (instance: ListeningInstance, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  const mayBeOurs = frontOf(request) !== undefined && instance.tables.previewDecision(readFacts(request, instance.tables.rules), true) === 'switch'
  const response = mayBeOurs ? assignUpgradeResponse(request, request.socket) : undefined
  if (response === undefined) reinjectAsPlainRequest(instance, request, stream, head)
  else route(instance, response, request)
}

/** Makes a plain request of an upgrade, with its body; its route takes the decision again. */
function reinjectAsPlainRequest (instance: ListeningInstance, request: IncomingMessage, stream: Duplex, head: Buffer): void {
  dropFront(request)
  if (stream !== request.socket) return serveInPlace(instance, request, stream)
  const plain = serializeRequest(request, (value) => replaceUpgradeToken(value, reinjectedToken))
  reinjectConnection(instance, request, Buffer.concat([plain, head]))
}

/** Serves a request whose body Node has still to read. The bytes after the body are dropped, and the connection ends. */
function serveInPlace (instance: ListeningInstance, request: IncomingMessage, behind: Duplex): void {
  const { socket, headers: { expect }, httpVersion } = request
  const response = assignUpgradeResponse(request, socket)
  if (response === undefined) return
  trackUpgrade(instance.registry, response)
  // Not before: reading the stream after the body would read the body.
  request.once('end', () => behind.once('end', endToo).resume())
  const waits = httpVersion === '1.1' && expect !== undefined && /^100-continue$/i.test(expect)
  instance.server.emit(waits ? 'checkContinue' : 'request', request, response)
}

function endToo (this: Duplex): void {
  this.end()
}

function reinjectConnection (instance: ListeningInstance, request: IncomingMessage, bytes: Buffer): void {
  const { socket } = request
  // Node would wait for an end that has come already, and it ends a connection at once that its client has ended.
  if (socket.readableEnded) return socket.destroySoon()
  socket.off('error', onSocketError)
  reinject(instance.server, socket, bytes)
}

const onSocketError = guard(function onUpgradeSocketError (this: Duplex): void {
  this.destroy()
})
