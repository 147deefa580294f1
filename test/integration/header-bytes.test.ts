// Header bytes beyond ASCII (`filename="r\xe9sum\xe9.pdf"`) are opaque (RFC 9110, 5.5): they arrive as they were sent, by whatever way the head goes out.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { connect } from 'node:http2'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { scripted } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy, type Proxy, type ProxyOptions, type ProxySetup } from '../fixtures/proxy.ts'
import { headerOf, headersOf, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

const name = 'attachment; filename="r\xe9sum\xe9.pdf"'
// The last byte of UTF-8's `à` is A0, which JavaScript's `trim()` takes for a space.
const bytes = '\x80\xff voil\xc3\xa0'
const fields = `Content-Disposition: ${name}\r\nX-Bytes: ${bytes}\r\n`

async function behind (t: TestContext, answer: string, options: Partial<ProxyOptions> = {}, setup: ProxySetup = {}): Promise<Proxy> {
  const upstream = await scripted(t, (connection) => { connection.write(answer) })
  return await startProxy(t, { upstream: upstream.httpUrl, ...options }, setup)
}

const hook = (onSend: (...args: any[]) => unknown): ProxySetup => ({ setup: (app) => { app.addHook('onSend', onSend as never) } })
const whole = `HTTP/1.1 200 OK\r\n${fields}Content-Length: 2\r\n\r\nok`

for (const [what, method, answer, setup] of [
  ['a HEAD', 'HEAD', `HTTP/1.1 200 OK\r\n${fields}Content-Length: 2\r\n\r\n`],
  ['a 204', 'GET', `HTTP/1.1 204 No Content\r\n${fields}\r\n`],
  ['a 304', 'GET', `HTTP/1.1 304 Not Modified\r\n${fields}\r\n`],
  ['an empty body', 'GET', `HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`],
  ['a body that a hook has made a string', 'GET', whole, hook(async (_request, reply) => { reply.removeHeader('content-length'); return 'a text' })],
  ['a body that a hook has made an empty string', 'GET', whole, hook(async (_request, reply) => { reply.removeHeader('content-length'); return '' })],
  ['a body that a hook has made a Buffer', 'GET', whole, hook(async (_request, reply) => {
    reply.removeHeader('content-length')
    return Buffer.from('bytes')
  })],
  [
    'a streamed body that a hook has made a string',
    'GET',
    `HTTP/1.1 200 OK\r\n${fields}Content-Length: 2\r\n\r\n`,
    hook(async (_request, reply) => { reply.removeHeader('content-length'); return 'a text' })
  ],
  ['an error of ours, where a hook has set them', 'GET', 'HTTP/1.1 no\r\n\r\n', {
    setup: (app) => {
      app.addHook('onRequest', async (_request, reply) => { reply.header('content-disposition', name).header('x-bytes', bytes) })
    }
  }]
] as Array<[string, string, string, ProxySetup?]>) {
  test(`bytes of header fields are kept with ${what}`, async (t) => {
    const proxy = await behind(t, answer, {}, setup)
    const client = await rawClient(t, proxy.port)
    client.write(requestHead(method, '/'))
    const { headers } = await client.response(method)
    assert.deepEqual([headers['content-disposition'], headers['x-bytes']], [[name], [bytes]])
  })
}

for (const fallbackToHttp of [true, false]) {
  test(`bytes of header fields are kept in a 101 and in a refusal, both ways, with fallbackToHttp: ${fallbackToHttp}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.url, fallbackToHttp })
    for (const switches of [true, false]) {
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/', { headers: { 'X-Name': 'r\xe9sum\xe9' } }))
      const connection = await upstream.next()
      const head = await connection.head()
      assert.equal(headerOf(head, 'x-name'), 'r\xe9sum\xe9')
      const refusal = `HTTP/1.1 403 Forbidden\r\n${fields}Content-Length: 2\r\n\r\nno`
      connection.write(switches ? switching(head, { 'Content-Disposition': name, 'X-Bytes': bytes }) : refusal)
      const { rawHead } = await client.response()
      assert.deepEqual([headersOf(rawHead, 'content-disposition'), headersOf(rawHead, 'x-bytes')], [[name], [bytes]])
    }
  })
}

for (const [how, length] of Object.entries({ 'with the body': whole.length, 'before the body': whole.length - 2 })) {
  test(`bytes of header fields are kept over HTTP/2, both ways, with a head that comes ${how}`, async (t) => {
    let seen = ''
    let response: { readonly headersSent: boolean } | undefined
    const upstream = await scripted(t, async (connection, head) => {
      seen = head
      response = undefined
      connection.write(whole.slice(0, length))
      await until(() => response?.headersSent === true, 'the head to be sent')
      connection.write(whole.slice(length))
    })
    const proxy = await startProxy(t, { upstream: upstream.httpUrl }, {
      fastify: { http2: true },
      ...hook(async (_request, reply, payload) => {
        response = reply.raw
        return payload
      })
    })
    const session = connect(proxy.url)
    cleanup(t, 'connections', () => session.destroy())
    const stream = session.request({ ':path': '/', 'x-name': 'r\xe9sum\xe9' })
    stream.resume()
    const [headers] = await event<[Record<string, string>]>(stream, 'response')
    // Node reads a byte as a character, as it does over HTTP/1.
    assert.deepEqual([headers['content-disposition'], headers['x-bytes']], [name, bytes])
    assert.equal(headerOf(seen, 'x-name'), 'r\xe9sum\xe9')
    // Another reader than the one that wrote it.
    const dumped = await within(new Promise<Buffer>((resolve, reject) => {
      execFile('curl', ['-s', '--http2-prior-knowledge', '-D', '-', '-o', '/dev/null', `${proxy.url}/`], { encoding: 'buffer' }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error))
    }), 'curl')
    assert.ok(dumped.includes(Buffer.from(`content-disposition: ${name}`, 'latin1')), dumped.toString('latin1'))
  })
}
