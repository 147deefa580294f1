import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { rawClient, requestHead, upgradeHead, wsClient } from '../fixtures/client.ts'
import type { UpgradeHeadOptions } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

const stages = ['onRequest', 'preValidation', 'preHandler'] as const

/** What a raw client is answered to an upgrade request. It leaves after that. */
async function upgrade (t: TestContext, port: number, path: string, options?: UpgradeHeadOptions): Promise<RawResponse> {
  const client = await rawClient(t, port)
  client.write(upgradeHead(path, options))
  const response = await client.response()
  client.destroy()
  return response
}

// Hooks

function refuse (_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'who are you?' })
}

/** A hook of the application that wants to see an Authorization header. */
function guard (app: FastifyInstance, stage: typeof stages[number], kind: 'callback' | 'async'): void {
  if (kind === 'callback') {
    app.addHook(stage as 'onRequest', (request, reply, done) => {
      if (request.headers.authorization === undefined) refuse(request, reply)
      else done()
    })
  } else {
    app.addHook(stage as 'onRequest', async (request, reply) => {
      await nextTurn()
      if (request.headers.authorization === undefined) return refuse(request, reply)
    })
  }
}

for (const stage of stages) {
  for (const kind of ['callback', 'async'] as const) {
    const hook = `a refusal of ${stage === 'onRequest' ? 'an' : 'a'} ${stage} hook (${kind})`

    test(`${hook} reaches an upgrading client as a complete response`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, { upstream: upstream.url }, { setup: (app) => guard(app, stage, kind) })
      const { status, headers, body } = await upgrade(t, proxy.port, '/')
      assert.deepEqual([status, headers['www-authenticate'], JSON.parse(String(body))], [401, ['Bearer'], { error: 'who are you?' }])
    })

    test(`${hook} is the last response on the connection`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, { setup: (app) => guard(app, stage, kind) })
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/ws/'))
      const { status, headers } = await client.response()
      assert.deepEqual([status, headers['connection']], [401, ['close']])
      client.write(upgradeHead('/ws/', { headers: { Authorization: 'Bearer me' } }))
      await client.ended
      assert.equal(upstream.connections.length, 0)
    })

    test(`${hook} keeps the upgrade from the upstream`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, { upstream: upstream.url }, { setup: (app) => guard(app, stage, kind) })
      await upgrade(t, proxy.port, '/')
      // what another client may do afterwards is the first that the upstream hears of
      await openTunnel(t, proxy, upstream, '/', { headers: { Authorization: 'Bearer me' } })
      assert.equal(upstream.connections.length, 1)
    })
  }
}

test('a hook that throws answers an upgrading client with its status', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => app.addHook('preHandler', async () => { throw Object.assign(new Error('too many'), { statusCode: 429 }) })
  })
  const { status, body } = await upgrade(t, proxy.port, '/')
  assert.deepEqual([status, JSON.parse(String(body)).message], [429, 'too many'])
})

test('a client that resets while an async hook is pending harms nobody', async (t) => {
  const upstream = await startRawUpstream(t)
  const pending = deferred()
  const gate = deferred()
  const gone = deferred()
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    setup (app) {
      app.server.on('connection', (socket: Socket) => socket.on('close', () => gone.resolve()))
      app.get('/hello', async () => 'hello')
      app.addHook('preHandler', async (request) => {
        if (!request.url.startsWith('/ws/')) return
        pending.resolve()
        await gate.promise
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/ws/'))
  await within(pending.promise, 'the hook to run')
  client.reset()
  await within(gone.promise, 'the server to notice')
  gate.resolve()
  const other = await rawClient(t, proxy.port)
  other.write(requestHead('GET', '/hello'))
  assert.equal((await other.response()).status, 200)
  await within(proxy.app.close(), 'close()')
  assert.equal(upstream.connections.length, 0)
})

test('onSend hooks see the response to an upgrade that the upstream refused', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  })
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => app.addHook('onSend', async (_request, reply) => { reply.header('x-plugin', 'was here') })
  })
  const { status, headers } = await upgrade(t, proxy.port, '/')
  assert.deepEqual([status, headers['x-plugin']], [403, ['was here']])
})

