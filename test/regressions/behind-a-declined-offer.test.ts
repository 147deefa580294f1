// From 24.9 on Node asks whether a request is to be an upgrade. Of one that is declined there it loses every byte that it has
// read behind it: requests were never answered, and where one was cut in two, its rest was read as another.

import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'

const offer = { Connection: 'Upgrade', Upgrade: 'foo' }
const offers: Record<string, string> = {
  'an offer': requestHead('GET', '/1', offer),
  'an offer in Proxy-Connection': requestHead('GET', '/1', { ...offer, 'Proxy-Connection': 'upgrade', Connection: undefined }),
  'an offer without content': requestHead('POST', '/1', { ...offer, 'Content-Length': '0' }),
  'an offer with a body': requestHead('POST', '/1', { ...offer, 'Content-Length': '5' }) + 'hello',
  'an offer with chunks': requestHead('POST', '/1', { ...offer, 'Transfer-Encoding': 'chunked' }) + '5\r\nhello\r\n0\r\n\r\n',
  'an offer with several chunks': requestHead('POST', '/1', { ...offer, 'Transfer-Encoding': 'chunked' }) + '2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
  'an offer that expects 100 Continue': requestHead('POST', '/1', { ...offer, 'Content-Length': '5', Expect: '100-continue' }) + 'hello'
}
/** Where the proxy listens; the first way is below a target of ours, the second is the user's own. */
const places: Record<string, string> = { 'to a target': '/', 'to a route of the user\'s': '/far/' }

for (const [where, path] of Object.entries(places)) {
  for (const [what, first] of Object.entries(offers)) {
    for (const before of ['', requestHead('GET', '/0')]) {
      test(`a request in one packet with ${what} ${where} is answered${before === '' ? '' : ', also behind another'}`, async (t) => {
        const upstream = await startHttpUpstream(t, (request, response) => {
          let body = ''
          request.on('data', (chunk) => { body += chunk }).on('end', () => response.end(`${request.url} ${body}`))
        })
        const proxy = await startProxy(t, { path, upstream: `${upstream.url}${path}` }, {
          setup: (app) => {
            if (path === '/') return
            app.addContentTypeParser('*', { parseAs: 'string' }, (_, body, done) => done(null, body))
            app.route({ method: ['GET', 'POST'], url: '/:n', handler: async (request) => `/${(request.params as { n: string }).n} ${request.body ?? ''}` })
          }
        })
        const client = await rawClient(t, proxy.port)
        const type = path === '/' ? '' : 'Content-Type: text/plain\r\n'
        client.write(before + first.replace('Host:', `${type}Host:`) + requestHead('GET', '/2'))
        const bodies: string[] = []
        while (bodies.length < (before === '' ? 2 : 3)) {
          const { status, body } = await client.response()
          if (status === 100) continue
          assert.equal(status, 200)
          bodies.push(String(body))
        }
        assert.deepEqual(bodies, [...before === '' ? [] : ['/0 '], first.includes('llo') ? '/1 hello' : '/1 ', '/2 '])
      })
    }
  }
}

test('a request behind an offer whose body came later is answered, or the answer before it is the last', (t) => late(t))
test('a request behind an offer whose body came later over TLS is answered, or the answer before it is the last', (t) => late(t, selfSigned()))

async function late (t: TestContext, https?: { key: string, cert: string }): Promise<void> {
  const upstream = await startHttpUpstream(t, (request, response) => { request.resume().on('end', () => response.end(request.url)) })
  const proxy = await startProxy(t, { upstream: upstream.url }, https === undefined ? {} : { fastify: { https } })
  const client = await rawClient(t, proxy.port, https === undefined ? {} : { tls: { ca: https.cert } })
  client.write(requestHead('POST', '/1', { ...offer, 'Content-Length': '10' }) + 'hello')
  while (upstream.requests.length === 0) await event(upstream.server, 'request')
  // The second half of what is cut in two must not become a request of its own.
  client.write('world' + requestHead('POST', '/2', { 'Content-Length': String(requestHead('GET', '/smuggled').length) }))
  const response = await client.response()
  assert.equal(response.status, 200)
  client.write(requestHead('GET', '/smuggled'))
  // Node 26 has the connection no more once it has read that body.
  const closes = Number.parseInt(process.versions.node, 10) >= 26
  assert.deepEqual(response.headers.connection, [closes ? 'close' : 'keep-alive'])
  if (!closes) assert.equal((await client.response()).status, 200)
  client.end()
  await over(client)
  assert.deepEqual(upstream.requests.map(({ url }) => url), closes ? ['/1'] : ['/1', '/2'])
}

test('a client that leaves after an offer whose body came later lets the upstream go', async (t) => {
  const upstream = await startHttpUpstream(t, (request) => { request.resume() })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/1', { ...offer, 'Content-Length': '10' }) + 'hello')
  while (upstream.requests.length === 0) await event(upstream.server, 'request')
  client.write('world')
  await event(upstream.requests[0] as IncomingMessage, 'end')
  client.end()
  await event(upstream.sockets[0] as Socket, 'close')
  await client.closed
})

test('an offer that waits for 100 Continue gets it, and its answer', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => { request.resume().on('end', () => response.end('ok')) })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/1', { ...offer, 'Content-Length': '5', Expect: '100-continue' }))
  assert.equal((await client.response()).status, 100)
  client.write('hello')
  assert.equal((await client.response()).status, 200)
})
