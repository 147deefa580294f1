import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import status from '../../lib/status/index.ts'
import { named } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { wsClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxySetup } from '../fixtures/proxy.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

interface Work { open: number, opened: number, refused: number, requests: number, failed: number, bytesFromClient: number, bytesFromUpstream: number }
interface Answer {
  at: number
  draining: boolean
  uptime: number
  tunnels: { open: number, closed: Record<string, number>, handshake: { count: number } }
  forwards: { status: Record<string, number> }
  routes: Array<Work & { route: string, upstreams: Array<Work & { upstream: string }> }>
  balancers: Array<{ balancer: string, lbMethod: string, up: number, members: Array<{ url: string, state: string, since: number, loadFactor: number }> }>
  live: {
    sort: string
    client: string
    limit: number
    total: number
    tunnels: Array<{ id: string, client: string, age: number, bytesFromClient: number, upstream: string }>
  }
}

async function read (proxy: { url: string }, query = ''): Promise<Answer> {
  const response = await fetch(`${proxy.url}/wstunnel/status.json${query}`)
  assert.equal(response.status, 200)
  return await response.json() as Answer
}

/** A proxy whose clients say where they come from, with the status beside it. */
async function watched (t: TestContext, setup: ProxySetup = {}): Promise<Proxy & { upstream: string }> {
  const upstream = await startWsUpstream(t, { http: (_request, response) => response.end('hello') })
  const proxy = await startProxy(t, { prefix: '/app', upstream: `${upstream.url}/` }, {
    fastify: { trustProxy: true },
    after: (app) => { app.register(status, { prefix: '/wstunnel' }) },
    ...setup
  })
  return { ...proxy, upstream: upstream.url }
}

/** A tunnel from a client of this address that has sent a message of this size. */
async function from (t: TestContext, proxy: Proxy, address: string, size: number): Promise<void> {
  const socket = await wsClient(t, `${proxy.wsUrl}/app/`, [], { headers: { 'x-forwarded-for': address } })
  if (size === 0) return
  socket.send('x'.repeat(size))
  await event(socket, 'message')
}

