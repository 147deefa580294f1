import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { WebSocket } from 'ws'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { decodeFrames, encodeFrame } from '../fixtures/frames.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { recordTunnels } from '../fixtures/tunnel.ts'
import type { Outcome, TunnelRecord } from '../fixtures/tunnel.ts'
import { acceptOf, startRawUpstream, startWsUpstream, switching } from '../fixtures/upstream.ts'
import type { WsConnection, WsUpstreamOptions } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

interface Pair {
  proxy: Proxy
  client: WebSocket
  upstream: WsConnection
  record: TunnelRecord
}

/** A `ws` client and a `ws` server with the proxy between them. */
async function connect (
  t: TestContext, server: WsUpstreamOptions = {}, client: { protocols?: string[], perMessageDeflate?: boolean | object } = {}
): Promise<Pair> {
  const upstream = await startWsUpstream(t, server)
  const record = recordTunnels()
  const proxy = await startProxy(t, { path: '/chat/', upstream: `${upstream.url}/app/`, ...record.hooks })
  const { protocols = [], ...options } = client
  const socket = await wsClient(t, `${proxy.wsUrl}/chat/room?user=1`, protocols, { perMessageDeflate: false, ...options })
  return { proxy, client: socket, upstream: await upstream.next(), record }
}

/** The next message as a Buffer, and whether it was binary. */
async function message (socket: WebSocket): Promise<{ data: Buffer, binary: boolean }> {
  const [data, binary] = await event<[Buffer, boolean]>(socket, 'message')
  return { data, binary }
}

function sha256 (data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/** Closes, and returns the outcome of the tunnel. */
async function finish ({ client, record }: Pair): Promise<Outcome> {
  client.close(1000)
  return await record.nextOutcome()
}

test('a text message comes back as text', async (t) => {
  const { client } = await connect(t)
  client.send('grüße')
  const { data, binary } = await message(client)
  assert.deepEqual([String(data), binary], ['grüße', false])
})

test('the key of RFC 6455 itself opens a WebSocket, though its last character has bits that nobody reads', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/', { key: 'AQIDBAUGBwgJCgsMDQ4PEC==' }))
  const { status, headers } = await client.response()
  assert.deepEqual([status, headers['sec-websocket-accept']], [101, [acceptOf('AQIDBAUGBwgJCgsMDQ4PEC==')]])
})

test('a binary message comes back as binary', async (t) => {
  const { client } = await connect(t)
  const sent = randomBytes(1000)
  client.send(sent)
  const { data, binary } = await message(client)
  assert.deepEqual([data, binary], [sent, true])
})

test('a message of 16 MiB passes in both directions', async (t) => {
  const { client } = await connect(t)
  const sent = randomBytes(16 * 1024 * 1024)
  client.send(sent)
  const { data } = await message(client)
  assert.equal(sha256(data), sha256(sent))
})

test('the upstream sees the mapped path and its query', async (t) => {
  const { upstream } = await connect(t)
  assert.equal(upstream.request.url, '/app/room?user=1')
})

test('fragments of the client arrive as the client made them', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const [client, connection] = await Promise.all([
    wsClient(t, `${proxy.wsUrl}/`, [], { perMessageDeflate: false }),
    upstream.next().then(async (connection) => {
      connection.write(switching(await connection.head()))
      return connection
    })
  ])
  client.send('one ', { fin: false })
  client.send('two ', { fin: false })
  client.ping('between')
  client.send('three', { fin: true })
  await connection.waitFor(() => decodeFrames(connection.unread).length === 4)
  const frames = decodeFrames(connection.unread).map(({ opcode, fin, masked, payload }) => [opcode, fin, masked, String(payload)])
  assert.deepEqual(frames, [
    [1, false, true, 'one '],
    [0, false, true, 'two '],
    [9, true, true, 'between'],
    [0, true, true, 'three']
  ])
})

test('fragments of the upstream arrive as one message, with the ping that came between them', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const [client, connection] = await Promise.all([
    wsClient(t, `${proxy.wsUrl}/`, [], { perMessageDeflate: false }),
    upstream.next().then(async (connection) => {
      connection.write(switching(await connection.head()))
      return connection
    })
  ])
  const seen: string[] = []
  client.on('ping', (payload) => seen.push(`ping ${payload}`))
  const arrived = message(client)
  connection.write(encodeFrame(1, 'one ', { fin: false }))
  connection.write(encodeFrame(9, 'between'))
  connection.write(encodeFrame(0, 'two'))
  seen.push(`message ${(await arrived).data}`)
  assert.deepEqual(seen, ['ping between', 'message one two'])
})

