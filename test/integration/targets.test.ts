import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { over } from '../fixtures/stage.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { headerOf, headersOf, socketPath, startHttpUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

// Where the upstream is

test('a tunnel passes through a unix socket', async (t) => {
  const upstream = await startRawUpstream(t, undefined, { path: await socketPath(t) })
  const proxy = await startProxy(t, { upstream: upstream.url })
  await roundTrip(await openTunnel(t, proxy, upstream))
})

test('the upstream on a unix socket sees the host of its URL', async (t) => {
  const upstream = await startRawUpstream(t, undefined, { path: await socketPath(t) })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const { head } = await openTunnel(t, proxy, upstream)
  assert.deepEqual(headersOf(head, 'host'), ['backend.example'])
})

test('a reset of the client ends a tunnel through a unix socket', async (t) => {
  const upstream = await startRawUpstream(t, undefined, { path: await socketPath(t) })
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, ...record.hooks })
  const tunnel = await openTunnel(t, proxy, upstream)
  await roundTrip(tunnel)
  tunnel.client.reset()
  await over(tunnel.upstream)
  assert.equal((await record.nextOutcome()).reason, 'client_reset')
})

test('a plain request is forwarded through a unix socket', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  }, { path: await socketPath(t) })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const response = await fetch(`${proxy.url}/`)
  assert.deepEqual([response.status, await response.text()], [200, 'ok'])
})

test('a unix socket that does not exist is a 503', async (t) => {
  const proxy = await startProxy(t, { upstream: `unix:${await socketPath(t)}|ws://backend.example/` })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 503)
})

test('a function can choose the upstream of an upgrade', async (t) => {
  const one = await startRawUpstream(t)
  const two = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: (request) => request.url.startsWith('/two') ? `${two.url}/` : `${one.url}/`, upgrade: 'websocket' })
  const { head } = await openTunnel(t, proxy, two, '/two/x')
  assert.deepEqual([head.split(' ')[1], one.connections.length], ['/two/x', 0])
})

test('an async function can choose the upstream of an upgrade', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: async () => await Promise.resolve(`${upstream.url}/`), upgrade: 'websocket' })
  await roundTrip(await openTunnel(t, proxy, upstream))
})

test('a function can choose the upstream of a plain request', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end('chosen'))
  const proxy = await startProxy(t, { upstream: async () => `${upstream.url}/` })
  assert.equal(await (await fetch(`${proxy.url}/`)).text(), 'chosen')
})

for (const [what, head] of [['an upgrading client', upgradeHead('/')], ['a client', requestHead('GET', '/')]] as const) {
  test(`the signal of a function aborts when ${what} leaves`, async (t) => {
    const signals = deferred<AbortSignal>()
    const proxy = await startProxy(t, {
      upgrade: 'websocket',
      upstream: async (_request, signal) => {
        signals.resolve(signal)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        return 'ws://127.0.0.1:9/'
      }
    })
    const client = await rawClient(t, proxy.port)
    client.write(head)
    const signal = await within(signals.promise, 'the function to be called')
    assert.equal(signal.aborted, false)
    client.reset()
    await until(() => signal.aborted, 'the signal to abort')
  })
}

