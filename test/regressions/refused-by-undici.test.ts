// A request that undici refuses before it sends anything: the connection that was dialled for it was neither given back nor ended, and its place in the
// pool was lost. Node's lenient parser takes a control character in a field, and a rewrite function could return two Host fields, which an upgrade sent.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

for (const disableReuse of [false, true]) {
  test(`a request that cannot be written leaves its place to the next${disableReuse ? ', without reuse' : ''}`, async (t) => {
    const upstream = await startHttpUpstream(t, (_, response) => { response.end('ok') })
    const proxy = await startProxy(t, { upstream: upstream.url, disableReuse, timeout: 2000, limits: { maxConnectionsPerUpstream: 1 } }, {
      fastify: { http: { insecureHTTPParser: true } } as object
    })
    const ask = async (field: string): Promise<number> => {
      const client = await rawClient(t, proxy.port)
      client.write(requestHead('GET', '/', { 'X-Field': field }))
      return (await client.response()).status
    }
    assert.deepEqual([await ask('\x01'), await ask('\x01'), await ask('ok'), await ask('\x01'), await ask('ok')], [500, 500, 200, 500, 200])
    assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
    assert.equal(await ask('\x01'), 500)
    await until(() => upstream.sockets.every(({ destroyed }) => destroyed), 'the end of the connections')
  })
}

test('two Host fields of a rewrite function are a 500 for a forward and for an upgrade, and nobody is dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, rewriteRequestHeaders: (_, headers) => ({ ...headers, host: headers['x-host'] }) })
  for (const head of [requestHead('GET', '/', { 'X-Host': ['one', 'two'] }), upgradeHead('/', { headers: { 'X-Host': ['one', 'two'] } })]) {
    const client = await rawClient(t, proxy.port)
    client.write(head)
    const { status, body } = await client.response()
    assert.deepEqual([status, JSON.parse(String(body)).code], [500, 'FST_WSTUNNEL_INVALID_HEADER'])
  }
  assert.equal(upstream.connections.length, 0)
})
