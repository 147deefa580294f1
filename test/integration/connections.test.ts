// The connections that forwards go over: how many, whose, and who waits for them.
import assert from 'node:assert/strict'
import { connect as connectHttp2, constants } from 'node:http2'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { balanced, infoOf, scripted, states } from '../fixtures/balanced.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { headerOf, startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A request on a connection of its own. */
async function send (t: TestContext, { port }: { port: number }, path = '/', method = 'GET'): Promise<RawClient> {
  const client = await rawClient(t, port)
  client.write(requestHead(method, path, method === 'POST' ? { 'Content-Length': '0' } : {}))
  return client
}

function inFlight (proxy: Proxy): number {
  return proxy.app.wstunnel.metrics().forwards.inFlight
}

test('a forward beyond maxForwards is a 503 with Retry-After, and there is room again when one ends', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, limits: { maxForwards: 2 } })
  const clients = [await send(t, proxy), await send(t, proxy)]
  const connections = [await upstream.next(), await upstream.next()]
  const refused = await (await send(t, proxy)).response()
  assert.deepEqual([refused.status, refused.headers['retry-after'], upstream.connections.length], [503, ['5'], 2])
  assert.equal(JSON.parse(String(refused.body)).code, 'FST_WSTUNNEL_LIMIT')
  connections[0]?.write(ok)
  assert.equal((await clients[0]?.response())?.status, 200)
  clients[1]?.destroy() // one that its client leaves gives its place back, too
  await until(() => inFlight(proxy) === 0, 'the end of both')
  const next = [await send(t, proxy), await send(t, proxy)]
  assert.equal((await (await send(t, proxy)).response()).status, 503)
  for (const client of next) client.destroy()
})

test('forwards that wait for their turn on a connection count for maxForwards', async (t) => {
  const asked = deferred()
  const go = deferred()
  const upstream = await startHttpUpstream(t, (request, response) => {
    asked.resolve()
    void go.promise.then(() => response.end(request.url))
  })
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxForwards: 3 } })
  const client = await rawClient(t, proxy.port)
  client.write(Array.from({ length: 5 }, (_, i) => requestHead('GET', `/${i}`)).join(''))
  await asked.promise
  assert.equal((await (await send(t, proxy)).response()).status, 503)
  go.resolve()
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push((await client.response()).status)
  assert.deepEqual([statuses, upstream.requests.map(({ url }) => url)], [[200, 200, 200, 503, 503], ['/0', '/1', '/2']])
  assert.equal((await (await send(t, proxy, '/last')).response()).status, 200)
})

test('maxForwards counts the server, and not a route', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    limits: { maxForwards: 1 }, routes: [{ path: '/a/', upstream: `${upstream.httpUrl}/` }, { path: '/b/', upstream: `${upstream.httpUrl}/` }]
  })
  await send(t, proxy, '/a/')
  await upstream.next()
  assert.equal((await (await send(t, proxy, '/b/')).response()).status, 503)
})

test('an upstream gets maxConnectionsPerUpstream connections, and more requests wait for them in order', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, limits: { maxConnectionsPerUpstream: 2 } })
  const clients: RawClient[] = []
  for (let i = 0; i < 6; i++) {
    clients.push(await send(t, proxy, `/${i}`))
    await until(() => inFlight(proxy) === i + 1, 'the forward')
  }
  const connections = [await upstream.next(), await upstream.next()] as [RawConnection, RawConnection]
  const served: string[] = []
  for (let i = 0; i < 6; i++) {
    const connection = connections[i % 2] as RawConnection
    served.push((await connection.head()).split(' ')[1] as string)
    connection.write(ok)
    assert.equal((await clients[i]?.response())?.status, 200)
  }
  assert.deepEqual(served, ['/0', '/1', '/2', '/3', '/4', '/5'])
  assert.equal(upstream.connections.length, 2)
})

test('3,000 streams of HTTP/2 do not make 3,000 connections', async (t) => {
  let most = 0
  let now = 0
  const upstream = await scripted(t, async (connection) => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 5))
    now--
    connection.write(ok)
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, limits: { maxConnectionsPerUpstream: 16 } }, { fastify: { http2: true } })
  const session = connectHttp2(proxy.url)
  cleanup(t, 'connections', () => session.destroy())
  await Promise.all(Array.from({ length: 1000 }, () => new Promise<void>((resolve, reject) => {
    const stream = session.request({ ':path': '/' })
    stream.on('response', (headers) => String(headers[constants.HTTP2_HEADER_STATUS]) === '200' ? resolve() : reject(new Error(String(headers[':status']))))
    stream.on('error', reject)
    stream.resume()
  })))
  assert.equal(upstream.connections.length, 16)
  assert.ok(most <= 16, `${most} at a time`)
})

test('a wait for a connection longer than timeout is a 503 with Retry-After that blames nobody', async (t) => {
  const member = await startRawUpstream(t)
  const proxy = await balanced(t, [{ url: member.httpUrl }], {}, { limits: { maxConnectionsPerUpstream: 1 }, timeout: '300ms' })
  const first = await send(t, proxy, '/first')
  const connection = await member.next()
  await connection.head()
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n') // its body comes in time, again and again
  const trickle = setInterval(() => connection.write('x'), 120)
  cleanup(t, 'connections', () => clearInterval(trickle))
  const begun = performance.now()
  const { status, headers, body } = await (await send(t, proxy, '/second')).response()
  const waited = performance.now() - begun
  clearInterval(trickle)
  assert.deepEqual([status, headers['retry-after'], JSON.parse(String(body)).code], [503, ['5'], 'FST_WSTUNNEL_LIMIT'])
  assert.ok(waited > 290 && waited < 1000, `${waited} ms`)
  assert.deepEqual([states(proxy), infoOf(proxy).failures, member.connections.length], [['up'], 0, 1])
  first.destroy()
})

