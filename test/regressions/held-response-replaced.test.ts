// A response whose end is held, until the rest of its request is read, kept the upstream's length though a hook had replaced its body.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

const replacements: Record<string, string | null> = { 'a shorter text': 'no', 'a longer text': 'far too much of it', nothing: null }

for (const [what, body] of Object.entries(replacements)) {
  test(`an early answer that a hook replaces by ${what} has the length of that, on a connection that closes`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.httpUrl }, { setup: (app) => { app.addHook('onSend', async () => body) } })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('POST', '/x', { 'Content-Length': '10', Connection: 'close' }) + 'hello')
    const connection = await upstream.next()
    await connection.head()
    connection.write('HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch')
    await client.waitFor('\r\n\r\n')
    client.write('world')
    const response = await client.response()
    assert.equal(response.status, 413)
    assert.equal(String(response.body), body ?? '')
    await client.ended
    assert.equal(client.unread.length, 0)
  })
}
