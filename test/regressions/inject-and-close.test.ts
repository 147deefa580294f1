// The socket of inject() is no socket: to end a forward of it threw in the timer of the drain, uncaught, and close() hung.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

test('close() ends the forward of an inject(), and those after it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, drainTimeout: '200ms' })
  const injected = proxy.app.inject('/x').then((response) => response.statusCode, (error: Error) => error.message)
  const first = await upstream.next()
  await first.head()
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/x'))
  const second = await upstream.next()
  await second.head()
  await within(proxy.app.close(), 'close()', 2500)
  await within(Promise.all([over(first), over(second), over(client)]), 'every connection to end', 1000)
  await within(injected, 'inject() to say something', 1000)
})

test('the forward of an inject() that ends while the server closes is whole', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, drainTimeout: '10s' })
  const injected = proxy.app.inject('/x')
  injected.catch(() => {})
  const connection = await upstream.next()
  await connection.head()
  const closed = proxy.app.close()
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const response = await within(Promise.resolve(injected), 'the response', 2000)
  assert.equal(response.statusCode, 200)
  assert.equal(response.body, 'ok')
  await within(closed, 'close()', 2500)
})
