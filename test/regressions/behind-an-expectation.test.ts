// Node answers an expectation that it does not know, and a user's listener may answer any: an upgrade behind such a response waited for ever.

import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'

const answer = (_: IncomingMessage, response: ServerResponse): void => { setImmediate(() => response.writeHead(418).end()) }

const cases = [
  { title: 'of Node\'s own', expect: '200-ok', listeners: {}, status: 417 },
  { title: 'of a user\'s listener', expect: '200-ok', listeners: { checkExpectation: answer }, status: 418 }
]

for (const { title, expect, listeners, status } of cases) {
  for (const tls of [false, true]) {
    test(`an upgrade behind a response to an expectation, ${title}, has its turn${tls ? ', over TLS' : ''}`, async (t) => {
      const upstream = await startWsUpstream(t)
      const proxy = await startProxy(t, { upstream: upstream.url }, { fastify: tls ? { https: selfSigned() } : {} })
      for (const [event, listener] of Object.entries(listeners)) proxy.app.server.on(event, listener)
      const client = await rawClient(t, proxy.port, tls ? { tls: { rejectUnauthorized: false } } : {})
      client.write(requestHead('GET', '/', { Expect: expect }) + upgradeHead('/'))
      assert.equal((await client.response()).status, status)
      await client.waitFor('101 Switching Protocols')
    })
  }
}