describe('status.json', () => {
  test('is what the server carries, by route, upstream and member', async (t) => {
    const a = await named(t, 'a')
    const direct = await startWsUpstream(t, { http: (_request, response) => response.end('hello') })
    const proxy = await startProxy(t, {
      balancers: { app: { members: [{ url: `${a.url}/` }, { url: 'ws://127.0.0.1:9/', status: '+D' }] } },
      routes: [{ path: '/app/', upstream: 'balancer://app/' }, { path: '/direct/', upstream: `${direct.url}/` }]
    }, { after: (app) => { app.register(status, { prefix: '/wstunnel' }) } })
    await wsClient(t, `${proxy.wsUrl}/app/`)
    await (await fetch(`${proxy.url}/direct/`)).text()
    const answer = await read(proxy)
    assert.equal(answer.draining, false)
    assert.ok(Math.abs(answer.at - Date.now()) < 60_000 && answer.uptime > 0)
    assert.equal(answer.tunnels.open, 1)
    assert.equal(answer.tunnels.handshake.count, 1)
    assert.equal(answer.forwards.status['2xx'], 1)
    const routes = answer.routes.map(({ route, open, requests, bytesFromUpstream, upstreams }) =>
      [route, open, requests, bytesFromUpstream, upstreams.map(({ upstream, open, requests }) => [upstream, open, requests])])
    assert.deepEqual(routes, [
      ['/app/', 1, 0, 0, [[`${a.url}/`, 1, 0]]],
      ['/direct/', 0, 1, 5, [[`${direct.url}/`, 0, 1]]]
    ])
    assert.deepEqual(answer.balancers.map(({ balancer, lbMethod, up }) => [balancer, lbMethod, up]), [['app', 'bybusyness', 1]])
    assert.deepEqual(answer.balancers[0]!.members, proxy.app.wstunnel.balancer('app').members())
  })

  test('has tunnels by age, bytes and rate, of one client or all, with the total', async (t) => {
    const proxy = await watched(t)
    await from(t, proxy, '10.0.0.1', 10)
    await from(t, proxy, '10.0.0.22', 50_000)
    await from(t, proxy, '192.0.2.7', 1000)
    const clients = async (query: string): Promise<string[]> => (await read(proxy, query)).live.tunnels.map(({ client }) => client)
    assert.deepEqual(await clients(''), ['10.0.0.1', '10.0.0.22', '192.0.2.7'])
    assert.deepEqual(await clients('?sort=bytes'), ['10.0.0.22', '192.0.2.7', '10.0.0.1'])
    assert.equal((await clients('?sort=rate'))[0], '10.0.0.22')
    assert.deepEqual(await clients('?sort=bytes&client=10.0.'), ['10.0.0.22', '10.0.0.1'])
    assert.deepEqual(await clients('?client=10.0.0.2'), ['10.0.0.22'])
    const { live } = await read(proxy, '?sort=bytes&limit=1')
    assert.deepEqual([live.sort, live.client, live.limit, live.total, live.tunnels.length], ['bytes', '', 1, 3, 1])
    assert.equal((await read(proxy, '?limit=0')).live.total, 3)
    assert.equal((await read(proxy, '?limit=100000')).live.limit, 500)
    assert.deepEqual((await read(proxy, '?client=nobody')).live.tunnels, [])
  })

  test('refuses a query that it does not understand', async (t) => {
    const proxy = await watched(t)
    for (const query of ['sort=size', 'sort=__proto__', 'limit=-1', 'limit=x', 'limit=1e3', 'client=a&client=b', 'sort=age&sort=age']) {
      const response = await fetch(`${proxy.url}/wstunnel/status.json?${query}`)
      assert.equal(response.status, 400, query)
      assert.match((await response.json() as { message: string }).message, new RegExp(`${query.split('=')[0]}: expected`))
    }
  })

  test('is one snapshot for all viewers for a second, and nothing runs while nobody looks', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const upstream = await startWsUpstream(t)
    const app = Fastify()
    app.register(wstunnel, { prefix: '/app', upstream: `${upstream.url}/` })
    app.register(status, { prefix: '/wstunnel' })
    await app.ready()
    const sampleMetrics = t.mock.method(app.wstunnel, 'sampleMetrics')
    const metrics = t.mock.method(app.wstunnel, 'metrics')
    const tunnels = t.mock.method(app.wstunnel, 'tunnels')
    const look = async (query = ''): Promise<string> => (await app.inject(`/wstunnel/status.json${query}`)).body
    const [one, two] = await Promise.all([look(), look(), look('?sort=bytes')])
    assert.equal(one, two)
    t.mock.timers.tick(900)
    assert.equal(await look(), one)
    assert.deepEqual([sampleMetrics.mock.callCount(), tunnels.mock.callCount()], [1, 2])
    t.mock.timers.tick(100)
    await look()
    assert.equal(sampleMetrics.mock.callCount(), 2)
    t.mock.timers.tick(3_600_000)
    assert.deepEqual([sampleMetrics.mock.callCount(), metrics.mock.callCount()], [2, 0])
    await app.close()
  })

  test('ends at once when the server closes', async (t) => {
    const proxy = await watched(t)
    await read(proxy)
    const closing = performance.now()
    await proxy.app.close()
    assert.ok(performance.now() - closing < 5000)
  })
})

describe('the page', () => {
  test('is at its prefix with a slash and without, with a policy of its own, and never cached', async (t) => {
    const proxy = await watched(t)
    for (const path of ['/wstunnel', '/wstunnel/']) {
      const response = await fetch(proxy.url + path)
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
      assert.equal(response.headers.get('cache-control'), 'no-store')
      assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'sha256-/)
      assert.match(await response.text(), /^<!doctype html>/)
    }
    assert.equal((await fetch(`${proxy.url}/wstunnel/actions`, { method: 'POST' })).status, 404, 'no actions unless they are asked for')
  })

  const places: Array<[where: string, register: (app: FastifyInstance) => void]> = [
    ['before the plugin', (app) => {
      app.register(status, { prefix: '/wstunnel' })
      app.register(wstunnel, { prefix: '/app', upstream: 'ws://127.0.0.1:9/' })
    }],
    ['after it', (app) => {
      app.register(wstunnel, { prefix: '/app', upstream: 'ws://127.0.0.1:9/' })
      app.register(status, { prefix: '/wstunnel' })
    }],
    ['in a scope', (app) => {
      app.register(wstunnel)
      app.register(async (scope) => { scope.register(status, { prefix: '/tunnel' }) }, { prefix: '/ws' })
      app.register(async (scope) => { scope.register(status, { prefix: '/wstunnel' }) })
    }],
    ['by require()', (app) => {
      app.register(wstunnel)
      app.register(async (scope) => { scope.register({ default: status } as never, { prefix: '/wstunnel' }) })
    }]
  ]
  for (const [where, register] of places) {
    test(`works registered ${where}`, async (t) => {
      const app = Fastify()
      cleanup(t, 'proxies', () => app.close())
      register(app)
      await app.ready()
      assert.equal((await app.inject('/wstunnel/')).statusCode, 200)
      assert.equal((await app.inject('/wstunnel/status.json')).statusCode, 200)
      assert.equal((await app.inject('/status.json')).statusCode, 404, 'it keeps its prefix')
    })
  }

  test('is hidden from swagger, quiet in the log, and leaves other routes of its scope alone', async (t) => {
    const routes: Array<{ url: string, hidden: unknown, logLevel: unknown }> = []
    const app = Fastify()
    cleanup(t, 'proxies', () => app.close())
    app.addHook('onRoute', ({ url, schema, logLevel }) => { routes.push({ url, hidden: (schema as { hide?: boolean } | undefined)?.hide, logLevel }) })
    app.register(wstunnel)
    app.register(status, { prefix: '/wstunnel', actions: true, onRequest: async (_request, reply) => reply.code(401).send() })
    app.post('/form', (request) => request.body)
    await app.ready()
    const own = routes.filter(({ url }) => url.startsWith('/wstunnel'))
    assert.ok(own.length >= 3 && own.every(({ hidden }) => hidden === true))
    assert.ok(own.filter(({ url }) => !url.endsWith('actions')).every(({ logLevel }) => logLevel === 'warn'))
    assert.equal((await app.inject({ method: 'POST', url: '/form', payload: 'text', headers: { 'content-type': 'text/plain' } })).body, 'text')
  })
})

