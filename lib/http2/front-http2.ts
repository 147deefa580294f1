/** The front of an upgrade over HTTP/2: one stream, which becomes the tunnel when it is answered with 200 (RFC 8441, 5). */
import type { FastifyReply } from 'fastify'
import type { Http2ServerResponse, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { dropFront, type Front, type FrontWatcher, withReplyHeaders } from '../downstream/front.ts'
import { ClientGoneError, InvalidHeaderError } from '../errors.ts'
import { type HeaderList, isField } from '../http/header-list.ts'
import { isFraming } from '../http/hop-by-hop.ts'
import type { ResponseHead } from '../http/response-head.ts'
import { destroy } from '../net/socket.ts'
import { connectionOf, keepSession } from './sessions.ts'

const nothing = Buffer.alloc(0)

const kFront: unique symbol = Symbol('fastify-wstunnel.front-http2')

type Stream = ServerHttp2Stream & { [kFront]?: Http2Front | undefined }

/** The client's stream. Early bytes stay in it: its window bounds them. */
export class Http2Front implements Front {
  readonly stream: Stream
  readonly transport: Duplex | undefined
  readonly status: 200 = 200
  isRouted = false
  #watcher: FrontWatcher | undefined = undefined

  constructor (stream: ServerHttp2Stream) {
    this.stream = stream
    this.transport = connectionOf(stream)
  }

  watch (watcher: FrontWatcher): void {
    const { stream } = this
    this.#watcher = watcher
    stream[kFront] = this
    stream.on('aborted', onGone)
    stream.on('close', onGone)
    if (stream.destroyed || stream.aborted) this.gone()
  }

  release (): Buffer {
    const { stream } = this
    if (stream[kFront] === this) {
      stream[kFront] = undefined
      this.#watcher = undefined
      stream.off('aborted', onGone)
      stream.off('close', onGone)
    }
    return nothing
  }

  handOver (): Buffer {
    return this.release()
  }

  /** @internal */
  gone (): void {
    const watcher = this.#watcher
    this.#watcher = undefined
    watcher?.clientGone(new ClientGoneError())
  }

  accept (reply: FastifyReply, _: ResponseHead, headers: HeaderList): () => void {
    const { stream } = this
    const fields = switchFields(withReplyHeaders(headers, reply))
    if (stream.destroyed || stream.closed) throw new ClientGoneError()
    try {
      stream.respond(fields)
    } catch (cause) {
      throw new InvalidHeaderError({ cause })
    }
    reply.hijack()
    dropFront(reply.request.raw)
    keepSession(stream)
    return completion(reply.raw as unknown as Http2ServerResponse, this.status)
  }

  cut (): void {
    this.stream.destroy(new Error('the response was cut short')) // RST_STREAM(INTERNAL_ERROR): it is not whole
  }

  drop (reply: FastifyReply, status: number = 499): void {
    destroy(this.stream)
    if (reply.sent) return
    reply.hijack()
    completion(reply.raw as unknown as Http2ServerResponse, status)()
  }
}

/** A 200 says nothing of `Upgrade`, and proves nothing: what the upstream proved was for our key. */
function switchFields (headers: HeaderList): Record<string, number | string | string[]> {
  const fields = Object.create(null) as Record<string, number | string | string[]> // `constructor` is a field's name like any other
  fields[':status'] = 200
  for (let i = 0; i < headers.length; i += 2) {
    const key = (headers[i] as string).toLowerCase()
    const value = headers[i + 1] as string
    if (!isField(key, value)) throw new InvalidHeaderError({ cause: new TypeError('invalid header field') })
    if (isFraming(key) || key === 'sec-websocket-accept') continue
    const known = fields[key]
    if (key === 'set-cookie') fields[key] = [known ?? [], value].flat() as string[]
    else fields[key] = known === undefined ? value : `${known as string}, ${value}`
  }
  return fields
}

/** Completes a hijacked request at Fastify. It keeps nothing alive but the response, and that until it is called. */
function completion (response: Http2ServerResponse, status: number): () => void {
  return () => {
    response.statusCode = status
    response.emit('finish')
  }
}

function onGone (this: Stream): void {
  this[kFront]?.gone()
}
