/** The two ends of an exchange, the raw client and a raw upstream: they follow their scripts and write down what they saw. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { RawConnection } from '../fixtures/raw.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { headerOf } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

/** How long one wait of a script may take, unless it says so. Longer than any timeout that a scenario is about. */
const patience = 8_000

export type Field = [name: string, value: string]

/** A request or a response, as it was seen. */
export interface Message {
  start: string
  headers: Field[]
  body: string
}

export interface UpstreamRequest extends Message {
  upstream: string
  /** The name that TLS asked for, over TLS. */
  serverName?: string
  /** Bytes after the message. */
  tunnel: string
  /** How the proxy ended the connection, where the script waits for that. */
  end?: string
  /** The signals of the script. */
  missed: string[]
}

/** All that can be seen of one exchange from outside the proxy. */
export interface Outcome {
  responses: Message[]
  /** Bytes after a 101, or bytes that are no response. */
  tunnel: string
  /** `kept`: another request was answered on the connection. */
  end: string
  missed: string[]
  requests: UpstreamRequest[]
  /** Of a sequence of requests: who answered each. */
  sequence?: string
  /** The status in the access log, where the table compares it. */
  logged?: string
}

export type ClientStep = (client: Client) => void | Promise<void>
export type UpstreamStep = (upstream: UpstreamEnd) => void | Promise<void>

/** Resolves with whether it came true; a wait that takes too long is written down. */
async function soft (promise: Promise<unknown>, what: string, { missed, patience }: End): Promise<boolean> {
  try {
    await within(promise, what, patience)
    return true
  } catch (error) {
    if ((error as Error).message.startsWith('waited ')) missed.push(what)
    return false
  }
}

/** Things that one end tells the other about. */
export class Signals {
  readonly #known = new Map<string, { promise: Promise<void>, resolve: () => void }>()

  get (name: string): { promise: Promise<void>, resolve: () => void } {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    let resolve!: () => void
    const promise = new Promise<void>((_resolve) => { resolve = _resolve })
    const made = { promise, resolve }
    this.#known.set(name, made)
    return made
  }
}

export abstract class End {
  readonly missed: string[] = []
  readonly connection: RawConnection
  readonly signals: Signals
  end: string | undefined
  /** Milliseconds. */
  patience: number = patience

  constructor (connection: RawConnection, signals: Signals) {
    this.connection = connection
    this.signals = signals
  }

  write (data: string | Uint8Array): void {
    if (!this.connection.socket.destroyed) this.connection.write(data)
  }

  /** Waits for so many bytes after the message, or for the end. */
  async bytes (count: number): Promise<void> {
    const { connection } = this
    if (connection.unread.length >= count) return
    const wanted = connection.received.length - connection.unread.length + count
    await soft(connection.waitFor(wanted), `${count} bytes`, this)
  }

  async ended (): Promise<void> {
    const { connection } = this
    await soft(Promise.race([connection.ended.catch(() => connection.closed), connection.closed]), 'the end of the connection', this)
    this.end = this.howEnded()
  }

  /** Whether the connection ends within so many milliseconds, for which nothing but the end is waited. */
  async endsWithin (ms: number): Promise<boolean> {
    const { connection } = this
    const over = within(Promise.race([connection.ended, connection.closed]), 'the end', ms).then(
      () => true,
      () => connection.socket.readableEnded || connection.socket.destroyed
    )
    return await over
  }

  howEnded (): string {
    const { connection } = this
    if (connection.error !== undefined) return 'reset'
    return connection.socket.readableEnded ? 'fin' : connection.socket.destroyed ? 'reset' : 'open'
  }

  /** Waits for a signal, unless this connection ends before. */
  async when (name: string): Promise<void> {
    const { connection } = this
    await soft(Promise.race([this.signals.get(name).promise, connection.ended, connection.closed]), `the signal '${name}'`, this)
  }
}

export class Client extends End {
  readonly responses: Message[] = []
  switched = false
  unparsed = false
  sequence: string | undefined
  /** Tunnels that a script holds. */
  readonly held: RawConnection[] = []
  readonly #others: RawConnection[] = []

