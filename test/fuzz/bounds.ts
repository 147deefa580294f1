// Bounds that hold whatever clients and upstreams do: pipelined forwards take turns, forwards and connections are limited, interim responses are few.
// In this process: a case is a few requests and some milliseconds.
import assert from 'node:assert/strict'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import fc from 'fast-check'
import wstunnel, { type WstunnelOptions } from '../../lib/index.ts'
import { acceptFor, bytesOf, turn, writePieces } from './upstream.ts'

const patience = 8000
/** What one read may bring, twice: of what came before, and of the request that waits. */
const reads = 2 * 65_536

const pause = (ms: number): Promise<void> => ms === 0 ? turn() : new Promise((resolve) => setTimeout(resolve, ms))

async function inTime<T> (promise: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`a hang: ${what()}`)), patience) })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export async function until (probe: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
  const begin = Date.now()
  while (!await probe()) {
    if (Date.now() - begin > patience) throw new Error(`a hang: ${typeof what === 'string' ? what : what()}`)
    await pause(1)
  }
}

/** Servers that are made when they are first asked for, and kept. */
export class Bounds {
  readonly #apps = new Map<string, Promise<FastifyInstance>>()
  readonly #servers: Server[] = []
  #last: Promise<unknown> = Promise.resolve()

  /** One after the other: fast-check does not wait for a case that its time limit overtakes. */
  run (play: () => Promise<void>): Promise<void> {
    const playing = this.#last.then(play)
    this.#last = playing.catch(() => {})
    return playing
  }

  async app (
    key: string, options: () => Promise<WstunnelOptions>, server: object = {}, prepare: (app: FastifyInstance) => void = () => {}
  ): Promise<FastifyInstance> {
    const known = this.#apps.get(key)
    if (known !== undefined) return await known
    const made = (async () => {
      const app = Fastify(server as FastifyServerOptions) as FastifyInstance
      prepare(app)
      await app.register(wstunnel, { drainTimeout: 0, timeout: 20_000, ...await options() } as WstunnelOptions)
      await app.listen({ port: 0, host: '127.0.0.1' })
      return app
    })()
    this.#apps.set(key, made)
    return await made
  }

  async listen (server: Server): Promise<number> {
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return portOf(server)
  }

  async close (): Promise<void> {
    await this.#last
    for (const app of this.#apps.values()) await (await app).close()
    for (const server of this.#servers) server.close()
  }
}

function portOf (server: { address: () => unknown }): number {
  return (server.address() as AddressInfo).port
}

interface Pipelined {
  readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'DELETE' | 'POST' | 'PUT'
  /** Bytes of a body. */
  readonly body: number
  readonly chunked: boolean
  /** Milliseconds that the upstream thinks. */
  readonly thinks: number
  /** Bytes of the answer. */
  readonly answer: number
  /** The upstream answers before it has read the body. */
  readonly early: boolean
}

interface Pipeline {
  readonly requests: readonly Pipelined[]
  readonly splits: readonly number[]
  /** Bytes of requests that follow the others. */
  readonly more: number
}

const pipelined: fc.Arbitrary<Pipelined> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'HEAD', 'OPTIONS', 'DELETE', 'POST', 'PUT'),
  body: fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 30 }) }, { weight: 1, arbitrary: fc.nat({ max: 40_000 }) }),
  chunked: fc.boolean(),
  thinks: fc.nat({ max: 3 }),
  answer: fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 30 }) }, { weight: 1, arbitrary: fc.nat({ max: 100_000 }) }),
  early: fc.boolean()
})

const filler = `GET /filler HTTP/1.1\r\nHost: h\r\nX-Filler: ${'x'.repeat(900)}\r\n\r\n`

function render ({ method, body, chunked }: Pipelined, i: number): string {
  const content = 'b'.repeat(method === 'POST' || method === 'PUT' ? body : 0)
  const [field, text] = content === ''
    ? ['', '']
    : chunked
      ? ['Transfer-Encoding: chunked\r\n', `${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`]
      : [`Content-Length: ${content.length}\r\n`, content]
  return `${method} /${i} HTTP/1.1\r\nHost: h\r\n${field}\r\n${text}`
}

