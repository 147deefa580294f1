// Each ending of a tunnel over HTTP/2, as the frames that its client gets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { frameRelay } from '../fixtures/http2-frames.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { cancel, type Connect, extendedConnect, http2Session } from '../fixtures/http2.ts'
import { type Proxy, type ProxyOptions, startProxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { recordTunnels, type TunnelRecord } from '../fixtures/tunnel.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

interface Scene {
  proxy: Proxy
  connect: Connect
  upstream: RawConnection
  frames: () => string[]
  session: () => string[]
  record: TunnelRecord
}

async function scene (t: TestContext, options: Partial<ProxyOptions> = {}, answer?: string): Promise<Scene> {
  const server = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: `${server.url}/`, http2: { webSockets: true }, ...record.hooks, ...options }, { fastify: { http2: true } })
  const relay = await frameRelay(t, proxy.port)
  const connect = extendedConnect(await http2Session(t, relay.url), '/')
  const upstream = await server.next()
  const head = await upstream.head()
  upstream.write(answer ?? switching(head))
  await connect.response
  return { proxy, connect, upstream, record, frames: () => relay.of(1), session: () => relay.of(0) }
}

async function closed ({ connect: { code } }: Scene, expected: number): Promise<void> {
  assert.equal(await code, expected)
}

test('an END of the upstream is an END, and one of the client is a FIN', async (t) => {
  const all = await scene(t)
  all.upstream.end('last')
  await all.connect.client.ended
  assert.equal(String(all.connect.client.received), 'last')
  all.connect.client.end('to the end')
  await all.upstream.waitFor('to the end')
  await all.upstream.ended
  await closed(all, 0)
  assert.deepEqual(all.frames().slice(-2), all.frames().includes('DATA(4) END') ? ['HEADERS', 'DATA(4) END'] : ['DATA(4)', 'DATA(0) END'])
  assert.equal((await all.record.nextOutcome()).reason, 'upstream_close')
})

test('a reset of the upstream is RST_STREAM(CANCEL), without an END before it', async (t) => {
  const all = await scene(t)
  all.upstream.write('abc')
  await all.connect.client.waitFor('abc')
  all.upstream.reset()
  await closed(all, 8)
  assert.deepEqual(all.frames(), ['HEADERS', 'DATA(3)', 'RST_STREAM(8)'])
  assert.equal((await all.record.nextOutcome()).reason, 'upstream_reset')
})

for (const [what, options, act, reason] of [
  ['tunnel.close()', {}, ({ proxy }: Scene) => { for (const tunnel of proxy.app.wstunnel.tunnels()) tunnel.close('enough') }, 'killed'],
  ['idleTimeout', { idleTimeout: '300ms' }, () => {}, 'idle_timeout'],
  ['maxLifetime', { maxLifetime: '300ms' }, () => {}, 'max_lifetime']
] as const) {
  test(`${what} is RST_STREAM(CANCEL), without an END before it`, async (t) => {
    const all = await scene(t, options)
    act(all)
    await closed(all, 8)
    assert.deepEqual(all.frames(), ['HEADERS', 'RST_STREAM(8)'])
    assert.equal((await all.record.nextOutcome()).reason, reason)
  })
}

test('a reset of the client, by whatever code, resets the upstream', async (t) => {
  for (const code of [8, 2, 7, 13, 0]) {
    const all = await scene(t)
    all.upstream.socket.resume()
    all.connect.stream.on('error', () => {})
    if (code === 8) cancel(all.connect.stream)
    else if (code === 2) all.connect.stream.destroy(new Error('gone'))
    else if (code === 0) all.connect.stream.destroy()
    else all.connect.stream.close(code)
    const outcome = await all.record.nextOutcome()
    // Node's `close(code)` sends END_STREAM before the reset.
    const expected = code === 7 || code === 13 ? /^client_(close|reset)$/ : /^client_reset$/
    assert.match(outcome.reason, expected)
    assert.equal(outcome.by, 'client')
  }
})

test('a session that is torn down resets the upstreams of its tunnels', async (t) => {
  const all = await scene(t)
  all.connect.stream.on('error', () => {})
  all.connect.stream.session?.destroy()
  await all.upstream.closed
  assert.equal((await all.record.nextOutcome()).by, 'client')
})

test('a refusal is its status, its body and an END', async (t) => {
  const all = await scene(t, {}, 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
  const head = await all.connect.response
  await all.connect.client.ended
  assert.deepEqual([head[':status'], head['www-authenticate'], head['connection'], String(all.connect.client.received)], [401, 'Basic', undefined, 'no'])
  await until(() => all.frames().some((frame) => frame.endsWith('END')), 'the END')
  assert.ok(all.frames().every((frame) => !frame.startsWith('RST_STREAM') || frame === 'RST_STREAM(0)'), String(all.frames()))
})

test('a refusal that breaks off is RST_STREAM(INTERNAL_ERROR), without an END before it', async (t) => {
  const all = await scene(t, {}, 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 20\r\n\r\nno')
  await all.connect.client.waitFor('no')
  all.connect.stream.on('error', () => {})
  all.upstream.reset()
  await closed(all, 2)
  assert.deepEqual(all.frames(), ['HEADERS', 'DATA(2)', 'RST_STREAM(2)'])
})

test('behind a whole closing handshake the stream of a client that never ends its half is closed', async (t) => {
  const all = await scene(t)
  const close = encodeFrame(8, Buffer.from([0x03, 0xe8]), { masked: true })
  all.connect.client.write(close)
  await all.upstream.read(close.length)
  all.upstream.end(encodeFrame(8, Buffer.from([0x03, 0xe8])))
  await closed(all, 0)
  const outcome = await all.record.nextOutcome()
  assert.deepEqual([outcome.reason, outcome.closeCode], ['client_close', 1000])
  assert.deepEqual(all.frames().at(-1), 'RST_STREAM(0)')
  assert.ok(all.frames().at(-2)?.endsWith('END'))
})

test('behind an upstream that ends without a Close, a client that never ends its half is waited for 5 s', async (t) => {
  const all = await scene(t)
  const start = performance.now()
  all.upstream.end()
  await closed(all, 8)
  const took = performance.now() - start
  assert.ok(took >= 4999 && took < 9000, `${took} ms`)
  assert.deepEqual(all.frames(), ['HEADERS', 'DATA(0) END', 'RST_STREAM(8)'])
  assert.equal((await all.record.nextOutcome()).reason, 'half_close_timeout')
})

test('close() says GOAWAY at once, then Close 1001 and an END, and ends with the session', async (t) => {
  const all = await scene(t, { drainTimeout: '1s' })
  const closing = all.proxy.app.close()
  await until(() => all.session().includes('GOAWAY(0)'), 'GOAWAY')
  assert.deepEqual(all.frames(), ['HEADERS'])
  await all.connect.client.ended
  assert.deepEqual([...all.connect.client.received], [0x88, 2, 0x03, 0xe9])
  all.connect.client.end()
  all.upstream.socket.resume()
  all.upstream.end()
  await closing
  assert.equal((await all.record.nextOutcome()).reason, 'drained')
  await event(all.connect.stream.session ?? all.connect.stream, 'close').catch(() => {})
})
