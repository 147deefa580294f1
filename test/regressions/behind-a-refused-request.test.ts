// What is pipelined behind a request that is refused with `Connection: close` must not be processed (RFC 9112, 9.6): where the
// refused one ends is just what nobody can be sure of.

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'

const refused = {
  'a transfer coding': requestHead('POST', '/x', { 'Transfer-Encoding': 'gzip, chunked' }) + '0\r\n\r\n',
  'two Hosts': requestHead('GET', '/x', { Host: ['a', 'b'] }),
  'a path that climbs': requestHead('GET', '/a/../b'),
  'too many fields': requestHead('GET', '/x').replace('\r\n\r\n', `\r\n${'a:\r\n'.repeat(1050)}\r\n`)
}
const behind = { 'a request': requestHead('GET', '/smuggled'), 'an upgrade': upgradeHead('/smuggled') }

for (const [what, first] of Object.entries(refused)) {
  for (const [kind, second] of Object.entries(behind)) {
    test(`${kind} behind ${what} does not get to the upstream`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, { upstream: upstream.url.replace('http', 'ws') })
      const client = await rawClient(t, proxy.port)
      client.write(first + second)
      const response = await client.response()
      assert.ok([400, 431, 501].includes(response.status), response.rawHead)
      // Newer parsers refuse so many fields themselves, and Fastify's words for that are few.
      const byParser = what === 'too many fields' && !String(response.body).includes('FST_WSTUNNEL_')
      assert.deepEqual(response.headers.connection, byParser ? undefined : ['close'])
      client.end()
      await client.closed
      await proxy.app.close()
      assert.equal(upstream.connections.length, 0)
    })
  }
}

for (const kind of ['plain', 'an offer']) {
  test(`an answer of this turn goes out, though the parser refuses what is behind it (${kind})`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.url, onRequest: (_request, reply) => { reply.code(403).send('no') } })
    const client = await rawClient(t, proxy.port)
    const offer = kind === 'plain' ? {} : { Connection: 'upgrade', Upgrade: 'tcp/1' }
    client.write(`${requestHead('GET', '/x', { 'Content-Length': '1', ...offer }).replace('HTTP/1.1', 'HTTP/1.0')} ${requestHead('GET', '/behind')}`)
    const { status } = await client.response()
    assert.equal(status, 403)
    await client.ended
    assert.equal(client.received.toString('latin1').split('HTTP/1.1 ').length, 2)
  })
}

test('a request before a refused one is served, though its hook lets the other overtake it', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => { response.end('ok') })
  const refused = new EventEmitter()
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    setup: (app) => {
      app.addHook('onRequest', async ({ url }) => { if (url === '/slow') await once(refused, 'refused') })
      app.addHook('onError', async () => { refused.emit('refused') })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/slow') + requestHead('GET', '/a/../b') + requestHead('GET', '/behind'))
  assert.equal((await client.response()).status, 200)
  assert.equal((await client.response()).status, 400)
  await client.ended
  assert.deepEqual(upstream.requests.map(({ url }) => url), ['/slow'])
})