  /** One more connection to the same proxy. */
  async another (): Promise<RawConnection> {
    const { remotePort } = this.connection.socket as Socket
    const socket = connect({ port: remotePort as number, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    const connection = new RawConnection(socket)
    this.#others.push(connection)
    return connection
  }

  /** A response on any connection; `undefined` where none comes in time. */
  async answer (connection: RawConnection): Promise<RawResponse | undefined> {
    let response: RawResponse | undefined
    await soft(connection.response().then((read) => { response = read }), 'an answer in a sequence', this)
    return response
  }

  hangUp (): void {
    for (const connection of [this.connection, ...this.#others]) connection.destroy()
  }

  /** A final response or a 101, with the interim ones before it; or bytes that are none; or the end. */
  async response (method: string): Promise<void> {
    for (;;) {
      const { connection } = this
      await this.bytes(5)
      if (!connection.unread.toString('latin1').startsWith('HTTP/')) {
        this.unparsed = true
        return
      }
      let done = true
      const read = connection.response(method).then(({ status, reason, rawHead, body }) => {
        this.responses.push({ start: `${status} ${reason}`, headers: fieldsOf(rawHead), body: body.toString('latin1') })
        done = status === 101 || status >= 200
        this.switched = status === 101
      }, (error: Error) => {
        this.unparsed = true
        throw error
      })
      if (!await soft(read, 'a response', this)) return
      if (done) return
    }
  }

  /** What began as a response and was cut short is shown as one, as far as it came. */
  takeRest (): void {
    const text = this.connection.unread.toString('latin1')
    const size = text.indexOf('\r\n\r\n')
    if (!this.unparsed || size === -1 || !/^HTTP\/1\.1 \d{3} /.test(text)) return
    this.responses.push({ start: `${text.slice(9, text.indexOf('\r\n'))} (cut short)`, headers: fieldsOf(text.slice(0, size)), body: text.slice(size + 4) })
    void this.connection.read(this.connection.unread.length)
  }

  /** How the connection goes on, once the script is over. */
  async conclude (): Promise<string> {
    const { connection } = this
    if (this.end !== undefined) return this.end
    if (this.sequence !== undefined && this.responses.length === 0) return 'open' // a sequence goes over many connections
    if (connection.error !== undefined || connection.socket.readableEnded) return this.howEnded()
    const last = this.responses.at(-1)
    if (this.switched || last === undefined) return 'open'
    if (!last.headers.some(([name, value]) => name.toLowerCase() === 'connection' && /close/i.test(value)) && !this.unparsed) {
      const before = connection.received.length
      this.write('GET /~probe HTTP/1.1\r\nHost: probe.example\r\nConnection: close\r\n\r\n')
      const answered = await soft(connection.response(), 'an answer to the next request', this)
      const text = connection.received.toString('latin1', before)
      if (answered) return /^HTTP\/1\.1 404/.test(text) ? 'kept' : `kept, but the next request got ${text.slice(0, 40)}`
    }
    await this.ended()
    return this.end as string | undefined ?? 'open'
  }
}

export class UpstreamEnd extends End {
  readonly request: UpstreamRequest
  readonly head: string
  /** Whether the request is compared. */
  recorded = true
  /** The connection is no longer one of HTTP. */
  over = false

  /** Where the upstreams of this side listen, by name. */
  readonly ports: Readonly<Record<string, number>>

  constructor (connection: RawConnection, signals: Signals, name: string, head: string, ports: Readonly<Record<string, number>>) {
    super(connection, signals)
    this.head = head
    this.ports = ports
    this.request = {
      upstream: name, start: head.slice(0, head.indexOf('\r\n')), headers: fieldsOf(head), body: '', tunnel: '', missed: this.missed
    }
  }

  get asksForUpgrade (): boolean {
    return headerOf(this.head, 'upgrade') !== undefined
  }

  /** The request's body, by its framing. */
  async readBody (): Promise<void> {
    const { connection, request } = this
    const length = headerOf(this.head, 'content-length')
    if (headerOf(this.head, 'transfer-encoding') !== undefined) {
      await soft(connection.waitFor(() => wholeChunks(connection.unread) !== undefined), 'a chunked body', this)
      const chunks = wholeChunks(connection.unread)
      if (chunks !== undefined) {
        request.body = chunks.text
        await connection.read(chunks.size)
      } else if (connection.unread.length > 0) request.body = `${connection.unread.toString('latin1')} (not whole)`
    } else if (length !== undefined && Number(length) > 0) {
      if (await soft(connection.waitFor(() => connection.unread.length >= Number(length)), 'a body', this)) {
        request.body = (await connection.read(Number(length))).toString('latin1')
      } else request.body = `${connection.unread.toString('latin1')} (not whole)`
    }
  }
}

function wholeChunks (bytes: Buffer): { text: string, size: number } | undefined {
  const raw = bytes.toString('latin1')
  let text = ''
  let at = 0
  for (;;) {
    const line = raw.indexOf('\r\n', at)
    if (line === -1) return undefined
    const size = parseInt(raw.slice(at, line), 16)
    if (Number.isNaN(size)) return undefined
    at = line + 2
    if (size === 0) {
      const end = raw.indexOf('\r\n', at)
      if (end === -1) return undefined
      if (end === at) return { text, size: end + 2 }
      const trailers = raw.indexOf('\r\n\r\n', at)
      return trailers === -1 ? undefined : { text, size: trailers + 4 }
    }
    if (raw.length < at + size + 2) return undefined
    text += raw.slice(at, at + size)
    at += size + 2
  }
}

export function fieldsOf (head: string): Field[] {
  return head.split('\r\n').slice(1).filter((line) => line !== '').map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
}
