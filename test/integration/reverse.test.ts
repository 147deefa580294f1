import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener } from 'node:http'
import { connect } from 'node:http2'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ask, kinds } from '../fixtures/balanced.ts'
import type { AskOptions, Kind } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import { roundTrip } from '../fixtures/tunnel.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { headerOf, headersOf, socketPath, startHttpUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import type { HttpUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'

/** What an application says of itself: fields of its response, by the request. */
type Fields = Record<string, string | string[]>
type Says = (request: IncomingMessage, upstream: HttpUpstream) => Fields

/** An upstream that answers requests and upgrades alike with these fields, with the status of the path or 302. */
async function saying (t: TestContext, says: Says, tls?: { key: string, cert: string }): Promise<HttpUpstream> {
  const answer: RequestListener = (request, response) => {
    request.resume()
    response.writeHead(Number(/\/([2-5]\d\d)/.exec(request.url ?? '')?.[1] ?? 302), says(request, upstream))
    response.end('elsewhere')
  }
  const upstream = await startHttpUpstream(t, answer, tls)
  upstream.server.on('upgrade', (request: IncomingMessage, socket) => {
    const lines = Object.entries(says(request, upstream)).flatMap(([name, value]) => [value].flat().map((each) => `${name}: ${each}\r\n`))
    socket.end(`HTTP/1.1 302 Found\r\n${lines.join('')}Content-Length: 9\r\n\r\nelsewhere`, 'latin1')
  })
  return upstream
}

interface Told {
  status: number
  location: string | undefined
  contentLocation: string | undefined
  cookies: string[]
}

/** What a client is told, over a request or an upgrade. */
async function told (t: TestContext, proxy: Proxy, kind: Kind, options: AskOptions = {}): Promise<Told> {
  const { status, headers } = await ask(t, proxy, kind, { path: '/app/x', ...options })
  return { status, location: headers['location']?.[0], contentLocation: headers['content-location']?.[0], cookies: headers['set-cookie'] ?? [] }
}

async function proxied (t: TestContext, upstream: string, options: Partial<ProxyOptions> = {}, setup: ProxySetup = {}): Promise<Proxy> {
  return await startProxy(t, { prefix: '/app', upstream, upgrade: 'websocket', ...options }, setup)
}

const own: Says = (_, { url }) => ({
  Location: `${url}/base/login?next=${url}/base/`,
  'Content-Location': '/base/index.html',
  'Set-Cookie': ['a=1; Path=/base; HttpOnly', 'b=2; Path=/; Domain=127.0.0.1', 'c="x;y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/base/c']
})

