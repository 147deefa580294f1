// Node 24 forgets that a response was destroyed while it waited for its turn behind another: it was sent, never to end, on a
// connection that stayed open.

import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

test('a pipelined response that a drain cuts off does not hold close() up', async (t) => {
  const held = deferred()
  const upstream = await startRawUpstream(t)
  let response: ServerResponse | undefined
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, drainTimeout: '100ms', preHandler: async (_, reply) => { response = reply.raw } }, {
    setup: (app) => {
      app.get('/own', async () => {
        await held.promise
        return 'own'
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/own') + requestHead('GET', '/second'))
  await until(() => response !== undefined, 'the second request')
  const closed = proxy.app.close()
  await until(() => response?.destroyed === true, 'the second response to be given up')
  held.resolve()
  await client.ended
  client.end()
  await within(closed, 'the server to be closed')
})
