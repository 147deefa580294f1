// Of many upstreams that a function names the oldest is forgotten; it was forgotten, too, while a handshake was under way
// with it, and the tunnel that came of that was in no snapshot.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { roundTrip } from '../fixtures/tunnel.ts'

test('an upstream with a handshake under way is not forgotten', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    upstream: ({ headers }) => headers.upgrade === undefined ? `http://127.0.0.1:1/${String(headers['x-name'])}` : `${upstream.url}/`,
    // The others are chosen, which is enough, but not dialled.
    rewriteRequestHeaders: ({ headers: { upgrade } }, headers) => {
      if (upgrade === undefined) throw new Error('chosen')
      return headers
    },
    drainTimeout: '1s'
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  const head = await connection.head()
  for (let i = 0; i < 1050; i += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, k) => proxy.app.inject({ url: '/', headers: { 'x-name': String(i + k) } })))
  }
  connection.write(switching(head))
  assert.equal((await client.response()).status, 101)
  await roundTrip({ client, upstream: connection })
  const { tunnels } = proxy.app.wstunnel.metrics()
  assert.equal(tunnels.open, 1)
  assert.equal(tunnels.opened, 1)
})
