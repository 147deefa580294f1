/** Builds the request for an upstream: mapped path and rewritten headers, the same for forwards and upgrades. */
import type { FastifyRequest } from 'fastify'
import type { Target } from '../config/target.ts'
import { immediate } from '../config/user-function.ts'
import { BadPathError, ClientGoneError, InvalidHeaderError } from '../errors.ts'
import { droppedFields, forwardedHeaders } from '../http/forwarded.ts'
import { type HeaderList, serialise } from '../http/header-list.ts'
import { fromMap, toMap } from '../http/header-map.ts'
import { requestHeaders } from '../http/hop-by-hop.ts'
import { parseTarget } from '../http/request-target.ts'
import type { Choice } from '../upstream/upstream.ts'

const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

export interface UpstreamRequest {
  /** The request target in origin-form. */
  readonly path: string
  readonly headers: HeaderList
}

/** Returns true if a request may be sent once more when no response has come (RFC 9110, 9.2.2). */
export function isIdempotent (method: string): boolean {
  return idempotent.has(method)
}

/**
 * Builds a request.
 * @param matched the number of characters of the path that the target's prefix takes
 * @param body true if the message keeps its `Content-Length`
 * @param replaced true if a hook has replaced the client's body
 * @throws InvalidHeaderError if `rewriteRequestHeaders` returned headers that cannot be written
 * @throws FunctionError if it returned a promise
 * @throws ClientGoneError if the client's address is no longer known
 */
export function buildUpstreamRequest (
  request: FastifyRequest, target: Target, choice: Choice, matched: number, body: boolean, replaced = false
): UpstreamRequest {
  const { raw } = request
  const parsed = parseTarget(raw.url ?? '', target.rules)
  if (parsed === undefined) throw new BadPathError()
  const headers = requestHeaders(raw.rawHeaders, {
    host: target.preserveHost && request.host !== '' ? hostOf(request) : choice.upstream.address.authority,
    body,
    replaced,
    forwarded: target.forwarded === false ? [] : forwardedHeaders(target.forwarded, clientFacts(request)),
    isDropped: droppedFields(target.forwarded, isBehindTrusted(request)),
    via: target.via
  })
  return {
    path: choice.pathFor(parsed.path, matched) + parsed.query,
    headers: target.rewriteRequestHeaders === undefined ? headers : rewritten(target.rewriteRequestHeaders, request, headers)
  }
}

/**
 * Serialises the head of an upgrade for the upstream.
 * @param token the requested protocol
 * @throws InvalidHeaderError
 */
export function serialiseUpgrade (method: string, path: string, headers: HeaderList, token: string): string {
  try {
    return serialise(`${method} ${path} HTTP/1.1`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

function rewritten (rewrite: NonNullable<Target['rewriteRequestHeaders']>, request: FastifyRequest, headers: HeaderList): string[] {
  const map = immediate(rewrite(request, toMap(headers)))
  try {
    const fields = fromMap(map, headers)
    if (fields.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length > 1) throw new TypeError('more than one Host') // RFC 9112, 3.2
    return fields
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** Returns the Host that the client requested, not the one that a proxy before this server forwarded. */
export function hostOf ({ raw: { headers } }: FastifyRequest): string {
  return headers.host ?? String(headers[':authority'] ?? '')
}

function clientFacts (request: FastifyRequest): { addresses: readonly string[], host: string, protocol: string } {
  const addresses = (request.ips ?? [request.ip]).filter((address: string | undefined) => address !== undefined)
  // The socket of a reset connection has no peer address: an upstream must not take that for a request without a client.
  const { socket } = request.raw
  if (addresses.length === 0 && (socket.destroyed || socket.localAddress !== undefined)) throw new ClientGoneError()
  return { host: request.host, addresses, protocol: request.protocol }
}

/** Returns true if `trustProxy` covers the peer: then its fields about earlier hops may pass. */
function isBehindTrusted (request: FastifyRequest): boolean {
  return request.ips !== undefined && request.ips.length > 1
}