test('permessage-deflate is negotiated between the two ends', async (t) => {
  const { client, upstream } = await connect(t, { perMessageDeflate: true }, { perMessageDeflate: true })
  assert.deepEqual([client.extensions, upstream.socket.extensions], ['permessage-deflate', 'permessage-deflate'])
})

test('the upstream sees the extension header of the client unchanged', async (t) => {
  const { upstream } = await connect(t, { perMessageDeflate: true }, { perMessageDeflate: { clientMaxWindowBits: 12, serverNoContextTakeover: true } })
  assert.equal(upstream.request.headers['sec-websocket-extensions'], 'permessage-deflate; server_no_context_takeover; client_max_window_bits=12')
})

test('compressed messages pass compressed', async (t) => {
  const pair = await connect(t, { perMessageDeflate: { threshold: 0 } }, { perMessageDeflate: { threshold: 0 } })
  const sent = 'again '.repeat(100_000)
  pair.client.send(sent)
  assert.equal(String((await message(pair.client)).data), sent)
  const { bytesFromClient, bytesFromUpstream } = await finish(pair)
  assert.ok(bytesFromClient < 10_000 && bytesFromUpstream < 10_000, `${bytesFromClient} and ${bytesFromUpstream} bytes`)
})

test('an extension that the upstream declines is not negotiated', async (t) => {
  const { client } = await connect(t, { perMessageDeflate: false }, { perMessageDeflate: true })
  assert.equal(client.extensions, '')
})

test('the upstream is offered every subprotocol and chooses the second', async (t) => {
  const { client, upstream } = await connect(t, { handleProtocols: (offered) => [...offered][1] ?? false }, { protocols: ['v1', 'v2', 'v3'] })
  assert.deepEqual([upstream.request.headers['sec-websocket-protocol'], client.protocol], ['v1,v2,v3', 'v2'])
})

const closings: Array<[code: number, reason: string]> = [
  [1000, ''],
  [1000, 'done'],
  [1001, 'going away'],
  [3001, 'registered'],
  [4001, 'application: unauthorised'],
  [4999, 'ä'.repeat(60)]
]

for (const [code, reason] of closings) {
  const label = `${code} ${JSON.stringify(reason.slice(0, 12))}`

  test(`a close ${label} of the client reaches the upstream`, async (t) => {
    const { client, upstream } = await connect(t)
    client.close(code, reason)
    const [seen, text] = await event<[number, Buffer]>(upstream.socket, 'close')
    assert.deepEqual([seen, String(text)], [code, reason])
  })

  test(`a close ${label} of the upstream reaches the client`, async (t) => {
    const { client, upstream } = await connect(t)
    upstream.socket.close(code, reason)
    const [seen, text] = await event<[number, Buffer]>(client, 'close')
    assert.deepEqual([seen, String(text)], [code, reason])
  })
}

test('a close without a code stays without a code', async (t) => {
  const { client, upstream } = await connect(t)
  client.close()
  const [seen] = await event<[number]>(upstream.socket, 'close')
  assert.equal(seen, 1005)
})

test('an upstream that is cut off is an abnormal close at the client', async (t) => {
  const { client, upstream } = await connect(t)
  client.on('error', () => {})
  upstream.socket.terminate()
  const [seen] = await event<[number]>(client, 'close')
  assert.equal(seen, 1006)
})

test('a ping of the client reaches the upstream once, with its payload', async (t) => {
  const { client, upstream } = await connect(t)
  const pings: string[] = []
  upstream.socket.on('ping', (payload) => pings.push(String(payload)))
  client.ping('hello?')
  client.send('after')
  await message(client)
  assert.deepEqual(pings, ['hello?'])
})

test('a ping of the client is answered with exactly one pong', async (t) => {
  const { client } = await connect(t)
  const pongs: string[] = []
  client.on('pong', (payload) => pongs.push(String(payload)))
  client.ping('hello?')
  client.send('after')
  await message(client)
  assert.deepEqual(pongs, ['hello?'])
})

test('a ping of the upstream reaches the client once, with its payload', async (t) => {
  const { client, upstream } = await connect(t)
  const pings: string[] = []
  client.on('ping', (payload) => pings.push(String(payload)))
  upstream.socket.ping('still there?')
  upstream.socket.send('after')
  await message(client)
  assert.deepEqual(pings, ['still there?'])
})

