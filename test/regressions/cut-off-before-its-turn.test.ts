// Node 24 forgets that a response was destroyed while it waited for its turn behind another: it was sent, never to end, on a
// connection that stayed open.

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

const half = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsec'

test('a pipelined response that its upstream cuts off ends the connection behind the one before it', async (t) => {
  const upstream = await startRawUpstream(t)
  const responses = new Map<string, ServerResponse>()
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, preHandler: async (request, reply) => { responses.set(request.url, reply.raw) } })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
  const connections = [await upstream.next(), await upstream.next()]
  const heads = await Promise.all(connections.map((connection) => connection.head()))
  const [first, second] = heads[0]?.startsWith('GET /first') === true ? connections : connections.toReversed()
  second?.write(half)
  await until(() => proxy.app.wstunnel.metrics().forwards.bytesFromUpstream === 3, 'half of the second response')
  second?.reset()
  await until(() => responses.get('/second')?.destroyed === true, 'the second response to be given up')
  first?.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst')
  assert.equal((await client.response()).body.toString(), 'first')
  await client.ended
  assert.equal(client.unread.toString(), '')
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'no forward in flight')
  assert.equal(proxy.app.wstunnel.metrics().forwards.failed, 1)
})

test('a pipelined response that a drain cuts off does not hold close() up', async (t) => {
  const held = deferred()
  const upstream = await startRawUpstream(t)
  let response: ServerResponse | undefined
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, drainTimeout: '100ms', preHandler: async (_, reply) => { response = reply.raw } }, {
    setup: (app) => {
      app.get('/own', async () => {
        await held.promise
        return 'own'
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/own') + requestHead('GET', '/second'))
  const second = await upstream.next()
  await second.head()
  second.write(half)
  await until(() => proxy.app.wstunnel.metrics().forwards.bytesFromUpstream === 3, 'half of the second response')
  const closed = proxy.app.close()
  await until(() => response?.destroyed === true, 'the second response to be given up')
  held.resolve()
  assert.equal((await client.response()).body.toString(), 'own')
  await client.ended
  client.end()
  await within(closed, 'the server to be closed')
})
