// Every pipelined request was forwarded at once: 5,000 in one packet made 4,899 upstream connections, and what they did was done in any order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import { until, within } from '../fixtures/wait.ts'

for (const tls of [false, true]) {
  test(`5,000 requests in one packet are forwarded one after the other${tls ? ', over TLS' : ''}`, async (t) => {
    let running = 0
    let most = 0
    const order: string[] = []
    const upstream = await startHttpUpstream(t, (request, response) => {
      most = Math.max(most, ++running)
      order.push(request.url ?? '')
      response.on('close', () => { running-- })
      setImmediate(() => response.end(request.url === '/4999' ? 'the last one' : 'ok'))
    })
    const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: tls ? { https: selfSigned() } : {} })
    const client = await rawClient(t, proxy.port, tls ? { tls: { rejectUnauthorized: false } } : {})
    const paths = Array.from({ length: 5000 }, (_, i) => `/${i}`)
    client.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
    // Seconds of work: beside other tests it takes longer than what is waited for elsewhere.
    await client.waitFor('the last one', 60_000)
    assert.equal(client.received.toString('latin1').split('HTTP/1.1 200').length, 5001)
    assert.deepEqual(order, paths)
    assert.equal(most, 1)
    assert.ok(upstream.sockets.length < 5, `${upstream.sockets.length} upstream connections`)
  })
}

test('what comes behind a request that waits is not read', async (t) => {
  const upstream = await startRawUpstream(t)
  let asked = 0
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, preHandler: async () => { asked++ } })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
  const connection = await upstream.next()
  await connection.head()
  await until(() => asked === 2, 'both to be heard')
  const more = requestHead('GET', '/more').repeat(100_000)
  client.write(more)
  await until(() => client.socket.writableLength > 0, 'the client to be held')
  let left = client.socket.writableLength
  await until(() => { const same = client.socket.writableLength === left; left = client.socket.writableLength; return same }, 'nothing more to be taken')
  assert.equal(asked, 2)
  client.destroy()
})

test('requests that change something are done in the order in which they came', async (t) => {
  const done: string[] = []
  const upstream = await startHttpUpstream(t, (request, response) => {
    done.push(`${request.method} begins`)
    request.resume().on('end', () => setTimeout(() => {
      done.push(`${request.method} ends`)
      response.end(request.method)
    }, 30))
  })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(`${requestHead('POST', '/pay', { 'Content-Length': '3' })}abc${requestHead('GET', '/account')}${requestHead('DELETE', '/account')}`)
  for (const method of ['POST', 'GET', 'DELETE']) assert.equal(String((await client.response()).body), method)
  assert.deepEqual(done, ['POST', 'GET', 'DELETE'].flatMap((method) => [`${method} begins`, `${method} ends`]))
})

test('a request that waits is given its whole timeout when its turn has come, and its body', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => {
    let length = 0
    request.on('data', (chunk: Buffer) => { length += chunk.length })
    request.on('end', () => setTimeout(() => response.end(String(length)), 1500))
  })
  const proxy = await startProxy(t, { upstream: upstream.url, timeout: '2500ms' })
  const client = await rawClient(t, proxy.port)
  client.write(`${requestHead('GET', '/first')}${requestHead('POST', '/second', { 'Content-Length': '300000' })}${'x'.repeat(300_000)}`)
  assert.equal(String((await client.response()).body), '0')
  assert.equal(String((await client.response()).body), '300000')
})

test('the end of a drain ends those that wait', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, drainTimeout: '200ms' })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/x').repeat(50))
  await (await upstream.next()).head()
  await within(proxy.app.close(), 'close()', 3000)
  assert.equal(proxy.app.wstunnel.metrics().forwards.aborted, 50)
  assert.equal(upstream.connections.length, 1)
})

for (const tls of [false, true]) {
  test(`a connection whose reading Node had stopped for a body is read on behind the request that waited${tls ? ', over TLS' : ''}`, async (t) => {
    // It answers before it has read the body, so that Node stops reading, and begins again in the turn in which the next request waits.
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/` }, { fastify: tls ? { https: selfSigned() } : {} })
    const client = await rawClient(t, proxy.port, tls ? { tls: { rejectUnauthorized: false } } : {})
    const size = 46_444
    client.write(`${requestHead('PUT', '/', { 'Content-Length': `${size}` })}${'x'.repeat(size)}${requestHead('POST', '/', { 'Content-Length': '2' })}ab`)
    const first = await upstream.next()
    await first.head()
    first.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst')
    assert.equal(String((await client.response()).body), 'first')
    const second = await upstream.next()
    await second.head()
    second.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond')
    assert.equal(String((await client.response()).body), 'second')
    client.write(requestHead('GET', '/third'))
    const third = await upstream.next()
    await third.head()
    third.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthird')
    assert.equal(String((await client.response()).body), 'third')
  })
}
