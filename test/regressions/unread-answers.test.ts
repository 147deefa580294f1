// A client that takes nothing of its answers was left alone wherever these were no streams: whole ones, and errors. With all that it had pipelined it
// kept its places among the forwards. So it was with the relayed refusal of an upgrade, which no limit counts.

import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { type Proxy, startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { over } from '../fixtures/stage.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

/** An answer that comes in one read. */
const whole = Buffer.alloc(20_000)

for (const secure of [false, true]) {
  for (const kind of ['whole', 'asynchronous', 'error'] as const) {
    test(`timeout ends what a client takes nothing of${secure ? ' over TLS' : ''}: ${kind}`, async (t) => {
      const upstream = await startHttpUpstream(t, (_, response) => response.end(whole))
      const rewriteHeaders = kind === 'error' ? () => { throw new Error('not today') } : undefined
      const proxy = await startProxy(t, { upstream: upstream.url, timeout: '300ms', ...(rewriteHeaders === undefined ? {} : { rewriteHeaders }) }, {
        fastify: secure ? { https: selfSigned() } : {},
        setup (app) {
          app.setErrorHandler((_, __, reply) => reply.send(whole))
          if (kind === 'asynchronous') app.addHook('onSend', async (_, __, payload) => await new Promise<unknown>((resolve) => setImmediate(resolve, payload)))
        }
      })
      const client = await rawClient(t, proxy.port, secure ? { tls: { rejectUnauthorized: false } } : {})
      client.socket.pause()
      client.write(requestHead('GET', '/').repeat(1000))
      await until(() => proxy.app.wstunnel.metrics().forwards.aborted > 0, 'the answer that is not taken to be cut')
      await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the end of all forwards')
    })
  }
}

test('timeout ends what a client takes nothing of over HTTP/2', async (t) => {
  const { proxy, session } = await http2Scene(t)
  const stream = session.request({ ':path': '/' })
  await assert.rejects(event(stream, 'close'), /NGHTTP2_INTERNAL_ERROR/)
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the end of the forward')
})

// Node forgets the timer of such a stream, and does not destroy it while bytes wait.
for (const kind of ['forward', 'refused WebSocket'] as const) {
  test(`a ${kind} that its client resets with NO_ERROR over HTTP/2, while bytes wait, keeps neither its place nor its connection`, async (t) => {
    const { proxy, session, sockets } = await http2Scene(t)
    const upgrade = {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      ':scheme': 'http',
      ':authority': 'front.example',
      'sec-websocket-version': '13'
    }
    const stream = kind === 'forward' ? session.request({ ':path': '/' }) : session.request(upgrade, { endStream: false })
    if (kind !== 'forward') stream.write('early')
    await event(stream, 'response')
    stream.close(constants.NGHTTP2_NO_ERROR)
    session.close()
    await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the end of the forward')
    await until(() => sockets.length === 1 && sockets[0]?.destroyed === true, 'the end of the connection')
  })
}

async function http2Scene (t: TestContext): Promise<{ proxy: Proxy, session: ClientHttp2Session, sockets: Socket[] }> {
  const upstream = await startHttpUpstream(t, (_, response) => response.end(whole))
  const proxy = await startProxy(
    t,
    { upstream: upstream.url, upgrade: 'websocket', timeout: '300ms', http2: { webSockets: true } },
    { fastify: { http2: true } }
  )
  const sockets: Socket[] = []
  proxy.app.server.on('connection', (socket) => sockets.push(socket))
  const session = connectHttp2(proxy.url, { settings: { initialWindowSize: 0 } })
  cleanup(t, 'connections', () => session.destroy())
  await event(session, 'remoteSettings')
  return { proxy, session, sockets }
}

for (const fallbackToHttp of [true, false]) {
  test(`with fallbackToHttp: ${fallbackToHttp}, stallTimeout ends a refusal that its client takes nothing of`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, fallbackToHttp, stallTimeout: '300ms' })
    const client = await rawClient(t, proxy.port)
    client.socket.pause()
    client.write(upgradeHead('/'))
    const connection = await upstream.next()
    await connection.head()
    connection.write(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${1 << 25}\r\n\r\n`)
    connection.write(Buffer.alloc(1 << 25))
    await over(connection)
  })
}
