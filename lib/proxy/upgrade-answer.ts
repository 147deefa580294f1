/** The outcome of an upstream's response to an upgrade: a tunnel, or a response that is relayed to the client. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Front } from '../downstream/front.ts'
import { truncateResponse } from '../downstream/response-completion.ts'
import { InvalidResponseError } from '../errors.ts'
import type { Framing } from '../http/body-reader.ts'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import type { Registry } from '../lifecycle/registry.ts'
import type { TunnelSlot } from '../lifecycle/tunnel-limits.ts'
import { keepAlive } from '../net/socket.ts'
import { logFailure, warnOnce } from '../observability/failure-lines.ts'
import { closeReporter, emitOpen, warnOfHost } from '../observability/tunnel-events.ts'
import type { Decision } from '../routing/decision.ts'
import { FrameTracker } from '../tunnel/websocket-frames.ts'
import type { UpgradeResult } from '../upstream/http1-exchange.ts'
import { RawResponseBody } from '../upstream/http1-response-body.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { applyResponseHead, deliver, rewrittenHeaders } from './client-response.ts'
import type { Origin } from './reverse.ts'

/** An upgrade that the decision has accepted. */
export interface AcceptedUpgrade {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly decision: Extract<Decision, { kind: 'upgrade-raw' | 'upgrade' }>
  readonly front: Front
}

/**
 * Sends the client its switch.
 * @returns a function that completes the request at Fastify
 * @throws InvalidHeaderError, FunctionError: nothing was sent
 */
export function acceptSwitch (
  { request, reply, decision: { kind, target, token }, front }: AcceptedUpgrade, answer: UpgradeResult, origin: Origin
): () => void {
  const { head, received, headEnd } = answer
  if (kind === 'upgrade-raw' && front.acceptRaw !== undefined) return front.acceptRaw(reply, received.subarray(0, headEnd))
  return front.accept(reply, head, rewrittenHeaders(request, target, withoutContent(head.headers), origin), token)
}

/** Returns headers without those of a body: a 101 has no content (RFC 9110, 8.6). */
function withoutContent (headers: HeaderList): HeaderList {
  if (fieldValue(headers, 'content-length') === undefined) return headers
  return headers.filter((_, i) => (headers[i - i % 2] as string).toLowerCase() !== 'content-length')
}

/** Opens the tunnel, with the early bytes of both sides. The slot belongs to the tunnel from here on. */
export function openTunnel (
  registry: Registry, { request, decision: { target, token }, front }: AcceptedUpgrade,
  upstream: Upstream, answer: UpgradeResult, slot: TunnelSlot, complete: () => void, early: Buffer
): void {
  const isWebSocket = token === 'websocket'
  const clientTracker = isWebSocket ? new FrameTracker(true) : undefined
  const upstreamTracker = isWebSocket ? new FrameTracker(false) : undefined
  const onEnd = closeReporter(request.log, target)
  const tunnel = registry.open(
    { client: front.stream, clientTransport: front.transport, upstream: answer.stream, upstreamTransport: answer.transport, clientTracker, upstreamTracker },
    { target, upstream, client: request.ip ?? '', protocol: token, httpVersion: request.raw.httpVersion, slot, clientTracker, upstreamTracker, onEnd },
    complete
  )
  emitOpen(tunnel, target, request)
  tunnel.start(early, answer.received.subarray(answer.headEnd))
}

/** A response that is relayed instead of 101. */
export interface Relay {
  /** The body, destroyed when the client has all of it, or leaves. */
  readonly body: RawResponseBody
  /** Sends it to the client. */
  send (): void
}

/**
 * Prepares the response: sets its head on the reply, and reads its body from the connection.
 * @throws InvalidResponseError, InvalidHeaderError, FunctionError: nothing was sent
 */
export function relayOf (
  { request, reply, decision: { kind, target }, front }: AcceptedUpgrade,
  { label, timeout }: Upstream, answer: UpgradeResult, framing: Framing, origin: Origin
): Relay {
  const { head, stream, transport, received, headEnd } = answer
  const relayRaw = kind === 'upgrade-raw' ? front.relayRaw?.bind(front) : undefined
  if (head.status < 300) warnOnce(request.log, target, `the upstream answered an upgrade with ${head.status}: does it take WebSockets at this path?`, label)
  // Of HTTP/2, any 2xx would open the tunnel (RFC 8441, 4): the client would take the response for what the other protocol says.
  if (front.status === 200 && head.status < 300) throw new InvalidResponseError({ cause: new Error(`${head.status} instead of 101`) })
  const takeBack = relayRaw === undefined ? applyResponseHead(request, reply, target, head, origin) : undefined
  const body = new RawResponseBody({ stream, transport, framing, rest: received.subarray(headEnd), timeout, raw: relayRaw !== undefined })
  body.once('error', (error) => logFailure(request.log, 'body', target, label, error))
  if (front.status === 200) body.once('error', () => truncateResponse(reply.raw))
  keepAlive(transport, target.keepAlive)
  return {
    body,
    send () {
      if (head.status === 403) warnOfHost(request, target)
      if (relayRaw !== undefined) return relayRaw(reply, received.subarray(0, headEnd), body, head.status)
      if (takeBack !== undefined) body.once('error', takeBack) // an onSend hook may run before the head is written
      if (framing.kind !== 'none') return deliver(reply, body)
      body.destroy()
      deliver(reply)
    }
  }
}
