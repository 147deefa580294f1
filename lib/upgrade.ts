/** The life of an upgrade, from the handler to the tunnel: admit, choose, shake hands, then switch or relay the refusal. */
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline, type Duplex } from 'node:stream'
import type { Admission } from './admission.ts'
import { AnswerBody } from './answer.ts'
import type { Framing } from './body.ts'
import { dropOffer, offerOf, type Offered } from './connection.ts'
import type { RefusalStage } from './counters.ts'
import type { Decision } from './decision.ts'
import { discard } from './dial.ts'
import { BadRequestError, ClientGoneError, DrainingError, InvalidHeaderError } from './errors.ts'
import { FrameTracker } from './frames.ts'
import { Handshake, type Answer } from './handshake.ts'
import { fieldValue, isFraming, serialise, type HeaderList } from './headers.ts'
import type { Target, TunnelOutcome } from './options.ts'
import { isIdempotent, outgoing } from './outgoing.ts'
import type { Breakable, OpenTunnel } from './registry.ts'
import { rewrittenHeaders, sendError, setHead } from './respond.ts'
import { channels, type ServerState, type Table } from './state.ts'
import { clock, reset } from './tunnel.ts'
import type { Choice, Upstream } from './upstream.ts'
import { WaitingClient } from './waiting.ts'

type Accepted = Extract<Decision, { kind: 'tunnel' | 'upgrade' }>

/** Answers an accepted upgrade, in the route handler. */
export async function upgrade (
  state: ServerState, table: Table, request: FastifyRequest, reply: FastifyReply, decision: Accepted
): Promise<void> {
  const offered = offerOf(request.raw)
  // Not by an upgrade of Node's: `inject()`, say.
  if (offered === undefined) return sendError(request, reply, new BadRequestError('this connection cannot be upgraded'))
  const exchange = new UpgradeExchange(state, table, request, decision, offered)
  // Fastify's handlerTimeout, or a user's hook, may answer while we wait. The connection is then theirs, and first of all ours no more.
  reply.raw.prependOnceListener('finish', () => exchange.answered())
  try {
    await exchange.run(reply)
  } catch (error) {
    exchange.refuse(error)
    if (reply.sent) return
    if (offered.socket.destroyed || error instanceof ClientGoneError) return leaveQuietly(reply, offered.socket)
    if (offered.eager) reply.header('connection', 'close')
    sendError(request, reply, error as Error)
  }
}

class UpgradeExchange implements Breakable {
  readonly #state: ServerState
  readonly #table: Table
  readonly #request: FastifyRequest
  readonly #decision: Accepted
  readonly #client: WaitingClient
  readonly #offered: Offered
  #stage: RefusalStage = 'limit'
  #admission: Admission | undefined = undefined
  /** Where the exchange counts as under way. */
  #upstream: Upstream | undefined = undefined
  /** The refusal that is being relayed. */
  #body: AnswerBody | undefined = undefined

  constructor (state: ServerState, table: Table, request: FastifyRequest, decision: Accepted, offered: Offered) {
    this.#state = state
    this.#table = table
    this.#request = request
    this.#decision = decision
    this.#offered = offered
    this.#client = new WaitingClient(offered, decision.target.limits.earlyData)
  }

  /** A drain is over. */
  abort (): void {
    this.#client.abort(new DrainingError())
  }

