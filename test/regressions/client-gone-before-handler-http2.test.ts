// The same as for HTTP/1.1: an HTTP/2 response has no `destroyed`, and was taken for one that somebody waits for.

import assert from 'node:assert/strict'
import type { Http2ServerResponse } from 'node:http2'
import { connect, constants } from 'node:http2'
import { test } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'
import { watchErrors } from '../life/world.ts'
import { Gate } from './gate.ts'

for (const method of ['GET', 'POST']) {
  for (const how of ['cancels the stream', 'ends the session', 'destroys the session'] as const) {
    test(`an HTTP/2 client that ${how} during a hook: its ${method} is not sent, and is over`, async (t) => {
      const errors = watchErrors(t)
      const upstream = await startRawUpstream(t)
      const gate = new Gate<Http2ServerResponse>()
      const proxy = await startProxy(t, {
        upstream: `${upstream.httpUrl}/`,
        drainTimeout: '4s',
        preHandler: async (_request, reply) => { await gate.pass(reply.raw as unknown as Http2ServerResponse) }
      }, { fastify: { http2: true } })
      const session = connect(proxy.url)
      session.on('error', () => {})
      cleanup(t, 'connections', () => session.destroy())
      const request = session.request({ ':path': '/x', ':method': method }, { endStream: method === 'GET' })
      request.on('error', () => {})
      if (method === 'POST') request.write('hello')
      const response = await gate.reached
      const closed = event(response.stream, 'close')
      if (how === 'cancels the stream') request.close(constants.NGHTTP2_CANCEL)
      else session.destroy(undefined, how === 'ends the session' ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_INTERNAL_ERROR)
      await closed
      gate.open()
      session.destroy()
      await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the forward to count as aborted', 2000)
      await within(proxy.app.close(), 'close(), which has nothing to wait for', 3000)
      const { forwards } = proxy.app.wstunnel.metrics()
      assert.deepEqual([forwards.inFlight, forwards.aborted, forwards.failed], [0, 1, 0])
      assert.equal(upstream.connections.length, 0)
      assert.deepEqual(errors, [])
    })
  }
}
