/** A plain HTTP exchange: through undici, both bodies streamed, ended in one place. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Counters, StatusClass } from './counters.ts'
import { ClientGoneError, toProxyError } from './errors.ts'
import { fieldValue, toMap } from './headers.ts'
import type { Target } from './options.ts'
import { outgoing } from './outgoing.ts'
import type { Breakable, Registry } from './registry.ts'
import { setHead, type Head } from './respond.ts'
import { clock } from './tunnel.ts'
import type { Upstream } from './upstream.ts'

/** A response body up to this many bytes, announced by its Content-Length, is sent whole: that costs half of a stream. */
const smallBody = 16_384

/** What a forward needs. */
export interface ForwardOptions {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly target: Target
  readonly upstream: Upstream
  readonly matched: number
  readonly registry: Registry
}

/** A signal that aborts when the client leaves before its response is complete. */
export function leaving (reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new ClientGoneError())
  })
  return controller.signal
}

/** Sends the request on. The reply is sent when the response comes, or an error instead of it. */
export function forward (options: ForwardOptions): void {
  const { request, target, upstream, matched } = options
  const body = requestBody(request)
  const { path, headers } = outgoing(request, target, upstream, matched, body === request.raw || body === null)
  const exchange = new Forward(options)
  try {
    upstream.pool.dispatch({
      path,
      method: request.method as Dispatcher.HttpMethod,
      headers: headers as string[],
      body: body === null ? null : exchange.sent(body) as unknown as Readable,
      // Not the client's Host, which undici would take, and open a connection for each.
      ...(upstream.address.secure ? { servername: upstream.address.hostname } : {})
    } as Dispatcher.DispatchOptions, exchange)
  } catch (error) {
    exchange.fail(error)
  }
}

/** The request's body as a stream, or `null`. The parser for `*` has put it there; a GET's is only on the raw request. */
function requestBody (request: FastifyRequest): Readable | null {
  const { headers } = request.raw
  const stream = (request.raw as IncomingMessage & { stream?: { endAfterHeaders: boolean } }).stream
  const has = stream === undefined
    ? headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
    : !stream.endAfterHeaders
  if (!has) return null
  return request.body instanceof Readable ? request.body : request.raw
}

class Forward implements Dispatcher.DispatchHandler, Breakable {
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #target: Target
  readonly #counters: Counters
  readonly #registry: Registry
  readonly #startedAt: number = clock()
  readonly #untrack: () => void
  #controller: Dispatcher.DispatchController | undefined = undefined
  /** Why the exchange is broken off, once it is. */
  #broken: Error | undefined = undefined
  #failed = false
  #finished = false
  /** A small response, kept until it is whole. */
  #small: { readonly head: Head, readonly chunks: Buffer[] } | undefined = undefined
  /** The body of any other. */
  #body: ResponseBody | undefined = undefined

