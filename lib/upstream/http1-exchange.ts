/**
 * One HTTP/1.1 exchange with an upstream on a connection of its own, such as the handshake of an upgrade: it dials, sends the head and
 * reads the response. It sends nothing but that head before a verified 101 (CVE-2019-17567, CVE-2026-2833), and never uses a pooled
 * connection.
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
import { disown, own, type StreamOwner } from '../net/stream-owner.ts'
import { dial, type DialOptions, discard, type UpstreamConnection } from './connect.ts'
import { maxInterim } from './continue-filter.ts'

export interface Http1ExchangeOptions {
  readonly dialOptions: DialOptions
  /** The serialised request head. */
  readonly head: string
  /** A small body, sent right after the head. */
  readonly body?: Buffer | undefined
  readonly method: string
  /** The one protocol requested, in lower case. */
  readonly token: string
  /** The client's `Sec-WebSocket-Key`, if the protocol is WebSocket. */
  readonly key: string | undefined
  /** The milliseconds from the dial to the final response head; 0 is no limit. */
  readonly handshakeTimeout: number
  /** The maximum size of a response head in bytes, interim responses included. */
  readonly maxResponseHead: number
}

/** The caller that waits for the response. The exchange calls one of the two, once. */
export interface Http1ExchangeOwner {
  /** Called with the response. The owner has the connection from here on; it must listen to it, or pause it, before it returns. */
  onResponse (answer: UpgradeResult): void
  /**
   * Called if the exchange fails.
   * @param reason a WstunnelError 502, 503 or 504, or the argument of `abort`
   */
  onError (reason: unknown): void
}

/** The upstream's final response, and its connection. */
export interface UpgradeResult {
  readonly head: ResponseHead
  /** The framing of the body; `undefined` for a verified 101. */
  readonly framing: Framing | undefined
  readonly stream: Duplex
  readonly transport: Socket
  /** All bytes so far, as they came: interim responses, the head, and the bytes after it. */
  readonly received: Buffer
  /** The offset in `received` at which the final head ends. */
  readonly headEnd: number
}

const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** One attempt at an upgrade. */
export class Http1Exchange implements StreamOwner {
  /** True once the connection was established: it tells a failed dial from a failed handshake. */
  connected = false
  readonly #options: Http1ExchangeOptions
  readonly #owner: Http1ExchangeOwner
  #giveUp: () => void = done
  #timer: NodeJS.Timeout | undefined = undefined
  #connection: UpstreamConnection | undefined = undefined
  #settled = false
  #received = emptyBuffer
  /** The offset in `#received` at which the next head begins. */
  #start = 0
  #interim = 0

  constructor (options: Http1ExchangeOptions, owner: Http1ExchangeOwner) {
    this.#options = options
    this.#owner = owner
  }

  /** Starts the exchange. Called once. */
  run (): void {
    const { dialOptions, handshakeTimeout } = this.#options
    this.#giveUp = dial(dialOptions, (error, dialled) => {
      if (dialled === null) this.abort(error)
      else this.#converse(dialled)
    }, true, handshakeTimeout > 0 ? handshakeTimeout : Infinity)
    if (handshakeTimeout > 0) this.#timer = setTimeout(onTimeout, handshakeTimeout, this)
  }

  /** Gives up. Without effect once there is a response. */
  abort (reason: unknown): void {
    if (this.#settled) return
    const giveUp = this.#giveUp
    this.#settle()
    if (this.#connection === undefined) giveUp()
    else discard(this.#connection)
    this.#owner.onError(reason)
  }

  /** Sends the head and reads until the final response head. */
  #converse (dialled: UpstreamConnection): void {
    this.#connection = dialled
    this.connected = true
    const { stream } = dialled
    own(stream, this)
    stream.resume()
    // Without a timer, only keep-alive shows that the upstream is gone.
    if (this.#options.handshakeTimeout === 0) keepAlive(dialled.transport, this.#options.dialOptions.keepAlive)
    const { head, body } = this.#options
    if (body === undefined) stream.write(head, 'latin1')
    else stream.write(Buffer.concat([Buffer.from(head, 'latin1'), body])) // in one piece: Node's server stops between the two
  }

  #settle (): void {
    this.#settled = true
    clearTimeout(this.#timer)
    this.#giveUp = done // else the scope of the dial would live as long as the cleared timer
  }

  /** @internal */
  take (chunk: Buffer): boolean {
    const answer = this.#settled ? undefined : this.#read(chunk)
    if (answer === undefined) return true
    this.#settle()
    if (answer.framing !== undefined) disown(answer.stream) // the owner of a tunnel just takes over
    this.#owner.onResponse(answer)
    return true
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

  /** @internal Called when the upstream ends the connection. */
  ended (): void {
    if (this.#received.length === 0) return this.abort(new ClosedError())
    const message = isTls(this.#received) ? answeredWithTls : 'the upstream closed before the end of its response head'
    this.abort(new InvalidResponseError({ cause: new Error(message) }))
  }

  /** @internal */
  failed (error: Error): void {
    this.abort(toProxyError(error))
  }

  /** @internal */
  closed (): void {
    this.abort(new ClosedError())
  }

  /** @internal */
  drained (): void {}

  /**
   * Returns the framing of an ordinary response, or `undefined` for a 101 that switches to exactly the requested protocol.
   * @throws Error if the response is neither
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
    if (fieldValue(head.headers, 'upgrade')?.toLowerCase() !== token) throw new Error('a 101 to a protocol that was not requested')
    if (key !== undefined && fieldValue(head.headers, 'sec-websocket-accept') !== acceptFor(key)) {
      throw new Error('a 101 with a wrong Sec-WebSocket-Accept')
    }
    return undefined
  }
}

/** Returns the `Sec-WebSocket-Accept` for a key (RFC 6455, 4.2.2). */
function acceptFor (key: string): string {
  return hash('sha1', key + webSocketGuid, 'base64')
}

function done (): void {}

function onTimeout (exchange: Http1Exchange): void {
  exchange.abort(timedOut('handshakeTimeout'))
}

const answeredWithTls = 'the upstream answered with TLS'

/** Returns true for a TLS record of the type alert or handshake: a plain upstream would begin with `HTTP/`. */
function isTls ([type, version]: Buffer): boolean {
  return (type === 0x15 || type === 0x16) && version === 3
}
