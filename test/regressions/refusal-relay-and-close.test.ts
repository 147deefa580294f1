// The refusal of an upgrade was tracked by nobody once its relay had begun: close() waited for it without bound.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

for (const fallbackToHttp of [true, false]) {
  test(`with fallbackToHttp: ${fallbackToHttp}, close() ends a refusal that the upstream does not end`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, fallbackToHttp, drainTimeout: '300ms' })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await client.waitFor('hello')
    await within(proxy.app.close(), 'close(), well after the drain', 2500)
    await within(over(connection), 'the upstream to be left', 1000)
    await within(over(client), 'the client to be left', 1000)
    assert.ok(!client.received.includes('\r\n0\r\n\r\n'), 'the response looks whole')
  })

  test(`with fallbackToHttp: ${fallbackToHttp}, close() ends a refusal that the client does not read`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, fallbackToHttp, drainTimeout: '300ms' })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${(1 << 25) + 5}\r\n\r\nhello`)
    await client.waitFor('hello')
    client.socket.pause()
    connection.write(Buffer.alloc(1 << 25))
    await within(proxy.app.close(), 'close(), well after the drain', 2500)
    await within(over(connection), 'the upstream to be left', 1000)
  })
}

test('close() lets a refusal come to its end', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, drainTimeout: '10s' })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')
  await client.waitFor('hello')
  const closed = proxy.app.close()
  connection.write('hello')
  assert.equal(String((await client.response()).body), 'hellohello')
  client.end()
  await within(closed, 'close()', 2500)
})
