/** An upstream's response to a forward, on its way to the client: sent whole if it came in one read, else streamed. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import type { Target } from '../config/target.ts'
import { readable } from '../config/user-function.ts'
import { markMustClose } from '../downstream/must-close.ts'
import { truncateResponse } from '../downstream/response-completion.ts'
import { isHttp2 } from '../http/version.ts'
import type { Registry } from '../lifecycle/registry.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import type { Choice } from '../upstream/upstream.ts'
import { applyResponseHead, deliver, type Head } from './client-response.ts'
import { type Flow, ResponseBody } from './response-body.ts'

/** The client's side of the exchange. */
export interface RelayTarget {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly target: Target
  readonly matched: number
  readonly registry: Registry
}

export interface RelayOwner {
  /** The controls of the upstream's response. */
  readonly flow: Flow
  /** True if the exchange was broken off. */
  readonly isBroken: boolean
  /** Called when the response becomes a stream, whose client may be slow. */
  responseStreams (): void
  /** Called if the head cannot be sent: a function of the options threw, or the head is not valid. */
  headFailed (error: Error): void
}

export class RelayedResponse {
  readonly #to: RelayTarget
  readonly #choice: Choice
  readonly #owner: RelayOwner
  /** The head, until the reply has it. */
  #head: Head | undefined
  /** The body's first chunks, until it is known if they are all of it. */
  readonly #chunks: Buffer[] = []
  /** Removes the head from the reply. */
  #takeBack: (() => void) | undefined = undefined
  #body: ResponseBody | undefined = undefined

  constructor (to: RelayTarget, choice: Choice, head: Head, owner: RelayOwner) {
    this.#to = to
    this.#choice = choice
    this.#head = head
    this.#owner = owner
    // A body that came in one read with its end is sent whole, at half the cost of a stream; the forward does not wait for more.
    process.nextTick(startStream, this)
  }

  /** True if the client may have got a part of it. */
  get isStreamed (): boolean {
    return this.#body !== undefined
  }

  /** The bytes that wait for the client. */
  get waitingBytes (): number {
    return this.#body?.readableLength ?? 0
  }

  /** Returns false if the upstream must wait for the client. */
  data (chunk: Buffer): boolean {
    if (this.#head === undefined) return this.#body?.accept(chunk) !== false
    this.#chunks.push(chunk)
    return true
  }

  end (): void {
    this.#body?.push(null)
    const chunks = this.#begin()
    if (chunks === undefined) return
    const { reply } = this.#to
    const whole = chunks.length === 1 ? chunks[0] as Buffer : Buffer.concat(chunks)
    if (whole.length === 0) deliver(reply)
    // Fastify sets application/octet-stream on a Buffer whose type it cannot parse. It leaves a stream alone, which takes longer.
    else deliver(reply, isPlainType(reply.getHeader('content-type')) ? whole : Readable.from([whole]))
  }

  /** @internal */
  stream (): void {
    const chunks = this.#begin()
    if (chunks === undefined) return
    const body = new ResponseBody(this.#owner.flow)
    this.#body = body
    this.#owner.responseStreams()
    if (this.#takeBack !== undefined) body.once('error', this.#takeBack)
    for (const chunk of chunks) body.push(chunk)
    // A head without a body yet is flushed as soon as Fastify has written it: the client of a long poll waits for it.
    const { reply } = this.#to
    if (chunks.length === 0) reply.raw.once('pipe', flushHeaders)
    deliver(reply, body)
  }

  /** Sets the head on the reply. Returns the chunks of the body so far, once; `undefined` if the head cannot be sent. */
  #begin (): Buffer[] | undefined {
    const head = this.#head
    this.#head = undefined
    const { request, reply, target, matched, registry } = this.#to
    const choice = this.#choice
    if (head === undefined || reply.sent || this.#owner.isBroken) return undefined
    try {
      this.#takeBack = applyResponseHead(request, reply, target, head, { choice, matched })
      const { cookie } = choice
      if (cookie !== undefined) reply.header('set-cookie', cookie)
      if (registry.closing) markMustClose(request.raw, 'draining')
      return this.#chunks.splice(0) // the response may last, and its first chunks need not
    } catch (error) {
      this.#owner.headFailed(readable(error))
      return undefined
    }
  }

  /** Drops what the client has not got. Returns false if it has got nothing, so that an error can be sent instead. */
  cutOff (error: Error): boolean {
    this.#head = undefined
    if (this.#body === undefined) return false
    truncateResponse(this.#to.reply.raw)
    this.#body.destroy(error)
    return true
  }

  destroy (error?: Error): void {
    this.#body?.destroy(error)
  }
}

/** Returns true for a media type that every reader reads alike (RFC 9110, 8.3.1). */
function isPlainType (value: unknown): boolean {
  return typeof value === 'string' && /^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(?:; ?[a-z0-9_-]+=(?:[a-z0-9_.:/+-]+|"[^"\\]*"))*$/i.test(value)
}

/** Writes the head. Node's `flushHeaders()` would encode characters beyond ASCII as UTF-8, and so change the bytes. */
function flushHeaders (this: FastifyReply['raw']): void {
  if (isHttp2(this.req)) this.flushHeaders()
  else this.write(emptyBuffer)
}

function startStream (response: RelayedResponse): void {
  response.stream()
}
