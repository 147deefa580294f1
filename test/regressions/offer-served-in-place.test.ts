// Node's server stops telling a response of its socket's 'drain' and 'timeout' once it has seen an upgrade there. So an offer that is answered
// as an ordinary request had no bound for a client that reads nothing, and beside @fastify/websocket a long answer stopped half-way.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import websocket from '@fastify/websocket'
import wstunnel from '../../lib/index.ts'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

for (const connectionTimeout of [0, 60_000]) {
  const which = connectionTimeout === 0 ? '' : ', on a server with a connectionTimeout'
  test(`a client that takes nothing of the answer to an offer is cut off after timeout${which}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: 'ws://127.0.0.1:9' }, {
      fastify: { connectionTimeout },
      after: (app) => { app.register(wstunnel, { prefix: '/api', upstream: upstream.httpUrl, timeout: '200ms' }) }
    })
    const client = await rawClient(t, proxy.port)
    client.socket.pause()
    client.write(upgradeHead('/api/x'))
    const connection = await upstream.next()
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n')
    connection.write(Buffer.alloc(20_000_000))
    await connection.closed
    await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the end of the forward')
  })
}

test('a long refusal of a handshake arrives whole beside @fastify/websocket', async (t) => {
  const body = Buffer.alloc(8_000_000, 'x')
  const upstream = await startHttpUpstream(t, (_, response) => { response.writeHead(403, { 'content-length': body.length }).end(body) })
  const proxy = await startProxy(t, { upstream: upstream.url.replace('http', 'ws') }, { setup: async (app) => { await app.register(websocket) } })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/x'))
  const response = await client.response()
  assert.equal(response.status, 403)
  assert.ok(response.body.equals(body))
})

test('a tunnel beside @fastify/websocket does not keep the response, which its socket was telling', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, { setup: async (app) => { await app.register(websocket) } })
  const accepted = once(proxy.app.server, 'connection')
  await wsClient(t, `${proxy.wsUrl}/`)
  const [socket] = await accepted as [Socket]
  const left = socket.listeners('timeout').map(({ name }) => name)
  assert.ok(!left.includes('onUpgradeSocketTimeout'), String(left))
})
