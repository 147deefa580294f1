import assert from 'node:assert/strict'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'
import { refuseOtherRuntimes } from '../../lib/plugin/plugin.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { recordLog, type LogLine } from '../fixtures/log.ts'
import { startProxy, type ProxyOptions } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startHttpUpstream, startRawUpstream, startWsUpstream } from '../fixtures/upstream.ts'

// Ten mistakes that newcomers make: the message alone says what to change.

async function registering (t: TestContext, ...registrations: unknown[]): Promise<string> {
  const app = Fastify()
  t.after(() => app.close())
  for (const options of registrations) app.register(wstunnel, options as ProxyOptions)
  let message = ''
  await assert.rejects(async () => { await app.ready() }, (error: Error) => {
    message = error.message
    return true
  })
  return message
}

function holds (text: string, ...parts: string[]): void {
  for (const part of parts) assert.ok(text.includes(part), `'${part}' is not in: ${text}`)
}

const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** Sends a request, or an upgrade, and returns the line that tells how it failed. */
async function failing (
  t: TestContext, options: ProxyOptions, kind: 'forward' | 'upgrade' | 'body', text: RegExp = /failed$/, level = 'info'
): Promise<LogLine> {
  const log = recordLog(level)
  const { port } = await startProxy(t, options, { fastify: { logger: log.logger } })
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  t.after(() => socket.destroy())
  socket.resume().write(`GET / HTTP/1.1\r\nHost: a\r\n${kind === 'upgrade' ? handshake : ''}\r\n`)
  return await log.line(({ msg = '' }) => text.test(msg) && (msg === `${kind} failed` || !msg.endsWith('failed')), text.source)
}

async function freePort (t: TestContext): Promise<number> {
  const { server } = await startRawUpstream(t)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('1. an upstream without its scheme', async (t) => {
  holds(
    await registering(t, { prefix: '/ws', upstream: 'localhost:4000' }),
    'upstream: ',
    "got 'localhost:4000'",
    "did you mean 'ws://localhost:4000' (or http://)?"
  )
})

test('2. a path without its slash', async (t) => {
  holds(await registering(t, { path: 'ws/', upstream: 'ws://up.example/' }), 'path: ', "got 'ws/'", "did you mean '/ws/'?")
})

test('3. a prefix that the path says again', async (t) => {
  holds(
    await registering(t, { prefix: '/ws', path: '/ws/', upstream: 'ws://up.example/' }),
    'path: ',
    "repeats the prefix '/ws'",
    'served at /ws/ws/',
    "did you mean '/'?"
  )
})

test('4. a value of the wrong type, beside others that are wrong', async (t) => {
  holds(await registering(t, { upstream: 'up:1', idleTimeout: '30', async: 'no', websocket: true, upgrade: 'any' }),
    "async: expected true or false, got 'no'", "idleTimeout: expected a duration such as '30s', got '30'",
    "did you mean 'ws://up:1'", 'websocket: unknown option', "did you mean 'ANY'?")
})

test('5. an environment variable that is unset', async (t) => {
  const name = 'WSTUNNEL_TEST_UNSET'
  holds(await registering(t, { prefix: '/ws', upstream: process.env[name] }), 'upstream: ', 'got undefined', 'is an environment variable unset?')
  holds(await registering(t, { prefix: '/ws', upstream: `ws://${process.env[name]}:4000/` }), 'is an environment variable unset?')
})

test('6. a ws upstream that serves HTTP only', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('hello'))
  const line = await failing(t, { upstream: `${upstream.wsUrl}/` }, 'upgrade', /answered an upgrade/)
  assert.equal(line.level, 40)
  assert.deepEqual([line.route, line.upstream], ['/', `${upstream.wsUrl}/`])
  holds(line.msg ?? '', '200', 'does it take WebSockets at this path?')
})

