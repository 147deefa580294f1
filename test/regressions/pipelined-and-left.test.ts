// Node tells only the response whose turn it is that its connection has closed, not those that wait behind it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

const count = 30

test('a client that leaves ends all of its pipelined forwards', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.after(() => process.off('warning', onWarning))
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/x').repeat(count))
  const connection = await upstream.next()
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 1, 'the first to be in flight')
  client.reset()
  await connection.ended
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'no forward in flight')
  assert.equal(proxy.app.wstunnel.metrics().forwards.aborted, count)
  assert.deepEqual(warnings, [])
})

test('a response with Connection: close ends the forwards that wait behind it', async (t) => {
  const arrived = deferred()
  const reached = deferred()
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    upstream: `${upstream.url}/`,
    preHandler: async (request, reply) => {
      if (request.url !== '/first') return reached.resolve()
      await arrived.promise
      return reply.code(401).header('connection', 'close').send()
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
  await reached.promise
  arrived.resolve()
  assert.equal((await client.response()).status, 401)
  client.end()
  await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the second to be over')
  assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
  assert.equal(upstream.connections.length, 0)
})

test('a pipelined forward whose client leaves during a hook is not sent', async (t) => {
  const held = deferred()
  const entered = deferred()
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    upstream: `${upstream.url}/`,
    preHandler: async (request) => {
      if (request.url !== '/second') return
      entered.resolve()
      await held.promise
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
  const first = await upstream.next()
  await first.head()
  await entered.promise
  client.reset()
  await first.ended
  held.resolve()
  await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 2, 'both to be over')
  assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
  assert.equal(upstream.connections.some(({ received }) => received.includes('/second')), false)
})
