// An upgrade that is pipelined behind a response which said `Connection: close`, whoever sent that, was dialled over TLS: the
// connection has been ended then, but takes longer to close than the turn in which it was looked at (RFC 9112, 9.6).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

for (const secure of [false, true]) {
  test(`an upgrade behind the last response is not dialled, over ${secure ? 'TLS' : 'TCP'}`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.url.replace('http', 'ws') }, {
      fastify: secure ? { https: selfSigned() } : {},
      setup: (app) => app.addHook('onRequest', async (request, reply) => {
        if (request.url === '/x') return await reply.code(401).header('connection', 'close').send('no')
      })
    })
    for (let i = 0; i < 5; i++) {
      const client = await rawClient(t, proxy.port, secure ? { tls: { rejectUnauthorized: false } } : {})
      client.write(requestHead('GET', '/x') + upgradeHead('/behind'))
      assert.equal((await client.response()).status, 401)
      client.end()
      await client.closed
    }
    await proxy.app.close()
    assert.equal(upstream.connections.length, 0)
    const { refused, opened } = proxy.app.wstunnel.metrics().tunnels
    assert.deepEqual({ opened, dial: refused.dial, handshake: refused.handshake }, { opened: 0, dial: 0, handshake: 0 })
  })
}
