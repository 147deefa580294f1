/**
 * The errors of this plugin: each has a stable code, the status for the client, and its source. Messages are safe to show to a client: they
 * never contain an address, a path or a stack. The `cause` holds the original error.
 */
import createError from '@fastify/error'

/** The party at fault: it decides the log level, and if an upstream is blamed. */
export type ErrorSource = 'client' | 'upstream' | 'internal'

/** An error of this plugin. Match on `code`, which is stable; never on the message. */
export interface WstunnelError extends Error {
  /** The stable code: `FST_WSTUNNEL_` and a name. */
  code: string
  /** The status that the client gets, if no response head was sent before. */
  statusCode: number
  /** The party at fault. */
  source: ErrorSource
  /** The value of `Retry-After` in seconds, if waiting helps. */
  retryAfter?: number
}

export interface WstunnelErrorConstructor {
  new (...args: unknown[]): WstunnelError
  readonly prototype: WstunnelError
}

function define (code: string, message: string, statusCode: number, source: ErrorSource, retryAfter?: number): WstunnelErrorConstructor {
  const constructor = createError(code, message, statusCode) as unknown as WstunnelErrorConstructor
  Object.defineProperty(constructor.prototype, 'source', { value: source })
  if (retryAfter !== undefined) Object.defineProperty(constructor.prototype, 'retryAfter', { value: retryAfter })
  return constructor
}

/** A bad option: rejects `ready()`. The message names the path of every bad value. */
export const InvalidOptionsError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_INVALID_OPTIONS', '%s', 500, 'internal')

/** The plugin cannot work on this runtime: rejects `ready()`. */
export const RuntimeError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_RUNTIME', 'Runtime not supported: %s', 500, 'internal')

/** A malformed upgrade: its method, Host, `Sec-WebSocket-Key` or `Sec-WebSocket-Version` is wrong, or it has a body that is not allowed. 400. */
export const BadRequestError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_BAD_REQUEST', 'Bad request: %s', 400, 'client')

/** A request target that could escape its prefix or reach another authority. 400. */
export const BadPathError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_BAD_PATH', 'Bad request target', 400, 'client')

/** A body in a transfer coding other than `chunked`, which would be lost on the way (RFC 9112, 6.1). */
export const TransferCodingError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_TRANSFER_CODING', 'Transfer coding not implemented', 501, 'internal')

/** The client has sent nothing of the rest of its body for `timeout` (RFC 9110, 15.5.9; httpd: Timeout). */
export const ClientTimeoutError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_CLIENT_TIMEOUT', 'The request body did not arrive in time', 408, 'client')

/** More header fields than Node keeps (RFC 6585, 5). */
export const TooManyHeadersError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_TOO_MANY_HEADERS', 'Too many header fields', 431, 'client')

/** The target serves only upgrades, and accepts none of the offered protocols (RFC 9110, 15.5.22). */
export const UpgradeRequiredError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPGRADE_REQUIRED', 'Upgrade required', 426, 'client')

/** An extended CONNECT of HTTP/2 for a protocol that its path does not tunnel (RFC 9220, 3). */
export const ProtocolError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_PROTOCOL', 'Protocol not supported', 501, 'client')

/** The `Origin` of a WebSocket handshake is not in `allowedOrigins` (RFC 6455, 10.2). */
export const OriginRefusedError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_ORIGIN_REFUSED', 'Origin not allowed', 403, 'client')

/** A limit is reached: `maxTunnels`, `maxTunnelsPerUpstream`, `maxForwards`, or `maxConnectionsPerUpstream` for as long as `timeout`. */
export const LimitError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_LIMIT', 'Too many %s', 503, 'internal', 5)

/** `limits.maxTunnelsPerClient` is reached. */
export const ClientLimitError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_CLIENT_LIMIT', 'Too many tunnels from this client', 429, 'client', 5)

/** The server is draining: it takes no new upgrade. */
export const DrainingError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_DRAINING', 'The server is draining', 503, 'internal', 5)

/** This process or its system is short of descriptors, ports or memory: no upstream is to blame. Raise the limits of the system, or lower `limits`. */
export const ShortageError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_SHORTAGE', 'The server is short of resources', 503, 'internal', 5)

