import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead, wsClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { authority, selfSigned } from '../fixtures/tls.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import type { WsUpstream } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

const server = selfSigned()

/** A TLS upstream that takes WebSockets and plain requests, and the upgrades it has seen. */
async function secureUpstream (t: TestContext, credentials: object = server): Promise<WsUpstream & { upgrades: IncomingMessage[] }> {
  const upstream = await startWsUpstream(t, { tls: credentials, http: (_request, response) => response.end('secure') })
  const upgrades: IncomingMessage[] = []
  upstream.server.on('upgrade', (request) => upgrades.push(request))
  upstream.server.on('tlsClientError', () => {})
  return { ...upstream, upgrades }
}

/** What a raw client is answered, and that nothing of it came to the upstream. */
async function answerOf (
  t: TestContext, upstream: WsUpstream & { upgrades: IncomingMessage[] }, options: ProxyOptions, head: string
): Promise<{ response: RawResponse, seen: number }> {
  const proxy = await startProxy(t, options)
  const client = await rawClient(t, proxy.port)
  client.write(head)
  const response = await client.response()
  // nothing can come any more once every connection to the upstream is closed
  await until(() => upstream.sockets.every((socket) => socket.closed), 'the connections to the upstream to close')
  return { response, seen: upstream.requests.length + upstream.upgrades.length }
}

test('a self-signed wss upstream is refused with a complete 502', async (t) => {
  const upstream = await secureUpstream(t)
  const { response } = await answerOf(t, upstream, { upstream: upstream.url }, upgradeHead('/'))
  assert.equal(response.status, 502)
})

test('a self-signed wss upstream never sees the upgrade', async (t) => {
  const upstream = await secureUpstream(t)
  const { seen } = await answerOf(t, upstream, { upstream: upstream.url }, upgradeHead('/'))
  assert.deepEqual([seen, upstream.sockets.length > 0], [0, true])
})

test('a self-signed https upstream is refused with a complete 502', async (t) => {
  const upstream = await secureUpstream(t)
  const { response } = await answerOf(t, upstream, { upstream: upstream.httpUrl }, requestHead('GET', '/'))
  assert.equal(response.status, 502)
})

test('a self-signed https upstream never sees the request', async (t) => {
  const upstream = await secureUpstream(t)
  const { seen } = await answerOf(t, upstream, { upstream: upstream.httpUrl }, requestHead('GET', '/'))
  assert.deepEqual([seen, upstream.sockets.length > 0], [0, true])
})

test('a self-signed wss upstream is accepted with its certificate as ca', async (t) => {
  const upstream = await secureUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { ca: server.cert } })
  const client = await wsClient(t, `${proxy.wsUrl}/`)
  client.send('over tls')
  const [data] = await event<[Buffer]>(client, 'message')
  assert.equal(String(data), 'over tls')
})

test('a self-signed https upstream is accepted with its certificate as ca', async (t) => {
  const upstream = await secureUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, tls: { ca: server.cert } })
  const response = await fetch(`${proxy.url}/`)
  assert.deepEqual([response.status, await response.text()], [200, 'secure'])
})

test('the same certificate serves forwards and tunnels of one wss target', async (t) => {
  const upstream = await secureUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { ca: server.cert } })
  await wsClient(t, `${proxy.wsUrl}/`)
  assert.equal((await fetch(`${proxy.url}/`)).status, 200)
})

test('rejectUnauthorized: false accepts a self-signed wss upstream', async (t) => {
  const upstream = await secureUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { rejectUnauthorized: false } })
  const client = await wsClient(t, `${proxy.wsUrl}/`)
  assert.equal(client.readyState, client.OPEN)
})

for (const [kind, head] of [['wss', upgradeHead('/')], ['https', requestHead('GET', '/')]] as const) {
  test(`an ${kind} upstream with a certificate for another name is refused with 502`, async (t) => {
    const other = selfSigned({ names: ['other.example'] })
    const upstream = await secureUpstream(t, other)
    const url = kind === 'wss' ? upstream.url : upstream.httpUrl
    const { response, seen } = await answerOf(t, upstream, { upstream: url, tls: { ca: other.cert } }, head)
    assert.deepEqual([response.status, seen], [502, 0])
  })

  test(`an expired ${kind} upstream is refused with 502`, async (t) => {
    const expired = selfSigned({ notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') })
    const upstream = await secureUpstream(t, expired)
    const url = kind === 'wss' ? upstream.url : upstream.httpUrl
    const { response, seen } = await answerOf(t, upstream, { upstream: url, tls: { ca: expired.cert } }, head)
    assert.deepEqual([response.status, seen], [502, 0])
  })
}

test('tls.servername is the name that is asked for and checked', async (t) => {
  const other = selfSigned({ names: ['other.example'] })
  const upstream = await secureUpstream(t, other)
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { ca: other.cert, servername: 'other.example' } })
  await wsClient(t, `${proxy.wsUrl}/`)
  assert.equal((upstream.upgrades[0]?.socket as TLSSocket & { servername: string }).servername, 'other.example')
})

for (const kind of ['wss', 'https'] as const) {
  test(`an ${kind} upstream that asks for a client certificate gets ours`, async (t) => {
    const clients = authority('Test Clients')
    const upstream = await secureUpstream(t, { ...server, ca: clients.cert, requestCert: true, rejectUnauthorized: true })
    const { key, cert } = clients.issue({ commonName: 'the proxy', names: [] })
    const proxy = await startProxy(t, { upstream: kind === 'wss' ? upstream.url : upstream.httpUrl, tls: { ca: server.cert, key, cert } })
    if (kind === 'wss') await wsClient(t, `${proxy.wsUrl}/`)
    else assert.equal((await fetch(`${proxy.url}/`)).status, 200)
    const request = [...upstream.upgrades, ...upstream.requests][0]
    assert.equal((request?.socket as TLSSocket).getPeerCertificate().subject.CN, 'the proxy')
  })
}

