// Upgrades to paths that nobody owns, beside another listener of the server's 'upgrade' event: each is answered, once. What an owner
// has touched is its own, for as long as it likes, until the end of the drain of a closing server.
import assert from 'node:assert/strict'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import httpProxy from '@fastify/http-proxy'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer } from 'ws'
import wstunnel from '../../lib/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead, wsClient } from '../fixtures/client.ts'
import { copyOfPlugin } from '../fixtures/copy.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

type Neighbour = (app: FastifyInstance, url: string, t: TestContext) => unknown

const neighbours: Record<string, Neighbour> = {
  '@fastify/http-proxy': (app, url) => app.register(httpProxy, { prefix: '/theirs', upstream: url.replace('ws:', 'http:'), websocket: true }),
  'socket.io without destroyUpgrade': (app, _, t) => {
    const io = new SocketIo(app.server, { destroyUpgrade: false })
    cleanup(t, 'servers', () => io.close())
  },
  'a plain listener': (app) => { app.server.on('upgrade', () => {}) },
  'a second copy of this package': async (app, url) => app.register(await copyOfPlugin(), { path: '/theirs', upstream: `${url}/`, drainTimeout: 100 }),
  'two listeners and a copy': async (app, url) => {
    app.server.on('upgrade', () => {}).prependListener('upgrade', () => {})
    await app.register(await copyOfPlugin(), { path: '/theirs', upstream: `${url}/`, drainTimeout: 100 })
  }
}

async function start (t: TestContext, order: 'before' | 'after', neighbour: Neighbour, drainTimeout: number = 100): Promise<Proxy> {
  const upstream = await startWsUpstream(t)
  const ours = async (app: FastifyInstance): Promise<void> => { await app.register(wstunnel, { path: '/ours/', upstream: `${upstream.url}/`, drainTimeout }) }
  return await startProxy(t, undefined, {
    async setup (app) {
      if (order === 'before') await ours(app)
      await neighbour(app, upstream.url, t)
      if (order === 'after') await ours(app)
      app.post('/own', async ({ body }) => ({ got: body }))
    }
  })
}

async function connections ({ app }: Proxy): Promise<number> {
  return await new Promise((resolve, reject) => (app.server as Server).getConnections((error, count) => error === null ? resolve(count) : reject(error)))
}

async function untilAllGone (proxy: Proxy): Promise<void> {
  let count = -1
  const look = (): void => { connections(proxy).then((found) => { count = found }, () => {}) }
  const timer = setInterval(look, 20)
  // 100 clients that came at once are seconds of work on a busy machine.
  await until(() => count === 0, () => `the server to have no connection; it has ${count}`, 60_000).finally(() => clearInterval(timer))
}

// At once: they wait for a second or two each.
describe('beside a listener', { concurrency: 5 }, () => {
  for (const [name, neighbour] of Object.entries(neighbours)) {
    for (const order of ['before', 'after'] as const) {
      const situation = `with our plugin registered ${order} ${name}`

      test(`${situation}, an upgrade to nobody's path is a 404, once`, async (t) => {
        const proxy = await start(t, order, neighbour)
        const client = await rawClient(t, proxy.port)
        client.write(upgradeHead('/nobody'))
        const { status, body } = await client.response()
        assert.deepEqual([status, JSON.parse(String(body)).error], [404, 'Not Found'])
        client.end()
        await client.closed
        assert.equal(client.received.toString().split('HTTP/1.1 ').length - 1, 1)
      })

      test(`${situation}, an offer to a user's own route is answered there, with its body`, async (t) => {
        const proxy = await start(t, order, neighbour)
        const client = await rawClient(t, proxy.port)
        const fields = { Connection: 'Upgrade', Upgrade: 'h2c', 'Content-Type': 'application/json', 'Content-Length': '7' }
        client.write(requestHead('POST', '/own', fields) + '{"a":1}')
        assert.deepEqual(JSON.parse(String((await client.response()).body)), { got: { a: 1 } })
      })

      test(`${situation}, 100 clients that came and left leave nothing behind`, async (t) => {
        const proxy = await start(t, order, neighbour)
        const clients = await Promise.all(Array.from({ length: 100 }, () => rawClient(t, proxy.port)))
        for (const [i, client] of clients.entries()) {
          client.write(upgradeHead('/nobody'))
          if (i % 3 === 0) client.end()
          else if (i % 3 === 1) client.reset()
          else client.destroy()
        }
        await untilAllGone(proxy)
      })

      test(`${situation}, close() ends while such an upgrade waits`, async (t) => {
        const proxy = await start(t, order, neighbour)
        const client = await rawClient(t, proxy.port)
        const heard = event(proxy.app.server, 'upgrade')
        client.write(upgradeHead('/nobody'))
        await heard
        await within(proxy.app.close(), 'close()', 5000)
        await client.ended
      })

      test(`${situation}, our tunnels open and hold`, async (t) => {
        const proxy = await start(t, order, neighbour)
        const client = await wsClient(t, `${proxy.wsUrl}/ours/`)
        await delay(1500) // longer than nobody's upgrade is waited for
        client.send('hello')
        const [data] = await event<[Buffer]>(client, 'message')
        assert.equal(String(data), 'hello')
      })
    }
  }
})