test('a client that leaves while it waits for a connection leaves the queue', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, limits: { maxConnectionsPerUpstream: 1 } })
  await send(t, proxy, '/first')
  const connection = await upstream.next()
  const second = await send(t, proxy, '/second')
  await until(() => inFlight(proxy) === 2, 'the second forward')
  const third = await send(t, proxy, '/third')
  await until(() => inFlight(proxy) === 3, 'the third forward')
  second.destroy()
  await until(() => inFlight(proxy) === 2, 'the end of the second')
  assert.match(await connection.head(), /^GET \/first /)
  connection.write(ok)
  assert.match(await connection.head(), /^GET \/third /)
  connection.write(ok)
  assert.equal((await third.response()).status, 200)
})

test('a balancer asks its next member where the pool of one is full, and waits where all are', async (t) => {
  const [a, b] = [await startRawUpstream(t), await startRawUpstream(t)]
  const proxy = await balanced(
    t,
    [{ url: a.httpUrl }, { url: b.httpUrl }],
    { lbMethod: (candidates) => candidates[0] as never },
    { limits: { maxConnectionsPerUpstream: 1 } }
  )
  await send(t, proxy, '/1')
  const first = await a.next()
  await send(t, proxy, '/2')
  const second = await b.next()
  const client = await send(t, proxy, '/3')
  await until(() => inFlight(proxy) === 3, 'the third forward')
  assert.deepEqual([a.connections.length, b.connections.length], [1, 1])
  for (const connection of [second, first]) {
    await connection.head()
    connection.write(ok)
  }
  assert.match(await first.head(), /^GET \/3 /)
  first.write(ok)
  assert.equal((await client.response()).status, 200)
  assert.deepEqual(proxy.app.wstunnel.balancer('app').members().map(({ state, failures }) => [state, failures]), [['up', 0], ['up', 0]])
})

test('with disableReuse each forward has a connection of its own, which says so and ends with it', async (t) => {
  const heads: string[] = []
  const upstream = await scripted(t, (connection, head) => {
    heads.push(head)
    connection.write(ok)
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, disableReuse: true, limits: { maxConnectionsPerUpstream: 1 } })
  for (let i = 0; i < 3; i++) assert.equal((await (await send(t, proxy)).response()).status, 200)
  assert.equal(upstream.connections.length, 3)
  assert.deepEqual(heads.map((head) => headerOf(head, 'connection')), ['close', 'close', 'close'])
  await Promise.all(upstream.connections.map((connection) => connection.ended))
})

test('a second response that nobody asked for reaches nobody with disableReuse', async (t) => {
  const upstream = await scripted(t, (connection, head) => {
    const marker = headerOf(head, 'x-marker') as string
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Marker: ${marker}\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Marker: poison\r\n\r\nno`)
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, disableReuse: true })
  const markers = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/', { 'X-Marker': String(i) }))
    return (await client.response()).headers['x-marker']?.[0]
  }))
  assert.deepEqual(markers, Array.from({ length: 50 }, (_, i) => String(i)))
})

test('200 clients that leave together do not make the pool dial for nobody', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, limits: { maxConnectionsPerUpstream: 4 } })
  const clients = await Promise.all(Array.from({ length: 200 }, async () => await send(t, proxy)))
  await until(() => inFlight(proxy) === 200, 'all forwards')
  for (let i = 0; i < 4; i++) await (await upstream.next()).head()
  for (const client of clients) client.destroy()
  await until(() => inFlight(proxy) === 0, 'the end of all forwards')
  await Promise.all(upstream.connections.map(over))
  // While they leave, in more than one turn, a few may be dialled for that have not left yet.
  assert.ok(upstream.connections.length < 40, `${upstream.connections.length} connections`)
  const before = upstream.connections.length
  const client = await send(t, proxy)
  await until(() => upstream.connections.length > before, 'a connection for the next')
  await upstream.connections.at(-1)?.head()
  upstream.connections.at(-1)?.write(ok)
  assert.equal((await client.response()).status, 200)
})

for (const [what, encoding, vouches, framing] of [
  ['that vouches for its length keeps it', undefined, true, ['content-length', '5']],
  ['that does not is sent in chunks', undefined, false, ['transfer-encoding', 'chunked']],
  ['that was decoded is sent in chunks, since its length is another', 'x-none', true, ['transfer-encoding', 'chunked']]
] as const) {
  test(`a body of a preParsing hook ${what}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.httpUrl }, {
      setup: (app) => app.addHook('preParsing', async (_request, _reply, payload) => {
        const other = payload.pipe(new PassThrough())
        return vouches ? Object.assign(other, { receivedEncodedLength: 0 }) : other
      })
    })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('POST', '/', { 'Content-Length': '5', 'Content-Encoding': encoding }) + 'hello')
    const connection = await upstream.next()
    assert.equal(headerOf(await connection.head(), framing[0]), framing[1])
    connection.write(ok)
    assert.equal((await client.response()).status, 200)
  })
}
