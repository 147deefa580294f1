/** One exchange on one side: a raw client, a proxy, raw upstreams. Both ends follow their script and write down what they saw. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { RawConnection } from '../fixtures/raw.ts'
import { acceptOf, headerOf } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

/** How long one wait of a script may take. Longer than any timeout that a scenario is about. */
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
}

export type ClientStep = (client: Client) => void | Promise<void>
export type UpstreamStep = (upstream: UpstreamEnd) => void | Promise<void>

/** Resolves with whether it came true; a wait that takes too long is written down. */
async function soft (promise: Promise<unknown>, what: string, missed: string[]): Promise<boolean> {
  try {
    await within(promise, what, patience)
    return true
  } catch (error) {
    if ((error as Error).message.startsWith('waited ')) missed.push(what)
    return false
  }
}

/** Things that one end tells the other about. */
class Signals {
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

abstract class End {
  readonly missed: string[] = []
  readonly connection: RawConnection
  readonly signals: Signals
  end: string | undefined
  #written = 0

  constructor (connection: RawConnection, signals: Signals) {
    this.connection = connection
    this.signals = signals
  }

  write (data: string | Uint8Array): void {
    this.#written++
    if (!this.connection.socket.destroyed) this.connection.write(data)
  }

  /** Waits for so many bytes after the message, or for the end. */
  async bytes (count: number): Promise<void> {
    const { connection } = this
    if (connection.unread.length >= count) return
    const wanted = connection.received.length - connection.unread.length + count
    await soft(connection.waitFor(wanted), `${count} bytes`, this.missed)
  }

  async ended (): Promise<void> {
    const { connection } = this
    await soft(Promise.race([connection.ended.catch(() => connection.closed), connection.closed]), 'the end of the connection', this.missed)
    this.end = this.howEnded()
  }

  /** Whether the connection ends within so many milliseconds, for which nothing but the end is waited. */
  async endsWithin (ms: number): Promise<boolean> {
    const { connection } = this
    const over = within(Promise.race([connection.ended, connection.closed]), 'the end', ms).then(() => true, () => connection.socket.readableEnded || connection.socket.destroyed)
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
    await soft(Promise.race([this.signals.get(name).promise, connection.ended, connection.closed]), `the signal '${name}'`, this.missed)
  }
}

export class Client extends End {
  readonly responses: Message[] = []
  switched = false
  unparsed = false

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
      if (!await soft(read, 'a response', this.missed)) return
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
    if (connection.error !== undefined || connection.socket.readableEnded) return this.howEnded()
    const last = this.responses.at(-1)
    if (this.switched || last === undefined) return 'open'
    if (!last.headers.some(([name, value]) => name.toLowerCase() === 'connection' && /close/i.test(value)) && !this.unparsed) {
      const before = connection.received.length
      this.write('GET /~probe HTTP/1.1\r\nHost: probe.example\r\nConnection: close\r\n\r\n')
      const answered = await soft(connection.response(), 'an answer to the next request', this.missed)
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
  /** The connection is no longer one of HTTP. */
  over = false

  constructor (connection: RawConnection, signals: Signals, name: string, head: string) {
    super(connection, signals)
    this.head = head
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
      await soft(connection.waitFor(() => wholeChunks(connection.unread) !== undefined), 'a chunked body', this.missed)
      const chunks = wholeChunks(connection.unread)
      if (chunks !== undefined) {
        request.body = chunks.text
        await connection.read(chunks.size)
      } else if (connection.unread.length > 0) request.body = `${connection.unread.toString('latin1')} (not whole)`
    } else if (length !== undefined && Number(length) > 0) {
      if (await soft(connection.waitFor(() => connection.unread.length >= Number(length)), 'a body', this.missed)) {
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

/** The scripted upstreams of one side of one lane. They answer whichever scenario is at work. */
export class Upstreams {
  readonly ports: Record<string, number> = {}
  readonly #servers: Server[] = []
  readonly #sockets = new Set<RawConnection>()
  #script: ReadonlyArray<readonly UpstreamStep[]> = []
  #signals: Signals = new Signals()
  #ends: UpstreamEnd[] = []
  #running: Array<Promise<void>> = []

  async listen (name: string, options: { tls?: object } = {}): Promise<void> {
    const { createServer: createTlsServer } = await import('node:tls')
    const accept = (socket: import('node:net').Socket): void => {
      void this.#accept(name, new RawConnection(socket))
    }
    const server = options.tls === undefined
      ? createServer({ allowHalfOpen: true, noDelay: true }, accept)
      : createTlsServer({ ...options.tls, allowHalfOpen: true, noDelay: true }, accept)
    server.on('tlsClientError', () => {})
    this.#servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.ports[name] = (server.address() as AddressInfo).port
  }

  begin (script: ReadonlyArray<readonly UpstreamStep[]>, signals: Signals): void {
    this.#script = script
    this.#signals = signals
    this.#ends = []
    this.#running = []
  }

  /** Waits for the scripts; returns what they saw. Connections end here: nothing is reused in the next scenario. */
  async finish (): Promise<UpstreamRequest[]> {
    await Promise.all(this.#running)
    const requests = this.#ends.map((end) => {
      end.request.tunnel = end.over ? end.connection.unread.toString('latin1') : ''
      if (end.end !== undefined) end.request.end = end.end
      return end.request
    })
    await this.hangUp()
    return requests
  }

  async hangUp (): Promise<void> {
    await Promise.all([...this.#sockets].map(async (connection) => {
      if (connection.socket.closed) return
      const closed = once(connection.socket, 'close')
      connection.destroy()
      await closed
    }))
    this.#sockets.clear()
  }

  async close (): Promise<void> {
    await this.hangUp()
    await Promise.all(this.#servers.map(async (server) => {
      server.close()
      await once(server, 'close')
    }))
  }

