// HTTP/2's extended CONNECT (RFC 8441): what must not become a request, a dial, a tunnel, or the end of the process.

import assert from 'node:assert/strict'
import type { ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { extendedConnect, http2Session } from '../fixtures/http2.ts'
import { connectFields, flags, frameTypes, type RawHttp2, rawHttp2 } from '../fixtures/http2-raw.ts'
import { type Proxy, type ProxyOptions, startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { recordTunnels, type TunnelRecord } from '../fixtures/tunnel.ts'
import { type RawUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

interface Scene {
  proxy: Proxy
  upstream: RawUpstream
  record: TunnelRecord
  /** The URLs of all requests that Fastify was given. */
  routed: string[]
}

async function scene (t: TestContext, options: Partial<ProxyOptions> = {}, answers = true): Promise<Scene> {
  const upstream = await startRawUpstream(t, async (connection) => {
    if (answers) connection.write(switching(await connection.head()))
  })
  const record = recordTunnels()
  const routed: string[] = []
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, http2: { webSockets: true }, ...record.hooks, ...options }, {
    fastify: { http2: true },
    setup: (app) => { app.addHook('onRequest', async (request) => { routed.push(request.url) }) }
  })
  return { proxy, upstream, record, routed }
}

/** A tunnel on a new session: the server is well. */
async function works (t: TestContext, { proxy }: Scene): Promise<void> {
  const { response, stream } = extendedConnect(await http2Session(t, proxy.url), '/well')
  assert.equal((await response)[':status'], 200)
  stream.on('error', () => {})
  stream.close(8)
}

async function nothingLeft ({ proxy, upstream }: Scene): Promise<void> {
  const { wstunnel } = proxy.app
  await until(() => wstunnel.metrics().tunnels.open === 0, 'no tunnel to be left')
  for (const connection of upstream.connections) {
    connection.end()
    await over(connection)
  }
}

test('Y1 a CONNECT without a protocol is a 405, and the server lives', async (t) => {
  const all = await scene(t)
  const session = await http2Session(t, all.proxy.url)
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'evil.example:443' })
  const [head] = await event<[{ ':status': number }]>(stream, 'response')
  assert.equal(head[':status'], 405)
  stream.on('error', () => {})
  stream.close()
  await works(t, all)
  assert.deepEqual(all.routed, ['/well'])
})

test('Y2 what is no extended CONNECT by its pseudo-fields is reset before any hook hears of it', async (t) => {
  const all = await scene(t)
  const good = connectFields('/bad')
  const without = (name: string): Array<[string, string]> => good.filter(([key]) => key !== name)
  const bad: Array<Array<[string, string]>> = [
    [[':method', 'GET'], ...without(':method')], [[':protocol', 'websocket'], ...good], without(':path'), without(':scheme'),
    [...without(':path').slice(0, 3), [':path', 'relative'], ...without(':path').slice(3)],
    [...without(':path').slice(0, 3), [':path', '*'], ...without(':path').slice(3)],
    [...good, ['connection', 'upgrade']], [...good, ['transfer-encoding', 'chunked']], [...without(':protocol')]
  ]
  for (const fields of bad) {
    const client = await rawHttp2(t, all.proxy.port)
    client.write(client.headers(1, fields))
    const { code } = await client.waitFor(frameTypes.rstStream, 1)
    assert.deepEqual([fields, code], [fields, 1])
  }
  await works(t, all)
  assert.deepEqual(all.routed, ['/well'])
})

test('Y3 a value of HTTP/2 with a line end in it makes no line of its own upstream', async (t) => {
  const all = await scene(t)
  const client = await rawHttp2(t, all.proxy.port)
  client.write(client.headers(1, connectFields('/', [['x-a', 'b\r\nX-Evil: 1'], ['x-b', 'c\0d'], ['x-c', 'e\nX-Evil: 2']])))
  await client.waitFor(frameTypes.headers, 1)
  const head = String(all.upstream.connections[0]?.received)
  assert.ok(!/^X-Evil/im.test(head) && !head.includes('\0'), head)
})

test('Y4 an upstream of a stream that does not prove the switch gets no byte of the client, which gets a 502', async (t) => {
  const all = await scene(t, {}, false)
  const connect = extendedConnect(await http2Session(t, all.proxy.url), '/')
  connect.client.write('too early')
  const upstream = await all.upstream.next()
  upstream.write(switching(await upstream.head()).replace(/(Sec-WebSocket-Accept: ).{4}/i, '$1AAAA'))
  assert.equal((await connect.response)[':status'], 502)
  await over(upstream)
  assert.equal(upstream.unread.length, 0)
})

test('Y5 thousands of streams that are reset at once leave no dial and no tunnel behind', async (t) => {
  const all = await scene(t)
  for (const reset of ['rapid', 'made by the server'] as const) {
    const client = await rawHttp2(t, all.proxy.port)
    for (let i = 0; i < 3000 && !client.socket.destroyed; i++) {
      const stream = 2 * i + 1
      // A window of no size is a stream error (RFC 9113, 6.9), which the server answers with a reset of its own (CVE-2025-8671).
      client.write(client.headers(stream, connectFields('/')), reset === 'rapid'
        ? client.frame(frameTypes.rstStream, stream, 0, client.word(8))
        : client.frame(frameTypes.windowUpdate, stream, 0, client.word(0)))
    }
    await until(
      () => client.socket.destroyed || client.frames.some(({ type }) => type === frameTypes.goaway) || all.routed.length >= 3000,
      'the flood to be over'
    )
    client.socket.destroy()
    await nothingLeft(all)
  }
  await works(t, all)
})

