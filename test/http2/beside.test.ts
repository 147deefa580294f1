// Extended CONNECT beside other plugins: what they add to it, and what they answer in our place.
import assert from 'node:assert/strict'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fastifyCookie from '@fastify/cookie'
import fastifyCors from '@fastify/cors'
import fastifyHelmet from '@fastify/helmet'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifyWebsocket from '@fastify/websocket'
import { copyOfPlugin } from '../fixtures/copy.ts'
import { open, scene, statusOf } from '../fixtures/http2-stage.ts'
import { extendedConnect, http2Session } from '../fixtures/http2.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'
import wstunnel from '../../lib/index.ts'

test('beside @fastify/websocket: its paths get HTTP_1_1_REQUIRED, ours are tunnelled', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    routes: [{ path: '/ws', upstream: `${upstream.url}/` }, { path: '/', upstream: upstream.httpUrl }],
    http2: { webSockets: true }
  }, {
    fastify: { http2: true, https: { ...selfSigned(), allowHTTP1: true } },
    setup: async (app) => {
      await app.register(fastifyWebsocket)
      app.get('/theirs', { websocket: true }, () => {})
    }
  })
  const session = await http2Session(t, proxy.url)
  const theirs = extendedConnect(session, '/theirs')
  theirs.stream.on('error', () => {})
  assert.equal(await theirs.code, 0xd)
  const ours = extendedConnect(session, '/ws/a')
  const far = await upstream.next()
  far.write(switching(await far.head()))
  assert.equal(await statusOf(ours), 200)
})

test('beside @fastify/helmet, cors and cookie their headers are in the switch', async (t) => {
  const cookies: unknown[] = []
  const all = await scene(t, {}, async (app) => {
    await app.register(fastifyHelmet)
    await app.register(fastifyCors, { origin: 'https://app.example' })
    await app.register(fastifyCookie)
    app.addHook('preHandler', async (request) => { cookies.push({ ...request.cookies }) })
  })
  const { response } = await open(all, '/', { headers: { origin: 'https://app.example', cookie: ['a=1', 'b=2'] } })
  const fields = await response
  assert.deepEqual([fields['x-frame-options'], fields['access-control-allow-origin']], ['SAMEORIGIN', 'https://app.example'])
  assert.deepEqual(cookies, [{ a: '1', b: '2' }])
})

test('below a catch-all of ours, the routes of @fastify/websocket get HTTP_1_1_REQUIRED, and their hooks refuse as before', async (t) => {
  const statuses: number[] = []
  const all = await scene(t, {}, async (app) => {
    await app.register(fastifyWebsocket)
    app.addHook('onRequest', async (request, reply) => { if (request.url.endsWith('?no')) await reply.code(401).send('no') })
    app.addHook('onResponse', async (_, reply) => { statuses.push(reply.statusCode) })
    app.get('/theirs', { websocket: true }, () => {})
    app.route({ method: 'GET', url: '/both', handler: async () => 'plain', wsHandler () {} })
    app.get('/stream', (_, reply) => reply.send(Readable.from(['a', 'b'])))
    app.get('/raw', (_, reply) => {
      reply.hijack()
      reply.raw.write('r')
      reply.raw.end('aw')
    })
  })
  for (const path of ['/theirs', '/both', '/stream', '/raw']) {
    const { stream, code } = await all.connect(path)
    stream.on('error', () => {})
    assert.deepEqual([path, await code], [path, 0xd])
  }
  assert.equal(await statusOf(await all.connect('/theirs?no')), 401)
  await until(() => statuses.length >= 4, 'the requests to be done')
  const { upstream } = await open(all, '/ours')
  upstream.end()
  assert.equal(all.upstream.connections.length, 1)
})

test('a route of other code that ends its response with content, and one that replaces end(), get HTTP_1_1_REQUIRED, too', async (t) => {
  const thrown: unknown[] = []
  const later = (answer: () => void): void => {
    setImmediate(() => {
      try { answer() } catch (error) { thrown.push(error) } // it would end the process
    })
  }
  const all = await scene(t, {}, async (app) => {
    app.server.on('upgrade', () => {})
    app.get('/content', (_, reply) => {
      reply.hijack()
      later(() => reply.raw.end('content'))
    })
    app.get('/replaced', (_, reply) => {
      reply.hijack()
      later(() => {
        reply.raw.writeHead(200)
        reply.raw.end = () => reply.raw
      })
    })
  })
  for (const path of ['/content', '/replaced']) {
    const { stream, code } = await all.connect(path)
    stream.on('error', () => {})
    assert.deepEqual([path, await code, thrown], [path, 0xd, []])
  }
})

test('CONNECTs are answered though a bundler has dropped the names of functions', async (t) => {
  const all = await scene(t)
  for (const listener of all.proxy.app.server.listeners('connect')) Object.defineProperty(listener, 'name', { value: 'a' })
  const session = await http2Session(t, all.proxy.url)
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'front.example:443' })
  const [head] = await event<[{ ':status': number }]>(stream, 'response')
  assert.equal(head[':status'], 405)
})

test('@fastify/rate-limit counts and refuses an extended CONNECT as it does a GET', async (t) => {
  const all = await scene(t, {}, async (app) => { await app.register(fastifyRateLimit, { max: 2, timeWindow: '1 minute' }) })
  const opened = await open(all)
  assert.equal((await opened.response)['x-ratelimit-remaining'], '1')
  await open(all)
  const { response } = await all.connect('/')
  const head = await response
  assert.deepEqual([head[':status'], head['x-ratelimit-remaining'], all.upstream.connections.length], [429, '0', 2])
  assert.ok(Number(head['retry-after']) > 0)
})

test('two copies of this package: each has its own paths, and what is nobody\'s gets HTTP_1_1_REQUIRED', async (t) => {
  const all = await scene(t, { path: '/first' })
  const theirs = await startRawUpstream(t)
  const http2 = { webSockets: true }
  const proxy = await startProxy(t, undefined, {
    fastify: { http2: true },
    async setup (app) {
      await app.register(wstunnel, { path: '/first', upstream: `${all.upstream.url}/`, http2 })
      await app.register(await copyOfPlugin(), { path: '/second', upstream: `${theirs.url}/`, http2 })
    }
  })
  const session = await http2Session(t, proxy.url)
  for (const [path, upstream] of [['/first', all.upstream], ['/second', theirs]] as const) {
    const connect = extendedConnect(session, path)
    const far = await upstream.next()
    far.write(switching(await far.head()))
    assert.deepEqual([path, await statusOf(connect)], [path, 200])
    connect.client.end('to the end')
    await far.waitFor('to the end')
    far.end()
    assert.equal(await connect.code, 0)
  }
  const nobody = extendedConnect(session, '/nobody')
  nobody.stream.on('error', () => {})
  assert.equal(await nobody.code, 0xd)
  const plain = session.request({ ':method': 'CONNECT', ':authority': 'a:443' })
  const [head] = await event<[{ ':status': number }]>(plain, 'response')
  assert.equal(head[':status'], 405)
})

test('another listener of CONNECTs has what is not ours', async (t) => {
  const all = await scene(t, { path: '/ours' }, (app) => {
    app.server.on('connect', (request: Http2ServerRequest, response: Http2ServerResponse) => {
      if (request.url !== '/ours') setImmediate(() => response.writeHead(299).end())
    })
  })
  await open(all, '/ours')
  assert.equal(await statusOf(await all.connect('/theirs')), 299)
})
