// undici 7 asserts that nothing holds its parser when a connection ends that is not to be kept (nodejs/undici#5360), and what it
// throws then ends the process: an upstream's `Connection: close` and a client that takes its response slowly were enough.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const size = 65_000
const data = 'x'.repeat(size)

// The end is seen only where nothing of the response is left in the socket: not with chunks, whose end is.
for (const field of ['X-Length: none', `Content-Length: ${size}`]) {
  test(`a response that is held back when its connection ends comes whole: ${field}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.httpUrl }, {
      setup: (app) => {
        app.addHook('onSend', async (_request, _reply, payload) => {
          const [connection] = upstream.connections
          connection?.write(data.slice(1))
          connection?.end()
          await connection?.closed
          return payload
        })
      }
    })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n${field}\r\n\r\n${data.slice(0, 1)}`)
    const response = await client.response()
    assert.deepEqual([response.status, response.body.length], [200, size])
  })
}

test('a response that is held back when its connection is reset is cut off', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl }, {
    setup: (app) => {
      app.addHook('onSend', async (_request, _reply, payload) => {
        if (typeof payload === 'string') return payload // our 502
        const connection = upstream.connections[0]
        const gone = once(payload as Readable, 'close')
        connection?.write(data)
        await until(() => (payload as Readable).readableLength > size, 'the response to be held back')
        connection?.reset()
        await gone
        return payload
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx')
  assert.equal((await client.response()).status, 502)
})
