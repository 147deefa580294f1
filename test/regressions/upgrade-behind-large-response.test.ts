// Once an upgrade was seen on a connection, Node does not tell the response before it any more that it may go on writing.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

const size = 8_000_000

for (const secure of [false, true]) {
  for (const upgrade of ['websocket', 'foo']) {
    test(`a large response is whole with an upgrade to ${upgrade} pipelined behind it${secure ? ', over TLS' : ''}`, async (t) => {
      const upstream = await startHttpUpstream(t, (request, response) => response.end(Buffer.alloc(request.url === '/large' ? size : 2, 'x')))
      const proxy = await startProxy(t, { upstream: upstream.wsUrl }, secure ? { fastify: { https: selfSigned() } } : {})
      const client = await rawClient(t, proxy.port, secure ? { tls: { rejectUnauthorized: false } } : {})
      client.write(requestHead('GET', '/large') + upgradeHead('/small', { upgrade }))
      assert.equal((await client.response()).body.length, size)
      const response = await client.response()
      assert.deepEqual([response.status, response.body.toString()], [200, 'xx'])
    })
  }
}

test("a large response of a user's route to a request in HTTP/2.0 without its frames is whole with an upgrade pipelined behind it", async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('xx'))
  const proxy = await startProxy(t, { upstream: upstream.wsUrl, path: '/ws' }, {
    setup: (app) => { app.get('/large', (_, reply) => reply.send(Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(size / 100, 'x'))))) }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/large', { connection: 'keep-alive' }).replace('HTTP/1.1', 'HTTP/2.0') + upgradeHead('/ws', { upgrade: 'foo' }))
  assert.equal((await client.response()).body.length, size)
})
