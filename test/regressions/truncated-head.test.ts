// Node keeps so many header fields and no more, and says nothing of those that it leaves out. With them went a Content-Length:
// a head that was written again, without it, made a request of its own out of the body.

import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'

const hidden = 'GET /hidden HTTP/1.1\r\nHost: front.example\r\n\r\n'
const late = `Content-Length: ${hidden.length}\r\n\r\n${hidden}`

/** So many short fields before what ends the head. */
function crowded (head: string, fields: number, end: string = '\r\n'): string {
  return head.slice(0, -2) + 'a:\r\n'.repeat(fields) + end
}

interface Asked {
  proxy: Proxy
  upstream: RawUpstream
  response: RawResponse
}

/** The one answer, after which the connection is over. */
async function ask (t: TestContext, request: string, limit?: number): Promise<Asked> {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  if (limit !== undefined) (proxy.app.server as Server).maxHeadersCount = limit
  const client = await rawClient(t, proxy.port)
  client.write(request)
  const response = await client.response()
  await over(client)
  assert.equal(String(client.unread), '', 'one answer only')
  return { proxy, upstream, response }
}

const requests: Record<string, string> = {
  'a GET': crowded(requestHead('GET', '/x'), 1100),
  'a POST whose length comes last': crowded(requestHead('POST', '/x'), 1100, late),
  'an upgrade to WebSocket': crowded(upgradeHead('/x'), 1100),
  'an upgrade whose length comes last': crowded(upgradeHead('/x'), 1100, late),
  'an offer of no target, whose length comes last': crowded(requestHead('POST', '/x', { Connection: 'Upgrade', Upgrade: 'foo' }), 1100, late)
}

for (const [what, request] of Object.entries(requests)) {
  test(`${what} with more fields than Node keeps is a 431, and nothing goes upstream`, async (t) => {
    const { upstream, response } = await ask(t, request)
    assert.equal(response.status, 431)
    assert.equal(upstream.connections.length, 0)
  })

  test(`${what} with more fields than maxHeadersCount is a 431, and nothing goes upstream`, async (t) => {
    const { upstream, response } = await ask(t, request.replace('a:\r\n'.repeat(1050), ''), 40)
    assert.equal(response.status, 431)
    assert.equal(upstream.connections.length, 0)
  })
}

test('an upgrade that is refused for its fields counts as refused', async (t) => {
  const { proxy, response } = await ask(t, requests['an upgrade to WebSocket']?.replace('a:\r\n'.repeat(1050), '') as string, 40)
  assert.equal(response.status, 431)
  // Newer parsers refuse such a head themselves (22.23 and 24.21, say), and nobody hears of a request.
  const ours = response.body.toString('latin1').includes('FST_WSTUNNEL_TOO_MANY_HEADERS')
  assert.equal(proxy.app.wstunnel.metrics().tunnels.refused.decision, ours ? 1 : 0)
  if (Number.parseInt(process.versions.node, 10) < 22) assert.ok(ours)
})

test('as many fields as Node keeps for certain are no obstacle', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(crowded(upgradeHead('/x'), 950))
  const connection = await upstream.next()
  connection.write(switching(await connection.head()))
  assert.equal((await client.response()).status, 101)
})
