// A 426 left the connection of an HTTP/1.0 client open, on which Node takes no further request.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

for (const options of [{ upgrade: 'NONE' }, { fallbackToHttp: false }]) {
  test(`with ${JSON.stringify(options)}, the 426 of an HTTP/1.0 client ends its connection`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/`, ...options })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/').replace('HTTP/1.1', 'HTTP/1.0'))
    const response = await client.response()
    assert.equal(response.status, 426)
    assert.match(String(response.headers['connection']), /\bclose\b/i)
    assert.match(String(response.headers['connection']), /\bupgrade\b/i)
    await within(client.ended, 'the end of the connection', 2000)
    assert.equal(upstream.connections.length, 0)
  })
}
