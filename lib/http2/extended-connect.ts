/**
 * The server's `'connect'` event: extended CONNECTs of HTTP/2 (RFC 8441), which become requests of Fastify's with the method GET, so that what guards
 * a GET guards the tunnel. With any such listener Node answers no CONNECT by itself any more, so the others are refused here.
 */
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { UpgradeExchanges } from '../downstream/awaited-upgrade.ts'
import { keepFront } from '../downstream/front.ts'
import { hasServer, type Instance, isAlone } from '../downstream/instances.ts'
import { guard, isGuard } from '../downstream/upgrade-response.ts'
import { DrainingError, type WstunnelError } from '../errors.ts'
import { isHttp2 } from '../http/version.ts'
import { extendedProtocol, type RawRequest, readFacts } from '../routing/request-facts.ts'
import { trackConnect } from './awaited-connect.ts'
import { Http2Front } from './front-http2.ts'
import { refuseSuccess, requireHttp1 } from './no-success.ts'

/** What the listener needs of its instance. */
export interface ConnectInstance extends Instance {
  readonly server: unknown
  readonly registry: Instance['registry'] & UpgradeExchanges
  /** Counts an upgrade that is refused before the router has seen it. */
  refusedUnrouted (request: RawRequest, stage: 'limit', error: WstunnelError): void
}

/** Listens on a server of HTTP/2. Returns what stops that. */
export function listenForConnects (instance: ConnectInstance): () => void {
  const server = instance.server as Server & Http2Server
  const onConnect = guard(function onWstunnelConnect (request: Http2ServerRequest | IncomingMessage, response: Http2ServerResponse | Duplex): void {
    if (isHttp2(request) && hasServer(server, instance) && take(instance, request as Http2ServerRequest, response as Http2ServerResponse)) return
    // Another copy of this package, or another instance of a restarted application, may take it in this turn.
    process.nextTick(refuseUntaken, server, request, response)
  })
  server.on('connect', onConnect)
  return () => { server.off('connect', onConnect) }
}

/** Routes an extended CONNECT, or refuses it. Returns false, and does nothing, if it may be for other code. */
function take (instance: ConnectInstance, request: Http2ServerRequest, response: Http2ServerResponse): boolean {
  const { tables, registry } = instance
  const server = instance.server as Server
  if (!isUntakenTunnel(request)) return false
  const alone = isAlone(server) && hasOnlyOurs(server)
  const fate = tables.previewDecision({ ...readFacts(request, tables.rules), method: 'GET' }, alone)
  if (fate !== 'switch' && !alone) return false
  showAsGet(request)
  const front = new Http2Front(request.stream)
  refuseSuccess(response, front, alone)
  // Fastify would answer this one itself, without a word about when to come back.
  if (fate === 'switch' && registry.closing) {
    refuse(instance, request, response, new DrainingError())
    return true
  }
  keepFront(request, front)
  trackConnect(registry, response)
  instance.routing(request as unknown as IncomingMessage, response as never)
  return true
}

/** Refuses a CONNECT as Node does without a listener, unless other code listens. */
function refuseUntaken (server: Server, request: Http2ServerRequest | IncomingMessage, response: Http2ServerResponse | Duplex): void {
  if (!hasOnlyOurs(server)) return
  if (!isHttp2(request)) {
    (response as Duplex).destroy()
    return
  }
  const answer = response as Http2ServerResponse
  const { method, stream } = request as Http2ServerRequest
  if (method !== 'CONNECT' || stream.headersSent || stream.closed) return
  // It may be another plugin's WebSocket route, which supports HTTP/1.1 only. Chromium then retries over that.
  if (isUntakenTunnel(request as Http2ServerRequest)) requireHttp1(answer)
  else answer.writeHead(405).end()
}

/** True for an extended CONNECT that nobody shows as a GET yet. RFC 9113, 8.5: a plain CONNECT has no path, which no router could read. */
function isUntakenTunnel (request: Http2ServerRequest): boolean {
  return request.method === 'CONNECT' && extendedProtocol(request) !== undefined && request.url as string | undefined !== undefined
}

/** True if only this plugin listens for CONNECTs, whichever copies of it. */
function hasOnlyOurs (server: Server): boolean {
  return server.listeners('connect').every(isGuard) // not by name: bundlers drop names
}

/** The headers stay as they are: `:protocol` tells. */
function showAsGet (request: Http2ServerRequest): void {
  Object.defineProperty(request, 'method', { value: 'GET', writable: true, configurable: true, enumerable: true })
}

/** Answers in Fastify's place, in the shape of its errors. */
function refuse (instance: ConnectInstance, request: Http2ServerRequest, response: Http2ServerResponse, error: WstunnelError): void {
  const { code, message, statusCode, retryAfter } = error
  instance.refusedUnrouted(request, 'limit', error)
  const body = JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message })
  response.writeHead(statusCode, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) })
  }).end(body)
}
