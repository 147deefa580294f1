// What is no Error, Fastify takes for a payload: a function that threw a string, nothing, or an object with a status was
// answered with 200. And the Promise of an async rewrite function passed for an object without headers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

const requests = { 'a forward': requestHead('GET', '/x'), 'an upgrade': upgradeHead('/x') }
const thrown: Array<[string, unknown, number]> = [
  ['a string', 'secret why', 500],
  ['nothing', undefined, 500],
  ['null', null, 500],
  ['an object', { secret: 'why' }, 500],
  ['an object with a status', { statusCode: 403, message: 'secret why' }, 403],
  ['an object with a status of success', { statusCode: 200, message: 'secret why' }, 500]
]

/** What a client gets from an upstream that agrees to everything. */
async function answer (t: TestContext, head: string, options: ProxyOptions): Promise<RawResponse> {
  const upstream = await startRawUpstream(t, async (connection) => {
    const seen = await connection.head()
    connection.write(/^upgrade:/im.test(seen) ? switching(seen) : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, ...options })
  const client = await rawClient(t, proxy.port)
  client.write(head)
  return await within(client.response(), 'an answer', 2000)
}

function check (response: RawResponse, status: number): void {
  assert.equal(response.status, status, response.rawHead)
  assert.ok(!response.body.includes('secret'), String(response.body))
}

for (const [request, head] of Object.entries(requests)) {
  for (const [what, value, status] of thrown) {
    const fail = (): never => { throw value }
    test(`${what} thrown by the upstream function of ${request} is a ${status}`, async (t) => {
      check(await answer(t, head, { upstream: fail }), status)
    })

    test(`${what} that the upstream function of ${request} rejects with is a ${status}`, async (t) => {
      check(await answer(t, head, { upstream: async () => fail() }), status)
    })

    test(`${what} thrown by a rewrite function of ${request} is a ${status}`, async (t) => {
      check(await answer(t, head, { rewriteRequestHeaders: fail }), status)
      check(await answer(t, head, { rewriteHeaders: fail }), status)
    })
  }

  for (const [what, wrong] of Object.entries({
    'a Promise': async () => ({}),
    'a Map': () => new Map(),
    'a Headers': () => new Headers(),
    'an array': () => []
  })) {
    test(`${what} from a rewrite function of ${request} is a 500`, async (t) => {
      check(await answer(t, head, { rewriteRequestHeaders: wrong as never }), 500)
      check(await answer(t, head, { rewriteHeaders: wrong as never }), 500)
    })
  }

  test(`an Error that a user's function throws keeps its status for ${request}`, async (t) => {
    const response = await answer(t, head, { upstream: () => { throw Object.assign(new Error('not you'), { statusCode: 403 }) } })
    assert.equal(response.status, 403)
    assert.match(String(response.body), /not you/)
  })
}