for (const kind of kinds) {
  test(`redirects and cookies of ${kind === 'request' ? 'a response' : 'a refused upgrade'} lead below the prefix`, async (t) => {
    const upstream = await saying(t, own)
    const proxy = await proxied(t, `${upstream.url}/base`)
    assert.deepEqual(await told(t, proxy, kind), {
      status: 302,
      location: `http://front.example/app/login?next=${upstream.url}/base/`,
      contentLocation: '/app/index.html',
      cookies: ['a=1; Path=/app; HttpOnly', 'b=2; Path=/', 'c="x;y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/app/c']
    })
  })

  test(`with reverse: false nothing of ${kind === 'request' ? 'a response' : 'a refused upgrade'} is changed`, async (t) => {
    const upstream = await saying(t, own)
    const proxy = await proxied(t, `${upstream.url}/base`, { reverse: false })
    const { location, contentLocation, cookies } = await told(t, proxy, kind)
    assert.deepEqual(
      [location, contentLocation, cookies],
      [`${upstream.url}/base/login?next=${upstream.url}/base/`, '/base/index.html', own({} as IncomingMessage, upstream)['Set-Cookie']]
    )
  })

  test(`each part of reverse can be turned off for ${kind === 'request' ? 'a response' : 'a refused upgrade'}`, async (t) => {
    const upstream = await saying(t, (_, { url }) =>
      ({ Location: `${url}/base/x`, 'Content-Location': '/base/x', 'Set-Cookie': 'a=1; Path=/base; Domain=127.0.0.1' }))
    const results = []
    for (const reverse of [{ location: false }, { location: 'absolute' }, { cookiePath: false }, { cookieDomain: false }] as const) {
      results.push(await told(t, await proxied(t, `${upstream.url}/base`, { reverse }), kind))
    }
    const mapped = 'http://front.example/app/x'
    assert.deepEqual(results.map(({ location, contentLocation, cookies: [cookie] }) => [location, contentLocation, cookie]), [
      [`${upstream.url}/base/x`, '/base/x', 'a=1; Path=/app'],
      [mapped, '/base/x', 'a=1; Path=/app'],
      [mapped, '/app/x', 'a=1; Path=/base'],
      [mapped, '/app/x', 'a=1; Path=/app; Domain=127.0.0.1']
    ])
  })

  test(`rewriteHeaders has the last word on ${kind === 'request' ? 'a response' : 'a refused upgrade'}`, async (t) => {
    const upstream = await saying(t, (_, { url }) => ({ Location: `${url}/base/x` }))
    const seen: unknown[] = []
    const proxy = await proxied(t, `${upstream.url}/base`, {
      rewriteHeaders: (headers) => {
        seen.push(headers['location'])
        return { ...headers, location: 'https://last.example/' }
      }
    })
    assert.equal((await told(t, proxy, kind)).location, 'https://last.example/')
    assert.deepEqual(seen, ['http://front.example/app/x'])
  })

  test(`a parameter of the prefix is given back as the client wrote it, for ${kind}s`, async (t) => {
    const upstream = await saying(t, () => ({ Location: '/r/login', 'Set-Cookie': 'a=1; Path=/r' }))
    const proxy = await startProxy(t, { routes: [{ path: '/rooms/:room', upstream: `${upstream.url}/r`, upgrade: 'websocket' }] })
    const { location, cookies } = await told(t, proxy, kind, { path: '/rooms/caf%C3%A9/x?y' })
    assert.deepEqual([location, cookies], ['/rooms/caf%C3%A9/login', ['a=1; Path=/rooms/caf%C3%A9']])
  })

  test(`a segment that a client has put an attribute into does not get into a cookie, for ${kind}s`, async (t) => {
    const upstream = await saying(t, () => ({ 'Set-Cookie': 'a=1; Path=/r' }))
    const proxy = await startProxy(t, { routes: [{ path: '/rooms/:room', upstream: `${upstream.url}/r`, upgrade: 'websocket' }] })
    assert.deepEqual((await told(t, proxy, kind, { path: '/rooms/x;Domain=evil.example/y' })).cookies, ['a=1; Path=/r'])
  })

  test(`a route at the root does not make an authority of a path, for ${kind}s`, async (t) => {
    const upstream = await saying(t, () => ({ Location: '/base//evil.example/' }))
    const proxy = await startProxy(t, { upstream: `${upstream.url}/base`, upgrade: 'websocket' })
    assert.equal((await told(t, proxy, kind, { path: '/x' })).location, '/base//evil.example/')
  })

  test(`with trustProxy, the host and the scheme are those that the proxy before us names, for ${kind}s`, async (t) => {
    const upstream = await saying(t, (_, { url }) => ({ Location: `${url}/base/x` }))
    const headers = { 'X-Forwarded-Host': 'public.example:8443', 'X-Forwarded-Proto': 'https' }
    const trusting = await proxied(t, `${upstream.url}/base`, {}, { fastify: { trustProxy: true } })
    const wary = await proxied(t, `${upstream.url}/base`)
    assert.equal((await told(t, trusting, kind, { headers })).location, 'https://public.example:8443/app/x')
    assert.equal((await told(t, wary, kind, { headers })).location, 'http://front.example/app/x')
  })

  test(`what a trusted proxy names is checked before it is written, for ${kind}s`, async (t) => {
    const upstream = await saying(t, (_, { url }) => ({ Location: `${url}/base/x` }))
    const proxy = await proxied(t, `${upstream.url}/base`, {}, { fastify: { trustProxy: true } })
    assert.equal((await told(t, proxy, kind, { headers: { 'X-Forwarded-Host': 'evil.example/@x' } })).location, '/app/x')
  })

  test(`with preserveHost, the client's own authority counts as the upstream's, for ${kind}s`, async (t) => {
    const upstream = await saying(t, ({ headers: { host } }) => ({ Location: `http://${host}/base/x`, 'Set-Cookie': `a=1; Domain=${host}` }))
    const fastify = { trustProxy: true }
    const proxy = await proxied(t, `${upstream.url}/base`, { preserveHost: true }, { fastify })
    const headers = { 'X-Forwarded-Proto': 'https' }
    assert.deepEqual(
      await told(t, proxy, kind, { headers }),
      { status: 302, location: 'https://front.example/app/x', contentLocation: undefined, cookies: ['a=1; Domain=front.example'] }
    )
    const without = await proxied(t, `${upstream.url}/base`, { rewriteRequestHeaders: (_, fields) => ({ ...fields, host: 'front.example' }) }, { fastify })
    assert.equal((await told(t, without, kind, { headers })).location, 'http://front.example/base/x')
  })

  test(`a function's upstream is the one that it returned, for ${kind}s`, async (t) => {
    const [one, two] = [await saying(t, own), await saying(t, own)]
    const proxy = await proxied(t, '', { upstream: async ({ headers }) => headers['x-to'] === 'two' ? `${two.url}/base` : `${one.url}/base` })
    for (const to of ['one', 'two', 'one']) {
      assert.match((await told(t, proxy, kind, { headers: { 'X-To': to } })).location ?? '', /^http:\/\/front\.example\/app\/login\?/)
    }
  })

  test(`a balancer's members are mapped each by its own base, for ${kind}s`, async (t) => {
    const upstream: HttpUpstream[] = []
    for (const name of ['/one', '/two/']) {
      upstream.push(await saying(t, () => ({
        Location: `${upstream[1]?.url}/two/deep/x`,
        'Content-Location': `${name.replace(/\/$/, '')}/deep/y`,
        'Set-Cookie': 'a=1; Domain=127.0.0.1'
      })))
    }
    const members = [`${upstream[0]?.url}/one`, `${upstream[1]?.url}/two/`]
    const proxy = await proxied(t, 'balancer://app/deep', {
      balancers: { app: { members: members.map((url) => ({ url })), stickySession: 'S', stickyCookie: { path: '/deep' } } }
    })
    for (let i = 0; i < 4; i++) {
      const { location, contentLocation, cookies } = await told(t, proxy, kind)
      assert.deepEqual([location, contentLocation], ['http://front.example/app/x', '/app/y'])
      assert.ok(cookies.includes('a=1'))
      assert.ok(cookies.every((cookie) => cookie === 'a=1' || / Path=\/deep;/.test(cookie)), 'our own cookie is not mapped')
    }
  })

  test(`a unix socket's upstream goes by its URL, for ${kind}s`, async (t) => {
    const path = await socketPath(t)
    await startRawUpstream(t, async (connection) => {
      connection.socket.once('end', () => connection.end())
      for (;;) {
        await connection.head()
        connection.write('HTTP/1.1 302 Found\r\nLocation: http://BACKEND.example:80/base/x\r\n' +
          'Set-Cookie: a=1; Domain=.backend.example\r\nContent-Length: 0\r\n\r\n')
      }
    }, { path })
    const proxy = await proxied(t, `unix:${path}|ws://backend.example/base`)
    const { location, cookies } = await told(t, proxy, kind)
    assert.deepEqual([location, cookies], ['http://front.example/app/x', ['a=1']])
  })

  test(`over TLS on both sides the scheme is https, for ${kind}s`, async (t) => {
    const tls = selfSigned()
    const upstream = await saying(
      t,
      (_, { port }) => ({ Location: `https://localhost:${port}/base/x`, 'Content-Location': `http://localhost:${port}/base/x` }),
      tls
    )
    const proxy = await proxied(t, `https://localhost:${upstream.port}/base`, { tls: { ca: tls.cert } }, { fastify: { https: tls } })
    const client = await rawClient(t, proxy.port, { tls: { ca: tls.cert } })
    client.write(kind === 'upgrade' ? upgradeHead('/app/x') : requestHead('GET', '/app/x'))
    const { headers } = await client.response()
    assert.deepEqual([headers['location'], headers['content-location']], [['https://front.example/app/x'], [`http://localhost:${upstream.port}/base/x`]])
  })
}

