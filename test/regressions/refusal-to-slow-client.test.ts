// The timer of a refusal's body ran while it was the client who was slow, and cut the response short.

import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, within } from '../fixtures/wait.ts'

for (const fallbackToHttp of [true, false]) {
  test(`with fallbackToHttp: ${fallbackToHttp}, timeout is not for a client that reads slowly`, async (t) => {
    const size = 1 << 25
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, fallbackToHttp, timeout: '1s' })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${size}\r\n\r\n`)
    connection.write(Buffer.alloc(size))
    await client.head()
    const socket = client.takeOver() // paused
    // What must not happen has no event. Others that begin later show when the timeout is over: their upstream falls silent.
    for (let i = 0; i < 2; i++) {
      const other = await rawClient(t, proxy.port)
      other.write(upgradeHead('/'))
      const silent = await upstream.next()
      await silent.head()
      silent.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhello')
      await over(other)
    }
    let count = 0
    const whole = deferred()
    socket.on('data', (chunk: Buffer) => {
      count += chunk.length
      if (count === size) whole.resolve()
    })
    socket.on('close', () => whole.reject(new Error(`cut after ${count} of ${size} bytes`)))
    socket.on('end', () => { if (count < size) whole.reject(new Error(`cut after ${count} of ${size} bytes`)) })
    socket.resume()
    await within(whole.promise, () => `the response; there are ${count} of ${size} bytes`, 8000)
  })
}

test('timeout ends a refusal whose upstream falls silent', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, timeout: '200ms' })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhello')
  await client.waitFor('hello')
  await within(Promise.all([over(client), over(connection)]), 'both to be left', 3000)
})
