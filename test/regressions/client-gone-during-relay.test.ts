// A client that left while a refusal was relayed to it went unnoticed as long as the upstream was silent, whose connection was
// held until `timeout`.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'
import { watchErrors } from '../life/world.ts'

for (const fallbackToHttp of [true, false]) {
  for (const how of ['end', 'destroy', 'reset'] as const) {
    for (const hook of [false, true]) {
      test(`with fallbackToHttp: ${fallbackToHttp}${hook ? ' and an onSend hook' : ''}, a client that leaves by ${how} lets the upstream go`, async (t) => {
        const errors = watchErrors(t)
        const upstream = await startRawUpstream(t)
        const proxy = await startProxy(t, { upstream: `${upstream.url}/`, fallbackToHttp, timeout: 0, drainTimeout: '60s', limits: { maxTunnels: 1 } }, {
          setup: (app) => {
            if (hook) app.addHook('onSend', async (_request, _reply, payload) => payload)
          }
        })
        const client = await rawClient(t, proxy.port)
        client.write(upgradeHead('/'))
        const connection = await upstream.next()
        await connection.head()
        connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
        await client.waitFor('hello')
        client[how]()
        await within(over(connection), 'the upstream to be left')
        await until(() => proxy.app.wstunnel.metrics().tunnels.refused.upstream === 1, 'the refusal to count')
        await within(proxy.app.close(), 'close(), which has nothing to wait for')
        assert.deepEqual(errors, [])
      })
    }
  }
}

test('what a client sends during the relay is not read as its next request', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const accepted = event<[Socket]>(proxy.app.server, 'connection')
  const client = await rawClient(t, proxy.port)
  const [peer] = await accepted
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhello')
  await client.waitFor('hello')
  const before = peer.bytesRead
  client.write('GET /smuggled HTTP/1.1\r\nHost: front.example\r\n\r\n')
  await until(() => peer.bytesRead > before, 'the bytes to be read')
  connection.write('hello')
  assert.equal(String((await client.response()).body), 'hellohello')
  await over(client)
  assert.equal(upstream.connections.length, 1)
})
