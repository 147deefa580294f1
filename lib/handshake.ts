/**
 * Our half of an upgrade, towards one upstream: dial, send the head, read the answer. Nothing but that head is sent
 * before a 101 that has been verified (CVE-2019-17567, CVE-2026-2833). Never over a pooled connection.
 */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { responseFraming, type Framing } from './body.ts'
import { dial, discard, type Dialled, type DialOptions } from './dial.ts'
import { ClosedError, ignoreErrors, InvalidResponseError, TimeoutError, toProxyError } from './errors.ts'
import { parseHead, type ResponseHead } from './head.ts'
import { fieldValue, tokens } from './headers.ts'

export interface HandshakeOptions {
  readonly dialling: DialOptions
  /** The request head, serialised. */
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

/** The upstream's final answer, and the connection it came on, paused. */
export interface Answer {
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

/** More interim responses than this are a flood (httpd: 10). */
const mostInterim = 8

const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** One attempt at an upgrade. */
export class Handshake {
  /** Whether a connection stood: tells a failed dial from a failed handshake. */
  connected = false
  readonly #options: HandshakeOptions

  constructor (options: HandshakeOptions) {
    this.#options = options
  }

  /**
   * @param signal gives up
   * @throws WstunnelError 502, 503 or 504; the signal's reason where it aborted
   */
  async run (signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    const { dialling, handshakeTimeout } = this.#options
    let dialled: Dialled | undefined
    let release = (): void => {}
    let giveUp = (): void => {}
    let timer: NodeJS.Timeout | undefined
    let onAbort = (): void => {}
    try {
      return await new Promise<Answer>((resolve, reject) => {
        onAbort = () => reject(signal.reason)
        signal.addEventListener('abort', onAbort, { once: true })
        if (handshakeTimeout > 0) timer = setTimeout(() => reject(new TimeoutError()), handshakeTimeout)
        giveUp = dial(dialling, (error, connection) => {
          if (connection === null) return reject(error)
          dialled = connection
          this.connected = true
          release = this.#converse(connection, resolve, reject)
        }, true)
      })
    } catch (error) {
      if (dialled === undefined) giveUp()
      else discard(dialled)
      throw signal.aborted ? error : toProxyError(error)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      release()
    }
  }

  /** Sends our head and reads until the final one. Returns what takes its listeners off again. */
  #converse ({ stream, transport }: Dialled, resolve: (answer: Answer) => void, reject: (error: unknown) => void): () => void {
    let received: Buffer = Buffer.alloc(0)
    let start = 0
    let interim = 0
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      try {
        for (;;) {
          const head = parseHead(received.subarray(start), this.#options.maxResponseHead - start)
          if (head === undefined) return
          const end = start + head.size
          if (head.status < 200 && head.status !== 101) {
            if (++interim > mostInterim) throw new Error('too many interim responses')
            start = end
            continue
          }
          stream.pause()
          resolve({ head, framing: this.#verify(head), stream, transport, received, headEnd: end })
          return
        }
      } catch (cause) {
        reject(new InvalidResponseError({ cause }))
      }
    }
    const onEnd = (): void => reject(received.length === 0 ? new ClosedError() : new InvalidResponseError())
    const onError = (error: Error): void => reject(toProxyError(error))
    const onClose = (): void => reject(new ClosedError())
    stream.on('data', onData)
    stream.on('end', onEnd)
    stream.on('error', onError)
    stream.on('close', onClose)
    stream.write(this.#options.head)
    return () => {
      stream.pause()
      ignoreErrors(stream) // until whoever gets the connection listens; a paused socket can still fail
      stream.off('data', onData)
      stream.off('end', onEnd)
      stream.off('error', onError)
      stream.off('close', onClose)
    }
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
  return createHash('sha1').update(key + webSocketGuid).digest('base64')
}
