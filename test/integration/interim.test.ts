// Interim responses: a few of them are hints, more are a flood.
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendInformational } from '../../lib/proxy/client-response.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
const go = 'HTTP/1.1 100 Continue\r\n\r\n'
const processing = 'HTTP/1.1 102 Processing\r\n\r\n'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** The statuses that a client gets from an upstream that says this, the final one last. */
async function statuses (t: TestContext, said: string, { apart = false } = {}): Promise<number[]> {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    for (const piece of apart ? said.split(/(?<=\r\n\r\n)/) : [said]) {
      connection.write(piece)
      await new Promise(setImmediate)
    }
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  const found: number[] = []
  do found.push((await client.response()).status)
  while ((found.at(-1) as number) < 200)
  return found
}

for (const apart of [false, true]) {
  const how = apart ? 'one by one' : 'at once'
  test(`eight interim responses that come ${how} are followed by the response`, async (t) => {
    assert.deepEqual(await statuses(t, hint.repeat(8) + ok, { apart }), [...Array(8).fill(103), 200])
    assert.equal((await statuses(t, (hint + go).repeat(4) + ok, { apart })).at(-1), 200)
  })

  for (const [what, said] of Object.entries({
    'nine hints': hint.repeat(9),
    'nine of 100': go.repeat(9),
    'nine of 102': processing.repeat(9),
    'nine of several kinds': (go + hint + processing).repeat(3),
    'eight hints and a 100': hint.repeat(8) + go,
    'eight of 100 and a hint': go.repeat(8) + hint,
    'eight and a long one': hint.repeat(8) + `HTTP/1.1 103 Early Hints\r\nX: ${'x'.repeat(9000)}\r\n\r\n`
  })) {
    test(`${what} that come ${how} are a 502`, async (t) => {
      assert.equal((await statuses(t, said + ok, { apart })).at(-1), 502)
    })
  }
}

test('hints without end do not fill the memory for a client that does not read', async (t) => {
  let written = 0
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    const flood = (): void => {
      while (!connection.socket.destroyed && connection.write(hint.repeat(100))) written += hint.length * 100
    }
    connection.socket.on('drain', flood)
    flood()
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const client = await rawClient(t, proxy.port)
  client.socket.pause()
  client.write(requestHead('GET', '/'))
  const connection = await upstream.next()
  await connection.closed
  assert.ok(written < 64_000_000, `${written} bytes`)
  client.socket.resume()
  while ((await client.response()).status !== 502);
})

test('nine hints are a 502 over HTTP/2, too', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write(hint.repeat(9) + ok)
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl }, { fastify: { http2: true } })
  const session = connectHttp2(proxy.url)
  cleanup(t, 'connections', () => session.destroy())
  const status = await new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/' })
    stream.on('response', (headers) => resolve(headers[':status']))
    stream.on('error', reject)
    stream.resume()
  })
  assert.equal(status, 502)
})

test('nine hints before the answer to an upgrade are a 502', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.write(hint.repeat(9) + ok)
  })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 502)
})

test('a hint is dropped while what was written before waits for the client', () => {
  const request = { raw: { httpVersion: '1.1' } } as FastifyRequest
  const sent: unknown[] = []
  const reply = (writableLength: number): FastifyReply =>
    ({ raw: { headersSent: false, socket: { writableLength }, writeEarlyHints: (hints: unknown) => sent.push(hints) } }) as unknown as FastifyReply
  assert.equal(sendInformational(request, reply(1), 103, ['Link', '</a.css>']), false)
  assert.equal(sent.length, 0)
  assert.equal(sendInformational(request, reply(0), 103, ['Link', '</a.css>']), true)
  assert.equal(sent.length, 1)
})
