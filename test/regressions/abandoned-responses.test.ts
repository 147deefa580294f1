// A response that nobody reads any more kept its connection to the upstream, paused, until close().

import assert from 'node:assert/strict'
import { connect, constants } from 'node:http2'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxySetup } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

const begun = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'

interface Begun {
  proxy: Proxy
  client: RawClient
  connection: RawConnection
}

async function begin (t: TestContext, head: string, setup: ProxySetup): Promise<Begun> {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, drainTimeout: '4s' }, setup)
  const client = await rawClient(t, proxy.port)
  client.write(head)
  const connection = await upstream.next()
  await connection.head()
  return { proxy, client, connection }
}

async function isOver ({ proxy, connection }: Begun): Promise<void> {
  await within(over(connection), 'the upstream to be left', 2000)
  assert.equal(proxy.app.wstunnel.metrics().forwards.inFlight, 0)
}

const requests = { 'a forward': requestHead('GET', '/x'), 'a refused upgrade': upgradeHead('/x') }

for (const what of ['a forward', 'a refused upgrade'] as const) {
  const head = requests[what]

  test(`an onSend hook that replaces the response of ${what} lets the upstream go`, async (t) => {
    const exchange = await begin(t, head, {
      setup: (app) => app.addHook('onSend', async () => 'instead')
    })
    exchange.connection.write(begun)
    assert.equal(String((await exchange.client.response()).body), 'instead')
    await isOver(exchange)
  })

  test(`an onSend hook that fails on the response of ${what} lets the upstream go`, async (t) => {
    const exchange = await begin(t, head, {
      setup: (app) => app.addHook('onSend', async (_request, reply, payload) => {
        if (reply.statusCode === 200) throw new Error('not this one')
        return payload
      })
    })
    exchange.connection.write(begun)
    assert.equal((await exchange.client.response()).status, 500)
    await isOver(exchange)
  })
}

test('handlerTimeout ends the forward at the upstream, too', async (t) => {
  const exchange = await begin(t, requests['a forward'], { fastify: { handlerTimeout: 200 } as object })
  assert.equal((await exchange.client.response()).status, 503)
  await isOver(exchange)
})

test('handlerTimeout aborts the signal of an upstream function', async (t) => {
  let seen: AbortSignal | undefined
  const proxy = await startProxy(t, {
    upstream: (_request, signal) => {
      seen = signal
      return new Promise(() => {})
    }
  }, { fastify: { handlerTimeout: 200 } as object })
  const client = await rawClient(t, proxy.port)
  client.write(requests['a forward'])
  assert.equal((await client.response()).status, 503)
  await until(() => seen?.aborted === true, 'the signal', 2000)
})

test('an HTTP/2 client that leaves in the middle of a response counts as aborted', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/` }, { fastify: { http2: true } })
  const session = connect(proxy.url)
  cleanup(t, 'connections', () => session.destroy())
  const request = session.request({ ':path': '/x' })
  const connection = await upstream.next()
  await connection.head()
  connection.write(begun)
  await event(request, 'response', 2000)
  await event(request, 'data', 2000)
  request.close(constants.NGHTTP2_CANCEL)
  await within(over(connection), 'the upstream to be left', 2000)
  const { forwards } = proxy.app.wstunnel.metrics()
  assert.equal(forwards.inFlight, 0)
  assert.equal(forwards.aborted, 1)
  assert.equal(forwards.status['2xx'], 0)
})
