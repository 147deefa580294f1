// An extended CONNECT as a request: what hooks and the upstream see of it, and what refuses it.
import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { extendedConnect, http2Session, type ConnectOptions } from '../fixtures/http2.ts'
import { open, scene, statusOf } from '../fixtures/http2-stage.ts'
import { type ProxyOptions, startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'
import wstunnel from '../../lib/index.ts'

test('hooks see a GET, and the upstream an upgrade of HTTP/1.1 with a key of ours', async (t) => {
  const seen: unknown[] = []
  const completed = deferred<number>()
  const all = await scene(t, { preserveHost: true }, (app) => {
    app.addHook('onRequest', async (request) => {
      seen.push(request.method, request.url, request.host, request.ip, request.raw.headers[':protocol'], request.headers.cookie)
    })
    app.addHook('onResponse', async (_, reply) => completed.resolve(reply.statusCode))
  })
  const { head, response } = await open(all, '/a%2Fb?x=1', {
    headers: {
      ':authority': 'front.example',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-protocol': 'chat',
      'sec-websocket-extensions': 'permessage-deflate',
      cookie: ['a=1', 'b=2']
    }
  })
  assert.deepEqual(seen, ['GET', '/a%2Fb?x=1', 'front.example', '127.0.0.1', 'websocket', 'a=1; b=2'])
  assert.equal(await within(completed.promise, 'onResponse'), 200)
  const lines = head.toLowerCase().split('\r\n')
  assert.match(head, /^GET \/a%2Fb\?x=1 HTTP\/1\.1\r\nHost: front\.example\r\n/)
  for (const line of ['connection: upgrade', 'upgrade: websocket', 'cookie: a=1; b=2', 'sec-websocket-protocol: chat', 'sec-websocket-version: 13']) {
    assert.ok(lines.includes(line), `${line} in ${head}`)
  }
  const keys = head.split('\r\n').filter((line) => /^sec-websocket-key: /i.test(line))
  assert.equal(keys.length, 1)
  assert.match(keys[0] as string, /^Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==$/)
  assert.ok(!head.includes('AAAAAAAAAAAAAAAAAAAAAA=='), 'the key of the client went upstream')
  assert.ok(!lines.some((line) => line.startsWith(':')), head)
  const fields = await response
  assert.deepEqual([fields['sec-websocket-accept'], fields['upgrade'], fields['connection']], [undefined, undefined, undefined])
  const [tunnel] = [...all.proxy.app.wstunnel.tunnels()]
  assert.deepEqual([tunnel?.httpVersion, tunnel?.protocol], ['2.0', 'websocket'])
})

test('what the upstream and hooks say in the switch reaches the client', async (t) => {
  const all = await scene(t, { rewriteHeaders: (headers) => ({ ...headers, 'x-own': 'yes' }) }, (app) => {
    app.addHook('onRequest', async (_, reply) => { reply.header('x-hook', 'a').header('set-cookie', ['h=1', 'i=2']) })
  })
  const connect = await all.connect('/')
  const upstream = await all.upstream.next()
  const head = await upstream.head()
  upstream.write(switching(head).replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: chat\r\nX-Twice: 1\r\nX-Twice: 2\r\nSet-Cookie: u=1\r\n\r\n'))
  const fields = await connect.response
  assert.deepEqual(
    [fields[':status'], fields['sec-websocket-protocol'], fields['x-twice'], fields['x-own'], fields['x-hook']],
    [200, 'chat', '1, 2', 'yes', 'a']
  )
  assert.deepEqual([...fields['set-cookie'] as string[]].sort(), ['h=1', 'i=2', 'u=1'])
})

test('a field of the switch may be named as a property of every object', async (t) => {
  const all = await scene(t)
  const connect = await all.connect('/')
  const upstream = await all.upstream.next()
  upstream.write(switching(await upstream.head()).replace('\r\n\r\n', '\r\nConstructor: a\r\n__proto__: b\r\n\r\n'))
  const fields = Object.entries(await connect.response)
  assert.deepEqual(fields.filter(([name]) => name === 'constructor' || name === '__proto__'), [['constructor', 'a'], ['__proto__', 'b']])
})

for (const [what, answer] of [
  ['a wrong Accept', (head: string) => switching(head).replace(/(Sec-WebSocket-Accept: ).{4}/i, '$1AAAA')],
  ...[200, 204, 206].map((status) => [`a ${status}`, () => `HTTP/1.1 ${status} Fine\r\nContent-Length: 0\r\n\r\n\x81\x05hello`] as const)
] as ReadonlyArray<[string, (head: string) => string]>) {
  test(`${what} of the upstream opens nothing: 502`, async (t) => {
    const all = await scene(t)
    const connect = await all.connect('/')
    const upstream = await all.upstream.next()
    upstream.write(answer(await upstream.head()))
    assert.equal(await statusOf(connect), 502)
    assert.equal(all.proxy.app.wstunnel.metrics().tunnels.opened, 0)
  })
}

test('a 2xx of a hook, or of a route that is not ours, opens nothing: 502', async (t) => {
  const statuses: number[] = []
  const all = await scene(t, { prefix: '/ws' }, (app) => {
    app.addHook('onRequest', async (request, reply) => { if (request.url === '/ws/cached') await reply.send('cached') })
    app.addHook('onResponse', async (_, reply) => { statuses.push(reply.statusCode) })
    app.get('/page', async () => 'a page')
    app.get('/raw', (_, reply) => {
      reply.hijack()
      reply.raw.end('raw')
    })
  })
  for (const path of ['/ws/cached', '/page', '/raw']) assert.deepEqual([path, await statusOf(await all.connect(path))], [path, 502])
  assert.equal(await statusOf(await all.connect('/nowhere')), 404)
  await until(() => statuses.length >= 3, 'the responses to be done')
  assert.deepEqual(statuses.slice(0, 2), [502, 502])
})

test('other protocols are what the entry allows, else 501', async (t) => {
  const all = await scene(t, {
    routes: [
      { path: '/any', upgrade: 'ANY' }, { path: '/one', upgrade: 'tcp' }, { path: '/none', upgrade: 'NONE' },
      { path: '/plain', upstream: 'http://127.0.0.1:1' }, { path: '/legacy', fallbackToHttp: false }
    ]
      .map((route) => ({ upstream: 'ws://127.0.0.1:1/', ...route })) as never
  })
  const table: Array<[string, string, number]> = [
    ['/any', 'tcp', 503], ['/any', 'h2c', 501], ['/any', 'connect-udp', 503], ['/one', 'TCP', 503],
    ['/one', 'websocket', 501], ['/none', 'websocket', 503], ['/none', 'tcp', 501],
    ['/plain', 'websocket', 501], ['/legacy', 'websocket', 503], ['/legacy', 'tcp', 501], ['/any', 'tcp, websocket', 501]
  ]
  for (const [path, protocol, expected] of table) {
    assert.deepEqual([path, protocol, await statusOf(await all.connect(path, { protocol }))], [path, protocol, expected])
  }
  assert.equal(all.proxy.app.wstunnel.metrics().tunnels.refused.decision, 6)
})

test('every refusal of the decision keeps its status', async (t) => {
  const all = await scene(t, { allowedOrigins: ['https://app.example'] }, (app) => {
    app.addHook('preHandler', async (request, reply) => { if (request.headers.authorization === 'no') await reply.code(401).send({}) })
  })
  const ok = { origin: 'https://app.example' }
  const table: Array<[ConnectOptions, string, number]> = [
    [{ headers: { ...ok, 'sec-websocket-version': ['13', '8'] as unknown as string } }, '/', 400],
    [{ headers: { ...ok, ':authority': 'front.example', host: 'other.example' } }, '/', 400],
    [{ headers: { ...ok, 'content-length': '5' } }, '/', 400],
    [{ headers: { ...ok, authorization: 'no' } }, '/', 401],
    [{ headers: { origin: 'https://evil.example' } }, '/', 403],
    [{ headers: {} }, '/', 403],
    [{ headers: ok }, '/../x', 400]
  ]
  for (const [options, path, expected] of table) {
    assert.deepEqual([options, await statusOf(await all.connect(path, options)).catch(String)], [options, expected])
  }
  assert.equal(all.upstream.connections.length, 0)
})

test('limits by client hold, and are given back', async (t) => {
  const all = await scene(t, { limits: { maxTunnelsPerClient: 1 } })
  const first = await open(all)
  assert.equal(await statusOf(await all.connect('/')), 429)
  first.client.end()
  first.upstream.end()
  await all.record.nextOutcome()
  await open(all)
})

test('what was sent before the 200 arrives in order; END_STREAM on the HEADERS is a FIN', async (t) => {
  const all = await scene(t)
  const connect = await all.connect('/')
  connect.client.write('early ')
  const upstream = await all.upstream.next()
  const head = await upstream.head()
  assert.equal(upstream.unread.length, 0, 'a byte went upstream before the 101')
  upstream.write(switching(head))
  await connect.response
  connect.client.end('and late')
  assert.equal(String(await upstream.read(14)), 'early and late')
  await upstream.ended
  const ended = await all.connect('/', { endStream: true })
  const far = await all.upstream.next()
  far.write(switching(await far.head()))
  await ended.response
  await far.ended
})

test('an END_STREAM before the 200 is a FIN behind it, with bytes before it or without', async (t) => {
  const all = await scene(t)
  for (const early of ['', 'early']) {
    const connect = await all.connect('/')
    const read = event<[ServerHttp2Stream]>(all.proxy.app.server, 'stream').then(async ([stream]) => early === '' && await event(stream, 'end'))
    connect.client.end(early)
    const upstream = await all.upstream.next()
    const head = await upstream.head()
    await read
    upstream.write(switching(head))
    assert.equal((await connect.response)[':status'], 200)
    await upstream.ended
    assert.equal(String(upstream.unread), early)
    upstream.end('late')
    await connect.client.ended
    assert.equal(String(connect.client.received), 'late')
    assert.equal((await all.record.nextOutcome()).reason, 'client_close')
  }
})

test('a client that leaves during a hook, or during the handshake, leaves nothing behind', async (t) => {
  const gate = deferred()
  const aborted: string[] = []
  const statuses: number[] = []
  const all = await scene(t, {}, (app) => {
    app.addHook('onRequest', async (request) => { if (request.url === '/slow') await gate.promise })
    app.addHook('onRequestAbort', async (request) => { aborted.push(request.url) })
    app.addHook('onResponse', async (_, reply) => { statuses.push(reply.statusCode) })
  })
  const slow = await all.connect('/slow')
  const dialled = await all.connect('/')
  const upstream = await all.upstream.next()
  await upstream.head()
  for (const { stream } of [slow, dialled]) {
    stream.on('error', () => {})
    stream.close(8)
  }
  await over(upstream)
  await until(() => aborted.length === 2, 'onRequestAbort')
  gate.resolve()
  await until(() => statuses.length === 2, 'onResponse')
  assert.ok(statuses.includes(499), String(statuses))
  const { open: left, opened } = all.proxy.app.wstunnel.metrics().tunnels
  assert.deepEqual([left, opened, all.upstream.connections.length], [0, 0, 1])
})

test('SETTINGS say what the options say, and sessions with tunnels outlive http2SessionTimeout', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(
    t,
    { upstream: `${upstream.url}/`, http2: { webSockets: true, maxConcurrentStreams: 7, streamWindow: 100_000, sessionWindow: 200_000 } },
    { fastify: { http2: true, http2SessionTimeout: 300 } as object }
  )
  const session = await http2Session(t, proxy.url)
  const { enableConnectProtocol, maxConcurrentStreams, initialWindowSize } = session.remoteSettings
  assert.deepEqual([enableConnectProtocol, maxConcurrentStreams, initialWindowSize], [true, 7, 100_000])
  const connect = extendedConnect(session, '/')
  const far = await upstream.next()
  far.write(switching(await far.head()))
  await connect.response
  assert.ok((session.state.remoteWindowSize ?? 0) >= 199_000, `a window of ${session.state.remoteWindowSize} bytes`)
  const idle = await http2Session(t, proxy.url)
  await within(new Promise((resolve) => idle.once('close', resolve)), 'a session without a tunnel to be ended')
  assert.ok(!session.closed && !session.destroyed, 'a session with a tunnel was ended')
  connect.client.end()
  far.end()
  await connect.code
  await within(new Promise((resolve) => session.once('close', resolve)), 'the session to be ended, once it has no tunnel')
})

test('1000 streams, and the windows, are announced by default', async (t) => {
  const all = await scene(t)
  const { stream, response } = await open(all)
  await response
  const { remoteSettings, state } = stream.session as NonNullable<typeof stream.session>
  assert.deepEqual([remoteSettings.enableConnectProtocol, remoteSettings.maxConcurrentStreams, remoteSettings.initialWindowSize], [true, 1000, 262_144])
  assert.ok((state.remoteWindowSize ?? 0) > 1_000_000, `a window of ${state.remoteWindowSize} bytes`)
})

test('the option: what other values and other servers get', async (t) => {
  const failing = async (options: ProxyOptions | ProxyOptions[], fastify: object, expected: RegExp): Promise<void> => {
    const list = [options].flat()
    const setup = (app: FastifyInstance): void => { for (const each of list) app.register(wstunnel, each) }
    await assert.rejects(startProxy(t, undefined, { fastify, setup }), (error: Error & { code: string }) => {
      assert.equal(error.code, 'FST_WSTUNNEL_INVALID_OPTIONS')
      assert.match(error.message, expected)
      return true
    })
  }
  await failing({ http2: { webSockets: true } }, {}, /^http2\.webSockets: expected a server with http2: true/)
  await failing({ http2: { maxConcurrentStreams: 0 } }, { http2: true }, /^http2\.maxConcurrentStreams: expected a whole number from 1 to/)
  await failing({ http2: { streamWindow: 2 ** 31 } } as ProxyOptions, { http2: true }, /^http2\.streamWindow: expected a whole number/)
  await failing({ http2: { sessionWindow: 1 } }, { http2: true }, /^http2\.sessionWindow: expected a whole number/)
  await failing({ http2: { websockets: true } } as never, { http2: true }, /^http2\.websockets: unknown option, did you mean webSockets\?/)
  await failing({ routes: [{ upstream: 'ws://a/', http2: { webSockets: true } } as never] }, { http2: true }, /^routes\[0\]\.http2: unknown option/)
  await failing(
    [{ http2: { webSockets: true } }, { http2: { webSockets: true, streamWindow: 65_536 } }],
    { http2: true },
    /^http2\.streamWindow: expected 262144, as in another registration/
  )
  await failing(
    [{ http2: { webSockets: false } }, { http2: { webSockets: true } }],
    { http2: true },
    /^http2\.webSockets: expected false, as in another registration/
  )
  await startProxy(t, undefined, {
    fastify: { http2: true },
    setup: (app) => {
      for (let i = 0; i < 2; i++) app.register(wstunnel, { http2: { webSockets: true } })
    }
  })
})

test('with the option off nothing is announced and nobody listens', async (t) => {
  for (const http2 of [undefined, { webSockets: false }]) {
    const proxy = await startProxy(t, { upstream: 'ws://127.0.0.1:1/', ...(http2 === undefined ? {} : { http2 }) }, { fastify: { http2: true } })
    const session = await http2Session(t, proxy.url)
    assert.deepEqual(
      [session.remoteSettings.enableConnectProtocol ?? false, session.remoteSettings.initialWindowSize, proxy.app.server.listenerCount('connect')],
      [false, 65_535, 0]
    )
    assert.equal(await statusOf(extendedConnect(session, '/')).catch(() => 0) === 200, false)
  }
})

test('after close() the server announces it no more, and has no listener of ours', async (t) => {
  const proxy = await startProxy(t, { upstream: 'ws://127.0.0.1:1/', http2: { webSockets: true } }, { fastify: { http2: true } })
  const { server } = proxy.app
  const updates = t.mock.method(server as unknown as { updateSettings (settings: object): void }, 'updateSettings')
  await proxy.app.close()
  assert.deepEqual(updates.mock.calls.map(({ arguments: [settings] }) => settings), [{ enableConnectProtocol: false }])
  assert.equal(server.listenerCount('connect'), 0)
})

test('a second address of listen() does not announce it, and the log says so', async (t) => {
  const lines: string[] = []
  const proxy = await startProxy(t, { upstream: 'ws://127.0.0.1:1/', http2: { webSockets: true } }, {
    fastify: { http2: true, logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } },
    listen: { port: 0, host: 'localhost' }
  })
  const warned = lines.some((line) => line.includes('http2.webSockets'))
  assert.equal(warned, proxy.app.addresses().length > 1)
})

test('async: false keeps the request open until the tunnel ends', async (t) => {
  const statuses: number[] = []
  const all = await scene(t, { async: false }, (app) => { app.addHook('onResponse', async (_, reply) => { statuses.push(reply.statusCode) }) })
  const { client, upstream } = await open(all)
  client.write('x')
  await upstream.read(1)
  assert.deepEqual(statuses, [])
  client.end()
  upstream.end()
  await all.record.nextOutcome()
  await until(() => statuses.length === 1, 'onResponse')
  assert.deepEqual(statuses, [200])
})

test('an upgrade in the hooks is waited for by a drain, and broken off at its end', async (t) => {
  const waits = deferred()
  const all = await scene(t, { drainTimeout: '300ms' }, (app) => {
    app.addHook('onRequest', async () => {
      waits.resolve()
      await new Promise(() => {})
    })
  })
  const stuck = await all.connect('/stuck')
  stuck.stream.on('error', () => {})
  stuck.response.catch(() => {})
  await within(waits.promise, 'the hook')
  const start = performance.now()
  await all.proxy.app.close()
  assert.ok(performance.now() - start < 2000)
  await stuck.code
})