for (const [method, path] of [
  ['HEAD', '/app/302'], ['POST', '/app/201'], ['GET', '/app/300'], ['PUT', '/app/303'],
  ['GET', '/app/304'], ['DELETE', '/app/404'], ['GET', '/app/503'], ['PROPFIND', '/app/207']
] as const) {
  test(`${method} with a ${path.slice(-3)} is mapped as well`, async (t) => {
    const upstream = await saying(t, own)
    const proxy = await proxied(t, `${upstream.url}/base`)
    const { status, location, cookies } = await told(t, proxy, 'request', { path, method })
    assert.deepEqual(
      [status, location, cookies[0]],
      [Number(path.slice(-3)), `http://front.example/app/login?next=${upstream.url}/base/`, 'a=1; Path=/app; HttpOnly']
    )
  })
}

test('a client of HTTP/1.0 without a Host gets a path alone', async (t) => {
  const upstream = await saying(t, own)
  const proxy = await proxied(t, `${upstream.url}/base`)
  const client = await rawClient(t, proxy.port)
  client.write('GET /app/x HTTP/1.0\r\n\r\n')
  const head = await client.head()
  assert.equal(headerOf(head, 'location'), `/app/login?next=${upstream.url}/base/`)
  assert.deepEqual(headersOf(head, 'set-cookie').slice(0, 2), ['a=1; Path=/app; HttpOnly', 'b=2; Path=/'])
})

