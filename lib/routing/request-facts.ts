/** The facts of a request by which the decision is made, read from Node's request. */
import { announcesBody, tokens } from '../http/header-list.ts'
import { reinjectedToken } from '../http/hop-by-hop.ts'
import type { RouterRules } from '../http/path-pattern.ts'
import { parseTarget } from '../http/request-target.ts'
import { isHttp2 } from '../http/version.ts'

/** The facts that the decision reads. */
export interface RequestFacts {
  readonly method: string
  /** The HTTP version: `1.1`, `1.0` or `2.0`; `undefined` for any other text, and for `2.0` on a connection of HTTP/1. */
  readonly version: string | undefined
  /** The raw path, without its query; `undefined` if the request target must be refused. */
  readonly path: string | undefined
  /** True if the request target was in absolute-form. */
  readonly absolute: boolean
  /** The authority of a target in absolute-form, or HTTP/2's `:authority`. */
  readonly authority: string | undefined
  /** The scheme beside that authority. */
  readonly scheme: string | undefined
  /** The requested protocol: the joined value of `Upgrade`, or `:protocol` of an extended CONNECT; `undefined` if there is none. */
  readonly upgrade: string | undefined
  /** True for an extended CONNECT of HTTP/2 (RFC 8441), which has no `Connection` and no key. */
  readonly extended: boolean
  /** True if `Connection` names `upgrade`. */
  readonly connectionNamesUpgrade: boolean
  /** True if the request has a body, or bytes that claim to be one. */
  readonly body: boolean
  /** The body's length in bytes, if it is the only framing and every reader reads the same number. Set only for a request with an offer. */
  readonly bodyLength: number | undefined
  /** True if that body has a transfer coding that this server would lose on the way. */
  readonly hasUnsupportedCoding: boolean
  /** True if the body has a transfer coding in HTTP/1.0, which has none: its end is undefined (RFC 9112, 6.1). */
  readonly hasHttp10TransferEncoding: boolean
  /** The values of every Host field. */
  readonly hosts: readonly string[]
  readonly keys: readonly string[]
  readonly versions: readonly string[]
  readonly origins: readonly string[]
}

/** The maximum number of entries of `rawHeaders`, unless the server's `maxHeadersCount` differs. */
const maxRawHeaders = 2000

/** Returns true if Node has dropped fields, which it does beyond its limit without a sign: one of them may be the Content-Length. */
export function isTruncated (request: RawRequest, server: { readonly maxHeadersCount?: number | null }): boolean {
  const limit = typeof server.maxHeadersCount === 'number' ? server.maxHeadersCount * 2 : maxRawHeaders
  return limit > 0 && request.rawHeaders.length >= limit
}

/** The parts of an IncomingMessage that `readFacts` reads. */
export interface RawRequest {
  /** Only requests of HTTP/2 have a stream. */
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
    bodyLength: undefined as number | undefined,
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
    // Compare the length first: of the fields that nearly every request has, only Host passes this test.
    switch (name.length) {
      case 4: if (name.toLowerCase() === 'host') facts.hosts = [...facts.hosts, value]; break
      case 6: if (offer !== undefined && name.toLowerCase() === 'origin') facts.origins = [...facts.origins, value]; break
      case 10: if (offer !== undefined && name.toLowerCase() === 'connection') facts.connectionNamesUpgrade ||= namesUpgrade(value); break
      case 17: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-key') facts.keys = [...facts.keys, value]; break
      case 21: if (offer !== undefined && name.toLowerCase() === 'sec-websocket-version') facts.versions = [...facts.versions, value]; break
    }
  }
  if (facts.body && offer !== undefined) facts.bodyLength = soleLength(request)
  return facts
}

function soleLength ({ headers, rawHeaders }: RawRequest): number | undefined {
  const lengths = rawHeaders.filter((_, i) => i % 2 === 1 && (rawHeaders[i - 1] as string).toLowerCase() === 'content-length')
  const [length = ''] = lengths
  return headers['transfer-encoding'] === undefined && lengths.length === 1 && /^[1-9]\d{0,14}$/.test(length) ? Number(length) : undefined
}

/** Returns the version. Node's parser accepts `HTTP/2.0` and `HTTP/0.9` in a request line, and then reads on by the rules of 1.1. */
function versionOf (request: RawRequest): string | undefined {
  const { httpVersion } = request
  return isHttp2(request) || httpVersion === '1.1' || httpVersion === '1.0' ? httpVersion : undefined
}

function namesUpgrade (connection: string): boolean {
  return tokens(connection).some((token) => token === 'upgrade' || token === reinjectedToken)
}
