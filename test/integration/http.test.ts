import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { METHODS } from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { MemoryWatch } from '../fixtures/memory.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { closedPort, headerOf, headersOf, socketPath, startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import type { HttpUpstream, RawUpstream } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

interface Forwarding {
  upstream: HttpUpstream
  proxy: Proxy
  client: RawClient
}

interface RawForwarding {
  upstream: RawUpstream
  proxy: Proxy
  client: RawClient
}

/** A node:http upstream, the proxy before it at '/', and a connection to the proxy. */
async function forwarding (t: TestContext, handler: RequestListener, options: Partial<ProxyOptions> = {}, setup: ProxySetup = {}): Promise<Forwarding> {
  const upstream = await startHttpUpstream(t, handler)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, ...options }, setup)
  return { upstream, proxy, client: await rawClient(t, proxy.port) }
}

/** The same with a scripted upstream. */
async function rawForwarding (
  t: TestContext, onConnection?: (connection: RawConnection) => unknown, options: Partial<ProxyOptions> = {}
): Promise<RawForwarding> {
  const upstream = await startRawUpstream(t, onConnection)
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, ...options })
  return { upstream, proxy, client: await rawClient(t, proxy.port) }
}

/** An upstream script: answers every request of a connection with the same bytes. */
function answering (response: string): (connection: RawConnection) => Promise<void> {
  return async (connection) => {
    for (;;) {
      await connection.head()
      connection.write(response)
    }
  }
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

function echo (request: IncomingMessage, response: ServerResponse): void {
  request.pipe(response)
}

// Requests

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']

for (const method of methods) {
  const skip = METHODS.includes(method) ? false : `this Node's parser has no ${method}`
  test(`${method} reaches the upstream as ${method}`, { skip }, async (t) => {
    const { client, upstream } = await forwarding(t, (_request, response) => response.end('ok'))
    const body = ['GET', 'HEAD', 'OPTIONS'].includes(method) ? '' : '{"a":1}'
    client.write(requestHead(method, '/thing', body === '' ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }) + body)
    const { status } = await client.response(method)
    assert.deepEqual([status, upstream.requests[0]?.method], [200, method])
  })
}

test('TRACE is not forwarded', async (t) => {
  const { client, upstream } = await forwarding(t, (_request, response) => response.end('ok'))
  client.write(requestHead('TRACE', '/'))
  const { status } = await client.response()
  assert.deepEqual([Math.floor(status / 100), upstream.requests.length], [4, 0])
})

test('CONNECT is not forwarded', async (t) => {
  const { client, upstream } = await forwarding(t, (_request, response) => response.end('ok'))
  client.write('CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n')
  await client.ended
  assert.equal(upstream.sockets.length, 0)
})

const paths: Array<[sent: string, seen: string]> = [
  ['/api/', '/base/'],
  ['/api/a/b', '/base/a/b'],
  ['/api/a%20b', '/base/a%20b'],
  ['/api/a%2Bb+c', '/base/a%2Bb+c'],
  ['/api/caf%C3%A9', '/base/caf%C3%A9'],
  ['/api/caf%c3%a9', '/base/caf%c3%a9'],
  ['/api/a%252Fb', '/base/a%252Fb'],
  ['/api/%41', '/base/%41'],
  ['/api/a;p=1/b', '/base/a;p=1/b'],
  ["/api/~!$&'()*+,;=:@", "/base/~!$&'()*+,;=:@"],
  ['/api/a?x=%2F&y=a+b&z', '/base/a?x=%2F&y=a+b&z'],
  ['/api/a?', '/base/a?'],
  ['/api/a?next=/../admin', '/base/a?next=/../admin'],
  ['/api/a?x=1?y=2', '/base/a?x=1?y=2']
]

for (const [sent, seen] of paths) {
  test(`${sent} reaches the upstream as ${seen}`, async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
    const proxy = await startProxy(t, { path: '/api/', upstream: `${upstream.url}/base/` })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', sent))
    const { status } = await client.response()
    assert.deepEqual([status, upstream.requests[0]?.url], [200, seen])
  })
}

for (const path of ['/api/../admin', '/api/%2e%2e/admin', '/api/..%2fadmin', '/api/.%2E/admin', '/api/a/../../admin']) {
  test(`${path} does not escape from the prefix`, async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('ok'))
    const proxy = await startProxy(t, { path: '/api/', upstream: `${upstream.url}/base/` })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', path))
    const { status } = await client.response()
    assert.deepEqual([Math.floor(status / 100), upstream.requests.length], [4, 0])
  })
}

