// What is wrong with a request is found before the route's own hooks run. Where one of those answered it, the answer kept the
// connection, which was marked all the same: another client's request, behind a proxy that shares connections, was refused for it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

const unsound = {
  'an offer that cannot be taken up': `${upgradeHead('/outside/a', { headers: { 'Content-Length': '3' } })}abc`,
  'a path that climbs': requestHead('GET', '/in/%2e%2e/b'),
  'two Hosts': requestHead('GET', '/in/x', { Host: ['a', 'b'] }),
  'an upgrade with two Hosts': upgradeHead('/in/x', { headers: { Host: ['a', 'b'] } })
}

for (const [what, head] of Object.entries(unsound)) {
  test(`${what}: where a hook answers it, that is the last answer on the connection`, async (t) => {
    const upstream = await startHttpUpstream(t)
    const proxy = await startProxy(t, {
      prefix: '/in',
      upstream: upstream.wsUrl,
      preHandler: async (_request, reply) => await reply.code(401).send('who are you?')
    }, { fastify: { rewriteUrl: ({ url = '' }) => url.replace('/outside', '/in') } })
    const client = await rawClient(t, proxy.port)
    client.write(head)
    const { status, headers } = await client.response()
    assert.equal(status, 401)
    assert.deepEqual(headers.connection, ['close'])
    await client.ended
    assert.equal(upstream.requests.length, 0)
  })
}
