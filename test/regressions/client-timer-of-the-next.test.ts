// The client's timer of a forward stayed on its connection when the forward had ended: it cut the next request there off, of a route of the user's that
// takes longer than `timeout`.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

/** A route that answers when it is told to. */
function addSlow (app: FastifyInstance, path: string): { answer: () => void, readonly socket: Socket | undefined } {
  const { promise, resolve } = deferred<string>()
  const route = { answer: () => resolve('own'), socket: undefined as Socket | undefined }
  app.get(path, async (request) => {
    route.socket = request.raw.socket
    return await promise
  })
  return route
}

test('the timer of a forward is not for the request behind it', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => request.pipe(response))
  let slow: ReturnType<typeof addSlow> | undefined
  const proxy = await startProxy(t, { prefix: '/app', upstream: upstream.url, timeout: '10s' }, {
    setup (app) { slow = addSlow(app, '/slow') }
  })
  const client = await rawClient(t, proxy.port)
  client.write(`${requestHead('POST', '/app/', { 'Content-Length': '5' })}hello${requestHead('GET', '/slow')}`)
  assert.equal(String((await client.response()).body), 'hello')
  assert.equal(slow?.socket?.timeout, 0)
  slow?.answer()
  assert.equal(String((await client.response()).body), 'own')
})

test('nor is the timer of one that was refused before its turn', async (t) => {
  const upstream = await startHttpUpstream(t, () => {})
  const routes = [{ path: '/long', upstream: upstream.url }, { path: '/app', upstream: upstream.url, timeout: '10s' as const }]
  let slow: Array<ReturnType<typeof addSlow>> = []
  const proxy = await startProxy(t, { limits: { maxForwards: 1 }, routes }, {
    setup (app) { slow = [addSlow(app, '/first'), addSlow(app, '/last')] }
  })
  const other = await rawClient(t, proxy.port)
  other.write(requestHead('GET', '/long'))
  await until(() => upstream.requests.length === 1, 'the forward that takes the only place')
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/app') + requestHead('GET', '/last'))
  await until(() => slow[1]?.socket !== undefined, 'all three')
  slow[0]?.answer()
  assert.equal(String((await client.response()).body), 'own')
  assert.equal((await client.response()).status, 503)
  assert.ok(!((slow[1]?.socket?.timeout ?? 0) > 0), 'a timer is left')
  slow[1]?.answer()
  assert.equal(String((await client.response()).body), 'own')
})
