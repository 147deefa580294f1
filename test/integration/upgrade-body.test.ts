// A small body beside an upgrade to another protocol than WebSocket, as Docker's attach and exec have it: `Upgrade: tcp`, `Content-Length: 2`, `{}`.
import assert from 'node:assert/strict'
import { request as ask } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { type RawClient, rawClient, requestHead } from '../fixtures/client.ts'
import { type Proxy, type ProxyOptions, type ProxySetup, startProxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { roundTrip } from '../fixtures/tunnel.ts'
import { closedPort, headersOf, type RawUpstream, startHttpUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

interface World {
  upstream: RawUpstream
  proxy: Proxy
  client: RawClient
  /** Writes bytes, and waits until the server has read all that its last client wrote. */
  writeAndWait: (bytes: string, from?: RawClient) => Promise<void>
}

const attach = (length: number | string, more: Record<string, string> = {}): string =>
  requestHead('POST', '/exec/1/start', { Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Type': 'application/json', 'Content-Length': String(length), ...more })

async function begin (t: TestContext, options: Partial<ProxyOptions> = {}, setup: ProxySetup & { tls?: boolean } = {}): Promise<World> {
  const upstream = await startRawUpstream(t)
  const { tls = false, ...rest } = setup
  const proxy = await startProxy(
    t,
    { upstream: upstream.httpUrl, upgrade: 'tcp', ...options },
    { ...rest, fastify: { ...rest.fastify, ...tls ? { https: selfSigned() } : {} } }
  )
  let accepted: Socket | undefined
  proxy.app.server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => { accepted = socket })
  const client = await rawClient(t, proxy.port, tls ? { tls: { rejectUnauthorized: false } } : {})
  const writeAndWait = async (bytes: string, from: RawClient = client): Promise<void> => {
    from.write(bytes)
    await until(() => accepted?.bytesRead === from.socket.bytesWritten, 'the server to read')
  }
  return { upstream, proxy, client, writeAndWait }
}

/** What the upstream got before its 101; then bytes go both ways. */
async function opened ({ upstream, client }: Pick<World, 'upstream' | 'client'>, body: string, early = ''): Promise<string> {
  const connection: RawConnection = await upstream.next()
  const head = await connection.head()
  assert.equal(String(await connection.read(body.length)), body)
  assert.deepEqual(headersOf(head, 'content-length'), [String(body.length)])
  assert.deepEqual(headersOf(head, 'transfer-encoding'), [])
  assert.equal(connection.unread.length, 0)
  connection.write(switching(head))
  assert.equal((await client.response()).status, 101)
  assert.equal(String(await connection.read(early.length)), early)
  await roundTrip({ client, upstream: connection })
  client.end('bye')
  await connection.ended
  assert.equal(String(connection.unread), 'bye')
  connection.end('and you')
  await client.ended
  assert.equal(String(client.unread), 'and you')
  return head
}

for (const tls of [false, true]) {
  const where = tls ? ' over TLS' : ''
  test(`the body of an upgrade to tcp goes behind the head, with its length${where}`, async (t) => {
    const world = await begin(t, {}, { tls })
    world.client.write(attach(2) + '{}')
    const head = await opened(world, '{}')
    assert.deepEqual([headersOf(head, 'upgrade'), headersOf(head, 'connection'), headersOf(head, 'content-type')], [['tcp'], ['Upgrade'], ['application/json']])
  })

  test(`a body that comes later, byte by byte, goes behind the head${where}`, async (t) => {
    const world = await begin(t, {}, { tls })
    for (const piece of [attach(6), ...'{"a":1']) await world.writeAndWait(piece)
    await opened(world, '{"a":1')
  })

  for (const later of [false, true]) {
    test(`bytes behind ${later ? 'a body that comes later' : 'the body'} wait for the 101${where}`, async (t) => {
      const world = await begin(t, {}, { tls })
      if (later) {
        await world.writeAndWait(attach(4) + '{')
        world.client.write(' 1}early')
        await opened(world, '{ 1}', 'early')
      } else {
        world.client.write(attach(2) + '{}early')
        await opened(world, '{}', 'early')
      }
    })
  }
}

test('a body as long as limits.earlyData is sent, and a longer one is a 400', async (t) => {
  const world = await begin(t, { limits: { earlyData: 1000 } })
  const body = 'x'.repeat(1000)
  const longer = await rawClient(t, world.proxy.port)
  longer.write(attach(1001) + body + 'x')
  assert.equal((await longer.response()).status, 400)
  await over(longer)
  assert.equal(world.upstream.connections.length, 0)
  world.client.write(attach(1000) + body)
  await opened(world, body)
})

for (const [what, fields] of Object.entries({
  'a length with a zero before it': { 'Content-Length': '02' },
  'a length with a sign': { 'Content-Length': '+2' },
  'a length that is a list': { 'Content-Length': '2, 2' }
})) {
  test(`${what} is a 400`, async (t) => {
    const { upstream, client } = await begin(t)
    client.write(attach('2', fields) + '{}')
    assert.equal((await client.response()).status, 400)
    await over(client)
    assert.equal(upstream.connections.length, 0)
  })
}

test('a body beside an offer of both is a 400 where WebSocket is chosen, and goes on where tcp is', async (t) => {
  const { upstream, proxy, client } = await begin(t, { upgrade: ['websocket', 'tcp'] })
  client.write(attach(2, { Upgrade: 'websocket, tcp', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' }) + '{}')
  assert.equal((await client.response()).status, 400)
  assert.equal(upstream.connections.length, 0)
  const other = await rawClient(t, proxy.port)
  other.write(attach(2, { Upgrade: 'tcp, websocket' }) + '{}')
  await opened({ upstream, client: other }, '{}')
})

test('a client that ends within the body is a 400, and one that resets is gone; nobody is dialled', async (t) => {
  const { upstream, proxy, client, writeAndWait } = await begin(t)
  client.end(attach(5) + 'abc')
  assert.equal((await client.response()).status, 400)
  await over(client)
  const other = await rawClient(t, proxy.port)
  await writeAndWait(attach(5) + 'abc', other)
  other.reset()
  await until(() => proxy.app.wstunnel.metrics().tunnels.refused.limit + proxy.app.wstunnel.metrics().tunnels.refused.dial >= 2, 'both to be counted')
  assert.equal(upstream.connections.length, 0)
})

test('a body that does not come is a 408 after timeout, also where bytes of it trickle in', async (t) => {
  const { upstream, client } = await begin(t, { timeout: 300 })
  client.write(attach(200) + 'abc')
  const pace = setInterval(() => client.socket.writable && client.write('x'), 50)
  cleanup(t, 'connections', () => clearInterval(pace))
  const since = performance.now()
  const { status, headers } = await client.response()
  clearInterval(pace)
  assert.deepEqual([status, headers['connection']], [408, ['close']])
  assert.ok(performance.now() - since > 250 && performance.now() - since < 1500, `${performance.now() - since} ms`)
  assert.equal(upstream.connections.length, 0)
})

test('a place that a body waited for is given back', async (t) => {
  const world = await begin(t, { timeout: 200, limits: { maxTunnels: 1 } })
  world.client.write(attach(5))
  assert.equal((await world.client.response()).status, 408)
  const next = await rawClient(t, world.proxy.port)
  next.write(attach(2) + '{}')
  await opened({ ...world, client: next }, '{}')
})

test('while a body is waited for it counts as a tunnel', async (t) => {
  const { proxy, client } = await begin(t, { limits: { maxTunnels: 1 }, preHandler: async () => { heard++ } })
  let heard = 0
  client.write(attach(5))
  await until(() => heard === 1, 'the first to be heard')
  const next = await rawClient(t, proxy.port)
  next.write(attach(2) + '{}')
  assert.equal((await next.response()).status, 503)
})

test('a client that waits for 100 Continue gets it', async (t) => {
  const world = await begin(t)
  world.client.write(attach(2, { Expect: '100-continue' }))
  assert.equal((await world.client.response()).status, 100)
  world.client.write('{}')
  const head = await opened(world, '{}')
  assert.deepEqual(headersOf(head, 'expect'), [])
})

test('a hook that refuses has the last word, and no byte of the body goes on', async (t) => {
  const { upstream, client } = await begin(t, {
    preHandler: async (_: unknown, reply: { code: (status: number) => { send: (body: string) => void } }) => reply.code(401).send('no')
  } as Partial<ProxyOptions>)
  client.write(attach(2) + '{}')
  assert.equal((await client.response()).status, 401)
  await over(client)
  assert.equal(upstream.connections.length, 0)
})

test('an upstream that answers otherwise gets the body, and its answer is relayed', async (t) => {
  const { upstream, client } = await begin(t)
  client.write(attach(2) + '{}')
  const connection = await upstream.next()
  await connection.head()
  await connection.read(2)
  connection.write('HTTP/1.1 409 Conflict\r\nContent-Length: 7\r\n\r\nno such')
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [409, 'no such'])
  await over(client)
})

test('with fallbackToHttp: false the body goes behind the head as well', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, upgrade: 'tcp', fallbackToHttp: false, methods: ['POST'] })
  const client = await rawClient(t, proxy.port)
  client.write(attach(2) + '{}early')
  await opened({ upstream, client }, '{}', 'early')
})

test('the next member gets the body as well where the first is down', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    upstream: 'balancer://docker/',
    upgrade: 'tcp',
    balancers: { docker: { lbMethod: 'byrequests', members: [{ url: `http://127.0.0.1:${await closedPort()}` }, { url: upstream.httpUrl }] } }
  } as ProxyOptions)
  for (let i = 0; i < 2; i++) {
    const client = await rawClient(t, proxy.port)
    client.write(attach(2) + '{}')
    await opened({ upstream, client }, '{}')
  }
})

