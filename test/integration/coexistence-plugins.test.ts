// The plugin on one server with others as they are on npm, registered before and after it.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { PassThrough, Readable, Transform } from 'node:stream'
import { gzipSync } from 'node:zlib'
import compress from '@fastify/compress'
import cors from '@fastify/cors'
import fastifyExpress from '@fastify/express'
import httpProxy from '@fastify/http-proxy'
import fastifyStatic from '@fastify/static'
import express from 'express'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead, wsClient } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

const orders = ['before', 'after'] as const
type Order = typeof orders[number]

/** A server with our plugin before or after what `other` registers. */
function startBeside (
  t: TestContext, order: Order, options: ProxyOptions,
  other: (app: FastifyInstance) => unknown, fastify: NonNullable<ProxySetup['fastify']> = {}
): Promise<Proxy> {
  return startProxy(t, undefined, {
    fastify,
    async setup (app) {
      if (order === 'before') await app.register(wstunnel, options)
      await other(app)
      if (order === 'after') await app.register(wstunnel, options)
    }
  })
}

async function ask (t: TestContext, url: string, text: string): Promise<string> {
  const client = await wsClient(t, url)
  client.send(text)
  const [data] = await event<[Buffer]>(client, 'message')
  return String(data)
}

/** An upstream that answers with the request as it came. */
function startMirror (t: TestContext, headers: Record<string, string> = {}): ReturnType<typeof startHttpUpstream> {
  return startHttpUpstream(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ headers: request.headers, body: Buffer.concat(chunks).toString('base64') }))
    })
  })
}

interface Mirrored { status: number, headers: Record<string, string | undefined>, body: Buffer }

