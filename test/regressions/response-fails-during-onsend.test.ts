// While an asynchronous onSend hook is at work, Fastify does not listen to the response's stream yet: an error of it was
// uncaught, and ended the process. (The test runner fails a test in which that happens.) And the 502 that comes instead of
// the response had the reason phrase of the upstream's 200.

import assert from 'node:assert/strict'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'
import { until, within } from '../fixtures/wait.ts'
import { Gate } from './gate.ts'

const begun = 'HTTP/1.1 200 Fine\r\nContent-Length: 20000\r\n\r\nok'

interface Held {
  proxy: Proxy
  upstream: RawUpstream
  client: RawClient
  connection: RawConnection
  /** The response's stream, as the hook was given it. */
  payload: Readable
  gate: Gate<Readable>
}

/** A response that has begun, and is held by a hook. */
async function held (t: TestContext, head: string, options: Partial<ProxyOptions> = {}): Promise<Held> {
  const upstream = await startRawUpstream(t)
  const gate = new Gate<Readable>()
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, ...options }, {
    setup: (app) => app.addHook('onSend', async (_request, _reply, payload) => {
      await gate.pass(payload as Readable)
      return payload
    })
  })
  const client = await rawClient(t, proxy.port)
  client.write(head)
  const connection = await upstream.next()
  await connection.head()
  connection.write(begun)
  return { proxy, upstream, client, connection, payload: await gate.reached, gate }
}

/** Nothing of it has hurt the server. */
async function servesOn (t: TestContext, { proxy, upstream }: Held): Promise<void> {
  await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the forward to be over', 2000)
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/next'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext')
  assert.equal(String((await client.response()).body), 'next')
}

const requests = { 'a forward': requestHead('GET', '/x'), 'a refused upgrade': upgradeHead('/x') }

test('a client that leaves a forward while an onSend hook is at work is no uncaught error', async (t) => {
  const exchange = await held(t, requests['a forward'])
  exchange.client.destroy()
  await within(over(exchange.connection), 'the upstream to be left', 2000)
  exchange.gate.open()
  await servesOn(t, exchange)
})

for (const [what, head] of Object.entries(requests)) {
  test(`an upstream that cuts ${what} while an onSend hook is at work is a 502, and no uncaught error`, async (t) => {
    const exchange = await held(t, head)
    exchange.connection.destroy()
    await until(() => exchange.payload.destroyed, 'the response to fail', 2000)
    exchange.gate.open()
    const response = await exchange.client.response()
    assert.equal(response.status, 502)
    assert.equal(response.reason, 'Bad Gateway')
    await servesOn(t, exchange)
  })
}

test('an upstream that falls silent while an onSend hook is at work is no uncaught error', async (t) => {
  const exchange = await held(t, upgradeHead('/x'), { timeout: '100ms' })
  await until(() => exchange.payload.destroyed, 'the response to time out', 2000)
  exchange.gate.open()
  const response = await exchange.client.response()
  assert.equal(response.status, 504)
  assert.equal(response.reason, 'Gateway Timeout')
  await servesOn(t, exchange)
})
