/** The life of an upgrade, from the handler to the tunnel: admit, choose, shake hands, then switch or relay the refusal. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { Admission } from './admission.ts'
import { AnswerBody } from './answer.ts'
import type { Framing } from './body.ts'
import { guard, isHeadWritten, offerOf, type Offered } from './connection.ts'
import type { RefusalStage } from './counters.ts'
import type { Decision } from './decision.ts'
import { discard } from './dial.ts'
import { ClientGoneError, DrainingError, HeadWrittenError, InvalidHeaderError } from './errors.ts'
import { FrameTracker } from './frames.ts'
import { completion, closeUnanswered, relayBytes, takeOver } from './handover.ts'
import { Handshake, type Answer, type HandshakeOwner } from './handshake.ts'
import { fieldValue, isFraming, serialise, type HeaderList } from './headers.ts'
import type { Target } from './options.ts'
import { isIdempotent, outgoing } from './outgoing.ts'
import type { Breakable } from './registry.ts'
import { announce, reporter } from './report.ts'
import { rewrittenHeaders, sendError, setHead } from './respond.ts'
import type { ServerState, Table } from './state.ts'
import { clock, keepAlive } from './tunnel.ts'
import type { Choice, Upstream } from './upstream.ts'
import { WaitingClient } from './waiting.ts'

type Accepted = Extract<Decision, { kind: 'tunnel' | 'upgrade' }>

/** Answers an accepted upgrade, in the route handler. */
export function upgrade (
  state: ServerState, table: Table, request: FastifyRequest, reply: FastifyReply, decision: Accepted
): void {
  const offered = offerOf(request.raw) as Offered // looked for when it was decided
  new UpgradeExchange(state, table, request, reply, decision, offered).begin()
}

/** With callbacks rather than promises: the tunnel begins in the turn in which the answer is read. */
class UpgradeExchange implements Breakable, HandshakeOwner {
  readonly #state: ServerState
  readonly #table: Table
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #decision: Accepted
  readonly #client: WaitingClient
  readonly #offered: Offered
  #stage: RefusalStage = 'limit'
  #admission: Admission | undefined = undefined
  place = -1
  /** The choice that is being tried, and the attempt. */
  #choice: Choice | undefined = undefined
  #handshake: Handshake | undefined = undefined
  #startedAt = 0
  /** Where the exchange counts as under way. */
  #upstream: Upstream | undefined = undefined
  /** The refusal that is being relayed. */
  #body: AnswerBody | undefined = undefined

  constructor (state: ServerState, table: Table, request: FastifyRequest, reply: FastifyReply, decision: Accepted, offered: Offered) {
    this.#state = state
    this.#table = table
    this.#request = request
    this.#reply = reply
    this.#decision = decision
    this.#offered = offered
    this.#client = new WaitingClient(offered, decision.target.limits.earlyData)
  }

  /** A drain is over. */
  abort (): void {
    this.#client.abort(new DrainingError())
  }