test('onSend hooks see a forwarded response', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => app.addHook('onSend', async (_request, reply) => { reply.header('x-plugin', 'was here') })
  })
  const response = await fetch(`${proxy.url}/`)
  assert.equal(response.headers.get('x-plugin'), 'was here')
})

test('the hooks of the options run for an upgrade, after those of the application and in order', async (t) => {
  const upstream = await startWsUpstream(t)
  const calls: string[] = []
  const proxy = await startProxy(t, {
    upstream: upstream.url,
    onRequest: async () => { calls.push('options onRequest') },
    preValidation: async () => { calls.push('options preValidation') },
    preHandler: async () => { calls.push('options preHandler') }
  }, {
    setup: (app) => { for (const stage of stages) app.addHook(stage as 'onRequest', async () => { calls.push(`app ${stage}`) }) }
  })
  await wsClient(t, `${proxy.wsUrl}/`)
  assert.deepEqual(calls, stages.flatMap((stage) => [`app ${stage}`, `options ${stage}`]))
})

test('the hooks of the options run for a forward', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
  const calls: string[] = []
  const proxy = await startProxy(t, {
    upstream: upstream.url,
    onRequest: async () => { calls.push('onRequest') },
    preValidation: async () => { calls.push('preValidation') },
    preHandler: async () => { calls.push('preHandler') }
  })
  await fetch(`${proxy.url}/`)
  assert.deepEqual(calls, [...stages])
})

test('a list of hooks in the options can refuse an upgrade', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, preHandler: [async () => {}, async (request, reply) => refuse(request, reply)] })
  assert.equal((await upgrade(t, proxy.port, '/')).status, 401)
})

test('the config of the options is the config of the route', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
  const seen: unknown[] = []
  const proxy = await startProxy(t, { upstream: upstream.url, config: { limit: 7 } }, {
    setup: (app) => app.addHook('onRequest', async (request) => { seen.push((request.routeOptions.config as { limit?: number }).limit) })
  })
  await fetch(`${proxy.url}/`)
  assert.deepEqual(seen, [7])
})

test('handlerTimeout in the middle of a handshake is a complete 503, and the dial is given up', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: { handlerTimeout: 300 } as object })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  assert.equal((await client.response()).status, 503)
  await within(over(connection), 'the dial to be given up', 2000)
})

test('after handlerTimeout in the middle of a handshake the connection closes', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, handshakeTimeout: '1s' }, { fastify: { handlerTimeout: 300 } as object })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const first = await upstream.next()
  assert.deepEqual((await client.response()).headers['connection'], ['close'])
  await client.ended
  await over(first)
})

// The end of the request

for (const async of [true, false]) {
  test(`with async: ${async}, onResponse runs once for an upgrade, with status 101`, async (t) => {
    const upstream = await startRawUpstream(t)
    const statuses: number[] = []
    const record = recordTunnels()
    const proxy = await startProxy(t, { upstream: upstream.url, async, ...record.hooks }, {
      setup: (app) => app.addHook('onResponse', async (_request, reply) => { statuses.push(reply.statusCode) })
    })
    const tunnel = await openTunnel(t, proxy, upstream)
    await roundTrip(tunnel)
    tunnel.client.end()
    tunnel.upstream.end()
    await record.nextOutcome()
    await within(proxy.app.close(), 'close()')
    assert.deepEqual(statuses, [101])
  })

  test(`with async: ${async}, "request completed" is logged once for an upgrade, with status 101`, async (t) => {
    const upstream = await startRawUpstream(t)
    const log = recordLog()
    const record = recordTunnels()
    const proxy = await startProxy(t, { upstream: upstream.url, async, ...record.hooks }, { fastify: { logger: log.logger } })
    const tunnel = await openTunnel(t, proxy, upstream)
    await roundTrip(tunnel)
    tunnel.client.end()
    tunnel.upstream.end()
    await record.nextOutcome()
    await within(proxy.app.close(), 'close()')
    const completed = log.lines.filter((line) => line.msg === 'request completed').map((line) => (line['res'] as { statusCode: number }).statusCode)
    assert.deepEqual(completed, [101])
  })
}

