// An offer that cannot be taken up, since it did not come by an 'upgrade' event, was refused with a 400 that kept the connection, and
// what came behind it was served. Node 20 does not see the offer in `Connection: Upgrade<TAB>`; on all versions, one with a body, whose
// path becomes ours only by `rewriteUrl`, is given back before it is routed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

for (const asynchronous of [false, true]) {
  test(`an offer that cannot be taken up is the last on its connection, behind ${asynchronous ? 'asynchronous' : 'no'} hooks`, async (t) => {
    const upstream = await startHttpUpstream(t)
    const proxy = await startProxy(t, {
      prefix: '/in',
      upstream: upstream.wsUrl,
      ...asynchronous ? { preHandler: async () => { await new Promise((resolve) => setImmediate(resolve)) } } : {}
    }, { fastify: { rewriteUrl: ({ url = '' }) => url.replace('/outside', '/in') } })
    const client = await rawClient(t, proxy.port)
    client.write(`${upgradeHead('/outside/a', { headers: { 'Content-Length': '3' } })}abc` + requestHead('GET', '/in/b'))
    const { status, headers } = await client.response()
    assert.equal(status, 400)
    assert.deepEqual(headers.connection, ['close'])
    await client.ended
    assert.equal(upstream.requests.length, 0)
    assert.equal(proxy.app.wstunnel.metrics().tunnels.refused.decision, 1)
  })
}
