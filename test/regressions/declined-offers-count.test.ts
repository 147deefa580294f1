// Node counts the requests of a connection anew when it is given back: with declined offers a client had as many as it liked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

for (const where of ['an entry', "a route of the user's"]) {
  test(`maxRequestsPerSocket counts declined offers to ${where}`, async (t) => {
    const upstream = await startHttpUpstream(t, (_, response) => response.end('ok'))
    const proxy = await startProxy(t, { upstream: upstream.url }, {
      fastify: { maxRequestsPerSocket: 5 }, setup: (app) => app.get('/own', async () => 'ok')
    })
    const client = await rawClient(t, proxy.port)
    for (let n = 1; n <= 5; n++) {
      client.write(requestHead('GET', where === 'an entry' ? '/x' : '/own', n % 2 === 1 ? { Connection: 'Upgrade', Upgrade: 'h2c' } : {}))
      const { status, headers } = await client.response()
      assert.equal(status, 200)
      assert.deepEqual(headers['connection'], [n < 5 ? 'keep-alive' : 'close'])
    }
    await client.ended
  })
}