test('a body with Content-Length arrives whole, and with its length', async (t) => {
  const sent = randomBytes(1024 * 1024)
  const seen = deferred<Buffer>()
  const { client, upstream } = await forwarding(t, async (request, response) => {
    seen.resolve(Buffer.concat(await request.toArray()))
    response.end('ok')
  })
  client.write(requestHead('POST', '/', { 'Content-Length': String(sent.length), 'Content-Type': 'application/octet-stream' }))
  client.write(sent)
  assert.equal((await client.response()).status, 200)
  assert.ok(sent.equals(await seen.promise))
  assert.deepEqual([upstream.requests[0]?.headers['content-length'], upstream.requests[0]?.headers['transfer-encoding']], [String(sent.length), undefined])
})

test('a chunked body arrives whole', async (t) => {
  const { client } = await forwarding(t, echo)
  client.write(requestHead('POST', '/', { 'Transfer-Encoding': 'chunked', 'Content-Type': 'text/plain' }))
  client.write('5\r\nhello\r\n')
  client.write('7\r\n, world\r\n0\r\n\r\n')
  assert.equal(String((await client.response()).body), 'hello, world')
})

test('a body that is no valid JSON passes untouched', async (t) => {
  const { client } = await forwarding(t, echo)
  client.write(requestHead('POST', '/', { 'Content-Type': 'application/json', 'Content-Length': '9' }) + '{ "a": 1,')
  assert.equal(String((await client.response()).body), '{ "a": 1,')
})

test('a body larger than the bodyLimit of Fastify passes', async (t) => {
  const { client } = await forwarding(t, async (request, response) => {
    response.end(String(Buffer.concat(await request.toArray()).length))
  }, {}, { fastify: { bodyLimit: 1000 } })
  client.write(requestHead('POST', '/', { 'Content-Type': 'application/json', 'Content-Length': '5000' }) + 'x'.repeat(5000))
  assert.equal(String((await client.response()).body), '5000')
})

test('an empty POST arrives as one', async (t) => {
  const { client, upstream } = await forwarding(t, (_request, response) => response.end('ok'))
  client.write(requestHead('POST', '/', { 'Content-Length': '0' }))
  const { status } = await client.response()
  assert.deepEqual([status, upstream.requests[0]?.headers['content-length']], [200, '0'])
})

test('a piece of the request body reaches the upstream before the next is sent', async (t) => {
  const { client, upstream } = await rawForwarding(t)
  client.write(requestHead('POST', '/', { 'Transfer-Encoding': 'chunked', 'Content-Type': 'text/plain' }) + '3\r\none\r\n')
  const connection = await upstream.next()
  await connection.waitFor('one')
  client.write('3\r\ntwo\r\n0\r\n\r\n')
  await connection.waitFor('two')
  connection.write(ok)
  assert.equal((await client.response()).status, 200)
})

test('a piece of the response body reaches the client before the next is sent', async (t) => {
  const more = deferred()
  const { client } = await forwarding(t, async (_request, response) => {
    response.write('one')
    await more.promise
    response.end('two')
  })
  client.write(requestHead('GET', '/'))
  await client.waitFor('one')
  more.resolve()
  assert.equal(String((await client.response()).body), 'onetwo')
})

test('an offer to upgrade that is not accepted is forwarded as plain HTTP, with its body', async (t) => {
  const { client, upstream } = await forwarding(t, echo)
  client.write(requestHead('POST', '/', {
    Connection: 'Upgrade, HTTP2-Settings',
    Upgrade: 'h2c',
    'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
    'Content-Type': 'text/plain',
    'Content-Length': '5'
  }) + 'hello')
  const { status, body } = await client.response()
  const { upgrade, 'http2-settings': settings } = upstream.requests[0]?.headers ?? {}
  assert.deepEqual([status, String(body), upgrade, settings], [200, 'hello', undefined, undefined])
})

test('a websocket upgrade to an http target without upgrade is forwarded as plain HTTP', async (t) => {
  const { client, upstream } = await forwarding(t, (_request, response) => response.end('plain'))
  client.write(upgradeHead('/'))
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body), upstream.requests[0]?.headers.upgrade], [200, 'plain', undefined])
})

// What a client may send that must not be an error

