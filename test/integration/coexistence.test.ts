import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import type { LogRecord } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import { startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import type { WsUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

// An error that nobody catches fails the test it happens in: node:test sees to that.

type Order = 'before' | 'after'
type Hooks = 'synchronous' | 'asynchronous'

interface Server {
  proxy: Proxy
  upstream: WsUpstream
  log: LogRecord
}

/** One server with both plugins; @fastify/websocket has the route `own`, ours the path given. */
async function start (t: TestContext, order: Order, hooks: Hooks, own: string, path: string): Promise<Server> {
  const upstream = await startWsUpstream(t)
  const log = recordLog()
  const proxy = await startProxy(t, undefined, {
    fastify: { logger: log.logger },
    async setup (app) {
      addHooks(app, hooks)
      const options: ProxyOptions = { path, upstream: `${upstream.url}/`, drainTimeout: '200ms' }
      // `await` makes each plugin do its work before the next is registered
      if (order === 'after') await app.register(wstunnel, options)
      await app.register(websocket)
      app.get(own, { websocket: true }, (socket) => {
        socket.on('message', (data) => socket.send(`own ${String(data)}`))
      })
      if (order === 'before') await app.register(wstunnel, options)
    }
  })
  return { proxy, upstream, log }
}

function addHooks (app: FastifyInstance, kind: Hooks): void {
  for (const name of ['onRequest', 'preValidation', 'preHandler'] as const) {
    if (kind === 'synchronous') app.addHook(name as 'onRequest', (_request, _reply, done) => done())
    else app.addHook(name as 'onRequest', async () => { await nextTurn() })
  }
}

async function ask (t: TestContext, url: string, text: string): Promise<string> {
  const client = await wsClient(t, url)
  client.send(text)
  const [data] = await event<[Buffer]>(client, 'message')
  return String(data)
}

for (const order of ['before', 'after'] as const) {
  for (const hooks of ['synchronous', 'asynchronous'] as const) {
    const situation = `with @fastify/websocket registered ${order} our plugin and ${hooks} hooks`

    test(`${situation}, its own route works`, async (t) => {
      const { proxy } = await start(t, order, hooks, '/own', '/proxy/')
      assert.equal(await ask(t, `${proxy.wsUrl}/own`, 'hello'), 'own hello')
    })

    test(`${situation}, our route works`, async (t) => {
      const { proxy } = await start(t, order, hooks, '/own', '/proxy/')
      assert.equal(await ask(t, `${proxy.wsUrl}/proxy/`, 'hello'), 'hello')
    })

    test(`${situation}, both work one after the other, twice`, async (t) => {
      const { proxy } = await start(t, order, hooks, '/own', '/proxy/')
      const answers: string[] = []
      for (const path of ['/proxy/', '/own', '/proxy/', '/own']) answers.push(await ask(t, `${proxy.wsUrl}${path}`, 'hello'))
      assert.deepEqual(answers, ['hello', 'own hello', 'hello', 'own hello'])
    })

    test(`${situation}, its route under our prefix is its own`, async (t) => {
      const { proxy, upstream } = await start(t, order, hooks, '/chat', '/')
      assert.deepEqual([await ask(t, `${proxy.wsUrl}/chat`, 'hello'), upstream.wss.clients.size], ['own hello', 0])
    })

    test(`${situation}, everything else under our prefix is ours`, async (t) => {
      const { proxy } = await start(t, order, hooks, '/chat', '/')
      assert.equal(await ask(t, `${proxy.wsUrl}/chatter`, 'hello'), 'hello')
    })

    test(`${situation}, a tunnel is opened once and logs no error`, async (t) => {
      const { proxy, upstream, log } = await start(t, order, hooks, '/own', '/proxy/')
      await ask(t, `${proxy.wsUrl}/proxy/`, 'hello')
      await ask(t, `${proxy.wsUrl}/own`, 'hello')
      await within(proxy.app.close(), 'close()')
      const errors = log.lines.filter((line) => line.level >= 50)
      assert.deepEqual([upstream.wss.clients.size <= 1, proxy.app.wstunnel.metrics().tunnels.opened, errors], [true, 1, []])
    })

    test(`${situation}, the refusal of the upstream reaches the client`, async (t) => {
      const refusing = await startRawUpstream(t, async (connection) => {
        await connection.head()
        connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      })
      const proxy = await startProxy(t, undefined, {
        async setup (app) {
          addHooks(app, hooks)
          if (order === 'after') await app.register(wstunnel, { path: '/proxy/', upstream: refusing.url })
          await app.register(websocket)
          app.get('/own', { websocket: true }, () => {})
          if (order === 'before') await app.register(wstunnel, { path: '/proxy/', upstream: refusing.url })
        }
      })
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/proxy/'))
      const { status, body } = await client.response()
      assert.deepEqual([status, String(body)], [403, 'no'])
    })
  }
}
