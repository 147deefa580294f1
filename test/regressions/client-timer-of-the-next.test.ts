// The client's timer of a forward stayed on its connection when the forward had ended: it cut the next request there off, of a route of the user's that
// takes longer than `timeout`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

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
