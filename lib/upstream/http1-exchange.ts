/**
 * Our half of an upgrade, towards one upstream: dial, send the head, read the answer. Nothing but that head is sent
 * before a 101 that has been verified (CVE-2019-17567, CVE-2026-2833). Never over a pooled connection.
 */
import { hash } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ClosedError, InvalidResponseError, timedOut, toProxyError } from '../errors.ts'
import { type Framing, responseFraming } from '../http/body-reader.ts'
import { fieldValue, tokens } from '../http/header-list.ts'
import { parseHead, type ResponseHead } from '../http/response-head.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import { keepAlive } from '../net/socket.ts'
import { dial, type DialOptions, discard, type UpstreamConnection } from './connect.ts'
import { maxInterim } from './continue-filter.ts'

export interface Http1ExchangeOptions {
  readonly dialOptions: DialOptions
  /** The request head, serialised, and a small body behind it. */
  readonly head: Buffer
  readonly method: string
  /** The one protocol that was asked for, in lower case. */
  readonly token: string
  /** The client's `Sec-WebSocket-Key`, where the protocol is WebSocket. */
  readonly key: string | undefined
  /** Milliseconds from the dial to the final response head; 0 is none. */
  readonly handshakeTimeout: number
  /** Bytes of a response head, those of interim responses included. */
  readonly maxResponseHead: number
}

/** Who waits for the response. One of the two is called, once. */
export interface Http1ExchangeOwner {
  /** It has the connection from here on, and is to listen to it, or to pause it, before it returns. */
  onResponse (answer: UpgradeResult): void
  /** @param reason a WstunnelError 502, 503 or 504, or what `abort` was given */
  onError (reason: unknown): void
}

/** The upstream's final answer, and the connection it came on. */
export interface UpgradeResult {
  readonly head: ResponseHead
  /** A verified 101 has none. */
  readonly framing: Framing | undefined
  readonly stream: Duplex
  readonly transport: Socket
  /** All bytes so far, as they came: interim responses, the head, and what follows it. */
  readonly received: Buffer
  /** Where in `received` the final head ends. */
  readonly headEnd: number
}

const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const kExchange: unique symbol = Symbol('fastify-wstunnel.exchange')

type Stream = Duplex & { [kExchange]?: Http1Exchange | undefined }

/** One attempt at an upgrade. */
export class Http1Exchange {
  /** Whether a connection stood: tells a failed dial from a failed handshake. */
  connected = false
  readonly #options: Http1ExchangeOptions
  readonly #owner: Http1ExchangeOwner
  #giveUp: () => void = done
  #timer: NodeJS.Timeout | undefined = undefined
  #connection: UpstreamConnection | undefined = undefined
  #settled = false
  #received = emptyBuffer
  /** Where in `#received` the next head begins. */
  #start = 0
  #interim = 0

  constructor (options: Http1ExchangeOptions, owner: Http1ExchangeOwner) {
    this.#options = options
    this.#owner = owner
  }