  async #accept (name: string, connection: RawConnection): Promise<void> {
    this.#sockets.add(connection)
    for (;;) {
      let head: string
      try {
        head = await connection.head()
      } catch {
        connection.socket.end()
        return
      }
      const end = new UpstreamEnd(connection, this.#signals, name, head)
      const steps = this.#script[Math.min(this.#ends.length, this.#script.length - 1)] ?? []
      this.#ends.push(end)
      this.#signals.get('request').resolve()
      const run = (async () => {
        for (const step of steps) await step(end)
      })()
      this.#running.push(run)
      await run
      if (end.over || connection.socket.destroyed || connection.socket.writableEnded) return
    }
  }
}

/** Plays one scenario against one proxy. */
export async function play (port: number, upstreams: Upstreams, client: readonly ClientStep[], script: ReadonlyArray<readonly UpstreamStep[]>): Promise<Outcome> {
  const signals = new Signals()
  upstreams.begin(script, signals)
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  const end = new Client(new RawConnection(socket), signals)
  try {
    for (const step of client) await step(end)
    const how = await end.conclude()
    const requests = await upstreams.finish()
    end.takeRest()
    const tunnel = end.switched || end.unparsed || end.responses.length === 0 ? end.connection.unread.toString('latin1') : ''
    return { responses: end.responses, tunnel, end: how, missed: end.missed, requests }
  } finally {
    end.connection.destroy()
    await upstreams.hangUp()
  }
}

// The words of the scripts.

type Bytes = string | Uint8Array

/** Writes these bytes. */
export function send (data: Bytes | ((end: UpstreamEnd) => Bytes)): (end: Client | UpstreamEnd) => void {
  return (end) => end.write(typeof data === 'function' ? data(end as UpstreamEnd) : data)
}

export function response (method: string = 'GET'): ClientStep {
  return (client) => client.response(method)
}

/** Only where the last response was a 101. */
export function ifSwitched (...steps: ClientStep[]): ClientStep {
  return async (client) => {
    if (!client.switched && !client.unparsed) return
    for (const step of steps) await step(client)
  }
}

/** Only where the last response is the upstream's. */
export function ifRelayed (...steps: ClientStep[]): ClientStep {
  return async (client) => {
    if (client.responses.at(-1)?.headers.some(([name]) => name.toLowerCase() === 'x-from') !== true) return
    for (const step of steps) await step(client)
  }
}

export function bytes (count: number): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => end.bytes(count)
}

export function fin (): (end: Client | UpstreamEnd) => void {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    end.connection.socket.end()
  }
}

export function reset (): (end: Client | UpstreamEnd) => void {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    end.connection.reset()
    end.end = 'reset by itself'
  }
}

/** Waits for the proxy to end this connection; what comes before that is recorded. */
export function ended (): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    return end.ended()
  }
}

export function when (name: string): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => end.when(name)
}

export function signal (name: string): (end: Client | UpstreamEnd) => void {
  return (end) => end.signals.get(name).resolve()
}

/** Goes on only where the proxy does not end the connection now. */
export function unlessEnded (...steps: UpstreamStep[]): UpstreamStep {
  return async (end) => {
    if (await end.endsWithin(500)) return await end.ended()
    for (const step of steps) await step(end)
  }
}

/** Reads the request's body by its framing. */
export function body (): UpstreamStep {
  return (end) => end.readBody()
}

/** What follows the request is bytes of a tunnel. */
export function raw (): UpstreamStep {
  return (end) => { end.over = true }
}

/** One script for a request that asks for an upgrade, and one for others. */
export function either (upgrade: readonly UpstreamStep[], plain: readonly UpstreamStep[]): UpstreamStep {
  return async (end) => {
    for (const step of end.asksForUpgrade ? upgrade : plain) await step(end)
  }
}

/** A right 101 for what the upstream was asked. */
export function switching (headers: Record<string, string | undefined> = {}, after: string = ''): UpstreamStep {
  return (end) => {
    const key = headerOf(end.head, 'sec-websocket-key')
    const all: Record<string, string | undefined> = {
      Upgrade: headerOf(end.head, 'upgrade') ?? 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Accept': key === undefined ? undefined : acceptOf(key),
      ...headers
    }
    const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`)
    end.over = true
    end.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n${after}`)
  }
}
