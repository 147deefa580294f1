import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, dial, over, stage } from '../fixtures/stage.ts'
import { http1Only } from '../fixtures/front.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { acceptOf, headerOf, headersOf, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

// Dial first

test('the client hears nothing before the upstream has answered', async (t) => {
  const all = await stage(t)
  const { client } = await dial(t, all)
  // a whole tunnel of somebody else: by then a premature 101 would be here
  await roundTrip(await openTunnel(t, all.proxy, all.upstream))
  assert.equal(client.received.length, 0)
})

test('the 101 of the upstream reaches the client with its headers', async (t) => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ=='
  const { response } = await answered(
    t,
    (connection, head) => connection.write(switching(head, { 'X-Server': 'me', 'Sec-WebSocket-Protocol': 'v2' })),
    {},
    { key, protocol: 'v1, v2' }
  )
  assert.deepEqual([
    response.status,
    response.headers['upgrade'],
    response.headers['connection']?.map((value) => value.toLowerCase()),
    response.headers['sec-websocket-accept'],
    response.headers['sec-websocket-protocol'],
    response.headers['x-server']
  ], [101, ['websocket'], ['upgrade'], [acceptOf(key)], ['v2'], ['me']])
})

test('several Set-Cookie headers of a 101 stay apart', async (t) => {
  const { response } = await answered(t, (connection, head) =>
    connection.write(switching(head).replace('\r\n\r\n', '\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n')))
  assert.deepEqual(response.headers['set-cookie'], ['a=1', 'b=2'])
})

test('rewriteHeaders sees a 101, too', async (t) => {
  const { response } = await answered(t, (connection, head) => connection.write(switching(head)), {
    rewriteHeaders: (headers) => ({ ...headers, 'set-cookie': 'route=1' })
  })
  assert.deepEqual([response.status, response.headers['set-cookie']], [101, ['route=1']])
})

test('Content-Length and Transfer-Encoding of a 101 do not reach the client', async (t) => {
  const { response } = await answered(t, (connection, head) => connection.write(switching(head, { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' })))
  assert.deepEqual([response.status, response.headers['content-length'], response.headers['transfer-encoding']], [101, undefined, undefined])
})

test('the upstream sees the handshake headers of the client', http1Only('the key is ours'), async (t) => {
  const key = 'dGhlIHNhbXBsZSBub25jZQ=='
  const { head } = await dial(t, await stage(t), {
    key,
    protocol: 'v1, v2',
    headers: {
      Origin: 'https://front.example',
      Cookie: 'a=1; b=2',
      Authorization: 'Bearer x',
      'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'
    }
  })
  assert.deepEqual(
    ['upgrade', 'sec-websocket-key', 'sec-websocket-version', 'sec-websocket-protocol', 'sec-websocket-extensions', 'origin', 'cookie', 'authorization']
      .map((name) => headersOf(head, name)),
    [['websocket'], [key], ['13'], ['v1, v2'], ['permessage-deflate; client_max_window_bits'], ['https://front.example'], ['a=1; b=2'], ['Bearer x']]
  )
})

test('the upstream is told who the upgrading client is', async (t) => {
  const all = await stage(t)
  const { head } = await dial(t, all, { headers: { 'X-Forwarded-For': '6.6.6.6' } })
  assert.deepEqual(
    ['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'].map((name) => headersOf(head, name)),
    [[`127.0.0.1:${all.upstream.port}`], ['127.0.0.1'], ['front.example'], ['http']]
  )
})

test('with preserveHost the upstream sees the Host of the upgrading client', async (t) => {
  const { head } = await dial(t, await stage(t, { preserveHost: true }), { host: 'front.example:8080' })
  assert.deepEqual(headersOf(head, 'host'), ['front.example:8080'])
})

test('rewriteRequestHeaders has a say in the handshake', async (t) => {
  const { head } = await dial(t, await stage(t, { rewriteRequestHeaders: (_request, headers) => ({ ...headers, 'x-token': 'secret' }) }))
  assert.equal(headerOf(head, 'x-token'), 'secret')
})

test('Connection cannot take away what the handshake needs', http1Only('there is no Connection'), async (t) => {
  const { head } = await dial(t, await stage(t), {
    headers: { Connection: 'Upgrade, Sec-WebSocket-Key, Cookie, X-Forwarded-For, X-Mine', Cookie: 'a=1', 'X-Mine': '1' }
  })
  assert.deepEqual(
    [headerOf(head, 'sec-websocket-key')?.length, headerOf(head, 'cookie'), headerOf(head, 'x-forwarded-for'), headerOf(head, 'x-mine')],
    [24, 'a=1', '127.0.0.1', undefined]
  )
})

test('path and query of an upgrade reach the upstream raw', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { path: '/ws/', upstream: `${upstream.url}/app/` })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/ws/a%20b/%41?token=a%2Bb+c&x'))
  const head = await (await upstream.next()).head()
  assert.equal(head.split('\r\n')[0], 'GET /app/a%20b/%41?token=a%2Bb+c&x HTTP/1.1')
})

for (const path of ['/ws/../admin', '/ws/%2e%2e/admin', '/ws/..%2fadmin', '/ws/a/../../admin', '/ws\\..\\admin']) {
  test(`an upgrade of ${path} does not escape from the prefix`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { path: '/ws/', upstream: `${upstream.url}/app/` })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead(path))
    const { status } = await client.response()
    assert.deepEqual([Math.floor(status / 100), upstream.connections.length], [4, 0])
  })
}

