// A request that undici refuses before it sends anything, such as one with two Host fields: the connection that was dialled for it was neither given
// back nor ended, and its place in the pool was lost.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

for (const disableReuse of [false, true]) {
  test(`a request that cannot be written leaves its place to the next${disableReuse ? ', without reuse' : ''}`, async (t) => {
    const upstream = await startHttpUpstream(t, (_, response) => { response.end('ok') })
    const proxy = await startProxy(t, {
      upstream: upstream.url,
      disableReuse,
      timeout: 2000,
      limits: { maxConnectionsPerUpstream: 1 },
      rewriteRequestHeaders: (request, headers) => request.method === 'PUT' ? { ...headers, host: ['one.example', 'two.example'] } : headers
    })
    const ask = async (method: 'GET' | 'PUT'): Promise<number> => (await fetch(proxy.url, { method })).status
    assert.deepEqual([await ask('PUT'), await ask('PUT'), await ask('GET'), await ask('PUT'), await ask('GET')], [500, 500, 200, 500, 200])
    assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
    assert.equal(await ask('PUT'), 500)
    await until(() => upstream.sockets.every(({ destroyed }) => destroyed), 'the end of the connections')
  })
}
