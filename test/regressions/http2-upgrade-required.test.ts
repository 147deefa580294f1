// A 426 has Upgrade and Connection, which HTTP/2 does not know: Node threw at them, uncaught, and nothing was answered.

import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import type { IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import { test } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'

test('an HTTP/2 request to a target with upgrade: NONE is a 426', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, upgrade: 'NONE' }, { fastify: { http2: true } })
  const session = connect(proxy.url)
  cleanup(t, 'connections', () => session.destroy())
  for (const method of ['GET', 'HEAD']) {
    const request = session.request({ ':path': '/x', ':method': method })
    const [headers] = await event<[IncomingHttpHeaders & IncomingHttpStatusHeader]>(request, 'response', 3000)
    assert.equal(headers[':status'], 426)
    assert.equal(headers.connection, undefined)
    assert.equal(headers.upgrade, undefined)
    request.resume()
    await event(request, 'close', 3000)
  }
  assert.equal(upstream.connections.length, 0)
})