test('a wss target whose upstream speaks plain HTTP is a 502, and the upstream sees no request', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.waitFor(1)
    connection.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  })
  const proxy = await startProxy(t, { upstream: upstream.url.replace('ws:', 'wss:') })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 502)
  assert.ok(!upstream.connections[0]?.received.includes('GET /'))
})

test('a half-close of the client reaches a wss upstream, which can still answer', async (t) => {
  const upstream = await startRawUpstream(t, undefined, { tls: server })
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { ca: server.cert } })
  const tunnel = await openTunnel(t, proxy, upstream)
  tunnel.client.end('last words')
  await tunnel.upstream.ended
  tunnel.upstream.end('the answer')
  await tunnel.client.ended
  assert.deepEqual([String(tunnel.upstream.unread), String(tunnel.client.unread)], ['last words', 'the answer'])
})

test('a reset of the client resets a wss upstream', async (t) => {
  const upstream = await startRawUpstream(t, undefined, { tls: server })
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, tls: { ca: server.cert }, ...record.hooks })
  const tunnel = await openTunnel(t, proxy, upstream)
  await roundTrip(tunnel)
  tunnel.client.reset()
  assert.equal((await record.nextOutcome()).reason, 'client_reset')
  assert.equal((await tunnel.upstream.closed).hadError, true)
})

test('a WebSocket passes when Fastify itself listens on https', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: { https: { ...server } } })
  const client = await wsClient(t, `${proxy.wsUrl}/`, [], { ca: server.cert })
  client.send('over tls')
  const [data] = await event<[Buffer]>(client, 'message')
  assert.equal(String(data), 'over tls')
})

test('when Fastify listens on https, late bytes of the upstream arrive after the end of the client', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: { https: { ...server } } })
  const tunnel = await openTunnel(t, proxy, upstream, '/', { tls: { ca: server.cert, allowHalfOpen: true } as object })
  tunnel.client.end('last words')
  await tunnel.upstream.ended
  tunnel.upstream.end('the answer')
  await tunnel.client.ended
  assert.equal(String(tunnel.client.unread), 'the answer')
})

test('when Fastify listens on https, a refused upgrade is complete, and closes its connection', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  })
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, {
    fastify: { https: { ...server } },
    setup: (app) => app.get('/hello', async () => 'hello')
  })
  const client = await rawClient(t, proxy.port, { tls: { ca: server.cert } })
  client.write(upgradeHead('/ws/'))
  const refused = await client.response()
  await client.ended
  assert.deepEqual([refused.status, String(refused.body), refused.headers['connection']], [403, 'no', ['close']])
})

test('when Fastify listens on https, X-Forwarded-Proto says https', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end())
  const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: { https: { ...server } } })
  const client = await rawClient(t, proxy.port, { tls: { ca: server.cert } })
  client.write(requestHead('GET', '/'))
  await client.response()
  assert.equal(upstream.requests[0]?.headers['x-forwarded-proto'], 'https')
})

const http2 = { fastify: { http2: true, https: { ...server, allowHTTP1: true } } }

test('with http2 and allowHTTP1, a WebSocket passes over HTTP/1.1', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url }, http2)
  const client = await wsClient(t, `${proxy.wsUrl}/`, [], { ca: server.cert })
  client.send('over http/1.1')
  const [data] = await event<[Buffer]>(client, 'message')
  assert.equal(String(data), 'over http/1.1')
})

test('with http2 and allowHTTP1, a refused upgrade is complete, and closes its connection', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  })
  const proxy = await startProxy(t, { path: '/ws/', upstream: upstream.url }, { ...http2, setup: (app) => app.get('/hello', async () => 'hello') })
  const client = await rawClient(t, proxy.port, { tls: { ca: server.cert } })
  client.write(upgradeHead('/ws/'))
  const refused = await client.response()
  await client.ended
  assert.deepEqual([refused.status, refused.headers['connection']], [403, ['close']])
})

test('with http2, a request over HTTP/2 is forwarded with its body', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => {
    response.writeHead(201, { 'x-upstream': 'yes', connection: 'close' })
    request.pipe(response)
  })
  const proxy = await startProxy(t, { path: '/api/', upstream: `${upstream.url}/v1/` }, http2)
  const http2Client = connectHttp2(proxy.url, { ca: server.cert, servername: 'localhost' })
  cleanup(t, 'connections', () => http2Client.destroy())
  const stream = http2Client.request({ ':method': 'POST', ':path': '/api/things?all=1', 'content-type': 'text/plain' })
  stream.end('over http/2')
  const [headers] = await event<[Record<string, unknown>]>(stream, 'response')
  let body = ''
  for await (const chunk of stream) body += String(chunk)
  assert.deepEqual(
    [headers[':status'], headers['x-upstream'], headers['connection'], body, upstream.requests[0]?.method, upstream.requests[0]?.url],
    [201, 'yes', undefined, 'over http/2', 'POST', '/v1/things?all=1']
  )
})

test('with http2, the upstream is told the authority as the host of the client', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end())
  const proxy = await startProxy(t, { upstream: upstream.url }, http2)
  const http2Client = connectHttp2(proxy.url, { ca: server.cert, servername: 'localhost' })
  cleanup(t, 'connections', () => http2Client.destroy())
  const stream = http2Client.request({ ':path': '/', ':authority': 'front.example' })
  stream.resume()
  await event(stream, 'end')
  assert.equal(upstream.requests[0]?.headers['x-forwarded-host'], 'front.example')
})
