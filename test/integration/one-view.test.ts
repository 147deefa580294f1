// Hooks, host, route and entry of one request belong together: where this server and Fastify could read it differently, the
// reading that the hooks saw is the one that counts, or the request is a 400.
import assert from 'node:assert/strict'
import http2 from 'node:http2'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import Fastify, { type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import wstunnel, { type RouteOptions } from '../../lib/index.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy, type Proxy, type ProxyOptions, type ProxySetup } from '../fixtures/proxy.ts'
import { headerOf, startRawUpstream, switching, type RawUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'

/** Answers a request with its name and what it was asked for; an upgrade with a 101 that says so. */
async function teller (t: TestContext, name: string): Promise<RawUpstream> {
  return await startRawUpstream(t, async (connection) => {
    for (;;) {
      const head = await connection.head()
      const told = { 'x-told': `${name} ${head.split(' ')[1]}`, 'x-host': headerOf(head, 'host'), 'x-forwarded-host': headerOf(head, 'x-forwarded-host') }
      if (headerOf(head, 'upgrade') !== undefined) return connection.write(switching(head, told))
      const fields = Object.entries(told).map(([field, value]) => `${field}: ${value ?? '-'}\r\n`).join('')
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`)
    }
  })
}

async function authenticate (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  return request.headers.authorization === undefined ? reply.code(401).send() : undefined
}

interface Told {
  status: number
  told: string
  host: string
  forwardedHost: string
}

async function exchange (t: TestContext, { port }: Proxy, head: string): Promise<Told> {
  const client = await rawClient(t, port)
  client.write(head)
  const { status, headers } = await client.response()
  client.destroy()
  const first = (name: string): string => headers[name]?.[0] ?? ''
  return { status, told: first('x-told'), host: first('x-host'), forwardedHost: first('x-forwarded-host') }
}

/** `200 A /x`, `401`, `101 B /y`. */
async function get (t: TestContext, proxy: Proxy, path: string, host = 'front.example', method = 'GET'): Promise<string> {
  const { status, told } = await exchange(t, proxy, requestHead(method, path, { Host: host }))
  return `${status} ${told}`.trim()
}

async function socket (t: TestContext, proxy: Proxy, path: string, host = 'front.example'): Promise<string> {
  const { status, told } = await exchange(t, proxy, upgradeHead(path, { host }))
  return `${status} ${told}`.trim()
}

async function two (
  t: TestContext, routes: (A: RawUpstream, B: RawUpstream) => RouteOptions[], fastify: FastifyServerOptions = {}, setup: ProxySetup = {}
): Promise<Proxy> {
  const A = await teller(t, 'A')
  const B = await teller(t, 'B')
  return await startProxy(t, { routes: routes(A, B) }, { fastify, ...setup })
}

// The entry that decides is the entry whose hooks ran

test('an entry for every WebSocket guards those below the open path of another entry, too', async (t) => {
  const proxy = await two(t, (A, B) => [
    { path: '/', upstream: A.url, fallbackToHttp: false, preHandler: authenticate },
    { path: '/public/', upstream: B.httpUrl }
  ])
  assert.deepEqual(
    [await socket(t, proxy, '/secret'), await socket(t, proxy, '/public/secret'), await get(t, proxy, '/public/x'), await get(t, proxy, '/secret')],
    ['401', '401', '200 B /x', '404']
  )
})

test('entries that cross each other have their own hooks where they do', async (t) => {
  const proxy = await two(t, (A, B) => [
    { path: '/:tenant/admin/', upstream: A.httpUrl, onRequest: authenticate },
    { path: '/assets/', upstream: B.httpUrl }
  ])
  assert.deepEqual(
    [await get(t, proxy, '/assets/admin/users'), await get(t, proxy, '/assets/x'), await get(t, proxy, '/t/admin/users')],
    ['401', '200 B /x', '401']
  )
})

test('an entry that skips a request leaves it to the next in the table, not to the next that the router prefers', async (t) => {
  const proxy = await two(t, (A, B) => [
    { path: '/assets/', upstream: A.url, fallbackToHttp: false },
    { path: '/:tenant/admin/', upstream: B.httpUrl, onRequest: authenticate },
    { path: '/', upstream: A.httpUrl }
  ])
  assert.deepEqual(
    [await get(t, proxy, '/assets/admin/x'), await socket(t, proxy, '/assets/admin/x'), await get(t, proxy, '/assets/x')],
    ['401', '101 A /admin/x', '200 A /assets/x']
  )
})

for (const [kind, one, other] of [['strings', 'a.example', 'b.example'], ['expressions', /^a\./, /^b\./]] as const) {
  test(`the host that chooses an entry by ${kind} is the host of its upstream`, async (t) => {
    const proxy = await two(t, (A, B) => [
      { upstream: A.url, fallbackToHttp: false, constraints: { host: one } },
      { upstream: A.httpUrl, constraints: { host: one } },
      { upstream: B.url, fallbackToHttp: false, constraints: { host: other } },
      { upstream: B.httpUrl, constraints: { host: other } }
    ])
    assert.deepEqual([
      await get(t, proxy, '/x', 'a.example'), await socket(t, proxy, '/x', 'a.example'),
      await get(t, proxy, '/x', 'b.example'), await socket(t, proxy, '/x', 'b.example'),
      await get(t, proxy, '/x', 'c.example')
    ], ['200 A /x', '101 A /x', '200 B /x', '101 B /x', '404'])
  })
}

test('an excluded path is nobody\'s, at less specific entries either, for its own host and methods only', async (t) => {
  const proxy = await two(t, (A, B) => [
    { path: '/internal/', upstream: false },
    { path: '/vault/', upstream: false, constraints: { host: 'a.example' } },
    { path: '/post/', upstream: false, methods: ['POST'] },
    { path: '/', upstream: A.httpUrl, upgrade: 'websocket' },
    { path: '/internal/', upstream: B.httpUrl }
  ])
  assert.deepEqual([
    await get(t, proxy, '/internal/x'), await socket(t, proxy, '/internal/x'),
    await get(t, proxy, '/vault/x', 'a.example'), await get(t, proxy, '/vault/x', 'b.example'),
    await get(t, proxy, '/post/x', 'a', 'POST'), await get(t, proxy, '/post/x')
  ], ['404', '404', '404', '200 A /vault/x', '404', '200 A /post/x'])
})

test('an excluded path is the user\'s own route, where there is one', async (t) => {
  const proxy = await two(t, (A) => [{ path: '/internal/', upstream: false }, { upstream: A.httpUrl }], {}, {
    after (app) { app.get('/internal/*', async (_, reply) => reply.header('x-told', 'own').send()) }
  })
  assert.deepEqual([await get(t, proxy, '/internal/x'), await get(t, proxy, '/x')], ['200 own', '200 A /x'])
})

test('hooks, config and parameters are those of the entry, at every pattern at which it decides', async (t) => {
  const seen: unknown[] = []
  const see = async (request: FastifyRequest): Promise<void> => {
    seen.push([(request.routeOptions.config as unknown as { name: string }).name, request.params])
  }
  const proxy = await two(t, (A, B) => [
    { path: '/:tenant/admin/', upstream: A.httpUrl, config: { name: 'admin' }, onRequest: see },
    { path: '/assets/', upstream: B.httpUrl, config: { name: 'assets' }, onRequest: see },
    { path: '/', upstream: A.httpUrl, config: { name: 'all' }, onRequest: see }
  ])
  for (const path of ['/assets/admin/a%20b', '/assets/x', '/t/admin/', '/t/x']) await get(t, proxy, path)
  assert.deepEqual(seen.map((each) => JSON.stringify(each)), [
    '["admin",{"tenant":"assets","*":"a b"}]', '["assets",{"*":"x"}]', '["admin",{"tenant":"t","*":""}]', '["all",{"*":"t/x"}]'
  ])
})

test('a table that Fastify\'s router cannot hold is an error that names its entries', async () => {
  const many = Array.from({ length: 33 }, (_, i) => ({ path: '/v/', upstream: 'http://127.0.0.1:9/', constraints: { host: `h${i}.example` } }))
  await assert.rejects(
    async () => await Fastify().register(wstunnel, { routes: many }),
    { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: /at most 31 entries.*\/v\// }
  )
})

test('the same paths registered twice are an error in our own words', async () => {
  const app = Fastify()
  app.register(wstunnel, { prefix: '/app', upstream: 'http://127.0.0.1:9/' })
  app.register(wstunnel, { prefix: '/app', upstream: 'http://127.0.0.1:9/' })
  await assert.rejects(async () => await app.ready(), { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: /^\/app: registered twice/ })
})

for (const order of ['first', 'last']) {
  test(`a registration with an expression for the host goes before one for every host, registered ${order}`, async (t) => {
    const A = await teller(t, 'A')
    const B = await teller(t, 'B')
    const special = { upstream: B.httpUrl, constraints: { host: /^b\./ } }
    const proxy = await startProxy(t, order === 'first' ? special : { upstream: A.httpUrl }, {
      after (app) { app.register(wstunnel, order === 'first' ? { upstream: A.httpUrl } : special) }
    })
    assert.deepEqual([await get(t, proxy, '/x', 'a.example'), await get(t, proxy, '/x', 'b.example')], ['200 A /x', '200 B /x'])
  })
}

for (const [first, second, caseSensitive] of [['/:a', '/:b', true], ['/App', '/app', false], ['/x/:a-:b', '/x/:c-:d', true]] as const) {
  test(`${first} and ${second} are one path, where the router reads them as one`, async () => {
    const app = Fastify({ routerOptions: { caseSensitive } })
    for (const prefix of [first, second]) app.register(wstunnel, { prefix, upstream: 'http://127.0.0.1:9/' })
    await assert.rejects(async () => await app.ready(), { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: /registered twice/ })
  })
}

// The host that hooks saw is the host that the upstream gets

for (const preserveHost of [false, true]) {
  test(`the authority of a request target may not differ from Host (preserveHost: ${preserveHost})`, async (t) => {
    const A = await teller(t, 'A')
    const proxy = await startProxy(t, { upstream: A.httpUrl, preserveHost })
    const ask = async (target: string, host: string): Promise<unknown[]> => {
      const { status, host: to, forwardedHost } = await exchange(t, proxy, requestHead('GET', target, { Host: host }))
      return [status, status === 200 ? (preserveHost ? to : forwardedHost) : '']
    }
    assert.deepEqual([
      await ask('http://admin.example/x', 'www.example'), await ask('http://www.example/x', 'www.example'), await ask('http://WWW.example:80/x', 'www.example'),
      await ask('http://user@www.example/x', 'www.example'), await ask('http://www.example/x', ''), await ask('http://www.example:443/x', 'www.example')
    ], [[400, ''], [200, 'www.example'], [200, 'www.example'], [400, ''], [400, ''], [400, '']])
  })
}

test('over HTTP/2 the authority is checked as Host is, and a Host field that differs from it is a 400', async (t) => {
  const A = await teller(t, 'A')
  const proxy = await startProxy(t, { upstream: A.httpUrl }, { fastify: { http2: true } })
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`)
  const ask = async (headers: http2.OutgoingHttpHeaders): Promise<number> => {
    const stream = session.request({ ':path': '/x', ...headers })
    // From 22 on Node refuses some of these by itself, without a word to the server.
    const reset = new Promise<number>((resolve) => { stream.once('error', () => resolve(stream.rstCode === http2.constants.NGHTTP2_PROTOCOL_ERROR ? 400 : 0)) })
    const response = event(stream, 'response').then(([headers]) => Number((headers as http2.IncomingHttpHeaders)[':status']))
    response.catch(() => {})
    const status = await Promise.race([reset, response])
    stream.resume()
    return status
  }
  const statuses = []
  for (const headers of [
    { ':authority': 'www.example' }, { ':authority': 'user@evil' }, { ':authority': 'a:99999' }, { ':authority': 'www.example', host: 'admin.example' },
    { ':authority': 'www.example', host: 'WWW.example' }
  ]) statuses.push(await ask(headers))
  session.destroy()
  assert.deepEqual(statuses, [200, 400, 400, 400, 200])
})

// One path, one meaning

test('a path that another entry would have, read in another way, is a 400', async (t) => {
  const proxy = await two(t, (A, B) => [
    { path: '/internal/', upstream: false }, { path: '/app/secret/', upstream: B.httpUrl, onRequest: authenticate },
    { path: '/a+b/', upstream: false }, { path: '/', upstream: A.httpUrl }
  ])
  for (const path of [
    '/internal%2fs', '/internal%2Fs', '/internal;x/s', '/internal;/s', '/internal%3Bx/s',
    '/internal%5Cs', '/app/secret%2Fx', '/app;v=1/secret/x', '/app//secret/x', '/app%2Fsecret%2Fx',
    '/app/%2Fsecret/x', '/a%2Bb/x', '/internal%2F', '/x/..%2finternal/s'
  ]) assert.equal(await get(t, proxy, path), '400', path)
  for (const path of ['/job/a%2Fb', '/job;v=1/x', '/job//x', '/internal', '/internals%2Fx', '/app/public%2Fx', '/a%20b/x']) {
    assert.equal(await get(t, proxy, path), `200 A ${path}`, path)
  }
})

test('a path is read by the entries of other registrations, too, but not by those of other hosts', async (t) => {
  const A = await teller(t, 'A')
  const proxy = await startProxy(t, { upstream: A.httpUrl }, {
    after (app) {
      app.register(wstunnel, { prefix: '/other', upstream: A.httpUrl, onRequest: authenticate })
      app.register(wstunnel, { prefix: '/hosted', upstream: A.httpUrl, constraints: { host: 'a.example' } })
    }
  })
  assert.deepEqual([
    await get(t, proxy, '/other%2Fx'), await get(t, proxy, '/hosted%2Fx', 'a.example'),
    await get(t, proxy, '/hosted%2Fx', 'b.example'), await get(t, proxy, '/x%2Fother')
  ], ['400', '400', '200 A /hosted%2Fx', '200 A /x%2Fother'])
})

test('with trustProxy, too, a path is read by the entries of the host that the router saw', async (t) => {
  const proxy = await two(
    t,
    (A) => [{ path: '/internal/', upstream: false, constraints: { host: 'a.example' } }, { path: '/', upstream: A.httpUrl }],
    { trustProxy: true }
  )
  const ask = async (host: string, forwarded: string): Promise<string> => {
    const { status, told } = await exchange(t, proxy, requestHead('GET', '/internal%2fs', { Host: host, 'X-Forwarded-Host': forwarded }))
    return `${status} ${told}`.trim()
  }
  assert.deepEqual([await ask('a.example', 'b.example'), await ask('b.example', 'a.example')], ['400', '200 A /internal%2fs'])
})

for (const [limit, options] of [[100, {}], [10, { routerOptions: { maxParamLength: 10 } }]] as Array<[number, FastifyServerOptions]>) {
  test(`a parameter of more than ${limit} characters, for which the router passes over an entry, does not lead past its hooks`, async (t) => {
    const proxy = await two(t, (A, B) => [
      { path: '/:tenant/admin/', upstream: B.httpUrl, onRequest: authenticate },
      { path: '/:tenant/internal/', upstream: false }, { path: '/', upstream: A.httpUrl },
      { path: '/:tenant/behind/', upstream: B.httpUrl }
    ], options)
    const longest = 'x'.repeat(limit)
    const ask = async (path: string): Promise<string> => (await get(t, proxy, path)).slice(0, 5)
    // Before 9.10 or so find-my-way refuses such a path by itself.
    const passesOver = await ask(`/${longest}x/y`) !== '404'
    assert.deepEqual([
      await ask(`/${longest}/admin/y`), await ask(`/${longest}x/admin/y`), await ask(`/${longest}x/internal/y`),
      await ask(`/${longest}%2e/admin/y`), await ask(`/${'%61'.repeat(limit)}/admin/y`),
      await ask(`/${longest}x/behind/y`), await ask(`/${longest}x/y`), await ask(`/y/${longest}x`)
    ], passesOver ? ['401', '400', '400', '400', '401', '200 A', '200 A', '200 A'] : ['401', '404', '404', '404', '401', '404', '404', '200 A'])
  })
}

test('with useSemicolonDelimiter no path of another entry hides behind a semicolon', async (t) => {
  const proxy = await two(t, (A) => [{ path: '/internal/', upstream: false }, { path: '/', upstream: A.httpUrl }], { useSemicolonDelimiter: true })
  assert.deepEqual(
    [await get(t, proxy, '/internal;/s'), await get(t, proxy, '/internal;x=1/s?y'), await get(t, proxy, '/x;y=1?z=/internal/')],
    ['400', '400', '200 A /x;y=1?z=/internal/']
  )
})

for (const [what, fastify, options, rows] of [
  ['a prefix beyond ASCII', {}, { prefix: '/café' }, [['/caf%C3%A9/x%C3%A9', '/x%C3%A9'], ['/caf%c3%a9', '/']]],
  ['ignoreDuplicateSlashes', { routerOptions: { ignoreDuplicateSlashes: true } }, { path: '/t/' }, [['/t//x//y', '/x//y'], ['//t/x', '/x'], ['/t/x', '/x']]],
  ['ignoreTrailingSlash', { routerOptions: { ignoreTrailingSlash: true } }, { path: '/t/' }, [['/t/x/', '/x/'], ['/t/', '/'], ['/t', '/'], ['/t/x', '/x']]],
  [
    'ignoreTrailingSlash and a path without one',
    { routerOptions: { ignoreTrailingSlash: true } },
    { path: '/t' },
    [['/t/x/', '/x/'], ['/t/', '/'], ['/t', '/']]
  ],
  ['caseSensitive: false', { routerOptions: { caseSensitive: false } }, { path: '/Tea/' }, [['/tEA/X', '/X'], ['/tea/x', '/x']]],
  [
    'rewriteUrl that strips a prefix',
    { rewriteUrl: (request) => (request.url ?? '').replace('/outer', '') },
    { path: '/t/' },
    [['/outer/t/x%20y', '/x%20y'], ['/t/x', '/x']]
  ],
  ['a parameter', {}, { path: '/rooms/:room/' }, [['/rooms/a%2Fb/x', '/x'], ['/rooms//x', '/x']]],
  ['useSemicolonDelimiter', { routerOptions: { useSemicolonDelimiter: true } }, { path: '/t' }, [['/t;x=1', '/;x=1'], ['/t/a;x?y', '/a;x?y']]]
] as Array<[string, FastifyServerOptions, ProxyOptions, Array<[string, string]>]>) {
  test(`what Fastify's router takes, we take, and the bytes behind the prefix stay as they are: ${what}`, async (t) => {
    const A = await teller(t, 'A')
    const proxy = await startProxy(t, { ...options, upstream: A.url }, { fastify })
    for (const [path, told] of rows) {
      assert.equal(await get(t, proxy, path), `200 A ${told}`)
      assert.equal(await socket(t, proxy, path), `101 A ${told}`)
    }
  })
}

test('with useSemicolonDelimiter no dot segment hides behind a semicolon', async (t) => {
  const A = await teller(t, 'A')
  const proxy = await startProxy(
    t,
    { prefix: '/t', upstream: A.httpUrl },
    { fastify: { routerOptions: { useSemicolonDelimiter: true } } as FastifyServerOptions }
  )
  assert.deepEqual([await get(t, proxy, '/t;/../x'), await get(t, proxy, '/t;%2f..%2fx')], ['400', '400'])
})

test('X-Forwarded-* of any name passes only where the peer is trusted', async (t) => {
  for (const [trustProxy, passes] of [[false, false], [true, true]] as const) {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: { trustProxy } })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/', {
      'x-forwarded-for': '192.0.2.1',
      'x-forwarded-prefix': '/evil',
      'X-Forwarded-Ssl': 'on',
      'x-forwarded-scheme': 'https',
      x_forwarded_prefix: '/evil'
    }))
    const head = await (await upstream.next()).head()
    assert.deepEqual(
      ['x-forwarded-prefix', 'x-forwarded-ssl', 'x-forwarded-scheme', 'x_forwarded_prefix'].map((name) => headerOf(head, name)),
      passes ? ['/evil', 'on', 'https', '/evil'] : [undefined, undefined, undefined, undefined]
    )
    client.destroy()
  }
})