test('an upstream that a function chose for a client that has left is not dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const signals = deferred<AbortSignal>()
  const gate = deferred()
  const proxy = await startProxy(t, {
    upgrade: 'websocket',
    upstream: async (_request, signal) => {
      signals.resolve(signal)
      await gate.promise
      return `${upstream.url}/`
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const signal = await within(signals.promise, 'the function to be called')
  client.reset()
  await until(() => signal.aborted, 'the signal to abort')
  gate.resolve()
  await within(proxy.app.close(), 'close()')
  assert.equal(upstream.connections.length, 0)
})

test('a function that throws is an error of the server, complete for an upgrading client', async (t) => {
  const proxy = await startProxy(t, { upgrade: 'websocket', upstream: () => { throw new Error('no idea') } })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal(Math.floor((await client.response()).status / 100), 5)
})

// Which tokens

/** An offer of one token, and what the upstream sees of it. */
async function offered (t: TestContext, upgrade: ProxyOptions['upgrade'], token: string | string[], scheme: 'ws' | 'http' = 'ws'): Promise<string[]> {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${scheme === 'ws' ? upstream.url : upstream.httpUrl}/`, ...(upgrade === undefined ? {} : { upgrade }) })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/', { headers: { Upgrade: token } }))
  const connection = await upstream.next()
  return headersOf(await connection.head(), 'upgrade')
}

const offers: Array<[upgrade: ProxyOptions['upgrade'], token: string | string[], seen: string[]]> = [
  [undefined, 'websocket', ['websocket']],
  [undefined, 'WebSocket', ['websocket']],
  [undefined, 'WEBSOCKET', ['websocket']],
  [undefined, 'foo, websocket', ['websocket']],
  [undefined, ['foo', 'websocket'], ['websocket']],
  [undefined, 'websocketEVIL', []],
  [undefined, 'websocket/13', []],
  [undefined, 'h2c', []],
  ['tcp', 'tcp', ['tcp']],
  ['tcp', 'websocket', []],
  ['tcp', 'tcpx', []],
  [['websocket', 'tcp'], 'TCP', ['tcp']],
  [['websocket', 'tcp'], 'websocket', ['websocket']],
  [['websocket', 'tcp'], 'foo', []],
  ['ANY', 'foo', ['foo']],
  ['ANY', 'websocket', ['websocket']],
  ['ANY', 'h2c', []],
  ['ANY', 'h2', []],
  ['ANY', 'TLS/1.2', []],
  ['NONE', 'websocket', ['websocket']],
  ['NONE', 'whatever', ['websocket']]
]

for (const [option, token, seen] of offers) {
  test(`with upgrade ${JSON.stringify(option)}, an offer of ${JSON.stringify(token)} asks the upstream for ${JSON.stringify(seen)}`, async (t) => {
    assert.deepEqual(await offered(t, option, token), seen)
  })
}

test('an http target with upgrade takes an upgrade', async (t) => {
  assert.deepEqual(await offered(t, 'websocket', 'websocket', 'http'), ['websocket'])
})

test('a tunnel of a protocol other than websocket passes', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, upgrade: ['websocket', 'tcp'] })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/', { Connection: 'Upgrade', Upgrade: 'tcp' }))
  const connection = await upstream.next()
  connection.write(switching(await connection.head()))
  const response = await client.response()
  await roundTrip({ client, upstream: connection })
  assert.deepEqual([response.status, response.headers['upgrade'], [...proxy.app.wstunnel.tunnels()].map(({ protocol }) => protocol)], [101, ['tcp'], ['tcp']])
})

test("with upgrade 'NONE', a request without Upgrade is a 426", async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, upgrade: 'NONE', fallbackToHttp: false })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  const { status } = await client.response()
  assert.deepEqual([status, upstream.connections.length], [426, 0])
})

test('an upgrade with a body is refused, and nothing is dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/', { headers: { 'Content-Length': '5' } }) + 'hello')
  const { status } = await client.response()
  assert.deepEqual([status, upstream.connections.length], [400, 0])
})

test('an upgrade with a chunked body is refused, and nothing is dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/', { headers: { 'Transfer-Encoding': 'chunked' } }) + '5\r\nhello\r\n0\r\n\r\n')
  const { status } = await client.response()
  assert.deepEqual([status, upstream.connections.length], [400, 0])
})

test('an upgrade with Content-Length: 0 is accepted', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  await roundTrip(await openTunnel(t, proxy, upstream, '/', { headers: { 'Content-Length': '0' } }))
})

test('an upgrade of HTTP/1.0 is not one', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
  })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/').replace('HTTP/1.1', 'HTTP/1.0'))
  const { status } = await client.response()
  assert.deepEqual([status === 101, headerOf(String(upstream.connections[0]?.received ?? ''), 'upgrade')], [false, undefined])
})