type Listener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Something that an owner does at once. It answers two seconds later. */
const touches: Record<string, (socket: Duplex) => void> = {
  "puts an 'error' listener on it": (socket) => { socket.on('error', () => {}) },
  "puts a 'close' listener on it": (socket) => { socket.once('close', () => {}) },
  'sets a timer of its own on it': (socket) => { (socket as Duplex & { setTimeout: (ms: number, listener: () => void) => void }).setTimeout(60_000, () => {}) },
  'reads from it': (socket) => { socket.on('data', () => {}) },
  'pauses it': (socket) => { socket.pause() },
  'writes to it': (socket) => { socket.write('HTTP/1.1 102 Processing\r\n\r\n') }
}

describe('an upgrade that is not ours', { concurrency: 5 }, () => {
  for (const [what, touch] of Object.entries(touches)) {
    test(`is its owner's who ${what}`, async (t) => {
      const listener: Listener = (_, socket) => {
        touch(socket)
        setTimeout(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nowner'), 2000)
      }
      const proxy = await start(t, 'before', (app) => { app.server.on('upgrade', listener) })
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/theirs'))
      let response = await client.response()
      if (response.status === 102) response = await client.response()
      assert.deepEqual([response.status, String(response.body)], [200, 'owner'])
      await client.ended
      assert.equal(client.unread.length, 0)
      client.end()
    })
  }

  test("is ws's, which looks for three seconds who asks, as its manual has it", async (t) => {
    const wss = new WebSocketServer({ noServer: true })
    wss.on('connection', (socket) => { socket.on('message', (data) => socket.send(`theirs ${String(data)}`)) })
    cleanup(t, 'connections', () => { for (const client of wss.clients) client.terminate() })
    const ignore = (): void => {}
    const listener: Listener = (request, socket, head) => {
      socket.on('error', ignore)
      setTimeout(() => {
        socket.off('error', ignore)
        wss.handleUpgrade(request, socket, head, (client) => wss.emit('connection', client, request))
      }, 3000)
    }
    const proxy = await start(t, 'after', (app) => { app.server.on('upgrade', listener) })
    const client = await wsClient(t, `${proxy.wsUrl}/theirs`)
    client.send('hello')
    const [data] = await event<[Buffer]>(client, 'message')
    assert.equal(String(data), 'theirs hello')
  })

  for (const order of ['before', 'after'] as const) {
    test(`is that of @fastify/websocket, registered ${order === 'before' ? 'after' : 'before'} us, with a hook of three seconds`, async (t) => {
      const proxy = await start(t, order, async (app) => {
        await app.register(websocket)
        app.addHook('onRequest', async () => { await delay(3000) })
        app.get('/theirs', { websocket: true }, (socket) => { socket.on('message', (data) => socket.send(`theirs ${String(data)}`)) })
      })
      const client = await wsClient(t, `${proxy.wsUrl}/theirs`)
      client.send('hello')
      const [data] = await event<[Buffer]>(client, 'message')
      assert.equal(String(data), 'theirs hello')
    })
  }

  test('is not answered by us on our own path either, where its owner has begun to speak', async (t) => {
    const wss = new WebSocketServer({ noServer: true })
    cleanup(t, 'connections', () => { for (const client of wss.clients) client.terminate() })
    const listener: Listener = (request, socket, head) => {
      if (request.url === '/ours/theirs') {
        wss.handleUpgrade(request, socket, head, (client) => client.on('message', (data) => client.send(`theirs ${String(data)}`)))
      }
    }
    const proxy = await start(t, 'after', (app) => { app.server.on('upgrade', listener) })
    const client = await wsClient(t, `${proxy.wsUrl}/ours/theirs`)
    client.send('hello')
    const [data] = await event<[Buffer]>(client, 'message')
    assert.equal(String(data), 'theirs hello')
    assert.equal(proxy.app.wstunnel.metrics().tunnels.opened, 0)
  })

  test('is cut off at the end of the drain of a closing server, and not before', async (t) => {
    const proxy = await start(t, 'after', (app) => { app.server.on('upgrade', (_: IncomingMessage, socket: Duplex) => { socket.on('error', () => {}) }) }, 1500)
    const client = await rawClient(t, proxy.port)
    const heard = event(proxy.app.server, 'upgrade')
    client.write(upgradeHead('/theirs'))
    await heard
    const startedAt = performance.now()
    await within(proxy.app.close(), 'close()', 5000)
    assert.ok(performance.now() - startedAt >= 1450)
    await client.ended
  })

  test("may be made up by @fastify/websocket's injectWS()", async (t) => {
    const proxy = await start(t, 'after', async (app) => {
      await app.register(websocket)
      app.get('/theirs', { websocket: true }, (socket) => { socket.on('message', (data) => socket.send(`theirs ${String(data)}`)) })
    })
    const client = await within(proxy.app.injectWS('/theirs'), 'injectWS()')
    const answered = event<[Buffer]>(client, 'message')
    client.send('hello')
    assert.equal(String((await answered)[0]), 'theirs hello')
    client.terminate()
  })
})