const strays: Array<[what: string, headers: Record<string, string>]> = [
  ['Keep-Alive', { Connection: 'keep-alive', 'Keep-Alive': 'timeout=5' }],
  ['TE: trailers', { Connection: 'TE', TE: 'trailers' }],
  ['TE: gzip', { TE: 'gzip, trailers' }],
  ['Upgrade without Connection', { Upgrade: 'h2c' }],
  ['Connection: upgrade without Upgrade', { Connection: 'upgrade' }],
  ['an Upgrade to something unknown', { Connection: 'Upgrade', Upgrade: 'IRC/6.9, RTA/x11' }],
  ['Proxy-Connection', { 'Proxy-Connection': 'keep-alive' }],
  ['Connection: close', { Connection: 'close' }],
  ['Trailer', { Trailer: 'X-Checksum' }],
  ['an underscore in a name', { x_thing: '1' }]
]

for (const [what, headers] of strays) {
  test(`a request with ${what} is forwarded`, async (t) => {
    const { client } = await forwarding(t, (_request, response) => response.end('fine'))
    client.write(requestHead('GET', '/', headers))
    const { status, body } = await client.response()
    assert.deepEqual([status, String(body)], [200, 'fine'])
  })
}

test('a request with Expect: 100-continue is told to go on, and forwarded', async (t) => {
  const { client } = await forwarding(t, echo)
  client.write(requestHead('POST', '/', { Expect: '100-continue', 'Content-Type': 'text/plain', 'Content-Length': '5' }))
  const interim = await client.response()
  client.write('hello')
  const { status, body } = await client.response()
  assert.deepEqual([interim.status, status, String(body)], [100, 200, 'hello'])
})

test('a request of HTTP/1.0 is forwarded', async (t) => {
  const { client } = await forwarding(t, (_request, response) => response.end('fine'))
  client.write('GET / HTTP/1.0\r\nHost: front.example\r\n\r\n')
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [200, 'fine'])
})

test('requests on one connection are answered in order, pipelined ones too', async (t) => {
  const { client } = await forwarding(t, (request, response) => response.end(request.url))
  client.write(requestHead('GET', '/1') + requestHead('GET', '/2'))
  client.write(requestHead('GET', '/3'))
  const bodies: string[] = []
  for (let count = 0; count < 3; count++) bodies.push(String((await client.response()).body))
  assert.deepEqual(bodies, ['/1', '/2', '/3'])
})

// Request headers

/** The head that the upstream sees for the headers given. */
async function headSeen (
  t: TestContext, headers: Record<string, string | string[]>, options: Partial<ProxyOptions> = {}, setup: ProxySetup = {}
): Promise<string> {
  const upstream = await startRawUpstream(t, answering(ok))
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, ...options }, setup)
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/', headers))
  assert.equal((await client.response()).status, 200)
  return upstream.connections[0]?.received.toString('latin1') ?? ''
}

test('hop-by-hop headers of the client are not forwarded', async (t) => {
  const head = await headSeen(t, {
    Connection: 'keep-alive, X-Only-For-You',
    'X-Only-For-You': '1',
    'Keep-Alive': 'timeout=5',
    TE: 'gzip',
    Trailer: 'X-Checksum',
    'Proxy-Connection': 'keep-alive',
    'Proxy-Authorization': 'Basic c2VjcmV0',
    Upgrade: 'h2c',
    'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA'
  })
  const leaked = ['x-only-for-you', 'keep-alive', 'te', 'trailer', 'proxy-connection', 'proxy-authorization', 'upgrade', 'http2-settings']
    .filter((name) => headerOf(head, name) !== undefined)
  assert.deepEqual(leaked, [])
})

test('Connection cannot take away what must pass', async (t) => {
  const head = await headSeen(t, {
    Connection: 'keep-alive, Cookie, Authorization, Host, X-Forwarded-For, X-Forwarded-Host',
    Cookie: 'a=1',
    Authorization: 'Bearer x'
  })
  assert.deepEqual(
    ['cookie', 'authorization', 'x-forwarded-for', 'x-forwarded-host'].map((name) => headerOf(head, name)),
    ['a=1', 'Bearer x', '127.0.0.1', 'front.example']
  )
})

test('end-to-end headers pass, repeated ones too', async (t) => {
  const head = await headSeen(t, { Accept: 'text/html', 'X-Many': ['one', 'two'], 'User-Agent': 'test/1', Origin: 'https://front.example' })
  assert.deepEqual(
    [headerOf(head, 'accept'), headersOf(head, 'x-many').join(', '), headerOf(head, 'user-agent'), headerOf(head, 'origin')],
    ['text/html', 'one, two', 'test/1', 'https://front.example']
  )
})

