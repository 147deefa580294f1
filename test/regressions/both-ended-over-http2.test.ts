// A tunnel over HTTP/2 whose sides had both ended, while the upstream still read, was taken for a stream that its client had reset: its reason was
// `error`. So it was as long as its request was not completed: with async: false, or within asyncDelay.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { open, scene } from '../fixtures/http2-stage.ts'
import { until } from '../fixtures/wait.ts'

test('a tunnel whose sides have both ended ends with its close, however long the upstream reads', async (t) => {
  const all = await scene(t, { async: false })
  const { client, upstream, stream, head } = await open(all)
  const [tunnel] = [...all.proxy.app.wstunnel.tunnels()]
  const chunk = Buffer.alloc(65_536)
  upstream.socket.pause()
  let size = 0
  for (let stuck = 0; stuck < 2;) { // until the rest waits in the proxy's stream
    const before = tunnel?.bytesFromClient
    stream.write(chunk)
    size += chunk.length
    await sleep(15)
    if (tunnel?.bytesFromClient === before) stuck++
  }
  stream.end()
  upstream.socket.end()
  await client.ended
  await sleep(600) // two checks
  upstream.socket.resume()
  await until(() => all.record.closed.length === 1, 'the end of the tunnel')
  await until(() => upstream.received.length === head.length + size, 'all bytes')
  assert.deepEqual([all.record.closed[0]?.reason, all.record.closed[0]?.error], ['upstream_close', undefined])
})