test('no protocol that carries requests past the hooks is tunnelled', async (t) => {
  const A = await teller(t, 'A')
  const proxy = await startProxy(t, { upstream: A.url, upgrade: 'ANY', fallbackToHttp: false })
  for (const protocol of ['HTTP/1.1', 'http/2.0', 'HTTP', 'h3', 'h2c', 'h2', 'TLS/1.2', 'h3-29']) {
    assert.equal((await exchange(t, proxy, upgradeHead('/', { upgrade: protocol }))).status, 426, protocol)
    await assert.rejects(async () => await Fastify().register(wstunnel, { upstream: A.url, upgrade: protocol }), { code: 'FST_WSTUNNEL_INVALID_OPTIONS' })
  }
  assert.equal((await exchange(t, proxy, upgradeHead('/', { upgrade: 'httpx' }))).status, 101)
})

// Somebody else's routes

for (const order of ['before', 'after'] as const) {
  test(`a method of a path that has somebody else's route, registered ${order} ours, is left to that`, async (t) => {
    const A = await teller(t, 'A')
    const own: ProxySetup['setup'] = (app) => {
      app.get('/*', async (_, reply) => reply.header('x-told', 'page').send())
      app.get('/app', async (_, reply) => reply.header('x-told', 'own').send())
      app.options('*', async (_, reply) => reply.header('x-told', 'cors').send())
    }
    const proxy = await startProxy(t, { routes: [{ upstream: A.url, fallbackToHttp: false }, { upstream: A.httpUrl }] }, {
      [order === 'before' ? 'setup' : 'after']: own,
      ...(order === 'before' ? { after: (app) => { app.register(wstunnel, { prefix: '/app', upstream: A.httpUrl, upgrade: 'websocket' }) } } : {})
    } as ProxySetup)
    assert.deepEqual(
      [await get(t, proxy, '/x'), await socket(t, proxy, '/x'), await get(t, proxy, '/x', 'h', 'POST'), await get(t, proxy, '/x', 'h', 'OPTIONS')],
      ['200 page', '101 A /x', '200 A /x', '200 cors']
    )
    if (order === 'before') {
      assert.deepEqual(
        [await get(t, proxy, '/app'), await socket(t, proxy, '/app'), await get(t, proxy, '/app/x'), await get(t, proxy, '/app', 'h', 'PUT')],
        ['200 own', '101 A /', '200 A /x', '200 A /']
      )
    }
  })
}

test('methods says which methods a route serves', async (t) => {
  const proxy = await two(t, (A, B) =>
    [{ path: '/a/', upstream: A.httpUrl, methods: ['GET', 'PROPFIND'] }, { path: '/', upstream: B.httpUrl, methods: ['POST'] }])
  assert.deepEqual([
    await get(t, proxy, '/a/x'), await get(t, proxy, '/a/x', 'h', 'PROPFIND'),
    await get(t, proxy, '/a/x', 'h', 'POST'), await get(t, proxy, '/a/x', 'h', 'PUT'), await get(t, proxy, '/x')
  ], ['200 A /x', '200 A /x', '200 B /a/x', '404', '404'])
})