test('with async: true, the request completes while the tunnel lives', async (t) => {
  const upstream = await startRawUpstream(t)
  const completed = deferred()
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => app.addHook('onResponse', async () => completed.resolve())
  })
  const tunnel = await openTunnel(t, proxy, upstream)
  await within(completed.promise, 'onResponse')
  await roundTrip(tunnel)
})

test('with async: true, a tunnel is suspended once its request is complete', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  await openTunnel(t, proxy, upstream)
  await until(() => proxy.app.wstunnel.metrics().tunnels.suspended === 1, 'a suspended tunnel')
  const [tunnel] = proxy.app.wstunnel.tunnels()
  assert.deepEqual([tunnel?.state, proxy.app.wstunnel.metrics().tunnels.active], ['suspended', 0])
})

test('with async: false, the request stays open as long as the tunnel', async (t) => {
  const upstream = await startRawUpstream(t)
  const calls: string[] = []
  const completed = deferred()
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, async: false, ...record.hooks }, {
    setup: (app) => app.addHook('onResponse', async () => {
      calls.push('completed')
      completed.resolve()
    })
  })
  const tunnel = await openTunnel(t, proxy, upstream)
  await roundTrip(tunnel)
  await roundTrip(tunnel)
  calls.push('the last byte')
  tunnel.client.end()
  tunnel.upstream.end()
  await within(completed.promise, 'onResponse')
  assert.deepEqual(calls, ['the last byte', 'completed'])
})

test('with asyncDelay, a tunnel that is not quiet yet is active', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, asyncDelay: '1h' })
  const tunnel = await openTunnel(t, proxy, upstream)
  await roundTrip(tunnel)
  const { active, suspended } = proxy.app.wstunnel.metrics().tunnels
  assert.deepEqual({ active, suspended }, { active: 1, suspended: 0 })
})

test('a refused upgrade completes its request once', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  })
  const statuses: number[] = []
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => app.addHook('onResponse', async (_request, reply) => { statuses.push(reply.statusCode) })
  })
  await upgrade(t, proxy.port, '/')
  await within(proxy.app.close(), 'close()')
  assert.deepEqual(statuses, [403])
})

// Contexts and registrations

test('the hooks of a scope guard the tunnels of that scope', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, undefined, {
    setup (app) {
      app.register(async (scope) => {
        guard(scope, 'preHandler', 'async')
        scope.register(wstunnel, { prefix: '/private', upstream: upstream.url })
      })
      app.register(wstunnel, { prefix: '/public', upstream: upstream.url })
    }
  })
  assert.equal((await upgrade(t, proxy.port, '/private/')).status, 401)
})

test('the hooks of a scope do not guard the tunnels of another', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, undefined, {
    setup (app) {
      app.register(async (scope) => {
        guard(scope, 'preHandler', 'async')
        scope.register(wstunnel, { prefix: '/private', upstream: upstream.url })
      })
      app.register(wstunnel, { prefix: '/public', upstream: upstream.url })
    }
  })
  assert.equal((await upgrade(t, proxy.port, '/public/')).status, 101)
})

test('prefixes of nested contexts add up', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, undefined, {
    setup: (app) => app.register(async (outer) => {
      outer.register(async (inner) => {
        inner.register(wstunnel, { prefix: '/c', upstream: `${upstream.url}/base/` })
      }, { prefix: '/b' })
    }, { prefix: '/a' })
  })
  await wsClient(t, `${proxy.wsUrl}/a/b/c/room`)
  assert.equal((await upstream.next()).request.url, '/base/room')
})

test('the body parsers of the plugin stay inside', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
  const proxy = await startProxy(t, { prefix: '/proxy', upstream: upstream.url }, {
    after: (app) => app.post('/json', async (request) => ({ got: request.body }))
  })
  const response = await fetch(`${proxy.url}/json`, { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } })
  assert.deepEqual(await response.json(), { got: { a: 1 } })
})

