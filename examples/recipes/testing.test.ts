// Your own tests: a real port, since `inject()` has no connection, and a short drain, so that closing takes no ten seconds.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import fastify from 'fastify'
import wstunnel, { type WstunnelOptions } from 'fastify-wstunnel'
import { WebSocket } from 'ws'
import { startUpstream } from '../upstream.ts'

async function start (t: TestContext, options: WstunnelOptions): Promise<string> {
  const app = fastify()
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers.authorization === undefined) return await reply.code(401).send()
  })
  app.register(wstunnel, { drainTimeout: '100ms', ...options })
  t.after(() => app.close())
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

test('a tunnel echoes, and is told to go when the server closes', async (t) => {
  const upstream = await startUpstream()
  t.after(() => upstream.close())
  const url = await start(t, { upstream: upstream.url })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/echo`, { headers: { authorization: 'x' } })
  t.after(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  const [data] = await once(socket, 'message') as [Buffer]
  assert.equal(String(data), 'hello')
})

test('a refusal is a response', async (t) => {
  const url = await start(t, { upstream: 'ws://127.0.0.1:9/' })
  const socket = new WebSocket(url.replace('http', 'ws')).on('error', () => {})
  const [, response] = await once(socket, 'unexpected-response')
  assert.equal(response.statusCode, 401)
})

test('an upstream that is down is a 503', async (t) => {
  const url = await start(t, { upstream: 'ws://127.0.0.1:9/' })
  const response = await fetch(url, { headers: { authorization: 'x' } })
  assert.equal(response.status, 503)
  assert.equal((await response.json() as { code: string }).code, 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE')
})
