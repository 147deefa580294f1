import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answered, dial, open, over, stage } from '../fixtures/stage.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { roundTrip } from '../fixtures/tunnel.ts'
import { acceptOf, headerOf, switching } from '../fixtures/upstream.ts'

const rawAnswers: Array<[what: string, answer: string, end: boolean]> = [
  ['Content-Length', 'HTTP/1.1 403 Forbidden\r\nX-CaSe: Kept\r\nServer: upstream\r\nContent-Length: 2\r\n\r\nno', false],
  ['chunks', 'HTTP/1.1 500 Oh Dear\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nno\r\n0\r\nX-Trailer: 1\r\n\r\n', false],
  ['the end of the connection', 'HTTP/1.1 200 Fine\r\nX-CaSe: Kept\r\n\r\nto the end', true]
]

for (const [what, answer, end] of rawAnswers) {
  test(`with fallbackToHttp: false, a refusal framed by ${what} is relayed byte for byte`, async (t) => {
    const all = await stage(t, { fallbackToHttp: false })
    const { client, connection } = await dial(t, all)
    connection.write(answer)
    if (end) connection.end()
    await client.waitFor(answer.length)
    if (end) await client.ended
    assert.equal(String(client.received), answer)
  })
}

test('with fallbackToHttp: false, a valid 101 opens a tunnel', async (t) => {
  await roundTrip(await open(t, { fallbackToHttp: false }))
})

test('with fallbackToHttp: false, no byte of the client goes to an upstream that refuses', async (t) => {
  const all = await stage(t, { fallbackToHttp: false })
  const { client, connection, head } = await dial(t, all, {}, requestHead('GET', '/admin'))
  connection.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  await client.response()
  await over(connection)
  assert.equal(connection.received.length, head.length)
})

test('with fallbackToHttp: false, an upstream that does not speak HTTP is a 502', async (t) => {
  const { response } = await answered(t, 'SSH-2.0-OpenSSH_9.9\r\n\r\n', { fallbackToHttp: false })
  assert.equal(response.status, 502)
})

const wrong: Array<[what: string, answer: (head: string) => string]> = [
  ['without Sec-WebSocket-Accept', (head) => switching(head, { 'Sec-WebSocket-Accept': undefined })],
  ['with a wrong Sec-WebSocket-Accept', (head) => switching(head, { 'Sec-WebSocket-Accept': acceptOf('another key') })],
  ['with another token', (head) => switching(head, { Upgrade: 'h2c' })],
  ['with more than the token', (head) => switching(head, { Upgrade: 'websocket, foo' })],
  ['without Upgrade', (head) => switching(head, { Upgrade: undefined })]
]

for (const [what, answer] of wrong) {
  test(`with fallbackToHttp: false, a 101 ${what} opens no tunnel`, async (t) => {
    const all = await stage(t, { fallbackToHttp: false })
    const { client, connection, head } = await dial(t, all, {}, 'EARLY')
    connection.end(answer(head))
    await client.waitFor('HTTP/1.1')
    await over(connection)
    assert.deepEqual([connection.received.length, all.record.opened.length], [head.length, 0])
  })
}

test('with fallbackToHttp: false, a token that is not accepted is a 426, and nothing is dialled', async (t) => {
  const all = await stage(t, { fallbackToHttp: false })
  const client = await rawClient(t, all.proxy.port)
  client.write(upgradeHead('/', { upgrade: 'foo' }))
  const { status, headers } = await client.response()
  assert.deepEqual(
    [status, headers['upgrade'], headers['connection']?.join().toLowerCase().includes('upgrade'), all.upstream.connections.length],
    [426, ['websocket'], true, 0]
  )
})

test('with fallbackToHttp: false, a plain request skips the target: 404', async (t) => {
  const all = await stage(t, { fallbackToHttp: false })
  const client = await rawClient(t, all.proxy.port)
  client.write(requestHead('GET', '/'))
  const { status } = await client.response()
  assert.deepEqual([status, all.upstream.connections.length], [404, 0])
})

test('with fallbackToHttp: true, a plain request goes to the ws target as plain HTTP', async (t) => {
  const { upstream, proxy } = await stage(t, {}, async (connection) => {
    await connection.head()
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
  })
  const response = await fetch(`${proxy.url}/info`)
  assert.deepEqual([response.status, await response.text(), headerOf(String(upstream.connections[0]?.received), 'upgrade')], [200, 'plain', undefined])
})

test('with fallbackToHttp: false, a refusal without a length that is cut off by a reset does not end like a whole one', async (t) => {
  const all = await stage(t, { fallbackToHttp: false })
  const { client, connection } = await dial(t, all)
  connection.write('HTTP/1.1 200 Fine\r\n\r\npartial')
  await client.waitFor('partial')
  connection.reset()
  await assert.rejects(client.ended, /without a FIN/)
})