test('the plugin can be registered many times, and each has its own upstream', async (t) => {
  const count = 12
  const upstreams = await Promise.all(Array.from({ length: count }, () => startWsUpstream(t)))
  const proxy = await startProxy(t, undefined, {
    setup: (app) => upstreams.forEach((upstream, index) => app.register(wstunnel, { prefix: `/${index}`, upstream: `${upstream.url}/at${index}/` }))
  })
  const seen = await Promise.all(upstreams.map(async (upstream, index) => {
    await wsClient(t, `${proxy.wsUrl}/${index}/x`)
    return (await upstream.next()).request.url
  }))
  assert.deepEqual(seen, upstreams.map((_, index) => `/at${index}/x`))
})

test('another registration adds no listener to the server', async (t) => {
  const listeners = async (registrations: number): Promise<number> => {
    const proxy = await startProxy(t, undefined, {
      setup (app) {
        for (let index = 0; index < registrations; index++) app.register(wstunnel, { prefix: `/${index}`, upstream: 'ws://127.0.0.1:9/' })
      }
    })
    return proxy.app.server.listenerCount('upgrade')
  }
  assert.deepEqual([await listeners(12), await listeners(1)], [1, 1])
})

test('a table of routes: upgrades go to one upstream, everything else to another', async (t) => {
  const sockets = await startWsUpstream(t)
  const pages = await startHttpUpstream(t, (_request, response) => response.end('a page'))
  const proxy = await startProxy(t, {
    routes: [
      { path: '/', upstream: `${sockets.url}/`, fallbackToHttp: false },
      { path: '/', upstream: `${pages.url}/` }
    ]
  })
  await wsClient(t, `${proxy.wsUrl}/live`)
  const page = await fetch(`${proxy.url}/index.html`)
  assert.deepEqual([(await sockets.next()).request.url, await page.text(), pages.requests[0]?.url], ['/live', 'a page', '/index.html'])
})

test('a target that takes no plain request leaves it to the shorter path', async (t) => {
  const sockets = await startWsUpstream(t)
  const pages = await startHttpUpstream(t, (_request, response) => response.end('a page'))
  const proxy = await startProxy(t, {
    routes: [
      { path: '/ws/', upstream: `${sockets.url}/`, fallbackToHttp: false },
      { path: '/', upstream: `${pages.url}/` }
    ]
  })
  const page = await fetch(`${proxy.url}/ws/info`)
  assert.deepEqual([await page.text(), pages.requests[0]?.url, sockets.requests.length], ['a page', '/ws/info', 0])
})

test('upstream: false keeps a path from being proxied', async (t) => {
  const pages = await startHttpUpstream(t, (_request, response) => response.end('a page'))
  const proxy = await startProxy(t, {
    routes: [
      { path: '/private/', upstream: false },
      { path: '/', upstream: `${pages.url}/` }
    ]
  })
  const response = await fetch(`${proxy.url}/private/x`)
  assert.deepEqual([response.status, pages.requests.length], [404, 0])
})

test('constraints choose the upstream of an upgrade by its host', async (t) => {
  const one = await startWsUpstream(t)
  const two = await startWsUpstream(t)
  const proxy = await startProxy(t, undefined, {
    setup (app) {
      app.register(wstunnel, { path: '/', upstream: one.url, constraints: { host: 'one.example' } })
      app.register(wstunnel, { path: '/', upstream: two.url, constraints: { host: 'two.example' } })
    }
  })
  const { status } = await upgrade(t, proxy.port, '/', { host: 'two.example' })
  await two.next()
  assert.deepEqual([status, one.wss.clients.size], [101, 0])
})

test('constraints that no registration meets are a complete 404 for an upgrade', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { path: '/', upstream: upstream.url, constraints: { host: 'one.example' } })
  const { status } = await upgrade(t, proxy.port, '/', { host: 'three.example' })
  assert.deepEqual([status, upstream.connections.length], [404, 0])
})