async function post (proxy: Proxy, path: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<Mirrored> {
  const response = await fetch(`${proxy.url}${path}`, { method: 'POST', body, headers })
  const answer = await response.json() as { headers?: Record<string, string>, body?: string }
  return { status: response.status, headers: answer.headers ?? {}, body: Buffer.from(answer.body ?? '', 'base64') }
}

for (const order of orders) {
  describe(`with our plugin registered ${order} @fastify/http-proxy at the root`, () => {
    async function start (
      t: TestContext, options: Partial<ProxyOptions> = {}
    ): Promise<{ proxy: Proxy, upstream: Awaited<ReturnType<typeof startRawUpstream>>, statuses: number[] }> {
      const upstream = await startRawUpstream(t)
      const theirs = await startWsUpstream(t)
      theirs.wss.on('connection', (socket) => socket.on('message', () => socket.send('theirs')))
      const statuses: number[] = []
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${upstream.url}/`, drainTimeout: '500ms', ...options }, async (app) => {
        app.addHook('onResponse', async (_, reply) => { statuses.push(reply.statusCode) })
        await app.register(httpProxy, { prefix: '/', upstream: theirs.httpUrl, websocket: true })
      })
      return { proxy, upstream, statuses }
    }

    for (const async of [true, false]) {
      test(`our tunnel holds, and its request is completed once, async: ${async}`, async (t) => {
        const { proxy, upstream, statuses } = await start(t, { async })
        const tunnel = await openTunnel(t, proxy, upstream, '/t/x')
        for (let i = 0; i < 3; i++) {
          await roundTrip(tunnel)
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        assert.equal(proxy.app.wstunnel.metrics().tunnels.open, 1)
        tunnel.client.end()
        await tunnel.upstream.ended
        tunnel.upstream.end()
        await tunnel.client.ended
        await until(() => statuses.length > 0, 'onResponse')
        assert.deepEqual(statuses, [101])
      })
    }

    test('its own WebSockets work', async (t) => {
      const { proxy } = await start(t)
      const client = await wsClient(t, `${proxy.wsUrl}/other`)
      client.send('hello')
      assert.equal(String((await event<[Buffer]>(client, 'message'))[0]), 'hello')
    })

    test("an upstream's refusal reaches the client, and the connection ends", async (t) => {
      const { proxy, upstream, statuses } = await start(t)
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/t/x'))
      const connection = await upstream.next()
      await connection.head()
      connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      const { status, body } = await client.response()
      assert.deepEqual([status, String(body)], [403, 'no'])
      await client.ended
      await until(() => statuses.length > 0, 'onResponse')
      assert.deepEqual(statuses, [403])
    })

    test('close() drains our tunnel and ends', async (t) => {
      const { proxy, upstream } = await start(t)
      const { client } = await openTunnel(t, proxy, upstream, '/t/x')
      const closing = proxy.app.close()
      await roundTrip({ client, upstream: upstream.connections[0] as never })
      await within(closing, 'close()', 5000)
    })
  })

  describe(`with our plugin registered ${order} @fastify/compress`, () => {
    test('what it inflates is sent on without the coding that it had', async (t) => {
      const mirror = await startMirror(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${mirror.url}/` }, (app) => app.register(compress))
      const { status, headers, body } = await post(proxy, '/t/x', gzipSync('inflated'), { 'content-encoding': 'gzip', 'content-type': 'text/plain' })
      // Its hooks are added to the routes that come after it.
      assert.equal(status, 200)
      const inflated = order === 'after'
      assert.equal(headers['content-encoding'], inflated ? undefined : 'gzip')
      assert.deepEqual(body, inflated ? Buffer.from('inflated') : gzipSync('inflated'))
      assert.equal(headers['content-length'] === undefined, inflated)
    })

    test('a body without a coding is sent on with its length', async (t) => {
      const mirror = await startMirror(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${mirror.url}/` }, (app) => app.register(compress))
      const { headers, body } = await post(proxy, '/t/x', 'plain', { 'content-type': 'text/plain' })
      assert.deepEqual([headers['content-length'], String(body)], ['5', 'plain'])
    })
  })

  describe(`with our plugin registered ${order} @fastify/express`, () => {
    test('a tunnel opens, and its request is completed', async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${upstream.url}/` }, async (app) => {
        await app.register(fastifyExpress)
        app.use((_request, _response, next) => next())
      })
      await roundTrip(await openTunnel(t, proxy, upstream, '/t/x'))
    })

    test('after a refused upgrade the connection goes on or ends, but does not hang', async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${upstream.url}/` }, async (app) => {
        await app.register(fastifyExpress)
        app.use((_request, _response, next) => next())
        app.addHook('preHandler', async (_, reply) => reply.code(401).send('no'))
      })
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/t/x'))
      const { status, headers } = await client.response()
      assert.equal(status, 401)
      if (headers['connection']?.[0] === 'close') await client.ended
      else {
        client.write(requestHead('GET', '/t/x'))
        assert.equal((await client.response()).status, 401)
      }
    })

    test('a forward reaches the upstream', async (t) => {
      const mirror = await startMirror(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${mirror.url}/` }, async (app) => {
        await app.register(fastifyExpress)
        app.use((_request, _response, next) => next())
      })
      assert.equal(String((await post(proxy, '/t/x', 'all of it')).body), 'all of it')
    })
  })

  describe(`with our plugin registered ${order} @fastify/cors`, () => {
    const origin = 'https://app.example'

    for (const [vary, expected] of [
      ['Accept-Encoding, ORIGIN', ['accept-encoding', 'origin']],
      ['Accept-Encoding,User-Agent', ['accept-encoding', 'origin', 'user-agent']],
      ['Accept, *', ['*']]
    ] as const) {
      test(`its Vary and the upstream's are one, where that says ${vary}`, async (t) => {
        const mirror = await startMirror(t, { vary })
        const proxy = await startBeside(t, order, { path: '/t/', upstream: `${mirror.url}/` }, (app) => app.register(cors, { origin: [origin] }))
        const { headers } = await fetch(`${proxy.url}/t/x`, { headers: { origin } })
        assert.deepEqual(headers.get('vary')?.toLowerCase().split(', ').sort(), expected)
        assert.equal(headers.get('access-control-allow-origin'), origin)
      })
    }

    test('where both are at the root, a preflight is its own, and everything else is ours', async (t) => {
      const upstream = await startWsUpstream(t)
      const proxy = await startBeside(t, order, { upstream: `${upstream.url}/` }, (app) => app.register(cors, { origin: [origin] }))
      const preflight = await fetch(`${proxy.url}/x`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } })
      assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, origin])
      assert.equal(upstream.requests.length, 0)
      assert.equal((await fetch(`${proxy.url}/x`, { method: 'PUT', headers: { origin } })).headers.get('access-control-allow-origin'), origin)
      assert.equal(upstream.requests.length, 1)
      assert.equal(await ask(t, `${proxy.wsUrl}/x`, 'hello'), 'hello')
    })

    test('a tunnel opens', async (t) => {
      const upstream = await startWsUpstream(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${upstream.url}/` }, (app) => app.register(cors, { origin: [origin] }))
      assert.equal(await ask(t, `${proxy.wsUrl}/t/x`, 'hello'), 'hello')
    })
  })

  describe(`with our plugin registered ${order} @fastify/static`, () => {
    test('each serves its own path', async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'wstunnel-'))
      cleanup(t, 'servers', () => rm(folder, { recursive: true, force: true }))
      await writeFile(join(folder, 'file.txt'), 'a file')
      const upstream = await startWsUpstream(t)
      const proxy = await startBeside(t, order, { path: '/t/', upstream: `${upstream.url}/` }, (app) => app.register(fastifyStatic, { root: folder }))
      assert.equal(await (await fetch(`${proxy.url}/file.txt`)).text(), 'a file')
      assert.equal(await ask(t, `${proxy.wsUrl}/t/x`, 'hello'), 'hello')
    })

    for (const wildcard of [true, false]) {
      test(`on our own prefix its files are its own, and tunnels are ours (wildcard: ${wildcard})`, async (t) => {
        const folder = await mkdtemp(join(tmpdir(), 'wstunnel-'))
        cleanup(t, 'servers', () => rm(folder, { recursive: true, force: true }))
        await writeFile(join(folder, 'index.html'), 'a page')
        const upstream = await startWsUpstream(t)
        const proxy = await startBeside(t, order, { prefix: '/t', upstream: `${upstream.url}/`, fallbackToHttp: false }, (app) =>
          app.register(fastifyStatic, { root: folder, prefix: '/t/', wildcard }))
        assert.equal(await (await fetch(`${proxy.url}/t/index.html`)).text(), 'a page')
        assert.equal(await (await fetch(`${proxy.url}/t/`)).text(), 'a page')
        assert.equal(await ask(t, `${proxy.wsUrl}/t/x`, 'hello'), 'hello')
        assert.equal(await ask(t, `${proxy.wsUrl}/t/`, 'hello'), 'hello')
      })
    }
  })
}

describe('a preParsing hook that replaces the body', () => {
  const streams: Record<string, (payload: Readable) => Readable> = {
    'by a transformed one': (payload) => payload.pipe(new Transform({ transform: (chunk, _, done) => done(null, String(chunk).toUpperCase()) })),
    'by a longer one': (payload) => {
      const through = new PassThrough()
      through.write('LONGER ')
      return payload.pipe(through)
    },
    'by another one altogether': () => Readable.from([Buffer.from('ANOTHER')])
  }
  for (const [how, replace] of Object.entries(streams)) {
    test(`${how} gets that to the upstream, without the client's length and coding`, async (t) => {
      const mirror = await startMirror(t)
      const proxy = await startProxy(t, { upstream: mirror.url }, {
        setup: (app) => app.addHook('preParsing', async (_request, _reply, payload) => replace(payload as Readable) as typeof payload)
      })
      const { status, headers, body } = await post(proxy, '/', 'the body', { 'content-encoding': 'x-mine', 'content-type': 'text/plain' })
      assert.equal(status, 200)
      assert.deepEqual([headers['content-encoding'], headers['content-length'], headers['content-type']], [undefined, undefined, 'text/plain'])
      assert.match(String(body), /^(THE BODY|LONGER the body|ANOTHER)$/)
    })
  }

  test('by one that cannot be read to its end is the client\'s 400, and no upstream is blamed', async (t) => {
    const mirror = await startMirror(t)
    const proxy = await startProxy(t, { upstream: mirror.url }, { setup: (app) => app.register(compress) })
    const response = await fetch(proxy.url, {
      method: 'POST',
      body: Buffer.concat([gzipSync('x'.repeat(100_000)).subarray(0, 40), Buffer.from('no gzip')]),
      headers: { 'content-encoding': 'gzip' }
    })
    assert.equal(response.status, 400)
    assert.equal(proxy.app.wstunnel.metrics().forwards.failed, 0)
  })

  test('leaves the coding of a body alone that it gives on', async (t) => {
    const mirror = await startMirror(t)
    const proxy = await startProxy(t, { upstream: mirror.url }, { setup: (app) => app.addHook('preParsing', async (_request, _reply, payload) => payload) })
    const { headers, body } = await post(proxy, '/', gzipSync('as it is'), { 'content-encoding': 'gzip' })
    assert.deepEqual([headers['content-encoding'], body], ['gzip', gzipSync('as it is')])
  })
})

