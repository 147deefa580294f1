/** The facts of a request that the decision goes by, as Node gives them. */
import { announcesBody, tokens } from '../http/header-list.ts'
import { reinjectedToken } from '../http/hop-by-hop.ts'
import type { RouterRules } from '../http/path-pattern.ts'
import { parseTarget } from '../http/request-target.ts'
import { isHttp2 } from '../http/version.ts'

/** What the decision looks at. */
export interface RequestFacts {
  readonly method: string
  /** `1.1`, `1.0`, `2.0`; `undefined` for what calls itself something else, or HTTP/2 on a connection of HTTP/1. */
  readonly version: string | undefined
  /** The raw path, without its query; `undefined` where the request target is to be refused. */
  readonly path: string | undefined
  /** The request target was in absolute-form. */
  readonly absolute: boolean
  /** The authority of a target in absolute-form, or HTTP/2's `:authority`. */
  readonly authority: string | undefined
  /** The scheme that goes with it. */
  readonly scheme: string | undefined
  /** The protocol that is asked for: the joined value of `Upgrade`, or `:protocol` of an extended CONNECT. `undefined` where there is none. */
  readonly upgrade: string | undefined
  /** Whether the request is an extended CONNECT of HTTP/2 (RFC 8441): it has no `Connection`, and no key. */
  readonly extended: boolean
  /** Whether `Connection` names `upgrade`. */
  readonly connectionNamesUpgrade: boolean
  /** Whether the request has a body, or bytes that claim to be one. */
  readonly body: boolean
  /** Whether that body has a transfer coding that would be lost on the way. */
  readonly hasUnsupportedCoding: boolean
  /** Whether it has one in HTTP/1.0, which knows none: where it ends is anybody's guess (RFC 9112, 6.1). */
  readonly hasHttp10TransferEncoding: boolean
  /** Every Host field. */
  readonly hosts: readonly string[]
  readonly keys: readonly string[]
  readonly versions: readonly string[]
  readonly origins: readonly string[]
}

/** The most entries that `rawHeaders` has, unless the server's `maxHeadersCount` says otherwise. */
const maxRawHeaders = 2000

/** Whether Node has left fields out, as it does beyond its limit without saying so: one of them may be the Content-Length. */
export function isTruncated (request: RawRequest, server: { readonly maxHeadersCount?: number | null }): boolean {
  const limit = typeof server.maxHeadersCount === 'number' ? server.maxHeadersCount * 2 : maxRawHeaders
  return limit > 0 && request.rawHeaders.length >= limit
}

/** A request as Node gives it: what `readFacts` needs of an IncomingMessage. */
export interface RawRequest {
  /** Only a request of HTTP/2 has one. */
  readonly stream?: unknown
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly httpVersion: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly rawHeaders: readonly string[]
}

const none: readonly string[] = []

/** `:protocol` of an extended CONNECT (RFC 8441, 4). Node's HTTP/2 refuses it on any other request. */
export function extendedProtocol (request: RawRequest): string | undefined {
  const protocol = isHttp2(request) ? request.headers[':protocol'] : undefined
  return typeof protocol === 'string' ? protocol : undefined
}

/** Whether a request asks for another protocol, of whatever version it is. */
export function asksForProtocol (request: RawRequest): boolean {
  return request.headers.upgrade !== undefined || extendedProtocol(request) !== undefined
}

export function readFacts (request: RawRequest, rules?: RouterRules): RequestFacts {
  const { headers } = request
  const target = parseTarget(request.url ?? '', rules)
  const pseudo = headers[':authority']
  const protocol = extendedProtocol(request)
  const offer = protocol ?? headers.upgrade
  const facts = {
    method: request.method ?? 'GET',
    version: versionOf(request),
    path: target?.path,
    absolute: target?.authority !== undefined,
    authority: target?.authority ?? (typeof pseudo === 'string' ? pseudo : undefined),
    scheme: target?.scheme ?? (typeof pseudo === 'string' ? String(headers[':scheme'] ?? '') : undefined),
    upgrade: typeof offer === 'string' ? offer : undefined,
    extended: protocol !== undefined,
    connectionNamesUpgrade: false,
    body: announcesBody(headers),
    hasUnsupportedCoding: (headers['transfer-encoding'] ?? 'chunked').toString().toLowerCase() !== 'chunked',
    hasHttp10TransferEncoding: headers['transfer-encoding'] !== undefined && request.httpVersion === '1.0',
    hosts: none,
    keys: none,
    versions: none,
    origins: none
  }
  const { rawHeaders } = request
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    // By length first: of the fields that nearly every request has, only Host goes further.
    switch (name.length) {
      case 4: if (name.toLowerCase() === 'host') facts.hosts = [...facts.hosts, value]; break
      case 6: if (offer !== undefined && name.toLowerCase() === 'origin') facts.origins = [...facts.origins, value]; break
      case 10: if (offer !== undefined && name.toLowerCase() === 'connection') facts.connectionNamesUpgrade ||= namesUpgrade(value); break
      case 17: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-key') facts.keys = [...facts.keys, value]; break
      case 21: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-version') facts.versions = [...facts.versions, value]; break
    }
  }
  return facts
}

/** Node's parser takes `HTTP/2.0` and `HTTP/0.9` in a request line, and reads on by the rules of 1.1. */
function versionOf (request: RawRequest): string | undefined {
  const { httpVersion } = request
  return isHttp2(request) || httpVersion === '1.1' || httpVersion === '1.0' ? httpVersion : undefined
}

function namesUpgrade (connection: string): boolean {
  return tokens(connection).some((token) => token === 'upgrade' || token === reinjectedToken)
}
