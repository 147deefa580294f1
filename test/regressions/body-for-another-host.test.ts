// An offer with a body was predicted to be the entry's of another host: so its body stayed unread, and the entry of its own host refused it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

for (const [what, first] of Object.entries({ 'a name': 'a.example', 'an expression': /^a\./ })) {
  test(`an offer that its own host's entry declines is forwarded with its body, behind one for another host by ${what}`, async (t) => {
    const upstream = await startHttpUpstream(t, (request, response) => { request.pipe(response) })
    const proxy = await startProxy(t, {
      routes: [
        { path: '/', upstream: 'http://127.0.0.1:9', upgrade: 'tcp', constraints: { host: first } },
        { path: '/', upstream: upstream.url, constraints: { host: 'b.example' } }
      ]
    })
    const client = await rawClient(t, proxy.port)
    for (const body of ['{}', '[]']) {
      client.write(requestHead('POST', '/x', { Host: 'b.example', Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Length': '2' }) + body)
      const response = await client.response()
      assert.equal(response.status, 200)
      assert.equal(String(response.body), body)
    }
  })
}
