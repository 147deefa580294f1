/** Reports tunnels: on the channels, in the log, and to the options' functions. */
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { TunnelOutcome } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import { logging, readable, whenRejected } from '../config/user-function.ts'
import type { TunnelSession } from '../lifecycle/tunnel-session.ts'
import { callOutsideRequests } from '../net/async-context.ts'
import { channels, type TunnelCloseMessage, type TunnelOpenMessage } from './channels.ts'
import { briefly } from './failure-lines.ts'

/** Reports that a tunnel has opened. */
export function emitOpen (tunnel: TunnelSession, target: Target, request: FastifyRequest): void {
  if (channels.open.hasSubscribers) channels.open.publish({ tunnel, request } satisfies TunnelOpenMessage)
  const { onTunnelOpen } = target
  if (onTunnelOpen !== undefined) callUserHook(request.log, tunnel, 'onTunnelOpen', () => onTunnelOpen(tunnel, request))
}

/** Returns a function that reports the end of a tunnel, outside of any request's context. It keeps a logger and a target, and nothing else. */
export function closeReporter (log: FastifyBaseLogger, target: Target): (tunnel: TunnelSession, outcome: TunnelOutcome) => void {
  return (tunnel, outcome) => callOutsideRequests(() => {
    if (channels.close.hasSubscribers) channels.close.publish({ tunnel, outcome } satisfies TunnelCloseMessage)
    logging(() => log[levelOf(outcome)](lineOf(tunnel, outcome), 'tunnel closed'))
    const { onTunnelClose } = target
    if (onTunnelClose !== undefined) callUserHook(log, tunnel, 'onTunnelClose', () => onTunnelClose(tunnel, outcome))
  })
}

function lineOf ({ id, upstream }: TunnelSession, outcome: TunnelOutcome): object {
  const { reason, by, duration, bytesFromClient, bytesFromUpstream, closeCode, detail, error } = outcome
  const line: Record<string, unknown> = { tunnel: id, upstream, reason, by, duration, bytesFromClient, bytesFromUpstream }
  if (closeCode !== undefined) line.closeCode = closeCode
  if (detail !== undefined) line.detail = detail
  if (error !== undefined) line.err = error
  return line
}

const warnedOfHost = new WeakSet<Target>()

/** Warns once for each route: an upstream that compares `Origin` with `Host` refuses all WebSockets of browsers unless it gets the client's Host. */
export function warnOfHost (request: FastifyRequest, target: Target): void {
  if (target.preserveHost || request.headers.origin === undefined || warnedOfHost.has(target)) return
  warnedOfHost.add(target)
  logging(() => request.log.warn({ route: target.route },
    'the upstream refused an upgrade with 403: if it compares Origin with Host, it needs preserveHost: true'))
}

/** Calls a function of the options. An error, or a rejected promise, is logged and changes nothing. */
function callUserHook (log: FastifyBaseLogger, { id }: TunnelSession, name: string, call: () => unknown): void {
  const failed = (err: unknown): void => logging(() => log.error({ err: briefly(err), tunnel: id }, `${name} failed`))
  try {
    const result = call()
    if (result !== undefined) void whenRejected(result, failed)
  } catch (thrown) {
    failed(readable(thrown))
  }
}

function levelOf ({ reason }: TunnelOutcome): 'info' | 'warn' {
  return reason === 'upstream_reset' || reason === 'stalled' || reason === 'error' ? 'warn' : 'info'
}