// Early bytes

test('no byte after the head reaches the upstream before its 101', async (t) => {
  const all = await stage(t)
  const { connection, head } = await dial(t, all, {}, 'EARLY')
  await roundTrip(await openTunnel(t, all.proxy, all.upstream))
  assert.equal(connection.received.length, head.length)
})

test('bytes that the client sent before the 101 arrive after it, in order', async (t) => {
  const all = await stage(t)
  const { client, connection, head } = await dial(t, all, {}, 'one ')
  client.write('two ')
  connection.write(switching(head))
  await client.response()
  client.write('three')
  assert.equal(String(await connection.read(13)), 'one two three')
})

test('bytes that the upstream sent with its 101 arrive after it, in order', async (t) => {
  const all = await stage(t)
  const { client, connection, head } = await dial(t, all)
  connection.write(switching(head) + 'one ')
  await client.response()
  connection.write('two')
  assert.equal(String(await client.read(7)), 'one two')
})

for (const when of ['with', 'after'] as const) {
  test(`early bytes that come ${when} the head, beyond the limit, are not read before the 101`, async (t) => {
    const all = await stage(t, { limits: { earlyData: 1000 } })
    // far more than what the sockets on the way hold
    const flood = Buffer.alloc(64 * 1024 * 1024)
    const { client } = await dial(t, all, {}, when === 'with' ? flood : '')
    if (when === 'after') client.write(flood)
    const drained = await event(client.socket, 'drain', 500).then(() => true, () => false)
    assert.equal(drained, false)
  })
}

test('early bytes beyond the limit wait at the client and are not lost', async (t) => {
  const early = Buffer.alloc(1024 * 1024, 'x')
  const all = await stage(t, { limits: { earlyData: 1000 } })
  const { client, connection, head } = await dial(t, all, {}, early)
  connection.write(switching(head))
  await client.response()
  await connection.waitFor(head.length + early.length)
  assert.equal(connection.received.length, head.length + early.length)
})

// Clients that leave

test('a client that resets during the handshake ends it at the upstream', async (t) => {
  const all = await stage(t)
  const { client, connection } = await dial(t, all)
  client.reset()
  await over(connection)
})

test('a client that resets during the handshake opens no tunnel', async (t) => {
  const all = await stage(t)
  const { client, connection } = await dial(t, all)
  client.reset()
  await over(connection)
  await within(all.proxy.app.close(), 'close()')
  assert.deepEqual([all.record.opened, all.record.closed], [[], []])
})