test('the decorator is visible in the parent and in siblings', async (t) => {
  const seen: Record<string, boolean> = {}
  const proxy = await startProxy(t, undefined, {
    async setup (app) {
      await app.register(wstunnel, { prefix: '/ws', upstream: 'ws://127.0.0.1:9/' })
      seen['parent'] = app.hasDecorator('wstunnel')
      app.register(async (sibling) => { seen['sibling'] = sibling.hasDecorator('wstunnel') })
    }
  })
  assert.deepEqual([seen, typeof proxy.app.wstunnel.metrics], [{ parent: true, sibling: true }, 'function'])
})

test('the metrics cover the whole server from wherever they are asked for', async (t) => {
  const upstream = await startWsUpstream(t)
  let inner: FastifyInstance | undefined
  const proxy = await startProxy(t, undefined, {
    setup (app) {
      app.register(wstunnel)
      app.register(async (scope) => {
        inner = scope
        scope.register(wstunnel, { prefix: '/one', upstream: upstream.url })
      })
      app.register(async (scope) => { scope.register(wstunnel, { prefix: '/two', upstream: upstream.url }) })
    }
  })
  await wsClient(t, `${proxy.wsUrl}/one/`)
  await wsClient(t, `${proxy.wsUrl}/two/`)
  assert.deepEqual([proxy.app.wstunnel.metrics().tunnels.opened, inner?.wstunnel.metrics().tunnels.opened], [2, 2])
})

test('without a route the plugin just decorates', async (t) => {
  const proxy = await startProxy(t, undefined, { setup: (app) => app.register(wstunnel) })
  const response = await fetch(`${proxy.url}/`)
  assert.deepEqual([response.status, proxy.app.wstunnel.metrics().routes], [404, []])
})

test('a bad option rejects ready() and names its path', async (t) => {
  await assert.rejects(startProxy(t, {
    routes: [{ upstream: 'ws://127.0.0.1:9/' }, { path: '/x', upstream: 'ws://127.0.0.1:9/', idleTimeout: '30' as never }]
  }), {
    code: 'FST_WSTUNNEL_INVALID_OPTIONS',
    message: /routes\[1\]\.idleTimeout/
  })
})

// Servers

test('listening on localhost, an upgrade passes on every address', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, { listen: { port: 0, host: 'localhost' } })
  const statuses: number[] = []
  for (const { address } of proxy.app.addresses() as AddressInfo[]) {
    const client = await rawClient(t, proxy.port, { host: address })
    client.write(upgradeHead('/'))
    statuses.push((await client.response()).status)
  }
  assert.deepEqual(statuses, proxy.app.addresses().map(() => 101))
})

test('listening on localhost, a refused upgrade is the last on its connection on every address', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    listen: { port: 0, host: 'localhost' },
    setup (app) {
      guard(app, 'onRequest', 'async')
      app.get('/hello', async () => 'hello')
    }
  })
  const statuses: number[][] = []
  for (const { address } of proxy.app.addresses() as AddressInfo[]) {
    const client = await rawClient(t, proxy.port, { host: address })
    client.write(upgradeHead('/ws/'))
    const refused = await client.response()
    await client.ended
    statuses.push([refused.status])
  }
  assert.deepEqual(statuses, proxy.app.addresses().map(() => [401]))
})

test('a server of a serverFactory carries tunnels', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(
    t,
    { upstream: upstream.url },
    { fastify: { serverFactory: (handler) => createServer((request, response) => handler(request, response)) } }
  )
  const client = await wsClient(t, `${proxy.wsUrl}/`)
  client.send('hello')
  assert.equal(String((await event<[Buffer]>(client, 'message'))[0]), 'hello')
})

// close()

test('close() with live tunnels ends within the drain timeout and a second', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, drainTimeout: '500ms' })
  await openTunnel(t, proxy, upstream)
  await openTunnel(t, proxy, upstream)
  const begun = performance.now()
  await within(proxy.app.close(), 'close()')
  const elapsed = performance.now() - begun
  assert.ok(elapsed < 1500, `${elapsed} ms`)
})

test('close() ends both sides of every tunnel', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, drainTimeout: '200ms' })
  const tunnel = await openTunnel(t, proxy, upstream)
  await within(proxy.app.close(), 'close()')
  await Promise.all([over(tunnel.client), over(tunnel.upstream)])
})