  begin (): void {
    // Fastify's handlerTimeout, or a user's hook, may answer while we wait. The connection is then theirs, and first of all ours no more.
    this.#reply.raw.prependOnceListener('finish', guard(() => this.#answered()))
    let choosing: Choice | Promise<Choice>
    try {
      const { target } = this.#decision
      const { registry, gate } = this.#state
      if (isHeadWritten(this.#reply.raw)) throw new HeadWrittenError() // by a hook: a 101 would come behind it
      if (registry.draining) throw new DrainingError()
      this.#admission = gate.admit(this.#request.ip ?? '', target.limits)
      registry.track('upgrade', this)
      this.#client.watch()
      this.#stage = 'dial'
      this.#client.throwIfGone() // during the hooks: nobody is asked where it should go
      choosing = this.#table.upstreamsOf(target).choose(this.#request, () => this.#client.signal)
    } catch (error) {
      return this.#fail(error)
    }
    if (choosing instanceof Promise) this.#client.unlessGone(choosing).then((choice) => this.#try(choice), (error) => this.#fail(error))
    else this.#try(choosing)
  }

  /** Whether someone else answers: Fastify tells only of the end of a response. */
  get #isAnswered (): boolean {
    return this.#reply.sent || isHeadWritten(this.#reply.raw)
  }

  /** A response was sent on this exchange's connection: by us, at its end, or by someone else, in its middle. */
  #answered (): void {
    if (!this.#client.watching) return // its own end: a switch, or an error that was sent
    if (this.#body === undefined) this.#client.abort(new ClientGoneError())
    else this.#body.destroy() // an onSend hook may have put another one in its place
    this.#client.release()
  }

  /** Asks the chosen upstream. */
  #try (choice: Choice): void {
    const { target, matched } = this.#decision
    this.#choice = choice
    this.#handshake = undefined
    try {
      const upstream = this.#enter(choice.upstream)
      this.#stage = 'limit'
      this.#admission?.enter(upstream, target.limits.maxTunnelsPerUpstream)
      this.#stage = 'dial'
      const { path, headers } = outgoing(this.#request, target, choice, matched, false)
      this.#handshake = this.#attempt(upstream, path, headers)
      this.#startedAt = clock()
      this.#handshake.run()
    } catch (error) {
      this.failed(error)
    }
  }

  /** No answer: the next upstream is asked, where there is one. */
  failed (error: unknown): void {
    const sent = this.#handshake?.connected === true
    if (sent) this.#stage = 'handshake'
    const again = !sent || isIdempotent(this.#request.method)
    let next: Choice | undefined
    try {
      next = this.#choice?.failed(error, { sent, again, fresh: true })
    } catch (cause) { // of a user's lbMethod, say
      return this.#fail(cause)
    }
    if (next === undefined) this.#fail(error)
    else this.#try(next)
  }

  /** The upstream has answered. */
  shaken (answer: Answer): void {
    const choice = this.#choice as Choice
    this.#stage = 'handshake'
    try {
      if (answer.framing === undefined) choice.upstream.counters.handshake.observe(clock() - this.#startedAt)
      choice.answered(answer.head.status)
      this.#client.worker = undefined
      if (this.#isAnswered) throw new ClientGoneError() // by someone else, meanwhile
      if (choice.cookie !== undefined) this.#reply.header('set-cookie', choice.cookie)
      if (answer.framing === undefined) this.#switch(answer, this.#client.release())
      else this.#relay(answer, answer.framing)
    } catch (error) {
      discard(answer)
      return this.#fail(error)
    }
    this.#settle()
  }

  /** The exchange is under way no more. A relay is, until the client has all of it, or leaves. */
  #settle (): void {
    this.#handshake = undefined // which holds both heads: this exchange may live as long as its tunnel
    this.#choice = undefined
    if (this.#upstream !== undefined) this.#upstream.counters.pending--
    if (this.#body !== undefined) return
    this.#client.release()
    this.#untrack()
  }

  #untrack (): void {
    this.#state.registry.untrack('upgrade', this)
  }

  #fail (error: unknown): void {
    this.#settle()
    this.#countRefusal(error)
    const reply = this.#reply
    const { socket, eager } = this.#offered
    if (error instanceof HeadWrittenError) {
      this.#request.log.error({ err: error }, error.message)
      return closeUnanswered(reply, socket, error.statusCode)
    }
    if (this.#isAnswered) return
    if (socket.destroyed || error instanceof ClientGoneError) return closeUnanswered(reply, socket)
    if (eager) reply.header('connection', 'close')
    sendError(this.#request, reply, error)
  }

  #enter (upstream: Upstream): Upstream {
    if (this.#upstream !== undefined) this.#upstream.counters.pending--
    this.#upstream = upstream
    upstream.counters.pending++
    return upstream
  }

  /** The attempt at one upstream, given up when the client leaves. */
  #attempt (upstream: Upstream, path: string, headers: HeaderList): Handshake {
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
    }, this)
    this.#client.throwIfGone()
    this.#client.worker = handshake
    return handshake
  }

  /** The upstream agreed: from here on there is no HTTP on this connection. */
  #switch (answer: Answer, early: Buffer): void {
    const reply = this.#reply
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
      completion(reply.raw, 101, socket)
    )
    this.#admission = undefined // the tunnel's now
    announce(tunnel, target, this.#request)
    tunnel.start(early, answer.received.subarray(answer.headEnd))
  }

  /** The upstream answered as a server that does not switch: the client gets that answer. */
  #relay (answer: Answer, framing: Framing): void {
    const reply = this.#reply
    const { target, kind } = this.#decision
    const { timeout } = this.#upstream as Upstream
    const { head, stream, transport, received, headEnd } = answer
    const raw = kind === 'tunnel'
    const takeBack = raw ? undefined : setHead(this.#request, reply, target, head)
    const rest = received.subarray(headEnd)
    const body = new AnswerBody({ stream, transport, framing, rest, timeout, raw })
    this.#body = body
    keepAlive(transport, target.keepAlive)
    const over = (): void => this.#untrack()
    reply.raw.once('close', over).once('finish', over)
    // The client may leave, or a drain be over, while the upstream is silent.
    const { socket } = this.#offered
    this.#client.worker = { abort: () => socket.destroy() }
    this.#client.isAnswered = () => isHeadWritten(reply.raw) && body.whole
    reply.raw.once('close', () => body.destroy())
    this.#stage = 'upstream'
    this.#countRefusal(undefined)
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
  #countRefusal (error: unknown): void {
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