/** The upstream of pipelines: says what is under way, and in which order requests came. */
class Turns {
  readonly server = http.createServer((request, response) => { void this.#answer(request, response) })
  asked: readonly Pipelined[] = []
  order: string[] = []
  running = 0
  most = 0
  /** Nothing is answered before. */
  gate: Promise<void> = Promise.resolve()

  begin (asked: readonly Pipelined[], gate: Promise<void>): void {
    Object.assign(this, { asked, gate, order: [], running: 0, most: 0 })
  }

  async #answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? ''
    this.order.push(url)
    this.most = Math.max(this.most, ++this.running)
    const { thinks = 0, answer = 0, early = false } = this.asked[Number(url.slice(1))] ?? {}
    request.resume()
    if (!early) await new Promise((resolve) => request.once('close', resolve))
    await this.gate
    await pause(thinks)
    this.running-- // before the client can know of the answer
    response.writeHead(200, { 'x-marker': url, 'content-length': answer }).end(request.method === 'HEAD' ? undefined : 'a'.repeat(answer))
  }
}

async function checkPipeline (bounds: Bounds, turns: Turns, { requests, splits, more }: Pipeline): Promise<void> {
  const heard: string[] = []
  const app = await bounds.app('pipelining', async () => ({ upstream: `http://127.0.0.1:${await bounds.listen(turns.server)}/` }), {}, (app) => {
    app.addHook('onRequest', (request, _reply, done) => {
      hearers.get(app)?.push(request.raw.url ?? '')
      done()
    })
  })
  hearers.set(app, heard)
  let open = (): void => {}
  turns.begin(requests, new Promise((resolve) => { open = resolve }))
  const fillers = Math.floor(more / filler.length)
  const bytes = requests.map(render).join('') + filler.repeat(fillers)
  const client = connect({ port: portOf(app.server), host: '127.0.0.1', noDelay: true })
  client.on('error', () => {})
  let received = ''
  client.on('data', (chunk) => { received += chunk.toString('latin1') })
  try {
    void writePieces(client, bytes, splits)
    await until(() => turns.order.length > 0, 'nothing reaches the upstream')
    let before = -1
    while (before !== heard.length) {
      before = heard.length
      await pause(5)
    }
    const read = heard.filter((url) => url === '/filler').length * filler.length
    assert.ok(read <= reads, `${read} bytes of requests were read while the first waited`)
    assert.deepEqual(turns.order, ['/0'], 'begun before their turn')
    open()
    const total = requests.length + fillers
    const markers = (): string[] => [...received.matchAll(/x-marker: (\S+)\r\n/g)].map(([, url]) => url as string)
    await until(() => markers().length === total || client.destroyed, `${markers().length} of ${total} are answered`)
    const expected = [...requests.map((_, i) => `/${i}`), ...Array<string>(fillers).fill('/filler')]
    assert.deepEqual(markers(), expected, 'answers in another order')
    assert.deepEqual(turns.order, expected, 'forwarded in another order')
    assert.equal(turns.most, 1, `${turns.most} forwards of one connection at a time`)
  } finally {
    open()
    client.destroy()
    await until(() => app.wstunnel.metrics().forwards.inFlight === 0, 'a forward is left')
  }
}

/** What the hook of an app tells whom. */
const hearers = new WeakMap<FastifyInstance, string[]>()

interface Crowd {
  readonly maxForwards: number
  readonly maxConnections: number
  readonly disableReuse: boolean
  readonly http2: boolean
  /** Each client: when it comes, how long the upstream thinks, and when it leaves, in milliseconds. */
  readonly clients: ReadonlyArray<{ readonly at: number, readonly thinks: number, readonly leaves?: number | undefined, readonly post: boolean }>
}

const crowd: fc.Arbitrary<Crowd> = fc.record({
  maxForwards: fc.integer({ min: 1, max: 5 }),
  maxConnections: fc.integer({ min: 1, max: 4 }),
  disableReuse: fc.boolean(),
  http2: fc.boolean(),
  clients: fc.array(fc.record({
    at: fc.nat({ max: 6 }),
    thinks: fc.nat({ max: 8 }),
    leaves: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat({ max: 10 }) }),
    post: fc.boolean()
  }), { minLength: 1, maxLength: 12, size: 'max' })
})

/** The upstream of crowds: which requests it has at a time, but those of clients that have left. */
class Guests {
  readonly server = http.createServer((request, response) => { void this.#answer(request, response) })
  thinks: readonly number[] = []
  readonly left = new Set<string>()
  readonly present = new Set<string>()
  most = 0

  begin (thinks: readonly number[]): void {
    this.thinks = thinks
    this.left.clear()
    this.present.clear()
    this.most = 0
  }

  async #answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '' } = request
    if (!this.left.has(url)) this.present.add(url)
    this.most = Math.max(this.most, this.present.size)
    request.resume()
    await pause(this.thinks[Number(url.slice(1))] ?? 0)
    this.present.delete(url)
    response.end('ok')
  }

  leaves (url: string): void {
    this.left.add(url)
    this.present.delete(url)
  }
}

interface Guest { readonly status: Promise<{ status: number, retryAfter: boolean } | undefined>, leave: () => void }

function ask1 (port: number, path: string, post: boolean): Guest {
  const request = http.request({ port, host: '127.0.0.1', path, agent: false, method: post ? 'POST' : 'GET' })
  const status = new Promise<{ status: number, retryAfter: boolean } | undefined>((resolve) => {
    request.on('response', (response) => {
      response.resume().on('close', () => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] !== undefined }))
    })
    request.on('error', () => resolve(undefined))
  })
  request.end(post ? 'body' : undefined)
  return { status, leave: () => { request.destroy() } }
}