test('a tunnel that close() ended has one outcome, by the proxy', async (t) => {
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, drainTimeout: '200ms', ...record.hooks })
  const tunnel = await openTunnel(t, proxy, upstream, '/', {})
  await roundTrip(tunnel)
  await within(proxy.app.close(), 'close()')
  assert.deepEqual(record.closed.map(({ reason, by }) => [reason, by]), [['drained', 'proxy']])
})

test('close() waits for a tunnel that ends in time', async (t) => {
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, upgrade: 'echo', drainTimeout: '60s', ...record.hooks })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/', { Connection: 'Upgrade', Upgrade: 'echo' }))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await client.response()
  const closed = proxy.app.close()
  await until(() => !proxy.app.server.listening, 'the server to stop listening')
  client.end('goodbye')
  await connection.ended
  connection.end()
  await within(closed, 'close()')
  assert.deepEqual([String(connection.unread), record.closed.map(({ by }) => by)], ['goodbye', ['client']])
})

test('close() in the middle of a handshake gives it up', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, drainTimeout: '200ms' })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  await connection.head()
  await within(proxy.app.close(), 'close()')
  await over(connection)
})

test('close() does not wait for a client that is silent after a refused upgrade, and does not end', async (t) => {
  const proxy = await startProxy(t, { path: '/ws/', upstream: 'ws://127.0.0.1:9/' }, { setup: (app) => guard(app, 'onRequest', 'async') })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/ws/'))
  await client.response()
  await within(proxy.app.close(), 'close()', 5000) // two seconds of silence
})

test('close() in the middle of a streaming forward ends within the drain timeout and a second', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => { response.write('for ever and ever') })
  const proxy = await startProxy(t, { upstream: upstream.url, drainTimeout: '500ms' })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  await client.waitFor('for ever')
  const begun = performance.now()
  await within(proxy.app.close(), 'close()')
  const elapsed = performance.now() - begun
  assert.ok(elapsed < 1500, `${elapsed} ms`)
})

// Requests that Node gives to the 'upgrade' event though nobody tunnels them

const h2c = {
  Connection: 'Upgrade, HTTP2-Settings',
  Upgrade: 'h2c',
  'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
  'Content-Type': 'application/json'
}

const places: Array<[where: string, path: string]> = [['outside our routes', '/ws/'], ['under our prefix', '/']]

for (const [where, path] of places) {
  test(`a POST with Upgrade: h2c to a route of the user ${where} has its body`, async (t) => {
    const proxy = await startProxy(
      t,
      { path, upstream: 'ws://127.0.0.1:9/' },
      { setup: (app) => app.post('/json', async (request) => ({ got: request.body })) }
    )
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('POST', '/json', { ...h2c, 'Content-Length': '7' }) + '{"a":1}')
    const { status, body } = await client.response()
    assert.deepEqual([status, String(body)], [200, '{"got":{"a":1}}'])
  })

  test(`a chunked POST with Upgrade: h2c to a route of the user ${where} has its body, though it comes later`, async (t) => {
    const hooked = deferred()
    const proxy = await startProxy(t, { path, upstream: 'ws://127.0.0.1:9/' }, {
      setup (app) {
        app.addHook('onRequest', async () => hooked.resolve())
        app.post('/json', async (request) => ({ got: request.body }))
      }
    })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('POST', '/json', { ...h2c, 'Transfer-Encoding': 'chunked' }))
    await within(hooked.promise, 'the hook to run')
    client.write('7\r\n{"a":1}\r\n')
    client.write('0\r\n\r\n')
    const { status, body } = await client.response()
    assert.deepEqual([status, String(body)], [200, '{"got":{"a":1}}'])
  })

  test(`a POST with Upgrade: h2c to a route of the user ${where} keeps its connection`, async (t) => {
    const proxy = await startProxy(
      t,
      { path, upstream: 'ws://127.0.0.1:9/' },
      { setup: (app) => app.post('/json', async (request) => ({ got: request.body })) }
    )
    const client = await rawClient(t, proxy.port)
    const bodies: string[] = []
    for (const number of [1, 2, 3]) {
      client.write(requestHead('POST', '/json', { ...h2c, 'Content-Length': '7' }) + `{"a":${number}}`)
      bodies.push(String((await client.response()).body))
    }
    assert.deepEqual(bodies, ['{"got":{"a":1}}', '{"got":{"a":2}}', '{"got":{"a":3}}'])
  })
}