  /** Called once. */
  run (): void {
    const { dialOptions, handshakeTimeout } = this.#options
    this.#giveUp = dial(dialOptions, (error, dialled) => {
      if (dialled === null) this.abort(error)
      else this.#converse(dialled)
    }, true, handshakeTimeout > 0 ? handshakeTimeout : Infinity)
    if (handshakeTimeout > 0) this.#timer = setTimeout(onTimeout, handshakeTimeout, this)
  }

  /** Gives up. Without effect once there is an answer. */
  abort (reason: unknown): void {
    if (this.#settled) return
    const giveUp = this.#giveUp
    this.#settle()
    if (this.#connection === undefined) giveUp()
    else discard(this.#connection)
    this.#owner.onError(reason)
  }

  /** Sends our head and reads until the final one. */
  #converse (dialled: UpstreamConnection): void {
    this.#connection = dialled
    this.connected = true
    const stream: Stream = dialled.stream
    stream[kExchange] = this
    stream.on('data', onData)
    stream.on('end', onEnd)
    stream.on('error', onError)
    stream.on('close', onClose)
    // Nobody else would ever find out that the upstream is gone.
    if (this.#options.handshakeTimeout === 0) keepAlive(dialled.transport, this.#options.dialOptions.keepAlive)
    stream.write(this.#options.head)
  }

  #settle (): void {
    this.#settled = true
    clearTimeout(this.#timer)
    this.#giveUp = done // the dial's scope would live as long as the cleared timer
    const stream: Stream | undefined = this.#connection?.stream
    if (stream === undefined) return
    stream[kExchange] = undefined // which would keep the request's head alive
    stream.off('data', onData)
    stream.off('end', onEnd)
    stream.off('error', onError)
    stream.off('close', onClose)
  }

  /** @internal */
  read (chunk: Buffer): void {
    const answer = this.#read(chunk)
    if (answer === undefined) return
    this.#settle()
    this.#owner.onResponse(answer)
  }

  #read (chunk: Buffer): UpgradeResult | undefined {
    const received = this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    try {
      for (;;) {
        const head = parseHead(this.#start === 0 ? received : received.subarray(this.#start), this.#options.maxResponseHead - this.#start)
        if (head === undefined) return undefined
        const headEnd = this.#start + head.size
        if (head.status >= 200 || head.status === 101) {
          const { stream, transport } = this.#connection as UpstreamConnection
          return { head, framing: this.#verify(head), stream, transport, received, headEnd }
        }
        if (++this.#interim > maxInterim) throw new Error('too many interim responses')
        this.#start = headEnd
      }
    } catch (cause) {
      this.abort(new InvalidResponseError({ cause: isTls(received) ? new Error(answeredWithTls) : cause }))
      return undefined
    }
  }

  /** @internal The upstream has ended. */
  ended (): void {
    if (this.#received.length === 0) this.abort(new ClosedError())
    else this.abort(new InvalidResponseError({ cause: new Error(isTls(this.#received) ? answeredWithTls : 'the upstream closed within its response head') }))
  }

  /**
   * The framing of an ordinary answer, or `undefined` for a 101 that switches to just what was asked for.
   * @throws Error where it is neither
   */
  #verify (head: ResponseHead): Framing | undefined {
    if (head.status !== 101) {
      const framing = responseFraming(this.#options.method, head.status, head.headers)
      if (framing === undefined) throw new Error('the framing of the response is ambiguous')
      return framing
    }
    const { token, key } = this.#options
    const connection = fieldValue(head.headers, 'connection') ?? ''
    if (head.version !== '1.1') throw new Error('a 101 in HTTP/1.0')
    if (!tokens(connection).includes('upgrade')) throw new Error('a 101 without Connection: Upgrade')
    if (fieldValue(head.headers, 'upgrade')?.toLowerCase() !== token) throw new Error('a 101 to a protocol that was not asked for')
    if (key !== undefined && fieldValue(head.headers, 'sec-websocket-accept') !== acceptFor(key)) {
      throw new Error('a 101 with a wrong Sec-WebSocket-Accept')
    }
    return undefined
  }
}

/** RFC 6455, 4.2.2. */
function acceptFor (key: string): string {
  return hash('sha1', key + webSocketGuid, 'base64')
}

function done (): void {}

function onTimeout (exchange: Http1Exchange): void {
  exchange.abort(timedOut('handshakeTimeout'))
}

function onData (this: Stream, chunk: Buffer): void {
  this[kExchange]?.read(chunk)
}

function onEnd (this: Stream): void {
  this[kExchange]?.ended()
}

function onError (this: Stream, error: Error): void {
  this[kExchange]?.abort(toProxyError(error))
}

function onClose (this: Stream): void {
  this[kExchange]?.abort(new ClosedError())
}

const answeredWithTls = 'the upstream answered with TLS'

/** A TLS record, of the type alert or handshake: a plain upstream would have begun with `HTTP/`. */
function isTls ([type, version]: Buffer): boolean {
  return (type === 0x15 || type === 0x16) && version === 3
}
