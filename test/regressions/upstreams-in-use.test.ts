// Of more than a thousand upstreams that a function named at once, some were forgotten between their choice and their use: they were dialled
// all the same, were in no snapshot, and their connections outlived close().

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const count = 1200

test('all of many upstreams in use at once are counted, and none has a connection left when the server has closed', { timeout: 60_000 }, async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('ok'))
  const proxy = await startProxy(t, { upstream: async ({ headers }) => `${upstream.url}/${String(headers['x-name'])}` })
  const answers = await Promise.all(Array.from({ length: count }, (_, i) => proxy.app.inject({ url: '/', headers: { 'x-name': String(i) } })))
  assert.deepEqual([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  const { forwards, routes } = proxy.app.wstunnel.metrics()
  assert.deepEqual([forwards.duration.count, forwards.inFlight], [count, 0])
  await proxy.app.inject({ url: '/', headers: { 'x-name': 'last' } })
  await until(() => (proxy.app.wstunnel.metrics().routes[0]?.upstreams.length ?? 0) <= 1000, 'the oldest to be forgotten')
  assert.ok((routes[0]?.upstreams.length ?? 0) >= 1000)
  await proxy.app.close()
  await until(() => upstream.sockets.every(({ destroyed }) => destroyed), 'the end of all connections')
})
