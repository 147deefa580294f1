/** A request as an upstream is to get it: mapped path and rewritten headers. The same for forwards and upgrades. */
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

/** Whether a request may be sent once more where no response to it has come (RFC 9110, 9.2.2). */
export function isIdempotent (method: string): boolean {
  return idempotent.has(method)
}

/**
 * @param matched how much of the path the target's prefix takes up
 * @param body whether the message keeps its `Content-Length`
 * @param replaced whether it is another body than the client's
 * @throws InvalidHeaderError where `rewriteRequestHeaders` returned what cannot be written
 * @throws FunctionError where it returned a promise
 * @throws ClientGoneError where nobody can say any more who asked
 */
export function buildUpstreamRequest (request: FastifyRequest, target: Target, choice: Choice, matched: number, body: boolean, replaced = false): UpstreamRequest {
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
 * The head of an upgrade that goes upstream.
 * @param token the protocol that is asked for
 * @throws InvalidHeaderError
 */
export function serialiseUpgrade (method: string, path: string, headers: HeaderList, token: string): Buffer {
  try {
    return serialise(`${method} ${path} HTTP/1.1`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

function rewritten (rewrite: NonNullable<Target['rewriteRequestHeaders']>, request: FastifyRequest, headers: HeaderList): string[] {
  const map = immediate(rewrite(request, toMap(headers)))
  try {
    return fromMap(map, headers)
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** What the client asked for: its Host as it was, not as a proxy before us forwarded it. */
export function hostOf ({ raw: { headers } }: FastifyRequest): string {
  return headers.host ?? String(headers[':authority'] ?? '')
}

function clientFacts (request: FastifyRequest): { addresses: readonly string[], host: string, protocol: string } {
  const addresses = (request.ips ?? [request.ip]).filter((address: string | undefined) => address !== undefined)
  // A connection that was reset has no peer any more: an upstream must not take that for the absence of a client.
  const { socket } = request.raw
  if (addresses.length === 0 && (socket.destroyed || socket.localAddress !== undefined)) throw new ClientGoneError()
  return { host: request.host, addresses, protocol: request.protocol }
}

/** Whether `trustProxy` holds for the peer: then what it says of those before it may pass. */
function isBehindTrusted (request: FastifyRequest): boolean {
  return request.ips !== undefined && request.ips.length > 1
}
