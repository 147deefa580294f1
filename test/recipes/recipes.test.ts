import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'
import { type ClientOptions, WebSocket } from 'ws'
import { build as buildAuthentication } from '../../examples/recipes/authentication.ts'
import { build as buildBodies } from '../../examples/recipes/bodies.ts'
import { build as buildProxyProtocol } from '../../examples/recipes/proxy-protocol.ts'
import { build as buildRateLimits } from '../../examples/recipes/rate-limits.ts'
import { build as buildRequestIds } from '../../examples/recipes/request-ids.ts'
import { build as buildSocketIo } from '../../examples/recipes/socket-io.ts'
import { build as buildStaticFiles } from '../../examples/recipes/static-files.ts'
import { build as buildTenants } from '../../examples/recipes/tenants.ts'
import { build as buildTls } from '../../examples/recipes/tls.ts'
import { startUpstream } from '../../examples/upstream.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { root } from '../fixtures/documents.ts'
import { start as startProgram } from '../fixtures/snippets.ts'
import { authority } from '../fixtures/tls.ts'
import { startHttpUpstream, startWsUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

// Each recipe of docs/recipes, run as its example file has it.

async function listen (t: TestContext, app: FastifyInstance): Promise<string> {
  cleanup(t, 'proxies', () => app.close())
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

/** The upstream of the examples: it tells what it was asked, and echoes below /echo. */
async function telling (t: TestContext): Promise<string> {
  const upstream = await startUpstream()
  cleanup(t, 'servers', () => upstream.close())
  return upstream.url
}

interface Told { method: string, url: string, headers: Record<string, string>, body: string }

async function told (url: string, init: RequestInit = {}): Promise<Told> {
  const response = await fetch(url, init)
  assert.equal(response.status, 200)
  return await response.json() as Told
}

/** The status of a refused WebSocket. */
async function refusal (t: TestContext, url: string, options: ClientOptions = {}): Promise<number> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), options).on('error', () => {})
  cleanup(t, 'connections', () => socket.terminate())
  const [, response] = await event<[unknown, IncomingMessage]>(socket, 'unexpected-response')
  response.resume()
  return response.statusCode as number
}

async function echoes (t: TestContext, url: string, options: ClientOptions = {}): Promise<WebSocket> {
  const socket = await wsClient(t, url.replace(/^http/, 'ws'), [], options)
  const answer = event(socket, 'message')
  socket.send('hello')
  assert.equal(String((await answer)[0]), 'hello')
  return socket
}

function token (user: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user })}`
  return `Bearer ${signed}.${createHmac('sha256', 'a secret of at least thirty-two letters').update(signed).digest('base64url')}`
}

describe('authentication', () => {
  test('by JWT: no token, no tunnel; the upstream gets the name and not the token', async (t) => {
    const url = await listen(t, buildAuthentication(await telling(t)))
    assert.equal(await refusal(t, `${url}/jwt/echo`), 401)
    assert.equal(await refusal(t, `${url}/jwt/echo`, { headers: { authorization: `${token('ann')}x` } }), 401)
    const { headers } = await told(`${url}/jwt/x`, { headers: { authorization: token('ann'), 'x-user': 'eve' } })
    assert.deepEqual([headers['x-user'], headers.authorization], ['ann', undefined])
    await echoes(t, `${url}/jwt/echo`, { headers: { authorization: token('ann') } })
  })

  test('by cookie: from its own pages only', async (t) => {
    const origin = 'http://app.example'
    const url = await listen(t, buildAuthentication(await telling(t), origin))
    const login = await fetch(`${url}/login`, { method: 'POST' })
    const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] as string
    assert.equal(await refusal(t, `${url}/cookie/echo`, { origin }), 401)
    assert.equal(await refusal(t, `${url}/cookie/echo`, { origin: 'http://evil.example', headers: { cookie } }), 403)
    await echoes(t, `${url}/cookie/echo`, { origin, headers: { cookie } })
  })

  test('by ticket: once', async (t) => {
    const url = await listen(t, buildAuthentication(await telling(t)))
    assert.equal((await fetch(`${url}/tickets`, { method: 'POST' })).status, 401)
    const { ticket } = await (await fetch(`${url}/tickets`, { method: 'POST', headers: { authorization: token('ann') } })).json() as { ticket: string }
    await echoes(t, `${url}/ticket/echo?ticket=${ticket}`)
    assert.equal(await refusal(t, `${url}/ticket/echo?ticket=${ticket}`), 401)
  })
})

test('tenants: each name has its upstream, and an unknown one has none', async (t) => {
  const [ann, bob] = [await telling(t), await telling(t)]
  const tenants: Record<string, string> = { ann, bob }
  const url = await listen(t, buildTenants(ann, async (name) => Object.hasOwn(tenants, name) ? tenants[name] : undefined))
  const { port } = new URL(url)
  const ask = async (host: string): Promise<string> => {
    const client = await rawClient(t, Number(port))
    client.write(`GET /hello HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    const { status, body } = await client.response()
    return status === 200 ? (JSON.parse(String(body)) as Told).headers.host as string : String(status)
  }
  assert.deepEqual(await Promise.all(['ann.example', 'bob.example', 'eve.example', '127.0.0.1'].map(ask)), ['ann.example', 'bob.example', '404', '404'])
  await echoes(t, `${url}/echo`, { headers: { host: 'bob.example' } })
})

