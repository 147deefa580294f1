// A 304 may say how long the body would have been (RFC 9110, 8.6). undici misses that body.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

test('a 304 with a Content-Length is whole, and the connection goes on', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.writeHead(304, { 'content-length': 5, etag: '"1"' }).end())
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  for (let i = 0; i < 2; i++) {
    client.write(requestHead('GET', '/x'))
    const response = await client.response()
    assert.equal(response.status, 304)
    assert.deepEqual(response.headers.etag, ['"1"'])
    assert.deepEqual(response.headers['content-length'], ['5'])
    assert.equal(response.headers.connection?.includes('close') ?? false, false)
  }
  const { forwards } = proxy.app.wstunnel.metrics()
  assert.deepEqual([forwards.inFlight, forwards.failed, forwards.aborted, forwards.status['3xx']], [0, 0, 0, 2])
})