test('the upstream sees its own authority as Host', async (t) => {
  const upstream = await startRawUpstream(t, answering(ok))
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  await client.response()
  assert.deepEqual(headersOf(String(upstream.connections[0]?.received), 'host'), [`127.0.0.1:${upstream.port}`])
})

test('with preserveHost the upstream sees the Host of the client', async (t) => {
  const head = await headSeen(t, { Host: 'front.example:8080' }, { preserveHost: true })
  assert.deepEqual(headersOf(head, 'host'), ['front.example:8080'])
})

test('the upstream is told who the client is', async (t) => {
  const head = await headSeen(t, {})
  assert.deepEqual(
    ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded'].map((name) => headersOf(head, name)),
    [['127.0.0.1'], ['front.example'], ['http'], []]
  )
})

test('X-Forwarded headers of an untrusted client are overwritten', async (t) => {
  const head = await headSeen(
    t, { 'X-Forwarded-For': '6.6.6.6', 'x-FORWARDED-for': '7.7.7.7', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https' }
  )
  assert.deepEqual(
    ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'].map((name) => headersOf(head, name)),
    [['127.0.0.1'], ['front.example'], ['http']]
  )
})

test('X-Forwarded headers of a trusted proxy are kept and continued', async (t) => {
  const head = await headSeen(
    t,
    { 'X-Forwarded-For': '10.1.2.3', 'X-Forwarded-Host': 'public.example', 'X-Forwarded-Proto': 'https' },
    {},
    { fastify: { trustProxy: true } }
  )
  assert.deepEqual(
    ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'].map((name) => headersOf(head, name)),
    [['10.1.2.3, 127.0.0.1'], ['public.example'], ['https']]
  )
})

test("forwarded: 'forwarded' sends RFC 7239's header instead", async (t) => {
  const head = await headSeen(t, { Forwarded: 'for=6.6.6.6' }, { forwarded: 'forwarded' })
  const parts = (headerOf(head, 'forwarded') ?? '').toLowerCase().split(';').sort()
  assert.deepEqual(
    [parts.map((part) => part.replaceAll('"', '')), headerOf(head, 'x-forwarded-for')],
    [['for=127.0.0.1', 'host=front.example', 'proto=http'], undefined]
  )
})

test("forwarded: 'both' sends both", async (t) => {
  const head = await headSeen(t, {}, { forwarded: 'both' })
  assert.deepEqual([headersOf(head, 'forwarded').length, headersOf(head, 'x-forwarded-for')], [1, ['127.0.0.1']])
})

test('forwarded: false sends neither', async (t) => {
  const head = await headSeen(t, {}, { forwarded: false })
  assert.deepEqual(
    [headersOf(head, 'forwarded'), headersOf(head, 'x-forwarded-for'), headersOf(head, 'x-forwarded-host'), headersOf(head, 'x-forwarded-proto')],
    [[], [], [], []]
  )
})

test('rewriteRequestHeaders has the last word on what the upstream sees', async (t) => {
  const head = await headSeen(t, { 'X-Old': '1' }, {
    rewriteRequestHeaders: (request, headers) => {
      const { 'x-old': old, ...others } = headers
      return { ...others, 'x-new': `${String(old)} for ${request.url}` }
    }
  })
  assert.deepEqual([headerOf(head, 'x-old'), headerOf(head, 'x-new')], [undefined, '1 for /'])
})

// Responses

test('status, reason, headers and body of the upstream reach the client', async (t) => {
  const { client } = await rawForwarding(t, answering('HTTP/1.1 418 I am a teapot\r\nX-Pot: short\r\nContent-Type: text/tea\r\nContent-Length: 5\r\n\r\nstout'))
  client.write(requestHead('GET', '/'))
  const { status, headers, body } = await client.response()
  assert.deepEqual([status, headers['x-pot'], headers['content-type'], headers['content-length'], String(body)], [418, ['short'], ['text/tea'], ['5'], 'stout'])
})

for (const [what, rest] of [
  ['whole at once', 'Content-Length: 4\r\n\r\nbody'],
  ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n']
] as const) {
  test(`a body without Content-Type that comes ${what} gets none`, async (t) => {
    const { client } = await rawForwarding(t, answering(`HTTP/1.1 200 OK\r\n${rest}`))
    client.write(requestHead('GET', '/'))
    const { headers, body } = await client.response()
    assert.deepEqual([headers['content-type'], String(body)], [undefined, 'body'])
  })
}

test('an answer before the end of the request body arrives, and the rest is read and dropped', async (t) => {
  const { client, upstream } = await rawForwarding(t)
  client.write(requestHead('POST', '/', { 'Content-Length': '1000', 'Content-Type': 'text/plain' }) + 'the beginning')
  const connection = await upstream.next()
  await connection.waitFor('the beginning')
  connection.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
  const { status, headers } = await client.response()
  assert.deepEqual([status, headers['connection']], [413, ['keep-alive']])
  client.write('x'.repeat(1000 - 'the beginning'.length) + requestHead('GET', '/next'))
  assert.match(await (await upstream.next()).head(), /^GET \/next/)
})

test('several Set-Cookie headers stay apart', async (t) => {
  const { client } = await rawForwarding(
    t,
    answering('HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n')
  )
  client.write(requestHead('GET', '/'))
  assert.deepEqual((await client.response()).headers['set-cookie'], ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2'])
})

test('hop-by-hop headers of the upstream are not forwarded', async (t) => {
  const { client } = await rawForwarding(t, answering([
    'HTTP/1.1 200 OK',
    'Connection: keep-alive, X-Only-For-You',
    'X-Only-For-You: 1',
    'Keep-Alive: timeout=987',
    'Proxy-Authenticate: Basic',
    'Proxy-Connection: keep-alive',
    'Upgrade: h2c',
    'Content-Length: 2',
    '',
    'ok'
  ].join('\r\n')))
  client.write(requestHead('GET', '/'))
  const { headers } = await client.response()
  const leaked = ['x-only-for-you', 'proxy-authenticate', 'proxy-connection', 'upgrade', 'trailer'].filter((name) => headers[name] !== undefined)
  assert.deepEqual([leaked, (headers['keep-alive'] ?? []).includes('timeout=987')], [[], false])
})

test('rewriteHeaders has a say in what the client sees', async (t) => {
  const { client } = await rawForwarding(t, answering('HTTP/1.1 200 OK\r\nX-Powered-By: secret\r\nContent-Length: 2\r\n\r\nok'), {
    rewriteHeaders: (headers, request) => {
      const { 'x-powered-by': _gone, ...others } = headers
      return { ...others, 'x-path': request.url }
    }
  })
  client.write(requestHead('GET', '/here'))
  const { headers } = await client.response()
  assert.deepEqual([headers['x-powered-by'], headers['x-path']], [undefined, ['/here']])
})

test('a redirect of the upstream is relayed, not followed', async (t) => {
  const { client, upstream } = await forwarding(t, (_request, response) => response.writeHead(302, { location: 'https://elsewhere.example/' }).end())
  client.write(requestHead('GET', '/'))
  const { status, headers } = await client.response()
  assert.deepEqual([status, headers['location'], upstream.requests.length], [302, ['https://elsewhere.example/'], 1])
})

test('a compressed response passes as it is', async (t) => {
  const body = randomBytes(500)
  const { client } = await forwarding(t, (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body))
  client.write(requestHead('GET', '/', { 'Accept-Encoding': 'gzip' }))
  const response = await client.response()
  assert.deepEqual([response.headers['content-encoding'], response.body], [['gzip'], body])
})

test('a response that ends with its connection is framed for the client', async (t) => {
  const { client } = await rawForwarding(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end')
  })
  client.write(requestHead('GET', '/'))
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [200, 'to the end'])
})