test('Socket.IO: a session stays at its server from the first poll to the WebSocket', async (t) => {
  const servers = await Promise.all([0, 1].map(async () => {
    const upstream = await startHttpUpstream(t, () => {})
    const engine = new Server(upstream.server)
    cleanup(t, 'proxies', async () => { await engine.close() })
    engine.on('connection', (socket) => socket.on('hello', (name: string, done: (text: string) => void) => done(`hello ${name}`)))
    return upstream.url
  }))
  const url = await listen(t, buildSocketIo(...servers))
  for (let i = 0; i < 4; i++) {
    // As a browser does, it sends the cookie back.
    const client = io(url, { reconnection: false, forceNew: true, withCredentials: true })
    cleanup(t, 'connections', () => client.close())
    const upgraded = new Promise<void>((resolve, reject) => {
      client.io.engine.once('upgrade', () => resolve())
      client.once('connect_error', reject)
    })
    await within(upgraded, 'the upgrade')
    assert.equal(await client.timeout(5000).emitWithAck('hello', 'ann'), 'hello ann')
    client.close()
  }
})

test('TLS on both legs: certificates are shown and asked for, both ways', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'wstunnel-recipe-'))
  cleanup(t, 'servers', () => rmSync(folder, { recursive: true }))
  const [front, back, clients] = [authority(), authority(), authority()]
  const [server, own, backend, client] = [front.issue(), back.issue({ commonName: 'the proxy' }), back.issue(), clients.issue({ commonName: 'ann' })]
  const files = {
    'server.pem': server.cert,
    'server-key.pem': server.key,
    'clients-ca.pem': clients.cert,
    'client.pem': own.cert,
    'client-key.pem': own.key,
    'upstreams-ca.pem': back.cert
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const upstream = await startWsUpstream(t, { tls: { key: backend.key, cert: backend.cert, ca: back.cert, requestCert: true, rejectUnauthorized: true } })
  const app = await buildTls(`wss://localhost:${upstream.port}/`, folder)
  cleanup(t, 'proxies', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `wss://localhost:${(app.server.address() as AddressInfo).port}/app/`
  assert.equal(await refusal(t, url, { ca: front.cert }), 403)
  await echoes(t, url, { ca: front.cert, key: client.key, cert: client.cert })
  const { request } = await upstream.next()
  assert.equal(request.headers['x-client-name'], 'ann')
})

test('rate limits: so many a minute, and so many at a time', async (t) => {
  const url = await listen(t, buildRateLimits(await telling(t)))
  await echoes(t, `${url}/app/echo`)
  await echoes(t, `${url}/app/echo`)
  assert.equal(await refusal(t, `${url}/app/echo`), 429)
  for (const expected of [200, 200, 429]) assert.equal((await fetch(`${url}/app/x`)).status, expected)
})

test('static files: the page for every path, the API and the WebSocket beside it', async (t) => {
  const url = await listen(t, buildStaticFiles(await telling(t)))
  for (const path of ['/', '/some/page', '/ws/']) assert.match(await (await fetch(url + path)).text(), /<title>A page/)
  assert.match(await (await fetch(`${url}/assets/static-files.html`)).text(), /<title>A page/)
  assert.equal((await told(`${url}/api/x`)).url, '/x')
  await echoes(t, `${url}/ws/echo`)
})