/** The upstream refused the connection, was unreachable, or its unix socket is missing (a 503 in httpd, too). */
export const UnavailableError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_UNAVAILABLE', 'Upstream unavailable', 503, 'upstream')

/** No member of the balancer is usable. `retryAfter` is the time in seconds until the balancer tries a member in error again. */
export const NoMemberError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_NO_MEMBER', 'No upstream available', 503, 'upstream', 5)

/** Returns a NoMemberError with a `Retry-After` in seconds. */
export function noMemberFor (seconds: number): WstunnelError {
  return Object.defineProperty(new NoMemberError(), 'retryAfter', { value: seconds })
}

/** The upstream's name could not be resolved. */
export const NameError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_NAME', 'Upstream name not found', 502, 'upstream')

/** TLS with the upstream failed: its certificate, its name or its version is wrong, or it speaks no TLS. */
export const TlsError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_TLS', 'TLS with the upstream failed', 502, 'upstream')

/** The upstream closed or reset the connection before its response was complete. */
export const ClosedError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_CLOSED', 'The upstream closed the connection', 502, 'upstream')

/** The upstream's response is no HTTP/1.1, too long, or an unrequested 101. */
export const InvalidResponseError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE', 'Invalid response from the upstream', 502, 'upstream')

/** The upstream did not answer within `connectTimeout`, `handshakeTimeout` or `timeout`. */
export const TimeoutError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_TIMEOUT', 'The upstream did not answer in time', 504, 'upstream')

/** The options' timers for an upstream. */
export type TimerName = 'connectTimeout' | 'handshakeTimeout' | 'timeout'

const timers = new WeakMap<object, TimerName>()

/** Returns a TimeoutError that names its timer for the log; the client's message stays the same. */
export function timedOut (timer: TimerName, cause?: unknown): WstunnelError {
  const error = cause === undefined ? new TimeoutError() : new TimeoutError({ cause }) // an argument that is undefined would be shown
  timers.set(error, timer)
  return error
}

export function timerOf (error: unknown): TimerName | undefined {
  return typeof error === 'object' && error !== null ? timers.get(error) : undefined
}

/** Any other failure of the upstream. */
export const UpstreamError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_UPSTREAM_FAILED', 'The upstream failed', 502, 'upstream')

/** An `upstream` function returned a value that is no upstream. */
export const InvalidUpstreamError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_INVALID_UPSTREAM', 'No valid upstream was chosen', 500, 'internal')

/**
 * A function of the options threw a value that is no Error, or cannot be read; or it returned a promise although it must be synchronous. A
 * thrown Error is answered as Fastify does.
 */
export const FunctionError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_FUNCTION', 'A function in the options failed', 500, 'internal')

/** `rewriteRequestHeaders` or `rewriteHeaders` returned a header that cannot be written: nothing was sent. */
export const InvalidHeaderError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_INVALID_HEADER', 'Cannot write an invalid header', 500, 'internal')

/** The client left before it got its response. Never sent; logs and signals carry it. */
export const ClientGoneError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_CLIENT_GONE', 'The client disconnected', 499, 'client')

/** The request body ended early, was longer than announced, or could not be decoded. */
export const RequestBodyError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_REQUEST_BODY', 'Invalid request body', 400, 'client')

/** A body parser that ran before, such as a middleware of Express, has read the body: there is nothing left to send. */
export const BodyConsumedError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_BODY_CONSUMED', 'The request body was read before it could be forwarded', 500, 'internal')

/** A hook has written the head of a response itself, and let the upgrade go on: the upgrade is refused. */
export const HeadWrittenError: WstunnelErrorConstructor =
  define('FST_WSTUNNEL_HEAD_WRITTEN', 'A hook started a response before the upgrade', 500, 'internal')

