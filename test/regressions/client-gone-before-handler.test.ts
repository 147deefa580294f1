// A client that left while a hook was at work: the response's 'close' had come before the forward could listen for it, so the
// forward was sent for nobody, never ended, and held close() up.

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'
import { Gate } from './gate.ts'

for (const [method, head] of Object.entries({
  GET: requestHead('GET', '/x'),
  POST: requestHead('POST', '/x', { 'Content-Length': '5' }) + 'hello',
  'unfinished POST': requestHead('POST', '/x', { 'Content-Length': '50' }) + 'hello'
})) {
  test(`a client that leaves during a hook: its ${method} is not sent, and is over`, async (t) => {
    const upstream = await startRawUpstream(t)
    const gate = new Gate<ServerResponse>()
    const proxy = await startProxy(t, {
      upstream: `${upstream.url}/`,
      drainTimeout: '4s',
      preHandler: async (_request, reply) => { await gate.pass(reply.raw) }
    })
    const client = await rawClient(t, proxy.port)
    client.write(head)
    const response = await gate.reached
    const closed = event(response, 'close')
    client.destroy()
    await closed
    gate.open()
    const { forwards } = proxy.app.wstunnel.metrics()
    assert.equal(forwards.inFlight, 0)
    await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the forward to count as aborted', 2000)
    assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
    await within(proxy.app.close(), 'close(), which has nothing to wait for', 2000)
    assert.equal(upstream.connections.length, 0)
  })
}

test('a client that leaves during a hook: an upstream function is not asked', async (t) => {
  const upstream = await startRawUpstream(t)
  const gate = new Gate<ServerResponse>()
  let asked = 0
  const proxy = await startProxy(t, {
    upstream: () => { asked++; return upstream.httpUrl },
    drainTimeout: '4s',
    preHandler: async (_request, reply) => { await gate.pass(reply.raw) }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/x'))
  const closed = event(await gate.reached, 'close')
  client.destroy()
  await closed
  gate.open()
  await within(proxy.app.close(), 'close(), which has nothing to wait for', 2000)
  assert.equal(asked, 0)
  assert.equal(upstream.connections.length, 0)
})
