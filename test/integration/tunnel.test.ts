import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { dial, hangUp, open, over, stage } from '../fixtures/stage.ts'
import { http1Only } from '../fixtures/front.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

// The ends of a tunnel

test('a half-close of the client reaches the upstream, which can still answer', async (t) => {
  const { client, upstream } = await open(t)
  client.end('last words')
  await upstream.ended
  upstream.end('the answer')
  await client.ended
  assert.deepEqual([String(upstream.unread), String(client.unread)], ['last words', 'the answer'])
})

test('a half-close of the upstream reaches the client, which can still answer', async (t) => {
  const { client, upstream } = await open(t)
  upstream.end('last words')
  await client.ended
  client.end('the answer')
  await upstream.ended
  assert.deepEqual([String(client.unread), String(upstream.unread)], ['last words', 'the answer'])
})

test('a tunnel that the client ended first says so', async (t) => {
  const tunnel = await open(t)
  const { reason, by } = await hangUp(tunnel)
  assert.deepEqual([reason, by], ['client_close', 'client'])
})

test('a tunnel that the upstream ended first says so', async (t) => {
  const { client, upstream, record } = await open(t)
  upstream.end()
  await client.ended
  client.end()
  const { reason, by } = await record.nextOutcome()
  assert.deepEqual([reason, by], ['upstream_close', 'upstream'])
})

test('a reset of the client resets the upstream', async (t) => {
  const tunnel = await open(t)
  await roundTrip(tunnel)
  tunnel.client.reset()
  assert.deepEqual(await tunnel.upstream.closed, { hadError: true })
})

test('a reset of the upstream resets the client', async (t) => {
  const tunnel = await open(t)
  await roundTrip(tunnel)
  tunnel.upstream.reset()
  assert.deepEqual(await tunnel.client.closed, { hadError: true })
})

test('a tunnel that the client reset says so', async (t) => {
  const tunnel = await open(t)
  await roundTrip(tunnel)
  tunnel.client.reset()
  const { reason, by } = await tunnel.record.nextOutcome()
  assert.deepEqual([reason, by], ['client_reset', 'client'])
})

test('a tunnel that the upstream reset says so', async (t) => {
  const tunnel = await open(t)
  await roundTrip(tunnel)
  tunnel.upstream.reset()
  const { reason, by } = await tunnel.record.nextOutcome()
  assert.deepEqual([reason, by], ['upstream_reset', 'upstream'])
})

test('the outcome counts the bytes after the switch and nothing else', async (t) => {
  const tunnel = await open(t)
  await roundTrip(tunnel)
  const { bytesFromClient, bytesFromUpstream } = await hangUp(tunnel)
  assert.deepEqual([bytesFromClient, bytesFromUpstream], [15, 13])
})

test('early bytes are counted', async (t) => {
  const all = await stage(t)
  const { client, connection, head } = await dial(t, all, {}, 'early')
  connection.write(switching(head) + 'soon')
  await client.response()
  client.end()
  await connection.ended
  connection.end()
  const { bytesFromClient, bytesFromUpstream } = await all.record.nextOutcome()
  assert.deepEqual([bytesFromClient, bytesFromUpstream], [5, 4])
})

test('bytes on a connection that carried requests before count from the switch', http1Only('a stream carries one request'), async (t) => {
  const all = await stage(t)
  const client = await rawClient(t, all.proxy.port)
  client.write(requestHead('GET', '/'))
  const plain = await all.upstream.next()
  await plain.head()
  plain.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await client.response()
  client.write(upgradeHead('/'))
  const upstream = await all.upstream.next()
  upstream.write(switching(await upstream.head()))
  await client.response()
  await roundTrip({ client, upstream })
  client.end()
  await upstream.ended
  upstream.end()
  const { bytesFromClient, bytesFromUpstream } = await all.record.nextOutcome()
  assert.deepEqual([bytesFromClient, bytesFromUpstream], [15, 13])
})