for (const kind of ['forward', 'upgrade'] as const) {
  test(`7. the wrong port, and 8. an upstream that is down, by ${kind}`, async (t) => {
    const upstream = `ws://127.0.0.1:${await freePort(t)}/`
    const line = await failing(t, { upstream }, kind)
    assert.deepEqual([line.level, line.route, line.upstream, line.code], [40, '/', upstream, 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE'])
    assert.equal((line.cause as { code: string }).code, 'ECONNREFUSED')
    holds(String(line.hint), 'is the upstream running', 'is this its port?')
  })

  test(`9. a self-signed certificate, by ${kind}`, async (t) => {
    const upstream = await startWsUpstream(t, { tls: selfSigned() })
    const line = await failing(t, { upstream: `${upstream.url}/` }, kind)
    assert.deepEqual([line.level, line.upstream, line.code], [40, `${upstream.url}/`, 'FST_WSTUNNEL_UPSTREAM_TLS'])
    holds(String(line.hint), 'tls: { ca }')
  })

  test(`a ws upstream that speaks TLS, by ${kind}`, async (t) => {
    // Answers what is no TLS with an alert, as OpenSSL does.
    const upstream = await startRawUpstream(t, async (connection) => {
      await connection.head()
      connection.socket.end(Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a]))
    })
    const line = await failing(t, { upstream: `${upstream.url}/` }, kind)
    assert.equal(line.code, 'FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE')
    holds(String(line.hint), 'speaks TLS', 'wss:')
  })

  test(`the timer that expired is named, by ${kind}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const line = await failing(t, { upstream: `${upstream.url}/`, timeout: 300, handshakeTimeout: 300 }, kind)
    assert.deepEqual([line.level, line.code, line.timer], [40, 'FST_WSTUNNEL_UPSTREAM_TIMEOUT', kind === 'forward' ? 'timeout' : 'handshakeTimeout'])
  })
}

for (const kind of ['forward', 'upgrade'] as const) {
  for (const [value, hint] of [
    ['localhost:4000', "did you mean 'ws://localhost:4000'"], [undefined, 'is an environment variable unset?'],
    [4000, "did you mean 'ws://127.0.0.1:4000/'?"], ['balancer://ap/', 'got \'balancer://ap/\'']
  ] as const) {
    test(`an upstream function that returns ${String(value)}, by ${kind}`, async (t) => {
      const line = await failing(t, { upstream: () => value as unknown as string }, kind)
      assert.deepEqual([line.level, line.route, line.code], [50, '/', 'FST_WSTUNNEL_INVALID_UPSTREAM'])
      holds((line.cause as { message: string }).message, 'from the upstream function', hint)
    })
  }

  test(`a port where something other than HTTP listens, by ${kind}`, async (t) => {
    const upstream = await startRawUpstream(t, (connection) => { connection.write('SSH-2.0-OpenSSH_9.9\r\n') })
    const line = await failing(t, { upstream: `${upstream.url}/` }, kind)
    assert.deepEqual([line.level, line.code], [40, 'FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE'])
    holds(String(line.hint), 'speaks no HTTP/1', 'its port?')
  })

  test(`what the client is told is whole, by ${kind}`, async (t) => {
    const silent = await startRawUpstream(t)
    const half = await startRawUpstream(t, (connection) => { connection.socket.end('HTTP/1.1 200') })
    const { port } = await startProxy(t, {
      timeout: 300,
      handshakeTimeout: 300,
      routes: [{ path: '/silent/', upstream: `${silent.url}/` }, { path: '/half/', upstream: `${half.url}/` }, { path: '/none/', upstream: () => 'none' }]
    })
    for (const [path, message] of [
      ['/silent/', 'The upstream did not answer in time'],
      ['/half/', /^(Invalid response from the upstream|The upstream closed the connection)$/],
      ['/none/', 'No valid upstream was chosen']
    ] as const) {
      const client = await rawClient(t, port)
      client.write(kind === 'upgrade' ? upgradeHead(path) : requestHead('GET', path))
      const { body } = await client.response()
      const told = (JSON.parse(String(body)) as { message: string }).message
      if (typeof message === 'string') assert.equal(told, message)
      else assert.match(told, message)
    }
  })
}

test('10. the same prefix, registered twice', async (t) => {
  const options = { prefix: '/ws', upstream: 'ws://up.example/' }
  const message = await registering(t, options, options)
  holds(message, '/ws: registered twice', 'prefix', 'routes')
  assert.ok(message.length < 500, message)
})

test('an http entry without upgrade that is offered WebSockets says so, once', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('hello'))
  const line = await failing(t, { upstream: `${upstream.url}/` }, 'upgrade', /WebSocket was offered/)
  assert.equal(line.level, 40)
  holds(line.msg ?? '', "upgrade: 'websocket'")
})

test('what an entry is not meant for is told once for each entry, however often it happens', async (t) => {
  const log = recordLog('info')
  let asked = 0
  const upstream = await startHttpUpstream(t, (_, response) => response.writeHead(asked++ % 2 === 0 ? 200 : 204).end())
  const { port } = await startProxy(t, {
    routes: [
      { path: '/plain/', upstream: `${upstream.url}/` }, { path: '/plain-too/', upstream: `${upstream.url}/` },
      { path: '/ws/', upstream: `${upstream.wsUrl}/` }, { path: '/ws-too/', upstream: `${upstream.wsUrl}/` },
      { path: '/legacy/', upstream: `${upstream.wsUrl}/`, fallbackToHttp: false }
    ]
  }, { fastify: { logger: log.logger } })
  const paths = ['/plain/', '/plain-too/', '/ws/', '/ws-too/', '/legacy/']
  for (const path of [...paths, ...paths, ...paths]) {
    const client = await rawClient(t, port)
    client.write(upgradeHead(path))
    assert.equal(Math.floor((await client.response()).status / 100), 2, path)
  }
  const told = log.lines.filter(({ level }) => level > 30).map(({ level, route, msg = '' }) => [level, route, /offered|answered an upgrade/.exec(msg)?.[0]])
  assert.deepEqual(told, [
    [40, '/plain/', 'offered'], [40, '/plain-too/', 'offered'], [40, '/ws/', 'answered an upgrade'],
    [40, '/ws-too/', 'answered an upgrade'], [40, '/legacy/', 'answered an upgrade']
  ])
})

test('what is no WebSocket is told of nobody: plain requests, other offers, refusals and entries that take it', async (t) => {
  const log = recordLog('info')
  const upstream = await startHttpUpstream(t, (request, response) => response.writeHead(request.headers.upgrade === undefined ? 200 : 401).end())
  const { port } = await startProxy(t, {
    routes: [
      { path: '/plain/', upstream: `${upstream.url}/` },
      { path: '/ws/', upstream: `${upstream.wsUrl}/` },
      { path: '/', upstream: `${upstream.url}/`, upgrade: 'websocket' }
    ]
  }, { fastify: { logger: log.logger } })
  for (const [head, status] of [
    [requestHead('GET', '/plain/'), 200], [requestHead('GET', '/ws/'), 200], [requestHead('GET', '/plain/', { Connection: 'Upgrade', Upgrade: 'h2c' }), 200],
    [upgradeHead('/ws/'), 401], [upgradeHead('/'), 401]
  ] as const) {
    const client = await rawClient(t, port)
    client.write(head)
    assert.equal((await client.response()).status, status)
  }
  assert.deepEqual(log.lines.filter(({ level }) => level > 30), [])
})

test('a body that breaks off is a line with its route, its upstream and the cause', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
    setImmediate(() => connection.socket.end())
  })
  const line = await failing(t, { upstream: `${upstream.httpUrl}/` }, 'body')
  assert.deepEqual([line.level, line.route, line.upstream, line.code], [40, '/', `${upstream.httpUrl}/`, 'FST_WSTUNNEL_UPSTREAM_CLOSED'])
})

test('a request that its client aborts is one line at info', async (t) => {
  const log = recordLog('info')
  const upstream = await startRawUpstream(t)
  const { port } = await startProxy(t, { upstream: `${upstream.httpUrl}/` }, { fastify: { logger: log.logger } })
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await (await upstream.next()).head()
  socket.destroy()
  const line = await log.line(({ msg }) => msg === 'request aborted by its client', 'the abort')
  assert.deepEqual([line.level, line.route, line.upstream], [30, '/', `${upstream.httpUrl}/`])
  assert.equal(log.lines.filter(({ level }) => level > 30).length, 0)
})

test('an upgrade that was answered counts in the handshake histogram, whatever the answer', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.writeHead(401).end())
  const { app, port } = await startProxy(t, { upstream: `${upstream.wsUrl}/` })
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  t.after(() => socket.destroy())
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${handshake}\r\n`)
  await new Promise((resolve) => socket.once('data', resolve))
  assert.equal(app.wstunnel.metrics().tunnels.handshake.count, 1)
})

test('Bun is refused with a sentence, and Node is not', () => {
  assert.throws(() => refuseOtherRuntimes({ node: '24.0.0', bun: '1.4.5' }), { code: 'FST_WSTUNNEL_RUNTIME', message: /Bun 1\.4\.5 .*Node or Deno/ })
  refuseOtherRuntimes(process.versions)
})

test('the lowest Fastify is refused or taken as package.json declares it', async () => {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
  const meta = (wstunnel as unknown as Record<symbol, { fastify: string }>)[Symbol.for('plugin-meta')]
  assert.equal(meta?.fastify, manifest.peerDependencies.fastify)
})
