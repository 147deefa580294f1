// Node stops reading a connection while a request's body waits to be read. An upgrade that was read with the end of that body
// finds it stopped, and resuming its stream is not enough.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'

const body = 'x'.repeat(48_000)

for (const before of ['', requestHead('GET', '/plain', { Connection: 'upgrade', Upgrade: 'foo' })]) {
  test(`a tunnel behind a large body notices that its client leaves${before === '' ? '' : ', also after an upgrade that was none'}`, async (t) => {
    const upstream = await startWsUpstream(t, { http: (request, response) => request.resume().on('end', () => response.end('ok')) })
    const proxy = await startProxy(t, { upstream: upstream.url })
    const client = await rawClient(t, proxy.port)
    client.write(`${before}${requestHead('POST', '/body', { 'Content-Length': String(body.length) })}${body}${upgradeHead('/ws')}`)
    let response = await client.response()
    while (response.status === 200) response = await client.response()
    assert.equal(response.status, 101)
    const { socket } = await upstream.next()
    client.end()
    await new Promise((resolve) => socket.once('close', resolve))
    await client.closed
  })
}