test('an upgrade never takes a connection that carried requests', async (t) => {
  const all = await stage(t)
  const client = await rawClient(t, all.proxy.port)
  client.write(requestHead('GET', '/'))
  const plain = await all.upstream.next()
  await plain.head()
  plain.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await client.response()
  await openTunnel(t, all.proxy, all.upstream)
  assert.equal(all.upstream.connections.length, 2)
})

// Timers

test('a tunnel without traffic ends after idleTimeout', async (t) => {
  const { client, upstream, record } = await open(t, { idleTimeout: '300ms' })
  const { reason, by } = await record.nextOutcome()
  await Promise.all([over(client), over(upstream)])
  assert.deepEqual([reason, by], ['idle_timeout', 'proxy'])
})

test('traffic in either direction keeps a tunnel from being idle', async (t) => {
  const { client, upstream, proxy } = await open(t, { idleTimeout: '1s' })
  for (let count = 0; count < 10; count++) {
    await pause(200)
    const [from, to] = count % 2 === 0 ? [client, upstream] : [upstream, client]
    from.write('x')
    await to.read(1)
  }
  assert.equal([...proxy.app.wstunnel.tunnels()].length, 1)
})

test('a half-closed tunnel ends after halfCloseTimeout', async (t) => {
  const { client, upstream, record } = await open(t, { halfCloseTimeout: '300ms' })
  client.end()
  await upstream.ended
  const { reason, by } = await record.nextOutcome()
  assert.deepEqual([reason, by], ['half_close_timeout', 'proxy'])
})

test('a tunnel ends after maxLifetime, busy or not', async (t) => {
  const { client, upstream, record } = await open(t, { maxLifetime: '400ms' })
  const busy = setInterval(() => {
    if (client.socket.writable) client.write('x')
  }, 50)
  t.after(() => clearInterval(busy))
  const { reason, by } = await record.nextOutcome()
  clearInterval(busy)
  await Promise.all([over(client), over(upstream)])
  assert.deepEqual([reason, by], ['max_lifetime', 'proxy'])
})

test('a tunnel whose upstream does not read ends after stallTimeout', async (t) => {
  const { client, upstream, record } = await open(t, { stallTimeout: '500ms' })
  upstream.socket.pause()
  const piece = Buffer.alloc(256 * 1024)
  const flood = (): void => { while (client.socket.writable && client.socket.write(piece)); }
  client.socket.on('drain', flood)
  flood()
  const { reason, by } = await record.nextOutcome()
  assert.deepEqual([reason, by], ['stalled', 'proxy'])
})

test('a tunnel whose client does not read ends after stallTimeout, though the client still sends', async (t) => {
  const { client, upstream, record } = await open(t, { stallTimeout: '500ms' })
  client.socket.pause()
  const piece = Buffer.alloc(256 * 1024)
  const flood = (): void => { while (upstream.socket.writable && upstream.socket.write(piece)); }
  upstream.socket.on('drain', flood)
  flood()
  const busy = setInterval(() => {
    if (client.socket.writable) client.write('x')
  }, 50)
  t.after(() => clearInterval(busy))
  const { reason } = await record.nextOutcome()
  clearInterval(busy)
  assert.equal(reason, 'stalled')
})

// Backpressure

test('a peer that does not read stops the other, and everything arrives when it reads again', async (t) => {
  const total = 64 * 1024 * 1024
  const { client, upstream } = await open(t)
  const far = upstream.takeOver()
  const near = client.takeOver()
  const piece = Buffer.alloc(64 * 1024, 'x')
  let written = 0
  // fills every buffer on the way, until nothing moves any more
  while (near.write(piece)) written += piece.length
  written += piece.length
  for (;;) {
    const drained = await event(near, 'drain', 500).then(() => true, () => false)
    if (!drained) break
    while (near.write(piece)) written += piece.length
    written += piece.length
    assert.ok(written < total, `${written} bytes went somewhere`)
  }
  let read = 0
  far.on('data', (chunk: Buffer) => { read += chunk.length })
  far.resume()
  await until(() => read === written, () => `${written} bytes, ${read} so far`)
})
