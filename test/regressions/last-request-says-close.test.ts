// The last response that maxRequestsPerSocket allows did not say close if it set Connection itself, and its connection stayed open.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

const responses: Record<string, (url: string) => ProxyOptions> = {
  'a 426 of ours': (url) => ({ upstream: url, upgrade: 'NONE' }),
  'a 426 of the upstream': (url) => ({ upstream: url, upgrade: 'websocket' }),
  'a response with a Connection of a hook': (url) => ({ upstream: url, preHandler: async (_, reply) => { reply.header('connection', 'x-option') } })
}

for (const [what, options] of Object.entries(responses)) {
  test(`${what} closes its connection as the last one that maxRequestsPerSocket allows`, async (t) => {
    const upstream = await startHttpUpstream(t, (_, response) => response.writeHead(426, { upgrade: 'websocket', connection: 'Upgrade' }).end())
    const proxy = await startProxy(t, options(upstream.url), { fastify: { maxRequestsPerSocket: 2 } })
    const client = await rawClient(t, proxy.port)
    for (const isLast of [false, true]) {
      client.write(requestHead('GET', '/x'))
      const { status, headers } = await client.response()
      assert.equal(status, 426)
      assert.equal(headers['connection']?.join().split(', ').includes('close'), isLast, String(headers['connection']))
    }
    await client.ended
  })
}