test('the end of a drain ends one whose body is waited for', async (t) => {
  const { proxy, client } = await begin(t, { drainTimeout: '100ms', preHandler: async () => { heard++ } })
  let heard = 0
  client.write(attach(5) + 'ab')
  await until(() => heard === 1, 'it to be heard')
  await within(proxy.app.close(), 'close()', 3000)
  await over(client)
})

for (const later of [false, true]) {
  const how = later ? 'that came later' : 'that came with the head'
  test(`behind a body ${how} early bytes beyond the limit wait at the client, and a reset is one`, async (t) => {
    const { upstream, client, writeAndWait } = await begin(t, { limits: { earlyData: 1000 } })
    const early = Buffer.alloc(16 * 1024 * 1024, 'early')
    if (later) {
      await writeAndWait(attach(2) + '{')
      client.write('}')
    } else client.write(attach(2) + '{}')
    client.write(early)
    const connection = await upstream.next()
    const head = await connection.head()
    await connection.read(2)
    let left = -1
    await until(() => {
      const same = left === client.socket.writableLength
      left = client.socket.writableLength
      return same && left > 0
    }, 'the client to be held')
    assert.ok(left > 4 * 1024 * 1024, `${left} bytes are left`)
    assert.equal(connection.unread.length, 0)
    connection.write(switching(head))
    assert.equal((await client.response()).status, 101)
    assert.ok(early.equals(await connection.read(early.length)))
    await roundTrip({ client, upstream: connection })
    connection.reset()
    assert.deepEqual(await client.closed, { hadError: true })
  })
}

test("Node's own client speaks to an exec as dockerode does", async (t) => {
  const got: string[] = []
  const upstream = await startHttpUpstream(t)
  upstream.server.on('upgrade', (request, socket, head: Buffer) => {
    let text = head.toString()
    request.on('data', (chunk: Buffer) => { text += String(chunk) })
    socket.on('data', (chunk: Buffer) => {
      text += String(chunk)
      got.push(text)
      if (text.endsWith('ls\n')) socket.end('a file\n')
    })
    socket.write('HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n')
  })
  const proxy = await startProxy(t, { upstream: upstream.url, upgrade: 'tcp' })
  const request = ask({
    port: proxy.port,
    method: 'POST',
    path: '/exec/1/start',
    headers: { Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Type': 'application/json', 'Content-Length': 2 }
  })
  request.end('{}')
  const [response, socket] = await event<[{ statusCode: number }, Socket]>(request, 'upgrade')
  assert.equal(response.statusCode, 101)
  socket.write('ls\n')
  const [output] = await event<[Buffer]>(socket, 'data')
  assert.equal(String(output), 'a file\n')
  assert.match(got.at(-1) ?? '', /\{\}ls\n$/)
})
