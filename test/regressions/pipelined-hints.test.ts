// Node puts the head of a response that still waits for its turn before everything that was written to it, hints included.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const hints = { 'Early Hints': 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n', Processing: 'HTTP/1.1 102 Processing\r\n\r\n' }

for (const [what, hint] of Object.entries(hints)) {
  test(`${what} of a pipelined response do not get into the body of it`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
    const connections = [await upstream.next(), await upstream.next()]
    const heads = await Promise.all(connections.map((connection) => connection.head()))
    const [first, second] = heads[0]?.startsWith('GET /first') === true ? connections : connections.toReversed()
    second?.write(`${hint}HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecond`)
    await until(() => proxy.app.wstunnel.metrics().forwards.bytesFromUpstream === 6, 'the second response')
    first?.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst')
    assert.equal((await client.response()).body.toString(), 'first')
    let response = await client.response()
    while (response.status < 200) response = await client.response()
    assert.equal(response.body.toString(), 'second')
  })
}

test('100 Continue of a pipelined response does not get into the body of it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(`${requestHead('GET', '/first')}${requestHead('POST', '/second', { Expect: '100-continue', 'Content-Length': '2' })}hi`)
  const connections = [await upstream.next(), await upstream.next()]
  const heads = await Promise.all(connections.map((connection) => connection.head()))
  const [first, second] = heads[0]?.startsWith('GET /first') === true ? connections : connections.toReversed()
  second?.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nsecond')
  await until(() => proxy.app.wstunnel.metrics().forwards.bytesFromUpstream === 6, 'the second response')
  first?.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst')
  assert.equal((await client.response()).body.toString(), 'first')
  assert.equal((await client.response()).body.toString(), 'second')
})

test('a request that waits for 100 Continue gets it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/', { Expect: '100-continue', 'Content-Length': '2' }))
  assert.equal((await client.response()).status, 100)
  client.write('hi')
  assert.match((await (await upstream.next()).waitFor('hi')).toString(), /hi$/)
})

test('a user who listens to checkContinue answers alone', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  proxy.app.server.on('checkContinue', (_, response) => response.writeHead(413, { 'content-length': 0 }).end())
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/', { Expect: '100-continue', 'Content-Length': '2' }))
  assert.equal((await client.response()).status, 413)
  assert.equal(upstream.connections.length, 0)
})