test('request ids: one that is given is kept, and both sides get it', async (t) => {
  const url = await listen(t, buildRequestIds(await telling(t)))
  const response = await fetch(`${url}/app/`, { headers: { 'x-request-id': '0123456789' } })
  assert.equal(response.headers.get('x-request-id'), '0123456789')
  assert.equal((await response.json() as Told).headers['x-request-id'], '0123456789')
  const own = await fetch(`${url}/app/`, { headers: { 'x-request-id': 'a b' } })
  assert.match(own.headers.get('x-request-id') ?? '', /^[\da-f-]{36}$/)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/app/echo`)
  cleanup(t, 'connections', () => socket.terminate())
  const [head] = await event<[IncomingMessage]>(socket, 'upgrade')
  assert.match(String(head.headers['x-request-id']), /^[\da-f-]{36}$/)
})

test('bodies: a hook reads one and passes it on, another changes the response', async (t) => {
  const url = await listen(t, buildBodies(await telling(t)))
  const post = async (body: string, type = 'application/json'): Promise<Response> =>
    await fetch(`${url}/app/x`, { method: 'POST', headers: { 'content-type': type }, body })
  const { from, answer } = await (await post('{"user":"ann"}')).json() as { from: string, answer: Told }
  assert.deepEqual([from, answer.body], ['the upstream', '{"user":"ann"}'])
  assert.equal((await post('{}')).status, 400)
  assert.equal((await post(JSON.stringify({ user: 'x'.repeat(70_000) }))).status, 413)
  assert.equal((await (await post('a=1', 'text/plain')).json() as { answer: Told }).answer.body, 'a=1')
  await echoes(t, `${url}/app/echo`)
})

describe('PROXY protocol', () => {
  const v2 = (address: number[]): Buffer => Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c', 'latin1'), Buffer.from([...address, 127, 0, 0, 1, 0x12, 0x34, 0, 80])
  ])
  const headers: Array<[string, Buffer, string]> = [
    ['version 1', Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 4660 80\r\n'), '192.0.2.7'],
    ['version 2', v2([192, 0, 2, 9]), '192.0.2.9'],
    ['version 2, LOCAL', Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00', 'latin1'), '127.0.0.1']
  ]
  for (const [name, header, address] of headers) {
    test(`${name}: the client is who the balancer says`, async (t) => {
      const app = buildProxyProtocol(await telling(t))
      const { port } = new URL(await listen(t, app))
      for (const pieces of [[header], [header.subarray(0, 5), header.subarray(5)]]) {
        const client = await rawClient(t, Number(port))
        for (const piece of pieces) {
          client.write(piece)
          await new Promise((resolve) => setImmediate(resolve))
        }
        client.write('GET /app/x HTTP/1.1\r\nHost: a\r\n\r\n')
        const { body } = await client.response()
        assert.equal((JSON.parse(String(body)) as Told).headers['x-forwarded-for'], address)
        // An offer that is declined goes back to Node's HTTP server; the next one becomes a tunnel.
        client.write('GET /app/y HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
        assert.equal((await client.response()).status, 200)
        client.write(upgradeHead('/app/echo', { host: 'a' }))
        assert.match(await client.head(), / 101 /)
        assert.equal([...app.wstunnel.tunnels()].at(-1)?.client, address)
      }
    })
  }

  test('what begins with anything else is closed', async (t) => {
    const { port } = new URL(await listen(t, buildProxyProtocol(await telling(t))))
    const socket = connect(Number(port), '127.0.0.1')
    cleanup(t, 'connections', () => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET /app/x HTTP/1.1\r\nHost: a\r\n\r\n')
    await within(new Promise<void>((resolve) => socket.once('close', () => resolve())), 'the end of the connection')
    assert.equal(socket.bytesRead, 0)
  })
})

test('testing: the example is a test, and passes', async (t) => {
  const program = startProgram(t, process.execPath, ['--import', 'tsx', '--test', 'examples/recipes/testing.test.ts'], root, { NODE_TEST_CONTEXT: undefined })
  assert.deepEqual(await within(program.exited, 'its end', 60_000), [0, null], program.output())
  assert.match(program.output(), /pass 3/)
})
