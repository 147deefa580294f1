// Frames of a client against the front of HTTP/2, in any order: valid ones, and such as no client sends. In this process, as bounds.ts.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { connectFields, flags, frameTypes, RawHttp2 } from '../fixtures/http2-raw.ts'
import { acceptFor, turn } from './upstream.ts'
import { type Bounds, until } from './bounds.ts'

/** Streams of a client, by number from 0. */
const streams = 4
const paths = ['echo', 'refuse', 'reset', 'silent', 'wrong', 'page', 'end'] as const
const kinds = ['good', 'GET', 'CONNECT', 'other protocol', 'no path', 'two versions', 'a length', 'a field of a connection', 'no authority'] as const

type Step =
  | {
    readonly do: 'headers'
    readonly of: number
    readonly kind: typeof kinds[number]
    readonly path: typeof paths[number]
    readonly end: boolean
    readonly continued: boolean
  }
  | { readonly do: 'data', readonly of: number, readonly size: number, readonly end: boolean, readonly padding: number }
  | { readonly do: 'reset', readonly of: number, readonly code: number }
  | { readonly do: 'window', readonly of: number, readonly size: number }
  | { readonly do: 'settings', readonly window: number }
  | { readonly do: 'goaway' | 'ping' | 'unknown' | 'wait' }

interface Play {
  readonly steps: readonly Step[]
  /** Whether each stream that is opened is well behaved to its end: nothing but good heads, data and ends. Then every byte has to arrive. */
  readonly polite: boolean
  readonly leave: 'fin' | 'reset'
}

const of = fc.nat({ max: streams - 1 })
const headers = (kind: fc.Arbitrary<typeof kinds[number]>, path: fc.Arbitrary<typeof paths[number]>): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant('headers' as const), of, kind, path, end: fc.boolean(), continued: fc.boolean() })
const data: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('data' as const),
  of,
  size: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 12_000 })),
  end: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  padding: fc.constantFrom(0, 0, 1, 255)
})
const wait: fc.Arbitrary<Step> = fc.record({ do: fc.constant('wait' as const) })
const steps = (each: fc.Arbitrary<Step>): fc.Arbitrary<Step[]> => fc.array(each, { minLength: 1, maxLength: 24, size: 'max' })

const play: fc.Arbitrary<Play> = fc.oneof(
  fc.record({
    polite: fc.constant(true),
    leave: fc.constant('fin' as const),
    steps: steps(fc.oneof(
      { weight: 2, arbitrary: headers(fc.constant('good'), fc.constant('echo')) },
      { weight: 4, arbitrary: data },
      { weight: 1, arbitrary: wait }
    ))
  }),
  fc.record({
    polite: fc.constant(false),
    leave: fc.constantFrom('fin' as const, 'reset' as const),
    steps: steps(fc.oneof(
      {
        weight: 5,
        arbitrary: headers(
          fc.oneof({ weight: 3, arbitrary: fc.constant('good' as const) }, { weight: 1, arbitrary: fc.constantFrom(...kinds) }),
          fc.constantFrom(...paths)
        )
      },
      { weight: 5, arbitrary: data },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('reset' as const), of, code: fc.constantFrom(0, 1, 2, 7, 8, 13, 99) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('window' as const),
          of: fc.integer({ min: -1, max: streams - 1 }),
          size: fc.constantFrom(0, 1, 70_000, 0x7fffffff)
        })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('settings' as const), window: fc.constantFrom(0, 1, 65_535, 0x7fffffff, 0x80000000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('goaway' as const, 'ping' as const, 'unknown' as const) }) },
      { weight: 3, arbitrary: wait }
    ))
  })
)

/** The bytes of a stream, each known by its place. */
function content (stream: number, from: number, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (stream * 31 + (from + i) * 7) & 0x7f))
}

/** Answers by the path of the head, and keeps what comes behind it, by the stream that the path names. */
class ScriptedUpstream {
  port: Promise<number> | undefined
  readonly sockets: Set<Socket> = new Set()
  seen: Array<{ path: string, stream: number, received: Buffer }> = []
  faults: string[] = []

