import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, over, stage } from '../fixtures/stage.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

// allowedOrigins and limits

test('an origin that is allowed may open a tunnel', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, allowedOrigins: ['https://good.example'] })
  await roundTrip(await openTunnel(t, proxy, upstream, '/', { headers: { Origin: 'https://good.example' } }))
})

for (const origin of ['https://evil.example', 'https://good.example.evil.example', 'https://evilgood.example', 'null', 'http://good.example', undefined]) {
  test(`the origin ${origin} is refused when https://good.example is allowed`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.url, allowedOrigins: ['https://good.example'] })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/', { headers: { Origin: origin } }))
    const { status } = await client.response()
    assert.deepEqual([status, upstream.connections.length], [403, 0])
  })
}

test('a tunnel beyond maxTunnels is a 503 with Retry-After, and nothing is dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnels: 1 } })
  await openTunnel(t, proxy, upstream)
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const { status, headers } = await client.response()
  assert.deepEqual([status, headers['retry-after']?.length, upstream.connections.length], [503, 1, 1])
})

test('a tunnel that has ended makes room for another', async (t) => {
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnels: 1 }, ...record.hooks })
  for (let count = 0; count < 3; count++) {
    const tunnel = await openTunnel(t, proxy, upstream)
    tunnel.client.end()
    tunnel.upstream.end()
    await record.nextOutcome()
  }
  assert.equal(proxy.app.wstunnel.metrics().tunnels.opened, 3)
})

test('upgrades that failed make room for others', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnels: 1 } })
  for (let count = 0; count < 3; count++) {
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
    assert.equal((await client.response()).status, 403)
  }
  await openTunnel(t, proxy, upstream)
})

// drain()

test('during drain() an upgrade is a 503 with Retry-After', async (t) => {
  const all = await open(t, {})
  const draining = all.proxy.app.wstunnel.drain({ timeout: '60s' })
  const client = await rawClient(t, all.proxy.port)
  client.write(upgradeHead('/'))
  const { status, headers } = await client.response()
  all.client.destroy()
  all.upstream.destroy()
  await within(draining, 'the drain')
  assert.deepEqual([status, headers['retry-after']?.length], [503, 1])
})

test('drain() says so in the metrics', async (t) => {
  const { proxy } = await stage(t)
  const before = proxy.app.wstunnel.metrics().draining
  await proxy.app.wstunnel.drain({ timeout: '1s' })
  assert.deepEqual([before, proxy.app.wstunnel.metrics().draining], [false, true])
})

test('drain() resolves when the last tunnel has ended by itself', async (t) => {
  const { client, upstream, proxy, record } = await open(t, { upgrade: 'websocket' })
  const draining = proxy.app.wstunnel.drain({ timeout: '60s' })
  client.end()
  upstream.end()
  await within(draining, 'the drain')
  assert.equal(record.closed.length, 1)
})

test('drain() ends what still lives at its timeout', async (t) => {
  const { client, upstream, proxy, record } = await open(t)
  await within(proxy.app.wstunnel.drain({ timeout: '300ms' }), 'the drain', 2000)
  await Promise.all([over(client), over(upstream)])
  assert.deepEqual(record.closed.map(({ reason, by }) => [reason, by]), [['drained', 'proxy']])
})

test('drain() without tunnels resolves at once', async (t) => {
  const { proxy } = await stage(t)
  await within(proxy.app.wstunnel.drain({ timeout: '60s' }), 'the drain', 1000)
})
