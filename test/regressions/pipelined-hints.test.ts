// Node puts the head of a response that still waits for its turn before everything that was written to it, hints included.

import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'

const hints: Record<string, (response: ServerResponse) => void> = {
  'Early Hints': (response) => response.writeEarlyHints({ link: '</a>; rel=preload' }),
  Processing: (response) => response.writeProcessing()
}

for (const [what, hint] of Object.entries(hints)) {
  test(`${what} of a pipelined response do not get into the body of the one before it`, async (t) => {
    const upstream = await startHttpUpstream(t, (request, response) => {
      hint(response)
      setTimeout(() => response.end(request.url), 30)
    })
    const proxy = await startProxy(t, { upstream: upstream.url })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/first') + requestHead('GET', '/second'))
    for (const path of ['/first', '/second']) {
      const { status } = await client.response()
      assert.ok(status === 102 || status === 103, `${status}`)
      assert.equal(String((await client.response()).body), path)
    }
  })
}

test('100 Continue of a pipelined response does not get into the body of the one before it, and comes with its turn', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => { request.resume().on('end', () => response.end(request.url)) })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('POST', '/second', { Expect: '100-continue', 'Content-Length': '2' }))
  assert.equal(String((await client.response()).body), '/first')
  assert.equal((await client.response()).status, 100)
  client.write('hi')
  assert.equal(String((await client.response()).body), '/second')
})

test('a request that waits for 100 Continue gets it', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/', { Expect: '100-continue', 'Content-Length': '2' }))
  assert.equal((await client.response()).status, 100)
  client.write('hi')
  assert.match((await (await upstream.next()).waitFor('hi')).toString(), /hi$/)
})

test('a user who listens to checkContinue answers alone', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
  proxy.app.server.on('checkContinue', (_, response) => response.writeHead(413, { 'content-length': 0 }).end())
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/', { Expect: '100-continue', 'Content-Length': '2' }))
  assert.equal((await client.response()).status, 413)
  assert.equal(upstream.connections.length, 0)
})