  readonly server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    this.sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket))
    let head = ''
    let exchange: { path: string, stream: number, received: Buffer } | undefined
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      if (exchange !== undefined) {
        if (exchange.path !== 'echo' && exchange.path !== 'reset' && exchange.path !== 'end') this.faults.push(`bytes behind the head of /${exchange.path}`)
        exchange.received = Buffer.concat([exchange.received, chunk])
        if (exchange.path === 'echo') socket.write(chunk)
        if (exchange.path === 'reset' && exchange.received.length > 100) socket.resetAndDestroy()
        return
      }
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      if (end + 4 < head.length) this.faults.push('bytes together with the head, before any 101')
      const match = /^GET \/(\w+)\?(\d+) HTTP\/1\.1\r\n/.exec(head)
      if (match === null) {
        this.faults.push(`a head that no client asked for: ${JSON.stringify(head)}`)
        return
      }
      exchange = { path: match[1] as string, stream: Number(match[2]), received: Buffer.alloc(0) }
      this.seen.push(exchange)
      answer(socket, exchange.path, /sec-websocket-key: (\S+)/i.exec(head)?.[1])
    })
  })
}

function answer (socket: Socket, path: string, key: string | undefined): void {
  const switching = (accept: string): string =>
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
  if (key === undefined) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') // a plain GET
  else if (path === 'echo' || path === 'reset') socket.write(switching(acceptFor(key)))
  else if (path === 'end') socket.end(switching(acceptFor(key)))
  else if (path === 'wrong') socket.write(switching('AAAAAAAAAAAAAAAAAAAAAAAAAAA='))
  else if (path === 'page') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x81\x03abc')
  else if (path === 'refuse') socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno')
}

/** What the client has done on a stream. */
interface Sent { readonly kind: typeof kinds[number], readonly path: string, readonly number: number, bytes: number, ended: boolean }

/** More than a server takes before it reads: the window is 262,144 bytes. */
const mostBytes = 200_000

class Client {
  readonly raw: RawHttp2
  readonly sent: Map<number, Sent> = new Map()
  /** Identifiers by the number of a stream. */
  readonly #ids: Map<number, number> = new Map()

  constructor (socket: Socket) {
    const raw = this.raw = new RawHttp2(socket)
    const settings = Buffer.from([0, 4, 0, 0x10, 0, 0]) // a window of 1 MiB
    raw.write(
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      raw.frame(frameTypes.settings, 0, 0, settings),
      raw.frame(frameTypes.windowUpdate, 0, 0, raw.word(1 << 24))
    )
  }

  async take (step: Step, polite: boolean): Promise<void> {
    const { raw } = this
    switch (step.do) {
      case 'headers': return this.#open(step)
      case 'data': return this.#send(step, polite)
      case 'reset': return raw.write(raw.frame(frameTypes.rstStream, this.#idOf(step.of), 0, raw.word(step.code)))
      case 'window': return raw.write(raw.frame(frameTypes.windowUpdate, step.of === -1 ? 0 : this.#idOf(step.of), 0, raw.word(step.size)))
      case 'settings': return raw.write(raw.frame(frameTypes.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), raw.word(step.window)])))
      case 'goaway': return raw.write(raw.frame(frameTypes.goaway, 0, 0, Buffer.alloc(8)))
      case 'ping': return raw.write(raw.frame(frameTypes.ping, 0, 0, Buffer.alloc(8)))
      case 'unknown': return raw.write(raw.frame(0xee, 1, 0xff, Buffer.alloc(20)))
      case 'wait': for (let i = 0; i < 5; i++) await turn()
    }
  }

  /** Ends our half of every stream, and waits for the other half. */
  async finish (): Promise<void> {
    const { raw, sent } = this
    for (const [id, stream] of sent) if (!stream.ended) raw.write(raw.frame(frameTypes.data, id, flags.endStream))
    const ended = (id: number): boolean => raw.frames.some((frame) =>
      frame.stream === id && frame.type !== frameTypes.windowUpdate && (frame.type === frameTypes.rstStream || (frame.flags & flags.endStream) !== 0))
    await until(() => raw.socket.destroyed || [...sent.keys()].every(ended), 'a stream does not end')
  }

  #idOf (number: number): number {
    return this.#ids.get(number) ?? 2 * streams + 1
  }