test('Y6 more tunnels than a client may have are 429s, on one session as on many', async (t) => {
  const all = await scene(t, { limits: { maxTunnelsPerClient: 20 } })
  const session = await http2Session(t, all.proxy.url)
  const connects = Array.from({ length: 900 }, () => extendedConnect(session, '/'))
  const statuses = await Promise.all(connects.map(async ({ response }) => (await response)[':status']))
  assert.deepEqual([statuses.filter((status) => status === 200).length, statuses.filter((status) => status === 429).length], [20, 880])
  session.destroy()
  await nothingLeft(all)
})

test('Y7 a client that never opens its window is let go as stalled, and holds no more than its upstream may', async (t) => {
  const all = await scene(t, { stallTimeout: '500ms' })
  // SETTINGS_INITIAL_WINDOW_SIZE (4) of 0.
  const client = await rawHttp2(t, all.proxy.port, Buffer.from([0, 4, 0, 0, 0, 0]))
  client.write(client.headers(1, connectFields('/')))
  await client.waitFor(frameTypes.headers, 1)
  const upstream = all.upstream.connections[0] as RawUpstream['connections'][number]
  const piece = Buffer.alloc(65_536)
  let sent = 0
  while (sent < 64 << 20 && upstream.write(piece)) sent += piece.length
  const outcome = await all.record.nextOutcome()
  assert.equal(outcome.reason, 'stalled')
  assert.ok(outcome.bytesFromUpstream < 4 << 20, `${outcome.bytesFromUpstream} bytes`)
  assert.equal((await client.waitFor(frameTypes.rstStream, 1)).code, 8)
})

test('Y8 a window that shrinks below nothing while a tunnel lives stops it, and no more', async (t) => {
  const all = await scene(t)
  const client = await rawHttp2(t, all.proxy.port)
  client.write(client.headers(1, connectFields('/')))
  await client.waitFor(frameTypes.headers, 1)
  const upstream = all.upstream.connections[0] as RawUpstream['connections'][number]
  upstream.write(Buffer.alloc(1000))
  await client.waitFor(frameTypes.data, 1)
  client.write(client.frame(frameTypes.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])))
  await until(
    () => client.frames.filter(({ type, flags: flag }) => type === frameTypes.settings && flag === flags.ack).length === 2,
    'the settings to be taken'
  )
  upstream.write(Buffer.alloc(1000))
  await works(t, all)
  client.write(client.frame(frameTypes.windowUpdate, 1, 0, client.word(100_000)))
  await until(() => client.frames.filter(({ type }) => type === frameTypes.data).reduce((sum, { length }) => sum + length, 0) === 2000, 'the rest')
})

/** Frames that never end, until the server has had enough of them. */
async function flood (client: RawHttp2, frame: Buffer): Promise<void> {
  const many = Buffer.concat(Array.from({ length: 200 }, () => frame))
  for (let i = 0; i < 500 && !client.socket.destroyed; i++) {
    if (!client.socket.write(many)) await Promise.race([event(client.socket, 'drain').catch(() => {}), client.closed])
  }
}

test('Y9 a head that never ends ends its connection, and no hook hears of it', async (t) => {
  const all = await scene(t)
  const client = await rawHttp2(t, all.proxy.port)
  client.write(client.headers(1, connectFields('/'), 0))
  await flood(client, client.frame(frameTypes.continuation, 1, 0, client.fields([['x-a', 'b'.repeat(100)]])))
  await client.closed
  await works(t, all)
  assert.deepEqual(all.routed, ['/well'])
})

test('Y10 SETTINGS and PING that never end leave tunnels of other clients as they are', async (t) => {
  const all = await scene(t)
  const other = extendedConnect(await http2Session(t, all.proxy.url), '/')
  await other.response
  const upstream = all.upstream.connections[0] as RawUpstream['connections'][number]
  for (const frame of ['settings', 'ping'] as const) {
    const accepted = event<[ServerHttp2Session]>(all.proxy.app.server, 'session')
    const client = await rawHttp2(t, all.proxy.port)
    const [session] = await accepted
    const failed = event<[Error]>(session, 'error')
    failed.catch(() => {})
    client.socket.pause() // it does not read what it is answered
    const flooding = flood(client, client.frame(frameTypes[frame], 0, 0, frame === 'ping' ? Buffer.alloc(8) : Buffer.alloc(0)))
    const [{ message }] = await failed
    assert.match(message, /Flooding was detected/)
    other.client.write(frame)
    await upstream.waitFor(frame)
    client.socket.destroy()
    await flooding
  }
})

test('Y11 a CONNECT of HTTP/1.1 beside HTTP/2 is closed without an answer', async (t) => {
  const proxy = await startProxy(
    t,
    { upstream: 'ws://127.0.0.1:1/', http2: { webSockets: true } },
    { fastify: { http2: true, https: { ...selfSigned(), allowHTTP1: true } } }
  )
  const { rawClient } = await import('../fixtures/client.ts')
  const client = await rawClient(t, (proxy.app.server.address() as AddressInfo).port, { tls: { rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] } })
  client.write('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n')
  await over(client)
  assert.equal(client.received.length, 0)
})