test('early hints of the upstream reach the client before the response', async (t) => {
  const { client } = await rawForwarding(t, answering(`HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n${ok}`))
  client.write(requestHead('GET', '/'))
  const interim = await client.response()
  const final = await client.response()
  assert.deepEqual([interim.status, interim.headers['link'], final.status, String(final.body)], [103, ['</style.css>; rel=preload'], 200, 'ok'])
})

test('a 103 of the upstream does not disturb the response', async (t) => {
  const { client } = await rawForwarding(t, answering(`HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n${ok}`))
  client.write(requestHead('GET', '/'))
  let response = await client.response()
  while (response.status < 200) response = await client.response()
  assert.deepEqual([response.status, String(response.body)], [200, 'ok'])
})

for (const [how, interim] of [['by itself', ['HTTP/1.1 100 Continue\r\n\r\n', '']], ['with the answer', ['', 'HTTP/1.1 100 Continue\r\n\r\n']]] as const) {
  test(`a 100 that nobody asked for, ${how}, does not disturb the exchange`, async (t) => {
    const { client, upstream } = await rawForwarding(t, async (connection) => {
      for (;;) {
        await connection.head()
        if (interim[0] !== '') connection.write(interim[0])
        await connection.read(5)
        connection.write(interim[1] + ok)
      }
    })
    for (let i = 0; i < 2; i++) {
      client.write(requestHead('POST', '/x', { 'Content-Length': '5' }))
      client.write('hello')
      const { status, body } = await client.response()
      assert.deepEqual([status, String(body)], [200, 'ok'])
    }
    assert.equal(upstream.connections.length, 1, 'the connection of the upstream goes on')
  })
}

