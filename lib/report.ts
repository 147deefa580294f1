/** What the world hears of a tunnel: on the channels, in the log, and through the options' functions. */
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { OpenTunnel } from './open-tunnel.ts'
import type { Target, TunnelOutcome } from './options.ts'
import { channels } from './state.ts'

/** A tunnel has begun. */
export function announce (tunnel: OpenTunnel, target: Target, request: FastifyRequest): void {
  if (channels.open.hasSubscribers) channels.open.publish({ tunnel, request })
  try {
    target.onTunnelOpen?.(tunnel, request)
  } catch (err) {
    request.log.error({ err, tunnel: tunnel.id }, 'onTunnelOpen failed')
  }
}

/** What tells of a tunnel's end. A logger and a target are all that it keeps. */
export function reporter (log: FastifyBaseLogger, target: Target): (tunnel: OpenTunnel, outcome: TunnelOutcome) => void {
  return (tunnel, outcome) => {
    if (channels.close.hasSubscribers) channels.close.publish({ tunnel, outcome })
    const { error: err, ...rest } = outcome
    const line = { tunnel: tunnel.id, upstream: tunnel.upstream, ...rest, ...(err === undefined ? {} : { err }) }
    log[levelOf(outcome)](line, 'tunnel closed')
    try {
      target.onTunnelClose?.(tunnel, outcome)
    } catch (err) {
      log.error({ err, tunnel: tunnel.id }, 'onTunnelClose failed')
    }
  }
}

function levelOf ({ reason }: TunnelOutcome): 'info' | 'warn' {
  return reason === 'upstream_reset' || reason === 'stalled' || reason === 'error' ? 'warn' : 'info'
}
