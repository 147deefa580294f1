// Node's parser does not tell of a bad chunk in a request that it has once taken for an upgrade, also where that was declined:
// the client waited for an answer until the upstream ended the exchange.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

const offer = { Connection: 'Upgrade', Upgrade: 'foo', 'Transfer-Encoding': 'chunked' }
// Short, so that what hangs is seen at once: 408 then.
const impatient = { requestTimeout: 700, http: { headersTimeout: 700, connectionsCheckingInterval: 50 } } as object
// Node 26 reads the body itself, whoever has the request: there, only `requestTimeout` ends this, and what is behind a body
// that comes later is lost.
const readsBodies = Number.parseInt(process.versions.node, 10) >= 26
const status = readsBodies ? 408 : 400

test('a bad chunk that comes with the head, behind an offer that is not accepted, is refused', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` }, { fastify: impatient })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/x', offer) + '3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n')
  assert.equal((await client.response()).status, status)
  await client.ended
})

test('a bad chunk that comes later, behind an offer that is not accepted, is refused', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` }, { fastify: impatient })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/x', offer) + '3\r\nabc\r\n')
  await (await upstream.next()).waitFor('abc')
  client.write('zz\r\nabc\r\n0\r\n\r\n')
  assert.equal((await client.response()).status, status)
  await client.ended
})

test('chunks behind an offer that is not accepted arrive, and the connection goes on where Node lets it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/1', offer) + '3\r\nabc\r\n')
  const connection = await upstream.next()
  await connection.waitFor('abc')
  client.write('2\r\nde\r\n0\r\n\r\n')
  await connection.waitFor('0\r\n\r\n')
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const response = await client.response()
  assert.equal(response.status, 200)
  if (readsBodies) {
    assert.deepEqual(response.headers.connection, ['close'])
    return await client.ended
  }
  client.write(requestHead('GET', '/2'))
  await connection.waitFor('GET /2 ')
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  assert.equal((await client.response()).status, 200)
})
