// A client that stops sending its body, or taking its response, is not waited for longer than an upstream is.
import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

for (const [what, framing, sent] of [
  ['with a length', { 'Content-Length': '10' }, 'abc'],
  ['in chunks', { 'Transfer-Encoding': 'chunked' }, '3\r\nabc\r\n']
] as const) {
  test(`a body ${what} that is not sent on is a 408, and its upstream is left`, async (t) => {
    const left = deferred<undefined>()
    const upstream = await startHttpUpstream(t, (request) => { request.resume().once('close', () => left.resolve(undefined)) })
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, timeout: '300ms' })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('POST', '/', framing) + sent)
    const response = await client.response()
    assert.deepEqual([response.status, JSON.parse(response.body.toString()).code], [408, 'FST_WSTUNNEL_CLIENT_TIMEOUT'])
    await within(left.promise, 'the upstream to be left')
    await client.ended
    assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
  })
}

test('a response that is not read is cut off, and its upstream is left', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => {
    const piece = Buffer.alloc(65_536)
    const pour = (): void => { while (response.write(piece)); }
    response.on('drain', pour)
    pour()
  })
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, timeout: '300ms' })
  const left = new Promise<unknown>((resolve) => upstream.server.once('connection', (socket) => socket.once('close', resolve)))
  const client = await rawClient(t, proxy.port)
  client.socket.pause()
  client.write(requestHead('GET', '/'))
  await within(left, 'the upstream to be left')
  await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the forward to be counted')
})

test('a client that waits for a slow upstream, and a connection that is kept, are not hurried', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    for (;;) {
      await connection.head()
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na')
      for (const piece of 'bcd') {
        await pause(200) // altogether more than the timeout, each time less
        connection.write(piece)
      }
    }
  })
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, timeout: '350ms' })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  const response = await client.response()
  assert.deepEqual([response.status, response.body.toString()], [200, 'abcd'])
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 200)
})

test('over HTTP/2 as well', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.method === 'POST') return
    const piece = Buffer.alloc(65_536)
    const pour = (): void => { while (response.write(piece)); }
    response.on('drain', pour)
    pour()
  })
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, timeout: '300ms' }, { fastify: { http2: true } })
  const session = connect(proxy.url)
  session.on('error', () => {})
  cleanup(t, 'connections', () => session.destroy())
  const post = session.request({ ':path': '/', ':method': 'POST', 'content-length': 10 })
  post.write('abc')
  const [headers] = await event<[Record<string, unknown>]>(post, 'response')
  assert.equal(headers[':status'], 408)
  post.close()
  const get = session.request({ ':path': '/' })
  get.on('error', () => {})
  get.pause()
  await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the response to be cut off')
  assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
})
