// A client of HTTP/2 leaves at each stage of an upgrade, by each means: nothing of it is left, neither at the upstream nor in the counters.
import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { connect as dial, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { cancel, type Connect, extendedConnect, http2Session } from '../fixtures/http2.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

const means: Record<string, (connect: Connect, socket: Socket) => void> = {
  'RST_STREAM(CANCEL)': ({ stream }) => cancel(stream),
  'RST_STREAM(NO_ERROR)': ({ stream }) => { stream.destroy() },
  'END_STREAM and RST_STREAM(REFUSED_STREAM)': ({ stream }) => { stream.close(7) },
  'session.destroy()': ({ stream }) => { stream.session?.destroy() },
  'a reset of its connection': (_, socket) => { socket.resetAndDestroy() }
}

interface Play {
  connect: (path: string) => Connect
  /** The next connection at the upstream. */
  next: () => Promise<RawConnection>
  /** Resolves when the hook of `/hook`, or the function of `/function`, has the request. */
  hooked: Promise<void>
  /** Bytes that tunnels have read of the client. */
  fromClient: () => number
}

/** Each brings an upgrade so far, and returns it. */
const stages: Record<string, (play: Play) => Promise<Connect>> = {
  async 'in a hook' ({ connect, hooked }) {
    const upgrade = connect('/hook')
    await within(hooked, 'the hook')
    return upgrade
  },
  async 'while its upstream is chosen' ({ connect, hooked }) {
    const upgrade = connect('/function')
    await within(hooked, 'the function')
    return upgrade
  },
  async 'in the dial' ({ connect, next }) {
    const upgrade = connect('/tls')
    await (await next()).waitFor(1)
    return upgrade
  },
  async 'in the handshake, with early data' ({ connect, next }) {
    const upgrade = connect('/')
    upgrade.client.write(Buffer.alloc(10_000))
    await (await next()).head()
    return upgrade
  },
  async 'in a refusal' ({ connect, next }) {
    const upgrade = connect('/')
    const upstream = await next()
    await upstream.head()
    upstream.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nbegin')
    await upgrade.client.waitFor('begin')
    return upgrade
  },
  async 'in the tunnel' ({ connect, next }) {
    const upgrade = connect('/')
    await switched(upgrade, await next())
    return upgrade
  },
  async 'in a tunnel whose upstream reads nothing' ({ connect, next, fromClient }) {
    const upgrade = connect('/')
    const upstream = await next()
    await switched(upgrade, upstream)
    upstream.socket.pause()
    upgrade.stream.write(Buffer.alloc(32 << 20))
    let [moved, quiet] = [0, 0]
    await until(() => {
      quiet = fromClient() === moved ? quiet + 1 : 0
      moved = fromClient()
      return moved > 0 && quiet > 10
    }, 'the tunnel to stand still')
    return upgrade
  },
  async 'in a tunnel whose client reads nothing' ({ connect, next }) {
    const upgrade = connect('/')
    const upstream = await next()
    await switched(upgrade, upstream)
    upgrade.stream.pause()
    while (upstream.write(Buffer.alloc(65_536)));
    upstream.write(Buffer.alloc(1 << 20))
    await until(() => (upgrade.stream.session?.state.effectiveRecvDataLength ?? 0) > 60_000 || upgrade.stream.readableLength > 60_000, 'the window to be full')
    return upgrade
  },
  async 'in a half-closed tunnel' ({ connect, next }) {
    const upgrade = connect('/')
    const upstream = await next()
    await switched(upgrade, upstream)
    upstream.end()
    await upgrade.client.ended
    return upgrade
  }
}

async function switched ({ response }: Connect, upstream: RawConnection): Promise<void> {
  upstream.write(switching(await upstream.head()))
  assert.equal((await response)[':status'], 200)
}

async function leave (t: TestContext, stage: (play: Play) => Promise<Connect>, by: (connect: Connect, socket: Socket) => void): Promise<void> {
  const upstream = await startRawUpstream(t)
  const [hooked, released] = [deferred(), deferred()]
  const waits = async (): Promise<void> => {
    hooked.resolve()
    await released.promise
  }
  let requests = 0
  const completed: number[] = []
  const secure = upstream.url.replace('ws:', 'wss:')
  const proxy = await startProxy(t, {
    routes: [
      { path: '/function', upstream: async () => { await waits(); return `${upstream.url}/` } },
      { path: '/tls', upstream: `${secure}/` },
      { path: '/', upstream: `${upstream.url}/` }
    ],
    http2: { webSockets: true },
    limits: { maxTunnelsPerClient: 1 },
    stallTimeout: '1s',
    halfCloseTimeout: '1s'
  }, {
    fastify: { http2: true },
    setup (app) {
      app.addHook('onRequest', async (request) => {
        requests++
        if (request.url === '/hook') await waits()
      })
      app.addHook('onResponse', async (_, reply) => { completed.push(reply.statusCode) })
    }
  })
  const { wstunnel } = proxy.app
  const closed = deferred()
  proxy.app.server.once('stream', (stream: ServerHttp2Stream) => stream.once('close', closed.resolve))
  const socket = dial(proxy.port, '127.0.0.1')
  const session = await http2Session(t, proxy.url, { createConnection: () => socket })
  const connection = await stage({
    connect: (path) => extendedConnect(session, path),
    next: () => upstream.next(),
    hooked: hooked.promise,
    fromClient: () => wstunnel.metrics().tunnels.bytesFromClient
  })
  connection.stream.on('error', () => {})
  by(connection, socket)
  await within(closed.promise, "the proxy's stream to close")
  released.resolve()
  for (const each of upstream.connections) {
    each.socket.resume()
    await over(each)
  }
  await until(() => completed.length === requests, 'onResponse')
  await until(() => wstunnel.metrics().tunnels.open === 0, 'the tunnel to end')
  const { opened, closed: endings, refused } = wstunnel.metrics().tunnels
  const total = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, count) => sum + count, 0)
  assert.deepEqual([total(endings), total(endings) + total(refused), requests], [opened, 1, 1], JSON.stringify({ endings, refused }))
  // Its place is free again.
  const again = extendedConnect(await http2Session(t, proxy.url), '/')
  await switched(again, await upstream.next())
  again.stream.on('error', () => {})
  cancel(again.stream)
  await until(() => wstunnel.metrics().tunnels.open === 0, 'the second tunnel to end')
}

for (const [stage, bring] of Object.entries(stages)) {
  describe(`a client leaves ${stage}`, () => {
    for (const [name, by] of Object.entries(means)) test(`a client leaves ${stage} by ${name}`, (t) => leave(t, bring, by))
  })
}