  constructor ({ request, reply, target, upstream, registry }: ForwardOptions) {
    this.#request = request
    this.#reply = reply
    this.#target = target
    this.#counters = upstream.counters
    this.#registry = registry
    this.#counters.inFlight++
    this.#untrack = registry.track('forward', this)
    reply.raw.once('finish', () => this.#finish())
    reply.raw.once('close', () => this.#finish())
  }

  /** The request body as undici is to read it: counted, and without the right to destroy the client's connection. */
  async * sent (body: Readable): AsyncGenerator<Buffer> {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      this.#counters.forwardBytesFromClient += chunk.length
      yield chunk
    }
  }

  /** Breaks the exchange off: the client left, or a drain is over. */
  abort (reason: Error = new ClientGoneError()): void {
    this.#broken ??= reason
    this.#controller?.abort(this.#broken)
    this.#body?.destroy(this.#broken)
    if (!this.#reply.raw.writableFinished) this.#request.raw.socket?.destroy()
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#broken !== undefined) controller.abort(this.#broken)
  }

  onResponseStart (controller: Dispatcher.DispatchController, status: number, _: unknown, reason = ''): void {
    const list = latin1(controller.rawHeaders as Array<Buffer | string>)
    if (status < 200) return this.#hint(status, list)
    if (this.#reply.sent) { // answered by someone else: Fastify's handlerTimeout
      this.#broken = new ClientGoneError()
      controller.abort(this.#broken)
      return
    }
    const head = { status, reason, headers: list }
    const length = fieldValue(list, 'content-length')
    if (this.#request.method === 'HEAD' || status === 204 || status === 304 || (length !== undefined && Number(length) <= smallBody)) {
      this.#small = { head, chunks: [] }
      return
    }
    this.#sendHead(head)
    this.#body = new ResponseBody(controller)
    this.#reply.send(this.#body)
  }

  #sendHead (head: Head): void {
    setHead(this.#request, this.#reply, this.#target, head)
    if (this.#registry.closing && this.#request.raw.httpVersionMajor === 1) this.#reply.header('connection', 'close')
  }

  onResponseData (controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#counters.forwardBytesFromUpstream += chunk.length
    if (this.#small !== undefined) this.#small.chunks.push(chunk)
    else if (this.#body?.push(chunk) === false) controller.pause()
  }

  onResponseEnd (): void {
    if (this.#small === undefined) {
      this.#body?.push(null)
      return
    }
    const { head, chunks } = this.#small
    if (this.#reply.sent) return
    this.#sendHead(head)
    const whole = chunks.length === 1 ? chunks[0] as Buffer : Buffer.concat(chunks)
    if (whole.length === 0) this.#reply.send()
    // Fastify would call a Buffer without a type an octet-stream; a stream it leaves alone.
    else this.#reply.send(this.#reply.hasHeader('content-type') ? whole : Readable.from([whole]))
  }

  onResponseError (_: Dispatcher.DispatchController, error: Error): void {
    this.fail(error)
  }

  /** The upstream failed, or the exchange was broken off. */
  fail (cause: unknown): void {
    if (this.#broken !== undefined) return
    const error = toProxyError(cause)
    this.#failed = error.source === 'upstream'
    if (this.#body !== undefined) this.#body.destroy(error) // cuts the response short, visibly
    else if (!this.#reply.sent) {
      // What is left of the request's body will not be read.
      if (this.#request.raw.complete === false) this.#reply.header('connection', 'close')
      this.#reply.send(error)
    }
  }

  /** RFC 9110, 15.2: 102 and 103 are for the client; it is HTTP/1.1 or later that may get them. */
  #hint (status: number, headers: readonly string[]): void {
    const { raw } = this.#reply
    if (raw.headersSent || this.#request.raw.httpVersion === '1.0') return
    try {
      if (status === 102) raw.writeProcessing()
      if (status !== 103) return
      const link = toMap(headers).link
      if (link !== undefined) raw.writeEarlyHints({ link })
    } catch {
      // A hint that Node will not write is a hint less; the response is still to come.
    }
  }

  /** The one end of every forward: the response is finished, or its connection is closed. */
  #finish (): void {
    if (this.#finished) return
    this.#finished = true
    const { raw } = this.#reply
    const counters = this.#counters
    this.#untrack()
    counters.inFlight--
    counters.duration.observe(clock() - this.#startedAt)
    if (this.#failed) counters.failed++
    if (raw.writableFinished) {
      counters.status[`${Math.trunc(raw.statusCode / 100)}xx` as StatusClass]++
      // Node closes idle connections when a server begins to close; this one was not idle then.
      if (this.#registry.closing && this.#request.raw.httpVersionMajor === 1) this.#request.raw.socket.end()
      return
    }
    if (!this.#failed) counters.aborted++
    this.#broken ??= new ClientGoneError()
    this.#controller?.abort(this.#broken)
  }
}

/** A response body on its way to the client. The reader's pace is the upstream's. */
class ResponseBody extends Readable {
  readonly #controller: Dispatcher.DispatchController

  constructor (controller: Dispatcher.DispatchController) {
    super()
    this.#controller = controller
  }

  override _read (): void {
    if (this.#controller.paused) this.#controller.resume()
  }

  override _destroy (error: Error | null, callback: (error: Error | null) => void): void {
    if (!this.readableEnded) this.#controller.abort(error ?? new ClientGoneError())
    callback(error)
  }
}

function latin1 (raw: ReadonlyArray<Buffer | string>): string[] {
  return raw.map((part) => typeof part === 'string' ? part : part.toString('latin1'))
}
