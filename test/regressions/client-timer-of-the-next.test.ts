// The client's timer of a forward stayed on its connection when the forward had ended: it cut the next request there off, of a route of the user's that
// takes longer than `timeout`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

test('the timer of a forward is not for the request behind it', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => request.pipe(response))
  const proxy = await startProxy(t, { prefix: '/app', upstream: upstream.url, timeout: '100ms' }, {
    setup: (app) => app.get('/slow', async () => await new Promise((resolve) => setTimeout(resolve, 400, 'own')))
  })
  const client = await rawClient(t, proxy.port)
  client.write(`${requestHead('POST', '/app/', { 'Content-Length': '5' })}hello${requestHead('GET', '/slow')}`)
  assert.equal(String((await client.response()).body), 'hello')
  assert.equal(String((await client.response()).body), 'own')
})

test('nor is the timer of one that was refused before its turn', async (t) => {
  const upstream = await startHttpUpstream(t, () => {})
  const routes = [{ path: '/long', upstream: upstream.url }, { path: '/app', upstream: upstream.url, timeout: '100ms' as const }]
  const proxy = await startProxy(t, { limits: { maxForwards: 1 }, routes }, {
    setup (app) {
      for (const ms of [50, 400]) app.get(`/slow${ms}`, async () => await new Promise((resolve) => setTimeout(resolve, ms, 'own')))
    }
  })
  const other = await rawClient(t, proxy.port)
  other.write(requestHead('GET', '/long'))
  await until(() => upstream.requests.length === 1, 'the forward that takes the only place')
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/slow50') + requestHead('GET', '/app') + requestHead('GET', '/slow400'))
  assert.equal(String((await client.response()).body), 'own')
  assert.equal((await client.response()).status, 503)
  assert.equal(String((await client.response()).body), 'own')
})
