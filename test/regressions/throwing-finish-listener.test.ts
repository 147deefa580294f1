// A listener of the response's 'finish' event that throws: it runs as the tunnel begins, which completes the request. The tunnel never came to be, but
// its client was left with an open connection that nobody read, and the metrics counted it as open for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { type Proxy, startProxy } from '../fixtures/proxy.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'

test('a client whose tunnel cannot begin is not left waiting, and leaves its place', async (t) => {
  let throwing = true
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnels: 1 } }, {
    setup (app) {
      app.addHook('preHandler', async (_, reply) => {
        if (throwing) reply.raw.on('finish', () => { throw new Error('not today') })
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  connection.write(switching(await connection.head()))
  await client.ended
  await connection.ended
  assert.deepEqual(counts(proxy), { open: 0, opened: 0, suspended: 0 })
  throwing = false
  await roundTrip(await openTunnel(t, proxy, upstream))
  assert.equal([...proxy.app.wstunnel.tunnels()].length, 1)
  assert.deepEqual(counts(proxy), { open: 1, opened: 1, suspended: 1 })
})

function counts ({ app }: Proxy): { open: number, opened: number, suspended: number } {
  const { open, opened, suspended } = app.wstunnel.metrics().tunnels
  return { open, opened, suspended }
}
