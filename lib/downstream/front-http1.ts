/** The front of an upgrade over HTTP/1.1: the client's socket. Fastify and Node's HTTP server let go of it at the switch. */
import type { FastifyReply } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, pipeline, type Readable } from 'node:stream'
import { ClientGoneError, InvalidHeaderError } from '../errors.ts'
import { type HeaderList, serialise } from '../http/header-list.ts'
import type { ResponseHead } from '../http/response-head.ts'
import { RequestContext } from '../net/async-context.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import { reset } from '../net/socket.ts'
import { disown, own, ownerOf, type StreamOwner } from '../net/stream-owner.ts'
import { dropFront, type Front, type FrontWatcher, withReplyHeaders } from './front.ts'
import { closeInStages } from './staged-close.ts'
import { type ExpectedBody, readUpgradeBody } from './upgrade-body.ts'
import { isGuard, stopTelling, UpgradeResponse } from './upgrade-response.ts'

/** The client's socket. The front keeps early bytes up to a limit, and notices that the client leaves. */
export class Http1Front implements Front, StreamOwner {
  readonly stream: Duplex
  readonly transport: Duplex
  readonly status: 101 = 101
  isRouted = false
  #watcher: FrontWatcher | undefined = undefined
  #limit = 0
  #early: Buffer[]
  #size: number
  readonly #behind: Duplex | undefined
  #stopReading: (() => void) | undefined = undefined

  /**
   * @param head the bytes after the request's head, read by Node's parser
   * @param behind on Node 26, the stream of the bytes after a body that did not arrive with the head
   */
  constructor (stream: Duplex, head: Buffer, behind?: Duplex) {
    this.stream = stream
    this.transport = stream
    this.#behind = behind
    this.#early = head.length > 0 ? [head] : [] // an empty head is a slice of everything read with the request, and would keep it alive
    this.#size = head.length
  }

  readBody (expected: ExpectedBody, done: (error: Error | null, body?: Buffer) => void): void {
    const [head = emptyBuffer] = this.#early
    this.#stopReading = readUpgradeBody({ socket: this.stream, head, behind: this.#behind }, expected, (error, body, behind = emptyBuffer) => {
      this.#early = behind.length > 0 ? [behind] : []
      this.#size = behind.length
      done(error, body)
    })
  }

  watch (watcher: FrontWatcher, earlyData: number): void {
    const { stream } = this
    this.#watcher = watcher
    this.#limit = earlyData
    own(stream, this)
    if (stream.destroyed || stream.readableEnded) this.closed()
    else if (this.#size >= earlyData) stream.pause()
    else stream.resume()
  }

  release (): Buffer {
    const { stream } = this
    this.#stopReading?.()
    this.#stopReading = undefined
    if (ownerOf(stream) === this) {
      this.#watcher = undefined
      stream.pause()
      disown(stream)
    }
    return this.#takeEarly()
  }

  handOver (): Buffer {
    this.#watcher = undefined
    this.#stopReading = undefined // the body is read: to stop would pause the stream
    return this.#takeEarly()
  }

  #takeEarly (): Buffer {
    const early = this.#early
    this.#early = []
    return early.length === 0 ? emptyBuffer : early.length === 1 ? early[0] as Buffer : Buffer.concat(early)
  }

  /** @internal */
  take (chunk: Buffer): boolean {
    this.#early.push(chunk)
    this.#size += chunk.length
    if (this.#size >= this.#limit) this.stream.pause()
    return true
  }

  /** @internal A client that ends its half has no use for a tunnel. */
  ended (): void {
    this.closed()
  }

  /** @internal */
  closed (): void {
    const watcher = this.#watcher
    this.#watcher = undefined
    watcher?.clientGone(new ClientGoneError())
  }

  /** @internal The listener of the server's `'upgrade'` event destroys the connection. */
  failed (): void {}

  /** @internal */
  drained (): void {}

  accept (reply: FastifyReply, { reason }: ResponseHead, headers: HeaderList, token: string): () => void {
    const fields = withReplyHeaders(headers, reply)
    fields.push('Connection', 'Upgrade', 'Upgrade', token)
    return this.#switch(reply, switchHead(reason, fields))
  }

  acceptRaw (reply: FastifyReply, head: Buffer): () => void {
    return this.#switch(reply, head)
  }

  #switch (reply: FastifyReply, head: Buffer | string): () => void {
    const { stream } = this
    hijackSocket(reply, stream)
    stream.write(head, 'latin1')
    ;(stream as Partial<Socket>).setNoDelay?.(true)
    ;(stream as Partial<Socket>).setTimeout?.(0)
    return completion(reply.raw, this.status, stream)
  }

  relayRaw (reply: FastifyReply, head: Buffer, body: Readable, status: number): void {
    const { stream } = this
    const { socket } = reply.request.raw
    hijackSocket(reply, stream)
    stream.write(head)
    const complete = completion(reply.raw, status, stream)
    body.once('error', () => reset(stream)) // a mere end may be the message's
    pipeline(body, stream, (error) => {
      complete()
      if (error !== undefined && error !== null) stream.destroy()
      else closeInStages(socket)
    })
  }

  cut (): void {
    this.stream.destroy()
  }

  drop (reply: FastifyReply, status: number = 499): void {
    this.stream.destroy()
    if (reply.sent) return
    reply.hijack()
    completion(reply.raw, status, this.stream)()
  }
}

/** Takes the connection away from Fastify and Node. */
function hijackSocket (reply: FastifyReply, socket: Duplex): void {
  reply.hijack()
  dropFront(reply.request.raw)
  stopTelling(socket) // a response of another plugin does not stop by itself
  reply.raw.detachSocket(socket as Socket)
}

function switchHead (reason: string, headers: HeaderList): string {
  try {
    return serialise(`HTTP/1.1 101 ${reason}`, headers)
  } catch (cause) {
    throw new InvalidHeaderError({ cause })
  }
}

/**
 * Returns a function that completes a hijacked request at Fastify, in the context of the request. It is made in a function of its own, so
 * that it keeps nothing alive but the response and that context, and both only until the call.
 */
function completion (response: ServerResponse, status: number, socket: Duplex): () => void {
  const context = new RequestContext()
  const finish = (): void => { context.runInAsyncScope(response.emit, response, 'finish') }
  return () => {
    response.statusCode = status
    if (socket.destroyed || !endsWithResponse(response)) finish()
    else socket.once('close', finish)
  }
}

/**
 * Returns true if other code than Fastify waits for the end of a response that another plugin has made for the upgrade: @fastify/http-proxy
 * then destroys the connection. Such a request completes when its connection has closed.
 */
function endsWithResponse (response: ServerResponse): boolean {
  return !UpgradeResponse.is(response) && response.listeners('finish').filter((listener) => !isGuard(listener)).length > 1
}