test('a ping of the upstream is answered with exactly one pong', async (t) => {
  const { client, upstream } = await connect(t)
  const pongs: string[] = []
  upstream.socket.on('pong', (payload) => pongs.push(String(payload)))
  upstream.socket.ping('still there?')
  await event(client, 'ping')
  client.send('after')
  await message(upstream.socket)
  assert.deepEqual(pongs, ['still there?'])
})

test('an unsolicited pong passes', async (t) => {
  const { client, upstream } = await connect(t)
  client.pong('heartbeat')
  const [payload] = await event<[Buffer]>(upstream.socket, 'pong')
  assert.equal(String(payload), 'heartbeat')
})

test('an open tunnel is listed with its facts', async (t) => {
  const { proxy, client } = await connect(t)
  client.send('twelve bytes')
  await message(client)
  const [tunnel, ...others] = [...proxy.app.wstunnel.tunnels()]
  assert.ok(tunnel !== undefined && others.length === 0)
  assert.ok(tunnel.id.length > 0 && tunnel.age >= 0 && tunnel.openedAt <= Date.now())
  assert.deepEqual({
    route: tunnel.route,
    client: tunnel.client,
    protocol: tunnel.protocol,
    // head, mask and text one way; head and text the other way
    bytesFromClient: tunnel.bytesFromClient,
    bytesFromUpstream: tunnel.bytesFromUpstream
  }, { route: '/chat/', client: '127.0.0.1', protocol: 'websocket', bytesFromClient: 18, bytesFromUpstream: 14 })
})

test('a tunnel that has ended is not listed', async (t) => {
  const pair = await connect(t)
  await finish(pair)
  assert.deepEqual([...pair.proxy.app.wstunnel.tunnels()], [])
})

test('a tunnel can be closed from outside', async (t) => {
  const { proxy, client, record } = await connect(t)
  client.on('error', () => {})
  const closed = event(client, 'close')
  for (const tunnel of proxy.app.wstunnel.tunnels()) tunnel.close('maintenance')
  const { reason, by } = await record.nextOutcome()
  await closed
  assert.deepEqual([reason, by], ['killed', 'proxy'])
})

test('metrics count an open tunnel as open', async (t) => {
  const { proxy } = await connect(t)
  const { open, opened, active, suspended } = proxy.app.wstunnel.metrics().tunnels
  assert.deepEqual({ open, opened, parts: active + suspended }, { open: 1, opened: 1, parts: 1 })
})

test('metrics and the hook agree on how a tunnel ended and on its bytes', async (t) => {
  const pair = await connect(t)
  pair.client.send('twelve bytes')
  await message(pair.client)
  const outcome = await finish(pair)
  const { tunnels } = pair.proxy.app.wstunnel.metrics()
  assert.deepEqual({
    open: tunnels.open,
    reasons: Object.entries(tunnels.closed).filter(([, count]) => count > 0),
    bytesFromClient: tunnels.bytesFromClient,
    bytesFromUpstream: tunnels.bytesFromUpstream,
    handshakes: tunnels.handshake.count,
    lifetimes: tunnels.lifetime.count
  }, {
    open: 0,
    reasons: [[outcome.reason, 1]],
    bytesFromClient: outcome.bytesFromClient,
    bytesFromUpstream: outcome.bytesFromUpstream,
    handshakes: 1,
    lifetimes: 1
  })
})

test('metrics are broken down by route and upstream', async (t) => {
  const { proxy } = await connect(t)
  const [route] = proxy.app.wstunnel.metrics().routes
  assert.equal(route?.route, '/chat/')
  assert.deepEqual([route.tunnels.opened, route.upstreams[0]?.tunnels.opened], [1, 1])
})

test('a snapshot of the metrics is plain data and does not change', async (t) => {
  const pair = await connect(t)
  const before = pair.proxy.app.wstunnel.metrics()
  const text = JSON.stringify(before)
  await finish(pair)
  assert.deepEqual(JSON.parse(text), before)
})

test('onTunnelOpen and onTunnelClose are each called once', async (t) => {
  const pair = await connect(t)
  await finish(pair)
  await within(pair.proxy.app.close(), 'close()')
  assert.deepEqual([pair.record.opened.length, pair.record.closed.length], [1, 1])
})

test('a hundred sockets at once keep their messages apart', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const answers = await Promise.all(Array.from({ length: 100 }, async (_, index) => {
    const client = await wsClient(t, `${proxy.wsUrl}/${index}`)
    client.send(`message ${index}`)
    return String((await message(client)).data)
  }))
  assert.deepEqual(answers, Array.from({ length: 100 }, (_, index) => `message ${index}`))
})