  #open ({ of: number, kind, path, end, continued }: Extract<Step, { do: 'headers' }>): void {
    if (this.#ids.has(number)) return
    const { raw } = this
    const id = 2 * this.#ids.size + 1
    this.#ids.set(number, id)
    const ended = end || kind === 'GET'
    this.sent.set(id, { kind, path, number, bytes: 0, ended })
    const block = raw.fields(fieldsOf(kind, `/${path}?${number}`))
    const ends = ended ? flags.endStream : 0
    if (continued) {
      raw.write(raw.frame(frameTypes.headers, id, ends, block.subarray(0, 20)), raw.frame(frameTypes.continuation, id, flags.endHeaders, block.subarray(20)))
    } else raw.write(raw.frame(frameTypes.headers, id, ends | flags.endHeaders, block))
  }

  #send ({ of: number, size, end, padding }: Extract<Step, { do: 'data' }>, polite: boolean): void {
    const { raw } = this
    const id = this.#idOf(number)
    const stream = this.sent.get(id)
    if (polite && (stream === undefined || stream.ended || stream.bytes + size > mostBytes)) return
    const bytes = content(number, stream?.bytes ?? 0, size)
    const payload = padding === 0 ? bytes : Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)])
    raw.write(raw.frame(frameTypes.data, id, (end ? flags.endStream : 0) | (padding === 0 ? 0 : padded), payload))
    if (stream === undefined || stream.ended) return
    stream.bytes += size
    stream.ended = end
  }
}

const padded = 8

function fieldsOf (kind: typeof kinds[number], path: string): Array<[string, string]> {
  const good = connectFields(path)
  const without = (...names: string[]): Array<[string, string]> => good.filter(([name]) => !names.includes(name))
  switch (kind) {
    case 'good': return good
    case 'GET': return [[':method', 'GET'], ...without(':method', ':protocol')]
    case 'CONNECT': return [[':method', 'CONNECT'], [':authority', 'a:1']]
    case 'other protocol': return good.map(([name, value]) => [name, name === ':protocol' ? 'connect-udp' : value])
    case 'no path': return without(':path')
    case 'two versions': return [...good, ['sec-websocket-version', '8']]
    case 'a length': return [...good, ['content-length', '5']]
    case 'a field of a connection': return [...good, ['connection', 'upgrade']]
    case 'no authority': return without(':authority')
  }
}