function ask2 (session: http2.ClientHttp2Session, path: string, post: boolean): Guest {
  const stream = session.request({ ':path': path, ':method': post ? 'POST' : 'GET' })
  const status = new Promise<{ status: number, retryAfter: boolean } | undefined>((resolve) => {
    let answer: { status: number, retryAfter: boolean } | undefined
    stream.on('response', (headers) => { answer = { status: Number(headers[':status']), retryAfter: headers['retry-after'] !== undefined } })
    stream.on('error', () => {}).on('close', () => resolve(answer)).resume()
  })
  stream.end(post ? 'body' : undefined)
  return { status, leave: () => { stream.close(http2.constants.NGHTTP2_CANCEL) } }
}

async function checkCrowd (
  bounds: Bounds, guests: { port?: Promise<number>, upstream: Guests },
  { maxForwards, maxConnections, disableReuse, http2: two, clients }: Crowd
): Promise<void> {
  const { upstream } = guests
  guests.port ??= bounds.listen(upstream.server)
  const upstreamPort = await guests.port
  const app = await bounds.app(`crowd ${maxForwards} ${maxConnections} ${disableReuse} ${two}`, async () => ({
    upstream: `http://127.0.0.1:${upstreamPort}/`, disableReuse, limits: { maxForwards, maxConnectionsPerUpstream: maxConnections }
  }), two ? { http2: true } : {})
  upstream.begin(clients.map(({ thinks }) => thinks))
  const port = portOf(app.server)
  const session = two ? http2.connect(`http://127.0.0.1:${port}`).on('error', () => {}) : undefined
  try {
    const answers = await Promise.all(clients.map(async ({ at, leaves, post }, i) => {
      await pause(at)
      const path = `/${i}`
      const guest = session === undefined ? ask1(port, path, post) : ask2(session, path, post)
      if (leaves !== undefined) {
        void pause(leaves).then(() => {
          upstream.leaves(path)
          guest.leave()
        })
      }
      return await inTime(guest.status, () => `${path} is not answered`)
    }))
    for (const [i, answer] of answers.entries()) {
      if (answer === undefined) assert.notEqual(clients[i]?.leaves, undefined, `/${i} got no answer`)
      else if (answer.status === 503) assert.ok(answer.retryAfter, 'a 503 without Retry-After')
      else assert.equal(answer.status, 200)
    }
    assert.ok(upstream.most <= maxForwards, `${upstream.most} forwards at a time, of ${maxForwards} that may be`)
    assert.ok(upstream.most <= maxConnections, `${upstream.most} connections at a time, of ${maxConnections} that may be`)
    if (clients.length <= maxForwards) assert.ok(answers.every((answer) => answer?.status !== 503), 'a 503 though there was room')
    await until(() => app.wstunnel.metrics().forwards.inFlight === 0, 'a forward is left')
    // Every place is given back, also that of a client that left before the server had read its request, which may come only now.
    const askAll = async (): Promise<Array<number | undefined>> => await Promise.all(Array.from({ length: maxForwards }, async () =>
      (await inTime((session === undefined ? ask1(port, '/last', false) : ask2(session, '/last', false)).status, () => 'no answer afterwards'))?.status))
    await until(async () => (await askAll()).every((status) => status === 200), 'a place is lost')
  } finally {
    session?.destroy()
  }
}

interface Hints {
  readonly interim: ReadonlyArray<100 | 102 | 103>
  readonly splits: readonly number[]
  readonly kind: 'forward' | 'http2' | 'upgrade' | 'raw'
  readonly long: boolean
}

const hints: fc.Arbitrary<Hints> = fc.record({
  interim: fc.array(fc.constantFrom<100 | 102 | 103>(100, 102, 103), { maxLength: 12, size: 'max' }),
  splits: fc.array(fc.nat({ max: 600 }), { maxLength: 6 }),
  kind: fc.constantFrom('forward', 'http2', 'upgrade', 'raw'),
  long: fc.boolean()
})