/** The codes of Node and undici, with the error that each becomes. */
const byCode: Readonly<Record<string, WstunnelErrorConstructor>> = Object.freeze(Object.assign(Object.create(null), {
  ENOTFOUND: NameError,
  EAI_AGAIN: NameError,
  EAI_FAIL: NameError,
  EAI_NODATA: NameError,
  EAI_NONAME: NameError,
  ECONNREFUSED: UnavailableError,
  EHOSTUNREACH: UnavailableError,
  EHOSTDOWN: UnavailableError,
  ENETUNREACH: UnavailableError,
  EMFILE: ShortageError,
  ENFILE: ShortageError,
  ENOBUFS: ShortageError,
  ENOMEM: ShortageError,
  EADDRNOTAVAIL: ShortageError,
  ENOENT: UnavailableError,
  EACCES: UnavailableError,
  ENOTSOCK: UnavailableError,
  ETIMEDOUT: TimeoutError,
  UND_ERR_CONNECT_TIMEOUT: TimeoutError,
  UND_ERR_HEADERS_TIMEOUT: TimeoutError,
  UND_ERR_BODY_TIMEOUT: TimeoutError,
  ECONNRESET: ClosedError,
  ECONNABORTED: ClosedError,
  EPIPE: ClosedError,
  UND_ERR_SOCKET: ClosedError,
  UND_ERR_HEADERS_OVERFLOW: InvalidResponseError,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: InvalidResponseError,
  ERR_ASSERTION: InvalidResponseError, // undici: a bare 101, or a status of 000
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: RequestBodyError,
  UND_ERR_INVALID_ARG: InvalidHeaderError,
  EPROTO: TlsError,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TlsError,
  UNABLE_TO_GET_ISSUER_CERT: TlsError,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TlsError,
  DEPTH_ZERO_SELF_SIGNED_CERT: TlsError,
  SELF_SIGNED_CERT_IN_CHAIN: TlsError,
  HOSTNAME_MISMATCH: TlsError,
  INVALID_PURPOSE: TlsError
}))

/**
 * Maps a failure on the way to an upstream to an error of this plugin, and so to a status: 504 for a timeout, 503 for an upstream that
 * cannot be reached, 502 for the rest. No other code does this.
 */
export function toProxyError (cause: unknown): WstunnelError {
  if (isProxyError(cause)) return cause
  const { code, name, message } = errorLike(decisive(cause))
  if (code === 'UND_ERR_SOCKET' && (message === 'bad upgrade' || message === 'bad response')) {
    return new InvalidResponseError({ cause })
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return timedOut('timeout', cause)
  if (code === '' && cause instanceof Error && cause.name === 'HTTPParserError') return new InvalidResponseError({ cause }) // undici 7 gives it no code
  const Known = byCode[code]
  if (Known !== undefined) return new Known({ cause })
  if (code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_') || code.startsWith('CERT_')) return new TlsError({ cause })
  if (code.startsWith('HPE_') || name === 'HTTPParserError') return new InvalidResponseError({ cause })
  return new UpstreamError({ cause })
}

/** Returns true if an error is one of this plugin's. */
export function isProxyError (error: unknown): error is WstunnelError {
  try {
    return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('FST_WSTUNNEL_')
  } catch { // thrown by a getter, or a Proxy
    return false
  }
}

/**
 * Returns the most informative of several errors (Node tries the addresses of a name one after the other). A shortage comes first; a
 * missing local address comes last, since that is how IPv6 fails on a host without it.
 */
function decisive (cause: unknown): unknown {
  if (!(cause instanceof AggregateError) || cause.errors.length === 0) return cause
  const codes = cause.errors.map((error) => errorLike(error).code)
  const short = codes.findIndex((code) => code !== 'EADDRNOTAVAIL' && byCode[code] === ShortageError)
  const other = codes.findIndex((code) => code !== 'EADDRNOTAVAIL')
  return cause.errors[short !== -1 ? short : Math.max(0, other)]
}

/** Returns the properties of an error. undici gives errors of its parser a name, and no code. */
function errorLike (cause: unknown): { code: string, name: string, message: string } {
  const none = { code: '', name: '', message: '' }
  if (typeof cause !== 'object' || cause === null) return none
  try {
    const { code, name, message } = cause as { code?: unknown, name?: unknown, message?: unknown }
    const text = (value: unknown): string => typeof value === 'string' ? value : ''
    return { code: text(code), name: text(name), message: text(message) }
  } catch {
    return none
  }
}