test('a request target in absolute-form names the host that the client asked for', async (t) => {
  const upstream = await saying(t, own)
  const proxy = await proxied(t, `${upstream.url}/base`)
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', 'http://asked.example/app/x', { Host: 'asked.example' }))
  assert.match((await client.response()).headers['location']?.[0] ?? '', /^http:\/\/asked\.example\/app\/login/)
})

test('a client of HTTP/2 is led back to the authority that it asked', async (t) => {
  const tls = selfSigned()
  const upstream = await saying(t, own)
  const proxy = await proxied(t, `${upstream.url}/base`, {}, { fastify: { http2: true, https: tls } })
  const session = connect(`https://localhost:${proxy.port}`, { ca: tls.cert })
  cleanup(t, 'connections', () => session.destroy())
  const stream = session.request({ ':path': '/app/x' })
  const [headers] = await event(stream, 'response') as [Record<string, string | string[]>]
  assert.equal(headers['location'], `https://localhost:${proxy.port}/app/login?next=${upstream.url}/base/`)
  assert.equal(headers['set-cookie']?.[0], 'a=1; Path=/app; HttpOnly')
})

test('the cookies of a 101 lead below the prefix, and the tunnel opens', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await proxied(t, `${upstream.url}/base`)
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/app/chat'))
  const connection = await upstream.next()
  const head = await connection.head()
  assert.match(head, /^GET \/base\/chat /)
  const cookies = ['a=1; Path=/base', 'b=2; Path=/base/x; Domain=127.0.0.1', 'c=3; Path=/']
  connection.write(switching(head).replace('\r\n\r\n', `\r\n${cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join('')}\r\n`))
  const response = await client.response()
  assert.deepEqual([response.status, response.headers['set-cookie']], [101, ['a=1; Path=/app', 'b=2; Path=/app/x', 'c=3; Path=/']])
  await roundTrip({ client, upstream: connection })
})