describe('the options', () => {
  const refused: Array<[what: string, options: object, message: RegExp]> = [
    ['actions without a hook', { actions: true }, /expected a hook beside it .*scope around it do not count: .*cannot see/],
    ['an empty list of hooks', { actions: true, onRequest: [], preHandler: [] }, /expected a hook beside it/],
    ['a hook that is none', { onRequest: 'auth' }, /onRequest: expected a function/],
    ['actions that are neither true nor false', { actions: 'yes', onRequest: async () => {} }, /actions: expected true or false/],
    ['an unknown one', { action: true }, /action: unknown option/]
  ]
  for (const [what, options, message] of refused) {
    test(`refuse ${what}`, async (t) => {
      const app = Fastify()
      cleanup(t, 'proxies', () => app.close())
      app.register(wstunnel)
      app.addHook('onRequest', async () => {})
      app.register(status as never, { prefix: '/wstunnel', ...options })
      await assert.rejects(async () => { await app.ready() }, { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message })
    })
  }

  test('refuse an instance without the plugin', async (t) => {
    const app = Fastify()
    cleanup(t, 'proxies', () => app.close())
    app.register(status, { prefix: '/wstunnel' })
    app.register(async (scope) => { scope.register(wstunnel) })
    await assert.rejects(async () => { await app.ready() }, { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: /no `app\.wstunnel` here/ })
  })

  test('take hooks that guard the page and the JSON alike, in their order', async (t) => {
    const seen: string[] = []
    const app = Fastify()
    cleanup(t, 'proxies', () => app.close())
    app.register(wstunnel)
    app.register(status, {
      prefix: '/wstunnel',
      onRequest: [async () => { seen.push('first') }, async (request, reply) => {
        seen.push('second')
        if (request.headers.authorization === undefined) return reply.code(401).send({ error: 'who are you?' })
      }],
      preHandler: (_request, _reply, done) => {
        seen.push('third')
        done()
      }
    })
    app.get('/other', () => 'open')
    for (const url of ['/wstunnel', '/wstunnel/', '/wstunnel/status.json']) {
      assert.equal((await app.inject(url)).statusCode, 401)
      assert.equal((await app.inject({ url, headers: { authorization: 'x' } })).statusCode, 200)
    }
    assert.deepEqual(seen.slice(0, 5), ['first', 'second', 'first', 'second', 'third'])
    assert.equal((await app.inject('/other')).body, 'open')
  })
})

test('a drain is told', async (t) => {
  const proxy = await watched(t)
  void proxy.app.wstunnel.drain({ timeout: 0 })
  await until(() => proxy.app.wstunnel.metrics().draining, 'the drain')
  assert.equal((await read(proxy)).draining, true)
})

test('the package exports it', () => {
  const require = createRequire(import.meta.url)
  const { exports, typesVersions } = require('../../package.json') as {
    exports: Record<string, unknown>
    typesVersions: Record<string, Record<string, string[]>>
  }
  for (const name of ['prometheus', 'status']) {
    assert.deepEqual(exports[`./${name}`], { types: `./dist/${name}/index.d.ts`, default: `./dist/${name}/index.js` })
    assert.deepEqual(typesVersions['*']![name], [`./dist/${name}/index.d.ts`])
  }
})