test('a POST with Upgrade: h2c does not keep close() waiting', async (t) => {
  const proxy = await startProxy(
    t,
    { path: '/ws/', upstream: 'ws://127.0.0.1:9/' },
    { setup: (app) => app.post('/json', async (request) => ({ got: request.body })) }
  )
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/json', { ...h2c, 'Content-Length': '7' }) + '{"a":1}')
  await client.response()
  await within(proxy.app.close(), 'close()', 2000)
})

test('a websocket upgrade outside our routes is an ordinary, complete 404', async (t) => {
  const proxy = await startProxy(t, { path: '/ws/', upstream: 'ws://127.0.0.1:9/' })
  const { status, headers, body } = await upgrade(t, proxy.port, '/elsewhere')
  assert.deepEqual(
    [status, headers['content-type'], JSON.parse(String(body)).message],
    [404, ['application/json; charset=utf-8'], 'Route GET:/elsewhere not found']
  )
})

test('a websocket upgrade outside our routes is a 404, and does not disturb others', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/elsewhere'))
  const first = await client.response()
  const other = await rawClient(t, proxy.port)
  other.write(upgradeHead('/ws/'))
  const second = await other.response()
  assert.deepEqual([first.status, second.status], [404, 101])
})

test('a prefix is matched on segment boundaries', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url })
  const { status } = await upgrade(t, proxy.port, '/wsx/')
  assert.deepEqual([status, upstream.connections.length], [404, 0])
})

test('an upgrade that belongs to another listener is left to it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    setup: (app) => app.server.on('upgrade', (request, socket) => {
      if (request.url === '/other') socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')
    })
  })
  const { status, headers } = await upgrade(t, proxy.port, '/other')
  assert.deepEqual([status, headers['upgrade'], upstream.connections.length], [101, ['other'], 0])
})

// Pipelining

test('an upgrade that is pipelined behind a slow request is not answered before it', async (t) => {
  const upstream = await startWsUpstream(t)
  const arrived = deferred()
  const gate = deferred()
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    setup: (app) => app.get('/slow', async () => {
      arrived.resolve()
      await gate.promise
      return 'slow'
    })
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/slow') + upgradeHead('/ws/'))
  await within(arrived.promise, 'the slow request')
  // a whole handshake of somebody else: by then a premature 101 would be here
  await wsClient(t, `${proxy.wsUrl}/ws/`)
  gate.resolve()
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [200, 'slow'])
})

test('an upgrade that is pipelined behind a slow request is answered after it, or its connection closed', async (t) => {
  const upstream = await startWsUpstream(t)
  const gate = deferred()
  const arrived = deferred()
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    setup: (app) => app.get('/slow', async () => {
      arrived.resolve()
      await gate.promise
      return 'slow'
    })
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/slow') + upgradeHead('/ws/'))
  await within(arrived.promise, 'the slow request')
  gate.resolve()
  await client.response()
  const second = await client.response().then(({ status }) => status, (error: Error) => /ended before/.test(error.message) ? 'closed' : 'nothing')
  assert.ok(second === 101 || second === 400 || second === 503 || second === 'closed', String(second))
})

test('an upgrade behind an answered request on the same connection opens a tunnel', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, { setup: (app) => app.get('/hello', async () => 'hello') })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/hello'))
  await client.response()
  client.write(upgradeHead('/ws/'))
  assert.equal((await client.response()).status, 101)
})

test('an upgrade whose head arrives in pieces opens a tunnel', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  const head = upgradeHead('/')
  for (const part of [head.slice(0, 20), head.slice(20, -3), head.slice(-3)]) {
    client.write(part)
    await nextTurn()
  }
  assert.equal((await client.response()).status, 101)
})
