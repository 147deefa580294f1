/** The log lines of failed exchanges, and of routes that are most likely misconfigured. No line contains a header field, or a URL of a client. */
import { logging } from '../config/user-function.ts'
import type { FastifyBaseLogger } from 'fastify'
import type { Target } from '../config/target.ts'
import { ClientGoneError, HeadWrittenError, isProxyError, timerOf } from '../errors.ts'

/** The kind of failure: a forward, an upgrade, or a response's body that is cut short. */
export type FailedExchange = 'forward' | 'upgrade' | 'body'

/**
 * Logs one line: `info` for a client's fault, `warn` for an upstream's, `error` for ours. A limit and a drain are no failures.
 * @param upstream the URL of the upstream or of the balancer's member; `undefined` if none was chosen
 */
export function logFailure (log: FastifyBaseLogger, kind: FailedExchange, target: Target, upstream: string | undefined, err: unknown): void {
  logging(() => writeFailure(log, kind, target, upstream, err)) // reading a user's error may throw
}

function writeFailure (log: FastifyBaseLogger, kind: FailedExchange, target: Target, upstream: string | undefined, err: unknown): void {
  const known = isProxyError(err)
  const source = known ? err.source : 'internal'
  if (known && source !== 'upstream' && err.retryAfter !== undefined) return
  const { code: ours } = detailsOf(err)
  const cause = rootCause(err)
  const timer = timerOf(err)
  const hint = hintFor(cause, upstream)
  const line = {
    route: target.route,
    upstream: upstream ?? null,
    ...(ours === undefined ? {} : { code: ours }),
    ...(timer === undefined ? {} : { timer }),
    ...(cause === err ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
    ...(source === 'internal' ? { err: briefly(err) } : {})
  }
  log[source === 'client' ? 'info' : source === 'upstream' ? 'warn' : 'error'](line, `${kind} failed`)
}

/** Logs that a client left before it had its whole response. */
export function logAborted (log: FastifyBaseLogger, { route }: Target, upstream: string | undefined, duration: number): void {
  logging(() => log.info({ route, upstream: upstream ?? null, duration }, 'request aborted by its client'))
}

/**
 * Logs an upgrade that became no tunnel, unless its upstream refused it.
 * @param duration the milliseconds since it began
 */
export function logUpgradeEnd (log: FastifyBaseLogger, target: Target, upstream: string | undefined, error: Error, duration: number): void {
  if (error instanceof ClientGoneError) logAborted(log, target, upstream, duration)
  else if (error instanceof HeadWrittenError) logging(() => log.error({ err: error }, error.message))
  else logFailure(log, 'upgrade', target, upstream, error)
}

const said = new WeakMap<Target, Set<string>>()

/** Logs one line at `warn`, once for each entry; texts that differ only in a number, such as a status, count as one. */
export function warnOnce (log: FastifyBaseLogger, target: Target, text: string, upstream?: string): void {
  const known = said.get(target) ?? new Set()
  said.set(target, known)
  const plain = text.replace(/\d+/g, '')
  if (known.has(plain)) return
  known.add(plain)
  logging(() => log.warn({ route: target.route, ...(upstream === undefined ? {} : { upstream }) }, text))
}

/**
 * The maximum length of a message and of a stack in a line, in characters: a user's error may contain a whole request, and Fastify's own
 * line has it whole.
 */
const limits = { message: 300, stack: 2000 }

function beginning (text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`
}

/** Returns an error for a log line: of the same kind, without its other properties, and cut to the length of a line. */
export function briefly (error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code } = detailsOf(error)
  const message = beginning(error.message, limits.message)
  const stack = beginning((error.stack ?? '').replace(error.message, () => message), limits.stack)
  return Object.create(Object.getPrototypeOf(error) as object, {
    message: { value: message },
    stack: { value: stack },
    cause: { value: undefined },
    ...(code === undefined ? {} : { code: { value: code, enumerable: true } })
  })
}

interface Details {
  readonly code?: string | undefined
  readonly message?: string
}

function detailsOf (error: unknown): Details {
  if (typeof error !== 'object' || error === null) return {}
  const { code, name, message } = error as { code?: unknown, name?: unknown, message?: unknown }
  return {
    code: typeof code === 'string'
      ? beginning(code, limits.message)
      : typeof name === 'string' && name !== 'Error' ? beginning(name, limits.message) : undefined,
    message: typeof message === 'string' ? beginning(message, limits.message) : ''
  }
}

/** Returns the innermost cause as a plain object; if all addresses of a name failed, the first one. The error itself if it has no cause. */
function rootCause (error: unknown): unknown {
  let inner = error
  for (let depth = 0; depth < 8; depth++) {
    const { cause, errors } = (inner ?? {}) as { cause?: unknown, errors?: unknown }
    const next = cause ?? (Array.isArray(errors) ? errors[0] as unknown : undefined)
    if (next === undefined) break
    inner = next
  }
  if (inner === error) return error
  const details = detailsOf(inner)
  return details.code === undefined && details.message === undefined
    ? { message: beginning(String(inner), limits.message) }
    : { ...details, ...beginningOf(inner) }
}

/** Returns the kind of bytes that undici could not parse, which it keeps. A TLS record of the type alert or handshake begins with its type and version. */
function beginningOf (error: unknown): { tls?: true } {
  const { data } = (error ?? {}) as { data?: unknown }
  return typeof data === 'string' && ['\x15\x03', '\x16\x03'].includes(data.slice(0, 2)) ? { tls: true } : {}
}

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the upstream running, and is this its port?',
  ENOTFOUND: 'no such name: is it spelled right, and known where this server runs?',
  ENOENT: 'no such unix socket: is the upstream running, and is this its path?',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed: trust it with tls: { ca }',
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate's authority is not known: trust it with tls: { ca }",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the certificate's authority is not known: trust it with tls: { ca }",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the certificate's authority is not known: trust it with tls: { ca }",
  CERT_HAS_EXPIRED: 'the certificate has expired: renew it at the upstream',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name: see tls: { servername }',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the upstream speaks no TLS there: is its scheme ws: or http:?',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the upstream speaks no TLS there: is its scheme ws: or http:?'
}

function hintFor (cause: unknown, upstream: string | undefined): string | undefined {
  const { code, message = '' } = detailsOf(cause)
  const secure = /^(unix:.*\|)?(wss|https):/.test(upstream ?? '')
  if (!secure && ((cause as { tls?: true } | null)?.tls === true || message === speaksTls)) {
    return 'the upstream speaks TLS there: is its scheme wss: or https:?'
  }
  if (message === speaksNoHttp || /\(Expected HTTP\//.test(message)) return 'the upstream speaks no HTTP/1 there: is this its port?'
  return code === undefined || !Object.hasOwn(hints, code) ? undefined : hints[code]
}

/** The message of the cause of an upgrade that got a response in another protocol. */
const speaksNoHttp = 'the response is not HTTP/1'

/** The message of the cause of an upgrade that got a TLS record. */
const speaksTls = 'the upstream answered with TLS'