const mostInterim = 8

async function checkHints (
  bounds: Bounds, scripts: { port?: Promise<number>, said: string, splits: readonly number[] }, { interim, splits, kind, long }: Hints
): Promise<void> {
  scripts.port ??= bounds.listen(createServer((socket) => {
    socket.on('error', () => {}).once('data', (chunk) => {
      const key = /sec-websocket-key: (\S+)/i.exec(chunk.toString('latin1'))?.[1] ?? ''
      void writePieces(socket, scripts.said.replace('{accept}', acceptFor(key)), scripts.splits)
    })
  }))
  const port = await scripts.port
  const app = await bounds.app(kind === 'http2' ? 'hints over http2' : 'hints', async () => ({
    disableReuse: true,
    routes: [
      { path: '/forward/', upstream: `http://127.0.0.1:${port}/` }, { path: '/http2/', upstream: `http://127.0.0.1:${port}/` },
      { path: '/upgrade/', upstream: `ws://127.0.0.1:${port}/` }, { path: '/raw/', upstream: `ws://127.0.0.1:${port}/`, fallbackToHttp: false }
    ]
  }), kind === 'http2' ? { http2: true } : {})
  const heads = {
    100: 'HTTP/1.1 100 Continue\r\n\r\n',
    102: 'HTTP/1.1 102 Processing\r\n\r\n',
    103: `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n${long ? `X-Long: ${'x'.repeat(500)}\r\n` : ''}\r\n`
  }
  const switches = kind === 'upgrade' || kind === 'raw'
  scripts.splits = splits
  scripts.said = interim.map((status) => heads[status]).join('') + (switches
    ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n'
    : 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
  const { status, seen } = kind === 'http2' ? await hintsOver2(portOf(app.server)) : await hintsOver1(portOf(app.server), kind)
  assert.equal(status, interim.length > mostInterim ? 502 : switches ? 101 : 200, `the answer behind ${interim.length} interim responses`)
  assert.ok(seen <= Math.min(mostInterim, interim.length), `${seen} of ${interim.length} interim responses were passed on`)
  await until(() => app.wstunnel.metrics().forwards.inFlight === 0 && app.wstunnel.metrics().tunnels.open === 0, 'an exchange is left')
}

async function hintsOver1 (port: number, kind: string): Promise<{ status: number, seen: number }> {
  const offer = kind === 'forward'
    ? ''
    : 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'
  const socket: Socket = connect({ port, host: '127.0.0.1' })
  let received = ''
  socket.on('error', () => {}).on('data', (chunk) => { received += chunk.toString('latin1') })
  socket.write(bytesOf(`GET /${kind}/ HTTP/1.1\r\nHost: h\r\n${offer}\r\n`))
  const statuses = (): number[] => [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  const final = (): number | undefined => statuses().find((status) => status >= 200 || status === 101)
  await until(() => final() !== undefined || socket.destroyed, 'no final response')
  socket.destroy()
  return { status: final() ?? 0, seen: statuses().filter((status) => status < 200 && status !== 101).length }
}

async function hintsOver2 (port: number): Promise<{ status: number, seen: number }> {
  const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {})
  let seen = 0
  const stream = session.request({ ':path': '/http2/' })
  const status = new Promise<number>((resolve) => {
    stream.on('headers', () => { seen++ }).on('response', (headers) => resolve(Number(headers[':status']))).on('error', () => resolve(0)).resume()
  })
  return await inTime(status, () => 'no final response').then((status) => ({ status, seen })).finally(() => session.destroy())
}

/** The properties, by what is bounded. */
export function boundsProperties (bounds: Bounds): Array<{ name: string, arbitrary: fc.Arbitrary<unknown>, check: (value: never) => Promise<void> }> {
  const turns = new Turns()
  const guests = { upstream: new Guests() }
  const scripts = { said: '', splits: [] }
  const pipeline: fc.Arbitrary<Pipeline> = fc.record({
    requests: fc.array(pipelined, { minLength: 1, maxLength: 6 }),
    splits: fc.array(fc.nat({ max: 800 }), { maxLength: 4 }),
    more: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(5000, 400_000) })
  })
  return [
    { name: 'bounds: pipelining', arbitrary: pipeline, check: (value: Pipeline) => bounds.run(() => checkPipeline(bounds, turns, value)) },
    { name: 'bounds: forwards', arbitrary: crowd, check: (value: Crowd) => bounds.run(() => checkCrowd(bounds, guests, value)) },
    { name: 'bounds: interim responses', arbitrary: hints, check: (value: Hints) => bounds.run(() => checkHints(bounds, scripts, value)) }
  ]
}
