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
  const server = instance.server as Http2Server
  const onConnect = function onWstunnelConnect (request: Http2ServerRequest | IncomingMessage, response: Http2ServerResponse | Duplex): void {
    if (!hasServer(server as unknown as Server, instance)) return
    if (isHttp2(request)) accept(instance, request as Http2ServerRequest, response as Http2ServerResponse)
    else if (server.listenerCount('connect') === 1) response.destroy() // HTTP/1.1, as Node would have it without a listener
  }
  server.on('connect', onConnect)
  return () => { server.off('connect', onConnect) }
}

function accept (instance: ConnectInstance, request: Http2ServerRequest, response: Http2ServerResponse): void {
  const { tables, registry } = instance
  const { stream } = request
  const protocol = extendedProtocol(request)
  const server = instance.server as Server
  // RFC 9113, 8.5: a plain CONNECT has no path, which no router could read.
  if (protocol === undefined || request.url as string | undefined === undefined) {
    if (server.listenerCount('connect') === 1) response.writeHead(405).end()
    return
  }
  showAsGet(request)
  const facts = readFacts(request, tables.rules)
  const alone = isAlone(server)
  const fate = tables.previewDecision(facts, alone)
  // It may be another plugin's WebSocket route, which supports HTTP/1.1 only. Chromium then retries over that.
  if (fate !== 'switch' && !alone) {
    requireHttp1(response)
    return
  }
  const front = new Http2Front(stream)
  refuseSuccess(response, front, alone)
  // Fastify would answer this one itself, without a word about when to come back.
  if (fate === 'switch' && registry.closing) return refuse(instance, request, response, new DrainingError())
  keepFront(request, front)
  trackConnect(registry, response)
  instance.routing(request as unknown as IncomingMessage, response as never)
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
