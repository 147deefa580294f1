import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { answered, dial, over, stage } from '../fixtures/stage.ts'
import { http1Only } from '../fixtures/front.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { roundTrip } from '../fixtures/tunnel.ts'
import { acceptOf, closedPort, switching } from '../fixtures/upstream.ts'
import { deferred, within } from '../fixtures/wait.ts'

// Refusals

const framings: Array<[name: string, send: (connection: RawConnection, head: string, body: string) => void]> = [
  ['Content-Length', (connection, head, body) => connection.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)],
  ['chunks', (connection, head, body) => connection.write(`${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)],
  ['the end of the connection', (connection, head, body) => connection.end(`${head}Connection: close\r\n\r\n${body}`)]
]

const refusals: Array<[status: number, reason: string, header: string]> = [
  [401, 'Unauthorized', 'WWW-Authenticate: Bearer realm="x"'],
  [403, 'Forbidden', 'X-Why: because'],
  [404, 'Not Found', 'Content-Type: text/plain'],
  [426, 'Upgrade Required', 'Sec-WebSocket-Version: 13'],
  [302, 'Found', 'Location: https://elsewhere.example/'],
  [500, 'Internal Server Error', 'X-Id: 7'],
  [200, 'OK', 'Content-Type: text/html']
]

for (const [status, reason, header] of refusals) {
  for (const [name, send] of framings) {
    const skipped = status === 200 ? http1Only('a 2xx would open the tunnel') : {}
    test(`a ${status} of the upstream, framed by ${name}, is relayed with its headers and body`, skipped, async (t) => {
      const { response } = await answered(t, (connection) => send(connection, `HTTP/1.1 ${status} ${reason}\r\n${header}\r\n`, 'the reason why'))
      const [field = '', value] = header.split(': ')
      assert.deepEqual([response.status, response.headers[field.toLowerCase()], String(response.body)], [status, [value], 'the reason why'])
    })
  }
}

test('a refusal without a body is relayed', async (t) => {
  const { response } = await answered(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  assert.deepEqual([response.status, response.body.length], [403, 0])
})

test('several Set-Cookie headers of a refusal stay apart', async (t) => {
  const { response } = await answered(t, 'HTTP/1.1 401 Unauthorized\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n')
  assert.deepEqual(response.headers['set-cookie'], ['a=1', 'b=2'])
})

test('a 426 of the upstream keeps its Upgrade header', http1Only('there is no Upgrade'), async (t) => {
  const { response } = await answered(t, 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n')
  assert.deepEqual([response.status, response.headers['upgrade']], [426, ['websocket']])
})

test('hop-by-hop headers of a refusal are not forwarded', async (t) => {
  const refusal = 'HTTP/1.1 403 Forbidden\r\nConnection: X-Only-For-You, Upgrade\r\nX-Only-For-You: 1\r\n' +
    'Upgrade: websocket\r\nKeep-Alive: timeout=987\r\nContent-Length: 2\r\n\r\nno'
  const { response } = await answered(t, refusal)
  assert.deepEqual(
    [response.headers['x-only-for-you'], response.headers['upgrade'], (response.headers['keep-alive'] ?? []).includes('timeout=987')],
    [undefined, undefined, false]
  )
})

for (const [name, send] of framings.slice(0, 2)) {
  const skipped = http1Only('other streams go on')
  test(`after a refusal framed by ${name} the connection closes, and what came behind the upgrade is not processed`, skipped, async (t) => {
    const { client, upstream, response } = await answered(t, (connection) => send(connection, 'HTTP/1.1 403 Forbidden\r\n', 'no'))
    assert.deepEqual([response.status, response.headers['connection']], [403, ['close']])
    client.write(upgradeHead('/'))
    await client.ended
    assert.equal(client.unread.length, 0)
    assert.equal(upstream.connections.length, 1)
  })
}

test('a refused client that sends on and does not end is dropped two seconds after its last byte', async (t) => {
  const { client, proxy } = await answered(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  const since = performance.now()
  client.write('x')
  await client.ended
  await within(proxy.app.close(), 'close()')
  const took = performance.now() - since
  assert.ok(took > 1500, `${took} ms`)
})

test('a refusing upstream never sees what the client sends next', http1Only('the next request has a stream of its own'), async (t) => {
  const all = await stage(t)
  const { client, connection, head } = await dial(t, all, {}, requestHead('GET', '/admin', { Connection: 'close' }))
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  assert.equal((await client.response()).status, 200)
  await over(connection)
  assert.equal(connection.received.length, head.length)
})

test('a large refusal is relayed whole', async (t) => {
  const body = 'x'.repeat(3 * 1024 * 1024)
  const { response } = await answered(t, `HTTP/1.1 500 Internal Server Error\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  assert.deepEqual([response.status, response.body.length], [500, body.length])
})

test('a refusal that is cut off is cut off for the client, too', async (t) => {
  const all = await stage(t)
  const { client, connection } = await dial(t, all)
  connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\npartial')
  await client.waitFor('partial')
  connection.end()
  await assert.rejects(client.response(), /ended before an HTTP response/)
})

