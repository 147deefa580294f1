// A response's head as the client gets it: what the upstream sent, however TCP cut it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { headersOf, startRawUpstream } from '../fixtures/upstream.ts'
import { scripted } from '../fixtures/balanced.ts'

/** The answer to a request whose upstream says these pieces, each in a write of its own. */
async function answer (t: TestContext, pieces: string[], options: Partial<ProxyOptions> = {}, setup: ProxySetup = {}): Promise<RawResponse> {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    for (const piece of pieces) {
      connection.write(Buffer.from(piece, 'latin1'))
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, ...options }, setup)
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  return await client.response()
}

const cuts = { whole: (head: string, body: string) => [head + body], 'in two pieces': (head: string, body: string) => [head, body] }

for (const [how, cut] of Object.entries(cuts)) {
  for (const [what, fields] of Object.entries({
    'an ordinary one': ['text/html; charset=utf-8'],
    'one with a quoted parameter': ['multipart/form-data; boundary="a b"'],
    'one without a semicolon': ['text/html charset=utf-8'],
    'one that is empty': [''],
    'the word null': ['null'],
    'a star': ['*'],
    'one with a slash at its end': ['text/'],
    'one with an empty parameter': ['text/html;'],
    'two of them': ['text/html', 'text/plain'],
    'the same twice': ['text/html', 'text/html'],
    'a list': ['text/html, text/plain'],
    'one beyond ASCII': ['text/html; name=r\xe9sum\xe9'],
    none: []
  })) {
    test(`Content-Type is as the upstream sent it: ${what}, ${how}`, async (t) => {
      const head = `HTTP/1.1 200 OK\r\n${fields.map((value) => `Content-Type: ${value}\r\n`).join('')}Content-Length: 2\r\n\r\n`
      const { headers, body } = await answer(t, cut(head, 'ok'))
      assert.deepEqual([headers['content-type'] ?? [], String(body)], [fields, 'ok'])
    })
  }
}

for (const [how, cut] of Object.entries(cuts)) {
  test(`header bytes beyond ASCII keep their bytes, ${how}`, async (t) => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="r\xe9sum\xe9.pdf"\r\nX-Bytes: \x80\xff\r\nTransfer-Encoding: chunked\r\n\r\n'
    const { headers, body } = await answer(t, cut(head, '2\r\nok\r\n0\r\n\r\n'))
    assert.deepEqual([headers['content-disposition'], headers['x-bytes'], String(body)], [['attachment; filename="r\xe9sum\xe9.pdf"'], ['\x80\xff'], 'ok'])
  })
}

for (const [what, said] of Object.entries({
  'no HTTP': 'SSH-2.0-OpenSSH\r\n\r\n',
  'a field without a name': 'HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'
})) {
  test(`a malformed response is a 502 that says so: ${what}`, async (t) => {
    const { status, body } = await answer(t, [said])
    assert.deepEqual([status, JSON.parse(String(body)).code], [502, 'FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE'])
  })
}

for (const [what, method, said, length] of [
  ['a 204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', []],
  ['a 204 with a length', 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', []],
  ['a 204 with a length of a body', 'POST', 'HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n', []],
  ['a 304', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', []],
  ['a 304 with a length', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n', ['7']],
  ['a 304 with chunks', 'GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', []],
  ['a HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n', ['7']],
  ['a HEAD with chunks', 'HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', []],
  ['a HEAD without either', 'HEAD', 'HTTP/1.1 200 OK\r\n\r\n', []]
] as const) {
  test(`${what} does not cost its upstream connection`, async (t) => {
    const upstream = await scripted(t, (connection) => connection.write(said))
    const proxy = await startProxy(t, { upstream: upstream.httpUrl })
    const client = await rawClient(t, proxy.port)
    for (let i = 0; i < 3; i++) {
      client.write(requestHead(method, '/', method === 'POST' ? { 'Content-Length': '0' } : {}))
      const { rawHead } = await client.response(method)
      assert.deepEqual(headersOf(rawHead, 'content-length'), length)
    }
    assert.equal(upstream.connections.length, 1)
  })
}

test('a HEAD whose response says close costs it', async (t) => {
  const upstream = await scripted(t, (connection) => connection.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'))
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const client = await rawClient(t, proxy.port)
  for (let i = 0; i < 2; i++) {
    client.write(requestHead('HEAD', '/'))
    assert.equal((await client.response('HEAD')).status, 200)
  }
  assert.equal(upstream.connections.length, 2)
})

const encoded = 'HTTP/1.1 200 All Right\r\nContent-Encoding: gzip\r\nCache-Control: max-age=9\r\nETag: "a"\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\n'

for (const [how, cut] of Object.entries(cuts)) {
  test(`a status of the upstream's has its own phrase, ${how}`, async (t) => {
    const { status, reason, headers } = await answer(t, cut(encoded, 'ok'))
    assert.deepEqual([status, reason, headers['etag'], headers['content-encoding']], [200, 'All Right', ['"a"'], ['gzip']])
  })

  for (const [what, hook] of Object.entries({
    throws: async () => { throw Object.assign(new Error('no'), { statusCode: 503 }) },
    'answers otherwise': async (_request: unknown, reply: { code: (status: number) => unknown, removeHeader: (name: string) => unknown }) => {
      reply.code(503)
      reply.removeHeader('content-length')
      return 'closed'
    },
    'answers with a Response': async (_request: unknown, reply: { removeHeader: (name: string) => unknown }) => {
      reply.removeHeader('content-length')
      return new Response('closed', { status: 503 })
    }
  })) {
    test(`a status of a hook's that ${what} has its own phrase and nothing of the upstream's content, ${how}`, async (t) => {
      const { status, reason, headers } = await answer(t, cut(encoded, 'ok'), {}, { setup: (app) => app.addHook('onSend', hook as never) })
      assert.deepEqual([status, reason, headers['etag'], headers['content-encoding'], headers['cache-control']],
        [503, 'Service Unavailable', undefined, undefined, undefined])
    })
  }
}
