/**
 * The end of a tunnel. The span of its handshake ends with the 101, and a span as long as a tunnel would be invisible for hours. So the end
 * is a span of its own, without duration, in the trace of the handshake and linked to it.
 */
import { type Attributes, diag, type SpanContext, SpanKind, SpanStatusCode, ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api'
import { subscribe } from 'node:diagnostics_channel'
import type { TunnelInfo, TunnelOutcome } from '../index.ts'

/** The last handshake of each live request, and then of its tunnel. */
const handshakes: WeakMap<object, SpanContext> = new WeakMap()

/** The reasons that are failures: the log warns of them. */
const failures: ReadonlySet<string> = new Set(['upstream_reset', 'stalled', 'error'])

let follows = false

/** Follows all tunnels of the process, from the first `tracing()` on. */
export function followTunnels (): void {
  if (follows) return
  follows = true
  subscribe('fastify-wstunnel:tunnel:open', (message) => {
    const { tunnel, request } = message as { tunnel: TunnelInfo, request: object }
    const handshake = handshakes.get(request)
    if (handshake !== undefined) handshakes.set(tunnel, handshake)
  })
  subscribe('fastify-wstunnel:tunnel:close', (message) => {
    const { tunnel, outcome } = message as { tunnel: TunnelInfo, outcome: TunnelOutcome }
    const handshake = handshakes.get(tunnel)
    if (handshake === undefined) return
    try {
      end(handshake, tunnel, outcome)
    } catch (error) {
      diag.error('fastify-wstunnel: the end of a tunnel is not recorded', error) // e.g. of a span processor: it would end the process
    }
  })
}

/** Remembers a handshake, if its trace is recorded. */
export function remember (request: object, handshake: SpanContext): void {
  if ((handshake.traceFlags & TraceFlags.SAMPLED) === 0) handshakes.delete(request)
  else handshakes.set(request, handshake)
}

function end (handshake: SpanContext, tunnel: TunnelInfo, outcome: TunnelOutcome): void {
  const options = { kind: SpanKind.INTERNAL, links: [{ context: handshake }], attributes: attributesOf(tunnel, outcome) }
  const span = trace.getTracer('fastify-wstunnel').startSpan('tunnel closed', options, trace.setSpanContext(ROOT_CONTEXT, handshake))
  const { reason, error } = outcome
  if (error !== undefined) span.recordException(error)
  if (failures.has(reason)) {
    span.setAttribute('error.type', reason)
    span.setStatus({ code: SpanStatusCode.ERROR, ...(error === undefined ? {} : { message: error.message }) })
  }
  span.end()
}

function attributesOf ({ id, route, upstream, protocol }: TunnelInfo, outcome: TunnelOutcome): Attributes {
  const { reason, by, duration, bytesFromClient, bytesFromUpstream, closeCode, detail } = outcome
  return {
    'wstunnel.route': route,
    'wstunnel.upstream': upstream,
    'wstunnel.tunnel.id': id,
    'wstunnel.tunnel.protocol': protocol,
    'wstunnel.tunnel.reason': reason,
    'wstunnel.tunnel.by': by,
    'wstunnel.tunnel.duration': duration / 1000,
    'wstunnel.tunnel.bytes_from_client': bytesFromClient,
    'wstunnel.tunnel.bytes_from_upstream': bytesFromUpstream,
    ...(closeCode === undefined ? {} : { 'wstunnel.tunnel.close_code': closeCode }),
    ...(detail === undefined ? {} : { 'wstunnel.tunnel.detail': detail })
  }
}