describe('a body that was read before', () => {
  const readers: Record<string, (app: FastifyInstance) => unknown> = {
    'by express.json()': async (app) => {
      await app.register(fastifyExpress)
      app.use(express.json())
    },
    'by a hook': (app) => app.addHook('preHandler', async ({ raw }) => { await raw.toArray() }),
    'in part by a hook': (app) => app.addHook('onRequest', async ({ raw }) => {
      await event(raw.once('data', () => raw.pause()), 'data')
    })
  }
  for (const [how, setup] of Object.entries(readers)) {
    for (const chunked of [false, true]) {
      test(`${how} is a 500 that says so${chunked ? ', also in chunks' : ''}, and nothing is sent on`, async (t) => {
        const mirror = await startMirror(t)
        const proxy = await startProxy(t, { upstream: mirror.url }, { setup })
        const client = await rawClient(t, proxy.port)
        const head = { 'Content-Type': 'application/json' }
        client.write(chunked
          ? `${requestHead('POST', '/', { ...head, 'Transfer-Encoding': 'chunked' })}7\r\n{"a":1}\r\n0\r\n\r\n`
          : `${requestHead('POST', '/', { ...head, 'Content-Length': '7' })}{"a":1}`)
        const { status, body } = await client.response()
        const { code, message } = JSON.parse(String(body))
        assert.deepEqual([status, code], [500, 'FST_WSTUNNEL_BODY_CONSUMED'])
        assert.match(message, /body was read/)
        assert.equal(mirror.requests.length, 0)
      })
    }
  }

  test('an upload of another type is not touched by express.json()', async (t) => {
    const mirror = await startMirror(t)
    const proxy = await startProxy(t, { upstream: mirror.url }, { setup: readers['by express.json()'] as never })
    assert.equal(String((await post(proxy, '/', 'text', { 'content-type': 'text/plain' })).body), 'text')
  })
})