test('an upstream that sends nothing but 100 is a 502', async (t) => {
  const { client } = await rawForwarding(t, answering('HTTP/1.1 100 Continue\r\n\r\n'.repeat(50)))
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 502)
})

const bodiless: Array<[what: string, method: string, response: string, status: number, length: string | undefined]> = [
  ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204, undefined],
  ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 304, undefined],
  ['the answer to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n', 200, '1234']
]

for (const [what, method, answer, status, length] of bodiless) {
  test(`${what} has no body, and the connection goes on`, async (t) => {
    const { client } = await rawForwarding(t, async (connection) => {
      for (;;) connection.write((await connection.head()).startsWith('GET /next') ? ok : answer)
    })
    client.write(requestHead(method, '/'))
    const first = await client.response(method)
    client.write(requestHead('GET', '/next'))
    const second = await client.response()
    assert.deepEqual([first.status, first.headers['content-length']?.[0], second.status, String(second.body)], [status, length, 200, 'ok'])
  })
}

// Upstreams that fail

test('a refused connection is a 503', async (t) => {
  const proxy = await startProxy(t, { upstream: `http://127.0.0.1:${await closedPort()}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 503)
})

test('a name that does not resolve is a 502', async (t) => {
  const proxy = await startProxy(t, { upstream: 'http://nowhere.invalid/' })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 502)
})

test('a silent upstream is a 504 after the timeout', async (t) => {
  const { client } = await rawForwarding(t, undefined, { timeout: '300ms' })
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 504)
})

test('an upstream that stops in the middle of its body is cut off after the timeout', async (t) => {
  const { client, upstream } = await rawForwarding(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial'), { timeout: '300ms' })
  client.write(requestHead('GET', '/'))
  await assert.rejects(client.response(), /ended before an HTTP response/)
  await over(upstream.connections[0] as RawConnection)
})

const failures: Array<[what: string, answer: string]> = [
  ['bytes that are no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
  ['a status line without a status', 'HTTP/1.1 abc\r\n\r\n'],
  ['a header without a colon', 'HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nok'],
  ['two different lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!'],
  ['both Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'],
  ['a 101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
  ['a bare 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['the status 000', 'HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n'],
  ['a NUL in a header', 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok']
]

for (const [what, answer] of failures) {
  test(`an upstream that answers with ${what} is a 502`, async (t) => {
    const { client } = await rawForwarding(t, answering(answer))
    client.write(requestHead('GET', '/'))
    assert.equal((await client.response()).status, 502)
  })
}

test('an upstream that closes without an answer is a 502', async (t) => {
  const { client } = await rawForwarding(t, async (connection) => {
    await connection.head()
    connection.end()
  })
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 502)
})

test('an upstream that resets without an answer is a 502', async (t) => {
  const { client } = await rawForwarding(t, async (connection) => {
    await connection.head()
    connection.reset()
  })
  client.write(requestHead('POST', '/', { 'Content-Length': '2', 'Content-Type': 'text/plain' }) + 'hi')
  assert.equal((await client.response()).status, 502)
})

test('after a failure of the upstream the connection of the client goes on', async (t) => {
  let first = true
  const { client } = await rawForwarding(t, async (connection) => {
    await connection.head()
    if (first) connection.write('garbage\r\n\r\n')
    else connection.write(ok)
    first = false
  })
  client.write(requestHead('GET', '/'))
  const failed = await client.response()
  client.write(requestHead('GET', '/'))
  const next = await client.response()
  assert.deepEqual([failed.status, next.status], [502, 200])
})

const length = 'Content-Length: 100\r\n\r\npartial'
const chunks = 'Transfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n'
// Only a FIN ends a response that has neither (RFC 9112, 8).
const neither = 'Connection: close\r\n\r\npartial'
const ends = (connection: RawConnection): void => connection.end()
const resets = (connection: RawConnection): void => connection.reset()

for (const [die, framing, secure] of [
  [ends, length], [resets, length], [ends, chunks], [resets, chunks], [resets, neither], [resets, length, 'over TLS'], [resets, neither, 'over TLS']
] as const) {
  test(`an upstream ${secure ?? ''} that ${die.name} in the middle of a body with ${framing.slice(0, framing.indexOf('\r'))} cuts the response`, async (t) => {
    const tls = secure === undefined ? {} : { tls: selfSigned() }
    const upstream = await startRawUpstream(t, answering(`HTTP/1.1 200 OK\r\n${framing}`), tls)
    const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, tls: { rejectUnauthorized: false } })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/'))
    await client.waitFor('partial')
    die(upstream.connections[0] as RawConnection)
    await assert.rejects(client.response(), /ended before an HTTP response/)
    await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the forward to end')
    assert.equal(proxy.app.wstunnel.metrics().forwards.failed, 1)
  })
}

for (const [what, head] of [['forward', requestHead('GET', '/')], ['refused upgrade', upgradeHead('/')]] as const) {
  test(`a reset that comes together with the beginning of a body without a length is not its end: ${what}`, async (t) => {
    const { client, proxy } = await rawForwarding(t, async (connection) => {
      await connection.head()
      connection.write(`HTTP/1.1 200 OK\r\n${neither}`)
      connection.reset()
    }, { upgrade: 'websocket' })
    client.write(head)
    const status = await client.response().then(({ status }) => status, () => 'cut')
    assert.notEqual(status, 200)
    await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the forward to end')
  })

  test(`over a unix socket the end of the connection is the end of a body without a length: ${what}`, async (t) => {
    const path = await socketPath(t)
    const upstream = await startRawUpstream(t, async (connection) => {
      await connection.head()
      connection.end(`HTTP/1.1 200 OK\r\n${neither}`)
    }, { path })
    const proxy = await startProxy(t, { upstream: upstream.httpUrl, upgrade: 'websocket' })
    const client = await rawClient(t, proxy.port)
    client.write(head)
    const { status, body } = await client.response()
    assert.deepEqual([status, String(body)], [200, 'partial'])
  })
}

for (const framing of [length, chunks]) {
  test(`a client that speaks HTTP/1.0 can tell that a body with ${framing.slice(0, framing.indexOf('\r'))} was cut`, async (t) => {
    const { client, upstream } = await rawForwarding(t, answering(`HTTP/1.1 200 OK\r\n${framing}`))
    client.write('GET / HTTP/1.0\r\nHost: front.example\r\n\r\n')
    await client.waitFor('partial')
    ends(upstream.connections[0] as RawConnection)
    await assert.rejects(client.ended, /without a FIN/)
  })
}

// Clients that leave

test('a client that leaves while the upstream thinks aborts the request there', async (t) => {
  const left = deferred()
  const arrived = deferred()
  const { client, proxy } = await forwarding(t, (_request, response) => {
    response.on('close', () => left.resolve())
    arrived.resolve()
  })
  client.write(requestHead('GET', '/'))
  await within(arrived.promise, 'the request to arrive')
  client.reset()
  await within(left.promise, 'the upstream to notice')
  await until(() => proxy.app.wstunnel.metrics().forwards.aborted === 1, 'the abort to be counted')
})

test('a client that leaves in the middle of a response aborts it at the upstream', async (t) => {
  const left = deferred<boolean>()
  const { client } = await forwarding(t, (_request, response) => {
    response.on('close', () => left.resolve(response.writableFinished))
    response.write('beginning')
  })
  client.write(requestHead('GET', '/'))
  await client.waitFor('beginning')
  client.reset()
  assert.equal(await within(left.promise, 'the upstream to notice'), false)
})

test('a client that leaves in the middle of a request body aborts it at the upstream', async (t) => {
  const left = deferred<boolean>()
  const arrived = deferred()
  const { client } = await forwarding(t, (request) => {
    request.on('error', () => {})
    request.on('close', () => left.resolve(request.complete))
    request.once('data', () => arrived.resolve())
  })
  client.write(requestHead('POST', '/', { 'Content-Length': '100', 'Content-Type': 'text/plain' }) + 'partial')
  await within(arrived.promise, 'the beginning of the body')
  client.reset()
  assert.equal(await within(left.promise, 'the upstream to notice'), false)
})

// Backpressure

const piece = Buffer.alloc(64 * 1024, 'x')
const total = 64 * 1024 * 1024
/** Far above what sockets and streams hold, far below what would pile up without backpressure. */
const bound = 16 * 1024 * 1024

async function pump (socket: Pick<Socket, 'write' | 'on' | 'off'>): Promise<void> {
  for (let sent = 0; sent < total; sent += piece.length) {
    if (!socket.write(piece)) await event(socket as Socket, 'drain', 60_000)
  }
}

/** Reads `total` bytes, much slower than they could come, and watches the memory meanwhile. */
async function readSlowly (source: AsyncIterable<Buffer>, watch: MemoryWatch): Promise<number> {
  let bytes = 0
  let step = 0
  for await (const chunk of source) {
    bytes += chunk.length
    if (bytes >= step) {
      watch.sample()
      step += total / 16
      await pause(40)
    }
    if (bytes >= total) break
  }
  return bytes
}

test('a big upload to a slow upstream does not pile up in memory', { timeout: 60_000 }, async (t) => {
  const { client, upstream } = await rawForwarding(t)
  client.write(requestHead('POST', '/', { 'Content-Length': String(total), 'Content-Type': 'application/octet-stream' }))
  const watch = new MemoryWatch()
  const pumping = pump(client.socket)
  const connection = await upstream.next()
  await connection.head()
  const reading = readSlowly(connection.takeOver(), watch)
  const [bytes] = await within(Promise.all([reading, pumping]), 'the upload', 50_000)
  assert.deepEqual([bytes, watch.peak < bound], [total, true], `${watch.peak} bytes at most`)
})

test('a big download to a slow client does not pile up in memory', { timeout: 60_000 }, async (t) => {
  const { client, upstream } = await rawForwarding(t)
  client.write(requestHead('GET', '/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
  await client.head()
  const watch = new MemoryWatch()
  const reading = readSlowly(client.takeOver(), watch)
  const [bytes] = await within(Promise.all([reading, pump(connection.socket)]), 'the download', 50_000)
  assert.deepEqual([bytes, watch.peak < bound], [total, true], `${watch.peak} bytes at most`)
})

test('a big response arrives byte for byte', async (t) => {
  const body = randomBytes(8 * 1024 * 1024)
  const { proxy } = await forwarding(t, (_request, response) => response.end(body))
  const seen = createHash('sha256')
  const response = await fetch(`${proxy.url}/`)
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) seen.update(chunk)
  assert.equal(seen.digest('hex'), createHash('sha256').update(body).digest('hex'))
})

// Metrics

test('metrics count forwards by their final status', async (t) => {
  const { client, proxy } = await forwarding(t, (request, response) => response.writeHead(Number(request.url?.slice(1))).end())
  for (const status of [200, 204, 302, 404, 500]) {
    client.write(requestHead('GET', `/${status}`))
    await client.response()
  }
  await until(() => proxy.app.wstunnel.metrics().forwards.duration.count === 5, 'five forwards to end')
  assert.deepEqual(proxy.app.wstunnel.metrics().forwards.status, { '1xx': 0, '2xx': 2, '3xx': 1, '4xx': 1, '5xx': 1 })
})

test('metrics count the bytes of the bodies both ways', async (t) => {
  const { client, proxy } = await forwarding(t, async (request, response) => {
    await request.toArray()
    response.end('twelve bytes')
  })
  client.write(requestHead('POST', '/', { 'Content-Length': '5', 'Content-Type': 'text/plain' }) + 'hello')
  await client.response()
  await until(() => proxy.app.wstunnel.metrics().forwards.duration.count === 1, 'the forward to end')
  const { bytesFromClient, bytesFromUpstream, inFlight } = proxy.app.wstunnel.metrics().forwards
  assert.deepEqual({ bytesFromClient, bytesFromUpstream, inFlight }, { bytesFromClient: 5, bytesFromUpstream: 12, inFlight: 0 })
})

test('metrics count a forward that the upstream failed', async (t) => {
  const proxy = await startProxy(t, { upstream: `http://127.0.0.1:${await closedPort()}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  await client.response()
  await until(() => proxy.app.wstunnel.metrics().forwards.failed === 1, 'the failure to be counted')
})