test('metrics count a refusal of the upstream', async (t) => {
  const { proxy } = await answered(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  const { tunnels } = proxy.app.wstunnel.metrics()
  assert.deepEqual([tunnels.refused.upstream, tunnels.opened], [1, 0])
})

test('a refusal opens no tunnel and closes none', async (t) => {
  const { proxy, record } = await answered(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  await within(proxy.app.close(), 'close()')
  assert.deepEqual([record.opened, record.closed], [[], []])
})

// Wrong answers

const wrong: Array<[what: string, answer: (head: string) => string]> = [
  ['without Sec-WebSocket-Accept', (head) => switching(head, { 'Sec-WebSocket-Accept': undefined })],
  ['with a wrong Sec-WebSocket-Accept', (head) => switching(head, { 'Sec-WebSocket-Accept': acceptOf('another key') })],
  ['with another token', (head) => switching(head, { Upgrade: 'h2c' })],
  ['with more than the token', (head) => switching(head, { Upgrade: 'websocket, foo' })],
  ['without Upgrade', (head) => switching(head, { Upgrade: undefined })],
  ['without Connection', (head) => switching(head, { Connection: undefined })],
  ['with Connection: close', (head) => switching(head, { Connection: 'close' })],
  ['of HTTP/1.0', (head) => switching(head).replace('HTTP/1.1', 'HTTP/1.0')]
]

for (const [what, answer] of wrong) {
  test(`a 101 ${what} is a complete 502`, async (t) => {
    const { response } = await answered(t, (connection, head) => connection.write(answer(head)))
    assert.equal(response.status, 502)
  })

  test(`an upstream with a 101 ${what} gets no byte of the client, and is left`, async (t) => {
    const all = await stage(t)
    const { client, connection, head } = await dial(t, all, {}, 'EARLY')
    connection.write(answer(head))
    await client.response()
    await over(connection)
    assert.equal(connection.received.length, head.length)
  })
}

const broken: Array<[what: string, answer: string]> = [
  ['bytes that are no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
  ['HTTP/2', 'HTTP/2 101 Switching Protocols\r\n\r\n'],
  ['a header without a colon', 'HTTP/1.1 101 Switching Protocols\r\nnonsense\r\n\r\n'],
  ['a NUL in a header', 'HTTP/1.1 403 Forbidden\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
  ['two different lengths', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno!'],
  ['a head that is too large', `HTTP/1.1 101 Switching Protocols\r\nX-Large: ${'x'.repeat(70_000)}\r\n\r\n`]
]

for (const [what, answer] of broken) {
  test(`an upstream that answers an upgrade with ${what} is a complete 502`, async (t) => {
    const { response } = await answered(t, answer)
    assert.equal(response.status, 502)
  })
}

test('limits.maxResponseHead bounds the head of the upstream', async (t) => {
  const { response } = await answered(
    t,
    (connection, head) => connection.write(switching(head, { 'X-Large': 'x'.repeat(2000) })),
    { limits: { maxResponseHead: 1024 } }
  )
  assert.equal(response.status, 502)
})

test('an upstream that closes without an answer to an upgrade is a 502', async (t) => {
  const { response } = await answered(t, (connection) => connection.end())
  assert.equal(response.status, 502)
})

test('an upstream that resets without an answer to an upgrade is a 502', async (t) => {
  const { response } = await answered(t, (connection) => connection.reset())
  assert.equal(response.status, 502)
})

test('an upstream that closes in the middle of its head is a 502', async (t) => {
  const { response } = await answered(t, (connection) => connection.end('HTTP/1.1 101 Switching'))
  assert.equal(response.status, 502)
})

test('a refused connection is a 503 for an upgrade', async (t) => {
  const proxy = await startProxy(t, { upstream: `ws://127.0.0.1:${await closedPort()}/` })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 503)
})

test('a name that does not resolve is a 502 for an upgrade', async (t) => {
  const proxy = await startProxy(t, { upstream: 'ws://nowhere.invalid/' })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 502)
})

test('an upstream that does not answer an upgrade is a 504 after handshakeTimeout', async (t) => {
  const { response } = await answered(t, () => {}, { handshakeTimeout: '300ms' })
  assert.equal(response.status, 504)
})

test('an upstream that trickles its head is a 504 after handshakeTimeout', async (t) => {
  const all = await stage(t, { handshakeTimeout: '500ms' })
  const { client, connection } = await dial(t, all)
  const stop = deferred()
  const trickle = async (): Promise<void> => {
    connection.write('HTTP/1.1 101 Switching Protocols\r\n')
    while (!connection.socket.destroyed && !connection.socket.writableEnded && client.received.length === 0) {
      connection.write('X-A: b\r\n')
      await pause(50)
    }
    stop.resolve()
  }
  const trickling = trickle()
  assert.equal((await client.response()).status, 504)
  await Promise.all([trickling, stop.promise])
})

test('after a failed handshake the connection of the client closes', http1Only('other streams go on'), async (t) => {
  const { client, response } = await answered(t, 'garbage\r\n\r\n')
  assert.deepEqual([response.status, response.headers['connection']], [502, ['close']])
  await client.ended
})

test('a 502 does not tell the client where the upstream is', async (t) => {
  const port = await closedPort()
  const proxy = await startProxy(t, { upstream: `ws://127.0.0.1:${port}/` })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  await client.response()
  assert.ok(!client.received.includes(String(port)))
})

for (const [what, interim] of [
  ['100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['102', 'HTTP/1.1 102 Processing\r\n\r\n'],
  ['103', 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n']
] as const) {
  test(`a ${what} before the 101 does not disturb the upgrade`, async (t) => {
    const all = await stage(t)
    const { client, connection, head } = await dial(t, all)
    connection.write(interim + switching(head))
    let response = await client.response()
    while (response.status < 200 && response.status !== 101) response = await client.response()
    await roundTrip({ client, upstream: connection })
    assert.equal(response.status, 101)
  })
}

test('endless interim responses are a 502', async (t) => {
  const all = await stage(t)
  const { client, connection } = await dial(t, all)
  connection.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(10_000))
  let response = await client.response()
  while (response.status < 200) response = await client.response()
  assert.equal(response.status, 502)
})