test('without fallbackToHttp the upstream\'s bytes are relayed as they are', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await proxied(t, `${upstream.url}/base`, { fallbackToHttp: false })
  const answers = [
    `HTTP/1.1 302 Found\r\nLocation: ${upstream.httpUrl}/base/login\r\nSet-Cookie: a=1; Path=/base\r\nContent-Length: 0\r\n\r\n`,
    (head: string) => switching(head).replace('\r\n\r\n', '\r\nSet-Cookie: a=1; Path=/base\r\n\r\n')
  ]
  for (const answer of answers) {
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/app/x'))
    const connection = await upstream.next()
    const text = typeof answer === 'string' ? answer : answer(await connection.head())
    connection.write(text)
    assert.equal((await client.response()).rawHead, text)
  }
})

test('of several Location fields each is mapped, and fields with other names are not', async (t) => {
  const upstream = await saying(t, () => ({
    Location: ['/base/a', '/base/b'],
    Link: '</base/x>; rel=next',
    Refresh: '0; url=/base/x',
    'X-Location-': '/base/x',
    'X-LocatI': '/base',
    'set-cookieX': 'a=1; Path=/base'
  }))
  const proxy = await proxied(t, `${upstream.url}/base`)
  const { headers } = await ask(t, proxy, 'request', { path: '/app/x' })
  assert.deepEqual([headers['location'], headers['link'], headers['refresh'], headers['x-locati'], headers['set-cookiex']],
    [['/app/a', '/app/b'], ['</base/x>; rel=next'], ['0; url=/base/x'], ['/base'], ['a=1; Path=/base']])
})

test('the member that answers after another failed is the one that paths are mapped by', async (t) => {
  const upstream = await saying(t, () => ({ Location: '/two/x' }))
  const broken = await startRawUpstream(t, (connection) => connection.reset())
  const members = [{ url: `${broken.httpUrl}/one` }, { url: `${upstream.url}/two` }]
  const proxy = await proxied(t, 'balancer://app', { balancers: { app: { members } } })
  assert.equal((await told(t, proxy, 'request')).location, '/app/x')
  assert.equal(broken.connections.length, 1)
})

test('a redirect can be followed to where it leads', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => {
    if (request.url === '/base/in?x=%2F') response.end(`at ${request.url}`)
    else response.writeHead(307, { location: `${upstream.url}/base/in?x=%2F` }).end()
  })
  const proxy = await proxied(t, `${upstream.url}/base`)
  const response = await fetch(`${proxy.url}/app/start`)
  assert.deepEqual([response.url, await response.text()], [`${proxy.url}/app/in?x=%2F`, 'at /base/in?x=%2F'])
})

// The hint at preserveHost

const origin = { Origin: 'https://front.example' }

/** The hints of so many upgrades that the upstream refuses. */
async function hints (t: TestContext, status: number, requests: Array<Record<string, string>>, options: Partial<ProxyOptions> = {}): Promise<string[]> {
  const log = recordLog()
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  })
  const proxy = await proxied(t, `${upstream.url}/base`, options, { fastify: { logger: log.logger } as object })
  for (const headers of requests) assert.equal((await ask(t, proxy, 'upgrade', { path: '/app/x', headers })).status, status)
  return log.lines.filter((line) => line['level'] === 40 && /preserveHost/.test(String(line['msg']))).map((line) => String(line['route']))
}

for (const fallbackToHttp of [true, false]) {
  test(`a 403 to an upgrade with Origin is a hint at preserveHost, once a route, with fallbackToHttp: ${fallbackToHttp}`, async (t) => {
    assert.deepEqual(await hints(t, 403, [origin, origin, origin], { fallbackToHttp }), ['/app'])
  })
}

test('no hint is given without Origin, for another status, or where preserveHost is on', async (t) => {
  assert.deepEqual(await hints(t, 403, [{}, {}]), [])
  assert.deepEqual(await hints(t, 401, [origin]), [])
  assert.deepEqual(await hints(t, 403, [origin], { preserveHost: true }), [])
})
