// To a client that writes 20 MB first and reads then, a 401, 413, 426, 502 or 503 was lost to a reset, since the connection was closed with bytes unread.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { rawClient, requestHead, upgradeHead, type RawClient } from '../fixtures/client.ts'
import { startProxy, type Proxy, type ProxyOptions } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { until, within } from '../fixtures/wait.ts'

const size = 12_000_000
const piece = Buffer.alloc(1_000_000, 'x')

/** Writes all of a request, as a client does that reads nothing before. */
async function writeFirst (client: RawClient, head: string): Promise<void> {
  const { socket } = client
  socket.pause()
  client.write(head)
  for (let sent = 0; sent < size && !socket.destroyed; sent += piece.length) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()))
  }
  await until(() => socket.writableLength === 0, 'all to be written')
  socket.resume()
}

function head (path: string, headers: Record<string, string> = {}): string {
  return requestHead('POST', path, { 'Content-Length': String(size), ...headers })
}

interface Answer {
  status: number
  options: (url: string) => ProxyOptions
  /** What the upstream says to the head of the request. */
  upstream?: string
}

const answers: Record<string, Answer> = {
  'a 401 of a hook': { status: 401, options: (url) => ({ upstream: url, preHandler: async (_, reply) => reply.code(401).send({ no: 'entry' }) }) },
  'a 204 of a hook': { status: 204, options: (url) => ({ upstream: url, preHandler: async (_, reply) => reply.code(204).send() }) },
  'a 403 without content': { status: 403, options: (url) => ({ upstream: url, preHandler: async (_, reply) => reply.code(403).send() }) },
  'a 426': { status: 426, options: (url) => ({ upstream: url.replace('http', 'ws'), upgrade: 'NONE' }) },
  'a 502': { status: 502, options: (url) => ({ upstream: url }), upstream: 'nonsense\r\n\r\n' },
  'a 503 of an upstream that is down': { status: 503, options: () => ({ upstream: 'http://127.0.0.1:9' }) },
  'a 413 of the upstream': { status: 413, options: (url) => ({ upstream: url }), upstream: 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch' },
  'a 413 of the upstream, in chunks': {
    status: 413,
    options: (url) => ({ upstream: url }),
    upstream: 'HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmuch\r\n0\r\n\r\n'
  }
}

async function start (t: TestContext, { options, upstream: says }: Answer, tls = false): Promise<Proxy> {
  const upstream = await startRawUpstream(t)
  if (says !== undefined) {
    void (async () => {
      for (;;) {
        const connection = await upstream.next()
        await connection.head()
        connection.write(says)
      }
    })().catch(() => {})
  }
  return await startProxy(t, options(upstream.httpUrl), { fastify: tls ? { https: selfSigned() } : {} })
}

describe('a client that writes its request first and reads then', () => {
  for (const [name, answer] of Object.entries(answers)) {
    for (const tls of name === 'a 401 of a hook' || name === 'a 503 of an upstream that is down' ? [false, true] : [false]) {
      const over = tls ? ', over TLS' : ''
      const connect = (t: TestContext, port: number): Promise<RawClient> => rawClient(t, port, tls ? { tls: { rejectUnauthorized: false } } : {})

      test(`gets ${name}, on a connection that goes on${over}`, async (t) => {
        const proxy = await start(t, answer, tls)
        const client = await connect(t, proxy.port)
        for (let times = 0; times < 2; times++) {
          await writeFirst(client, head('/x'))
          const { status, headers } = await client.response()
          assert.equal(status, answer.status)
          assert.ok(!(headers.connection ?? []).join().includes('close'))
        }
      })

      const requests: Array<[string, string | undefined]> = name.includes('hook') ? [['1.1', 'close'], ['1.0', undefined]] : [['1.1', 'close']]
      for (const [version, asked] of requests) {
        test(`gets ${name}, on a connection of HTTP/${version} that closes${over}`, async (t) => {
          const proxy = await start(t, answer, tls)
          const client = await connect(t, proxy.port)
          await writeFirst(client, head('/x', asked === undefined ? {} : { Connection: asked }).replace('HTTP/1.1', `HTTP/${version}`))
          const { status } = await client.response()
          assert.equal(status, answer.status)
          await client.ended
        })
      }
    }
  }

  test('gets the refusal of an upgrade with a body', async (t) => {
    const proxy = await startProxy(t, { upstream: 'ws://127.0.0.1:9' })
    const client = await rawClient(t, proxy.port)
    await writeFirst(client, upgradeHead('/x', { headers: { 'Content-Length': String(size) } }))
    assert.equal((await client.response()).status, 400)
    await client.ended
  })

  test('may be python', { skip: process.platform === 'win32' }, async (t) => {
    const proxy = await start(t, answers['a 503 of an upstream that is down'] as Answer)
    const script = `import http.client as h; c=h.HTTPConnection('127.0.0.1',${proxy.port}); ` +
      "c.request('POST','/u',body=b'x'*20000000); print(c.getresponse().status)"
    const { stdout } = await promisify(execFile)('python3', ['-c', script])
    assert.equal(stdout.trim(), '503')
  })
})

describe('what is read and dropped behind an answer', () => {
  const refuse: ProxyOptions = { upstream: 'http://127.0.0.1:9', drainTimeout: '300ms', preHandler: async (_, reply) => reply.code(401).send('no') }

  for (const headers of [{}, { Connection: 'close' }]) {
    const which = 'Connection' in headers ? 'closes' : 'goes on'
    const longHead = requestHead('POST', '/x', { 'Content-Length': '1000000000', ...headers })

    test(`ends two seconds after the last byte, on a connection that ${which}`, async (t) => {
      const proxy = await startProxy(t, refuse)
      const client = await rawClient(t, proxy.port)
      const since = performance.now()
      client.write(longHead + 'x')
      await client.head()
      await client.ended
      const took = performance.now() - since
      assert.ok(took > 1900 && took < 10_000, `${took} ms`)
    })

    test(`ends at 64 MiB, on a connection that ${which}`, async (t) => {
      const proxy = await startProxy(t, refuse)
      const client = await rawClient(t, proxy.port)
      client.write(longHead)
      await client.head()
      let sent = 0
      while (!client.socket.destroyed) {
        sent += piece.length
        if (!client.socket.write(piece)) await once(client.socket, 'drain').catch(() => {})
      }
      assert.ok(sent > 60e6 && sent < 100e6, `${sent} bytes`)
    })

    test(`ends with the drain, on a connection that ${which}`, async (t) => {
      const proxy = await startProxy(t, refuse)
      const client = await rawClient(t, proxy.port)
      client.write(longHead)
      await client.head()
      const timer = setInterval(() => client.write('x'), 20)
      t.after(() => clearInterval(timer))
      await within(proxy.app.close(), 'close()', 2500)
    })

    test(`is followed by no 408 of Node's, on a connection that ${which}`, async (t) => {
      const proxy = await startProxy(t, refuse, { fastify: { requestTimeout: 200, http: { connectionsCheckingInterval: 50 } } as object })
      const client = await rawClient(t, proxy.port)
      client.write(longHead)
      await client.head()
      const timer = setInterval(() => client.write('x'), 20)
      t.after(() => clearInterval(timer))
      await client.ended.catch(() => {}) // or a reset
      assert.ok(!client.received.includes('408'), String(client.received))
    })
  }
})