async function checkFrames (bounds: Bounds, upstream: ScriptedUpstream, { steps, polite, leave }: Play): Promise<void> {
  upstream.port ??= bounds.listen(upstream.server)
  const port = await upstream.port
  const app = await bounds.app('frames', async () => ({
    upstream: `ws://127.0.0.1:${port}/`, disableReuse: true, http2: { webSockets: true }, halfCloseTimeout: 1000, stallTimeout: 2000, handshakeTimeout: 2000
  }), { http2: true })
  upstream.seen = []
  upstream.faults = []
  const session = once(app.server, 'session').then(([each]) => each as ServerHttp2Session)
  const socket = connect({ port: (app.server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true })
  const client = new Client(socket)
  try {
    await once(socket, 'connect')
    for (const step of steps) if (!socket.destroyed) await client.take(step, polite)
    if (polite) await client.finish()
    if (leave === 'fin') socket.end()
    else socket.resetAndDestroy()
    const left = (): number[] => {
      const { tunnels, forwards } = app.wstunnel.metrics()
      return [tunnels.open, forwards.inFlight, upstream.sockets.size]
    }
    await closes(await session, () => left().every((count) => count === 0))
    await until(() => left().every((count) => count === 0), () => `tunnels, forwards and connections of the upstream that are left: ${left().join(', ')}`)
    const { opened, closed } = app.wstunnel.metrics().tunnels
    assert.equal(opened, Object.values(closed).reduce((sum, count) => sum + count, 0), 'each tunnel has one ending')
    assert.equal([...app.wstunnel.tunnels()].length, 0)
    judgeUpstream(upstream, [...client.sent.values()], polite)
    for (const [id, sent] of client.sent) judgeStream(client.raw.frames.filter(({ stream }) => stream === id), sent, polite)
    const strange = client.raw.frames.filter(({ stream }) => stream !== 0 && !client.sent.has(stream) && stream !== 2 * streams + 1)
    assert.deepEqual(strange, [], 'frames of streams that nobody has opened')
  } finally {
    socket.destroy()
  }
}

/**
 * Behind it nothing of the client is on its way any more. Node 26 may keep a session that the client's GOAWAY has closed, but none of its streams; Node 20
 * hears no more of a client that has broken the protocol, and the plugin finds its session later (lib/compat/node20-dead-sessions).
 */
async function closes (session: ServerHttp2Session, nothingLeft: () => boolean): Promise<void> {
  const forgotten = Number.parseInt(process.versions.node) < 22 ? setTimeout(() => session.destroy(), 100) : undefined
  await until(() => session.destroyed || (session.closed && nothingLeft()), 'the session of a client that has left lives')
  clearTimeout(forgotten)
  session.destroy()
}

/** It gets one head for each good stream at most, and of each what the client has sent on it, from the first byte on. */
function judgeUpstream ({ seen, faults }: ScriptedUpstream, sent: readonly Sent[], polite: boolean): void {
  assert.deepEqual(faults, [])
  assert.equal(new Set(seen.map(({ stream }) => stream)).size, seen.length, 'a stream that came twice')
  for (const { path, stream, received } of seen) {
    const from = sent.find(({ number }) => number === stream)
    assert.ok(
      from !== undefined && (from.kind === 'good' || from.kind === 'GET') && from.path === path,
      `nobody may have /${path}?${stream}: ${JSON.stringify(from)}`
    )
    assert.ok(received.equals(content(stream, 0, received.length)) && received.length <= from.bytes, `bytes of /${path}?${stream} that its client has not sent`)
  }
  if (polite) {
    assert.deepEqual(
      seen.map(({ stream, received }) => [stream, received.length]).sort(),
      sent.map(({ number, bytes }) => [number, bytes]).sort(),
      'bytes that did not arrive'
    )
  }
}

/** A head first; nothing behind the end; a success only where the upstream has switched; and of the tunnel what the upstream has sent. */
function judgeStream (frames: RawHttp2['frames'], { kind, path, number, bytes }: Sent, polite: boolean): void {
  let [heads, ended, reset] = [0, false, false]
  let received = Buffer.alloc(0)
  let success = false
  for (const { type, flags: flag, payload } of frames) {
    assert.ok(!reset, `a frame of type ${type} behind RST_STREAM`)
    if (type === frameTypes.rstStream) reset = true
    if (type === frameTypes.headers) {
      heads++
      // `:status` 200, 204 and 206 are entries 8 to 10 of HPACK's static table.
      success = payload[0] !== undefined && payload[0] >= 0x88 && payload[0] <= 0x8a
    }
    if (type === frameTypes.data) {
      assert.ok(heads > 0, 'DATA before a head')
      received = Buffer.concat([received, payload])
    }
    if (type !== frameTypes.headers && type !== frameTypes.data) continue
    assert.ok(!ended, `a frame of type ${type} behind END_STREAM`)
    ended = (flag & flags.endStream) !== 0
  }
  assert.ok(heads <= 1, `${heads} heads`)
  if (!success || kind === 'GET') return assert.ok(!polite, 'no success')
  assert.ok(kind === 'good' && ['echo', 'reset', 'end'].includes(path), `a success for ${kind} of /${path}`)
  const expected = path === 'echo' ? content(number, 0, received.length) : Buffer.alloc(0)
  assert.ok(received.equals(expected) && received.length <= bytes, 'bytes that the upstream has not sent')
  if (polite) assert.deepEqual([received.length, ended], [bytes, true], 'bytes that did not come back')
}

export function frontProperty (bounds: Bounds): { name: string, arbitrary: fc.Arbitrary<Play>, check: (value: Play) => Promise<void> } {
  const upstream = new ScriptedUpstream()
  return { name: 'frames of HTTP/2', arbitrary: play, check: (value) => bounds.run(() => checkFrames(bounds, upstream, value)) }
}
