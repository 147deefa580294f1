// A connection that was reset has no peer's address any more, although what came before can still be read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

test('of a client that resets right behind its request no forward reaches the upstream without X-Forwarded-For', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('ok'))
  const addresses: unknown[] = []
  const proxy = await startProxy(t, {
    upstream: upstream.url,
    preHandler: (request, _, done) => {
      addresses.push(request.ip)
      done()
    }
  })
  let closed = 0
  proxy.app.server.on('connection', (socket) => socket.once('close', () => { closed++ }))
  for (let i = 0; i < 10; i++) {
    // So that there is an idle connection to the upstream, which a request goes out on at once.
    assert.equal(await (await fetch(proxy.url, { headers: { connection: 'close' } })).text(), 'ok')
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/x'))
    client.reset()
    await until(() => closed === 2 * (i + 1), 'the connections to be closed')
  }
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'all forwards to be over')
  assert.ok(addresses.includes(undefined), 'no client was gone in time')
  for (const { headers } of upstream.requests) assert.equal(headers['x-forwarded-for'], '127.0.0.1')
})