describe('a hook that has begun a response itself and lets an upgrade go on', () => {
  const begins: Record<string, (raw: import('node:http').ServerResponse) => void> = {
    'by writeHead()': (raw) => { raw.writeHead(200, { 'content-type': 'text/event-stream' }) },
    'by flushHeaders()': (raw) => { raw.flushHeaders() },
    'by write()': (raw) => { raw.write('data: 1\n\n') }
  }
  for (const [how, begin] of Object.entries(begins)) {
    for (const hook of ['onRequest', 'preHandler'] as const) {
      test(`${how} in ${hook}: no 101 comes behind it, the connection ends, and the log says why`, async (t) => {
        const upstream = await startRawUpstream(t)
        const log = recordLog()
        const proxy = await startProxy(t, { upstream: upstream.url }, {
          fastify: { logger: log.logger },
          setup: (app) => app.addHook(hook as 'onRequest', async (_, reply) => begin(reply.raw))
        })
        const client = await rawClient(t, proxy.port)
        client.write(upgradeHead('/'))
        await client.ended
        assert.ok(!client.received.includes(' 101 '))
        assert.equal(upstream.connections.length, 0)
        const { tunnels } = proxy.app.wstunnel.metrics()
        assert.deepEqual([tunnels.opened, tunnels.refused.limit], [0, 1])
        const line = await log.line(({ err }) => (err as { code?: string } | undefined)?.code === 'FST_WSTUNNEL_HEAD_WRITTEN', 'the error')
        assert.equal(line.level, 50)
      })
    }
  }

  test('while the upstream is asked: that response goes on, and no 101 comes into it', async (t) => {
    const upstream = await startRawUpstream(t)
    let raw: import('node:http').ServerResponse | undefined
    const proxy = await startProxy(t, { upstream: upstream.url }, {
      setup: (app) => app.addHook('onRequest', async (_, reply) => { raw = reply.raw })
    })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    const head = await connection.head()
    raw?.writeHead(200, { 'content-length': '8', connection: 'close' }).write('half')
    await client.waitFor('half')
    const { switching } = await import('../fixtures/upstream.ts')
    connection.write(switching(head))
    await connection.ended.catch(() => {})
    raw?.end('full')
    assert.equal(String((await client.response()).body), 'halffull')
    await client.ended
    assert.equal(proxy.app.wstunnel.metrics().tunnels.opened, 0)
  })
})

test('every plugin, hook and handler of ours has a name', async (t) => {
  const names: Array<[string, string]> = []
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, undefined, {
    async setup (app) {
      const { addHook } = app
      app.addHook = function (this: FastifyInstance, name: string, hook: (...args: never[]) => unknown) {
        names.push([name, hook.name])
        return addHook.call(this, name as 'onRequest', hook as never) as never
      } as never
      app.addHook('onRoute', ({ handler, preHandler }) => {
        for (const each of [handler, ...[preHandler ?? []].flat()]) names.push(['route', (each as () => void).name])
      })
      names.length = 0
      await app.register(wstunnel, { healthPath: '/health', path: '/t/', upstream: `${upstream.url}/` })
    }
  })
  assert.ok(names.length >= 7, JSON.stringify(names))
  assert.deepEqual(names.filter(([, name]) => !/^wstunnel/.test(name)), [])
  const tree = proxy.app.printPlugins()
  assert.match(tree, /fastify-wstunnel/)
  assert.doesNotMatch(tree, /=>|function|anonymous/)
})
