// Requests that look like upgrades but did not come by Node's 'upgrade' event: what upgrade() threw at them was an unhandled
// rejection, which ends the process. (The test runner fails a test in which that happens.)

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

const offer = {
  host: 'front.example',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13'
}

test('an upgrade whose URL only rewriteUrl makes ours is a tunnel, or with a body a complete 400', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { path: '/ws', upstream: `${upstream.url}/up` }, {
    fastify: { rewriteUrl: (request) => String(request.url).replace('/old', '/ws') }
  })
  const client = await rawClient(t, proxy.port)
  client.write(`${upgradeHead('/old/x', { headers: { 'Content-Length': '1' } })}x`)
  assert.equal((await client.response()).status, 400)
  assert.equal(upstream.connections.length, 0)
  const tunnel = await within(openTunnel(t, proxy, upstream, '/old/x'), 'the tunnel', 3000)
  assert.match(tunnel.head, /^GET \/up\/x /)
  await roundTrip(tunnel)
})

test('an upgrade goes through a URL that rewriteUrl makes, where the plugin is registered for both', async (t) => {
  const upstream = await startRawUpstream(t)
  const address = `${upstream.url}/up`
  const proxy = await startProxy(t, { routes: [{ path: '/ws', upstream: address }, { path: '/old', upstream: address }] }, {
    fastify: { rewriteUrl: (request) => String(request.url).replace('/old', '/ws') }
  })
  const tunnel = await within(openTunnel(t, proxy, upstream, '/old/x'), 'the tunnel', 3000)
  assert.match(tunnel.head, /^GET \/up\/x /)
  await roundTrip(tunnel)
})

test('an upgrade with early bytes through a URL that rewriteUrl makes is answered, one way or the other', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startProxy(t, { path: '/ws', upstream: `${upstream.url}/up` }, {
    fastify: { rewriteUrl: (request) => String(request.url).replace('/old', '/ws') }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/old/x') + 'early')
  const response = await within(client.response(), 'an answer', 3000)
  assert.ok(response.status >= 400 && response.status < 500, response.rawHead)
})

for (const upgrade of ['websocket', 'ANY', 'NONE']) {
  test(`inject() of an upgrade with upgrade: ${upgrade} is answered`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, upgrade })
    const response = await within(proxy.app.inject({ url: '/x', headers: offer }), 'an answer', 2000)
    assert.equal(response.statusCode, 400)
    assert.equal(upstream.connections.length, 0)
  })
}

test('with upgrade: NONE an empty Upgrade is none: 426', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, upgrade: 'NONE' })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/').replace('Upgrade: websocket', 'Upgrade:'))
  const response = await within(client.response(), 'an answer', 2000)
  assert.equal(response.status, 426)
  assert.equal(upstream.connections.length, 0)
})
