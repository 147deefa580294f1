// A request that offers an upgrade, below a path of ours, may be answered by a route of the user's: from its first byte on that is
// an ordinary response, which a drain has nothing to do with. It waited for its end, for ever where there is none.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

test('drain() is over in time though a route of the user\'s goes on with its answer to an offer', async (t) => {
  const upstream = await startRawUpstream(t)
  const events = new PassThrough()
  const proxy = await startProxy(t, { upstream: `${upstream.url.replace('http', 'ws')}/` }, {
    setup: (app) => { app.get('/events', (_, reply) => reply.type('text/event-stream').send(events)) }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/events'))
  events.write('data: 1\n\n')
  await client.waitFor('data: 1')
  await within(proxy.app.wstunnel.drain({ timeout: 100 }), 'the end of the drain')
  events.end('data: 2\n\n')
  await client.waitFor('data: 2')
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [200, 'data: 1\n\ndata: 2\n\n'])
})