  /** A response was sent on this exchange's connection: by us, at its end, or by someone else, in its middle. */
  answered (): void {
    if (!this.#client.watching) return // its own end: a switch, or an error that was sent
    if (this.#body === undefined) this.#client.abort(new ClientGoneError())
    else this.#body.destroy() // an onSend hook may have put another one in its place
    this.#client.release()
  }

  async run (reply: FastifyReply): Promise<void> {
    const { target } = this.#decision
    const { registry, gate } = this.#state
    if (registry.draining) throw new DrainingError()
    this.#admission = gate.admit(this.#request.ip ?? '', target.limits)
    const untrack = registry.track('upgrade', this)
    let relaying = false
    try {
      this.#client.watch()
      this.#stage = 'dial'
      this.#client.throwIfGone() // during the hooks: nobody is asked where it should go
      const choosing = this.#table.upstreamsOf(target).choose(this.#request, () => this.#client.signal)
      const choice = choosing instanceof Promise ? await this.#client.unlessGone(choosing) : choosing
      const answer = await this.#ask(choice, this.#admission)
      this.#client.onGone = undefined
      const { cookie } = choice
      try {
        if (reply.sent) throw new ClientGoneError() // answered by someone else, in this very turn
        if (cookie !== undefined) reply.header('set-cookie', cookie)
        if (answer.framing === undefined) this.#switch(reply, answer, this.#client.release())
        else {
          relaying = true // until the client has all of it, or leaves
          reply.raw.once('close', untrack)
          reply.raw.once('finish', untrack)
          this.#relay(reply, answer, answer.framing)
        }
      } catch (error) {
        discard(answer)
        throw error
      }
    } finally {
      if (this.#upstream !== undefined) this.#upstream.counters.pending--
      if (!relaying) {
        this.#client.release()
        untrack()
      }
    }
  }

  /** The answer of the chosen upstream, or of the next one where that has none. */
  async #ask (first: Choice, admission: Admission): Promise<Answer> {
    const { target, matched } = this.#decision
    for (let choice = first; ;) {
      let handshake: Handshake | undefined
      try {
        const upstream = this.#enter(choice.upstream)
        this.#stage = 'limit'
        admission.enter(upstream, target.limits.maxTunnelsPerUpstream)
        this.#stage = 'dial'
        const { path, headers } = outgoing(this.#request, target, choice, matched, false)
        handshake = this.#handshake(upstream, path, headers)
        const startedAt = clock()
        const answer = await handshake.run()
        this.#stage = 'handshake'
        if (answer.framing === undefined) upstream.counters.handshake.observe(clock() - startedAt)
        choice.answered(answer.head.status)
        return answer
      } catch (error) {
        const sent = handshake?.connected === true
        if (sent) this.#stage = 'handshake'
        const again = !sent || isIdempotent(this.#request.method)
        const next = choice.failed(error, { sent, again, fresh: true })
        if (next === undefined) throw error
        choice = next
      }
    }
  }

  #enter (upstream: Upstream): Upstream {
    if (this.#upstream !== undefined) this.#upstream.counters.pending--
    this.#upstream = upstream
    upstream.counters.pending++
    return upstream
  }

  /** The attempt at one upstream, given up when the client leaves. */
  #handshake (upstream: Upstream, path: string, headers: HeaderList): Handshake {
    const { target, token } = this.#decision
    const { raw } = this.#request
    const handshake = new Handshake({
      dialling: upstream.dialling,
      head: requestHead(raw.method as string, path, headers, token),
      method: raw.method as string,
      token,
      key: token === 'websocket' ? fieldValue(headers, 'sec-websocket-key') ?? '' : undefined,
      handshakeTimeout: upstream.handshakeTimeout,
      maxResponseHead: target.limits.maxResponseHead
    })
    this.#client.throwIfGone()
    this.#client.onGone = (reason) => handshake.abort(reason)
    return handshake
  }

  /** The upstream agreed: from here on there is no HTTP on this connection. */
  #switch (reply: FastifyReply, answer: Answer, early: Buffer): void {
    const { target, kind, token } = this.#decision
    const { socket } = this.#offered
    const upstream = this.#upstream as Upstream
    const head = kind === 'tunnel'
      ? answer.received.subarray(0, answer.headEnd)
      : responseHead(this.#request, reply, target, answer, token)
    takeOver(reply, this.#request, socket)
    socket.write(head)
    const isWebSocket = token === 'websocket'
    const clientTracker = isWebSocket ? new FrameTracker(true) : undefined
    const upstreamTracker = isWebSocket ? new FrameTracker(false) : undefined
    const keepAlive = target.keepAlive
    if (keepAlive > 0) (socket as Partial<Socket>).setKeepAlive?.(true, keepAlive)
    ;(socket as Partial<Socket>).setNoDelay?.(true)
    ;(socket as Partial<Socket>).setTimeout?.(0)
    const tunnel = this.#state.registry.open(
      { client: socket, upstream: answer.stream, upstreamTransport: answer.transport, clientTracker, upstreamTracker },
      {
        target,
        upstream,
        client: this.#request.ip ?? '',
        protocol: token,
        admission: this.#admission as Admission,
        clientTracker,
        upstreamTracker,
        onEnd: reporter(this.#request.log, target)
      },
      completion(reply.raw, 101)
    )
    this.#admission = undefined // the tunnel's now
    announce(tunnel, target, this.#request)
    tunnel.start(early, answer.received.subarray(answer.headEnd))
  }

  /** The upstream answered as a server that does not switch: the client gets that answer. */
  #relay (reply: FastifyReply, answer: Answer, framing: Framing): void {
    const { target, kind } = this.#decision
    const { timeout } = this.#upstream as Upstream
    const { head, stream, transport, received, headEnd } = answer
    const raw = kind === 'tunnel'
    const takeBack = raw ? undefined : setHead(this.#request, reply, target, head)
    const rest = received.subarray(headEnd)
    const body = new AnswerBody({ stream, transport, framing, rest, timeout, raw })
    this.#body = body
    // The client may leave, or a drain be over, while the upstream is silent.
    const { socket } = this.#offered
    this.#client.onGone = () => socket.destroy()
    reply.raw.once('close', () => body.destroy())
    this.#stage = 'upstream'
    this.refuse(undefined)
    if (raw) return relayBytes(reply, this.#request, socket, received.subarray(0, headEnd), body, head.status)
    if (this.#offered.eager) reply.header('connection', 'close')
    if (takeBack !== undefined) body.once('error', takeBack) // an onSend hook may be at work before the head is written
    if (framing.kind !== 'none') reply.send(body)
    else {
      body.destroy()
      reply.send()
    }
  }

  /** Counts what became no tunnel, and gives the place back. */
  refuse (error: unknown): void {
    this.#admission?.release()
    this.#admission = undefined
    const counters = this.#upstream?.counters ?? this.#table.upstreamsOf(this.#decision.target).rest
    this.#state.refused(this.#decision.target, this.#stage, counters, error, this.#request)
  }
}

function requestHead (method: string, path: string, headers: HeaderList, token: string): Buffer {
  try {
    return serialise(`${method} ${path} HTTP/1.1`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** Our 101: the upstream's headers, those that hooks have set on the reply, and the two that make the switch. */
function responseHead (request: FastifyRequest, reply: FastifyReply, target: Target, answer: Answer, token: string): Buffer {
  const { head } = answer
  const headers = rewrittenHeaders(request, target, withoutContent(head.headers))
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (isFraming(name) || (name !== 'set-cookie' && fieldValue(headers, name) !== undefined)) continue
    for (const item of Array.isArray(value) ? value : [value]) headers.push(name, String(item))
  }
  try {
    return serialise(`HTTP/1.1 101 ${head.reason}`, [...headers, 'Connection', 'Upgrade', 'Upgrade', token])
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/** RFC 9110, 8.6: a 101 has no content. */
function withoutContent (headers: HeaderList): HeaderList {
  if (fieldValue(headers, 'content-length') === undefined) return headers
  return headers.filter((_, i) => (headers[i - i % 2] as string).toLowerCase() !== 'content-length')
}

/** Takes the connection out of Fastify's and Node's hands. */
function takeOver (reply: FastifyReply, request: FastifyRequest, socket: Duplex): void {
  reply.hijack()
  dropOffer(request.raw)
  reply.raw.detachSocket(socket as Socket)
}

/**
 * Lets Fastify complete a hijacked request: `onResponse` and the "request completed" line. Made here, by itself, so that
 * the tunnel keeps nothing alive but the response, and that until it is called.
 */
function completion (response: ServerResponse, status: number): () => void {
  return () => {
    response.statusCode = status
    response.emit('finish')
  }
}

function relayBytes (reply: FastifyReply, request: FastifyRequest, socket: Duplex, head: Buffer, body: AnswerBody, status: number): void {
  takeOver(reply, request, socket)
  socket.write(head)
  const complete = completion(reply.raw, status)
  body.once('error', () => reset(socket)) // a mere end may be the message's
  pipeline(body, socket, (error) => {
    if (error !== undefined && error !== null) socket.destroy()
    else request.raw.socket.destroySoon()
    complete()
  })
}

/** Nobody is there to be answered, but hooks and the log are still to hear of the end. 499 is nginx's code for it. */
function leaveQuietly (reply: FastifyReply, socket: Duplex): void {
  socket.destroy()
  if (reply.sent) return
  reply.hijack()
  completion(reply.raw, 499)()
}

function announce (tunnel: OpenTunnel, target: Target, request: FastifyRequest): void {
  if (channels.open.hasSubscribers) channels.open.publish({ tunnel, request })
  try {
    target.onTunnelOpen?.(tunnel, request)
  } catch (err) {
    request.log.error({ err, tunnel: tunnel.id }, 'onTunnelOpen failed')
  }
}

/** What tells of a tunnel's end. A logger and a target are all that it keeps. */
function reporter (log: FastifyBaseLogger, target: Target): (tunnel: OpenTunnel, outcome: TunnelOutcome) => void {
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
