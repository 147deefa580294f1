// Two things were kept alive without need. The first chunk of a streamed response, of up to 64 KiB, as long as the response: by its fields at undici and by
// a list of ours. And the request of a tunnel that @fastify/websocket had routed, by the mark that its connection closes.

import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { isBehindLast, markMustClose } from '../../lib/downstream/must-close.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { MemoryWatch } from '../fixtures/memory.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

test('a streamed response does not keep its first chunk', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const memory = new MemoryWatch()
  for (let i = 0; i < 20; i++) {
    const client = await rawClient(t, proxy.port)
    client.socket.removeAllListeners('data')
    let read = 0
    client.socket.on('data', (chunk: Buffer) => { read += chunk.length })
    client.write(requestHead('GET', '/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n' + 'x'.repeat(60_000))
    await until(() => read > 60_000, 'the first chunk')
    connection.write('more')
    const seen = read
    await until(() => read > seen, 'the next one')
  }
  await until(() => {
    memory.peak = 0
    memory.sample()
    return memory.peak < 20 * 20_000
  }, 'the first chunks to be collected')
})

test('the mark that a connection closes does not keep its request, whose tunnel may last', async () => {
  const socket = new Socket()
  const marked = (): WeakRef<object> => {
    const request = new IncomingMessage(socket)
    markMustClose(request, 'upgrade')
    return new WeakRef(request)
  }
  const request = marked()
  await until(() => {
    new MemoryWatch().sample()
    return request.deref() === undefined
  }, 'the request to be collected')
  assert.ok(isBehindLast(new IncomingMessage(socket)))
})
