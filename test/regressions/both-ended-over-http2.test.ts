// A tunnel over HTTP/2 whose sides had both ended, while the upstream still read, was taken for a stream that its client had reset: its reason was
// `error`. So it was as long as its request was not completed: with async: false, or within asyncDelay.

import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Http2Server, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { open, scene } from '../fixtures/http2-stage.ts'
import { until } from '../fixtures/wait.ts'

const checkInterval = 250

test('a tunnel whose sides have both ended ends with its close, however long the upstream reads', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const sockets = connectionsOf(t)
  const streams: ServerHttp2Stream[] = []
  const all = await scene(t, { async: false }, (app) => (app.server as unknown as Http2Server).on('stream', (stream) => streams.push(stream)))
  const { client, upstream, stream, head } = await open(all)
  const dialled = sockets.find(({ remotePort }) => remotePort === all.upstream.port) as Socket
  const [tunnel] = [...all.proxy.app.wstunnel.tunnels()]
  upstream.socket.pause()
  const chunk = Buffer.alloc(65_536)
  let size = 0
  const write = (): void => {
    stream.write(chunk)
    size += chunk.length
  }
  while (!dialled.writableNeedDrain) {
    write()
    await until(() => tunnel?.bytesFromClient === size || dialled.writableNeedDrain, 'the bytes in the tunnel')
  }
  write() // which the tunnel does not read
  stream.end()
  upstream.socket.end()
  await client.ended
  await until(() => streams[0]?.closed === true, 'the end of both sides')
  for (let checks = 0; checks < 2; checks++) t.mock.timers.tick(checkInterval)
  assert.ok((tunnel?.bytesFromClient ?? size) < size, 'bytes wait in the stream')
  upstream.socket.resume()
  await until(() => all.record.closed.length === 1, 'the end of the tunnel')
  await until(() => upstream.received.length === head.length + size, 'all bytes')
  assert.deepEqual([all.record.closed[0]?.reason, all.record.closed[0]?.error], ['upstream_close', undefined])
})

/** The sockets that this process connects from now on. */
function connectionsOf (t: TestContext): Socket[] {
  const sockets: Socket[] = []
  const onSocket = (message: unknown): void => { sockets.push((message as { socket: Socket }).socket) }
  subscribe('net.client.socket', onSocket)
  t.after(() => unsubscribe('net.client.socket', onSocket))
  return sockets
}
