// A request with an offer that Node takes for an upgrade, to a route that is not ours: it was kept on a socket that nobody read,
// so that its route never heard of a client that left, and close() waited for it for ever.

import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'
import { deferred, within } from '../fixtures/wait.ts'

const offers: Record<string, Record<string, string>> = {
  'h2c, as some clients send it first of all': { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAARAAAAAAAIAAAAA' },
  'a protocol that nobody takes': { Connection: 'keep-alive, upgrade', Upgrade: 'foo' },
  'one that Connection does not name': { Upgrade: 'websocket' },
  'one that only Proxy-Connection names': { 'Proxy-Connection': 'upgrade', Upgrade: 'websocket' },
  'one without a protocol': { Connection: 'Upgrade' },
  'an empty one': { Connection: 'Upgrade', Upgrade: '' }
}
const places: Record<string, (upstream: RawUpstream) => ProxyOptions> = {
  'on a path of no table': ({ url }) => ({ path: '/ws/', upstream: `${url}/` }),
  'below a prefix of ours': ({ url }) => ({ path: '/', upstream: `${url}/` })
}

async function connections (server: Server): Promise<number> {
  return await new Promise((resolve, reject) => server.getConnections((error, count) => error === null ? resolve(count) : reject(error)))
}

for (const [where, options] of Object.entries(places)) {
  for (const [what, headers] of Object.entries(offers)) {
    test(`${what}, ${where}: answered by the user's route, with its body, and the connection goes on`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, options(upstream), {
        setup: (app) => { app.post('/own', async (request) => ({ got: request.body })) }
      })
      const client: RawClient = await rawClient(t, proxy.port)
      for (const round of ['one', 'two']) {
        const body = JSON.stringify({ round })
        client.write(requestHead('POST', '/own', { ...headers, 'Content-Type': 'application/json', 'Content-Length': String(body.length) }) + body)
        const response = await client.response()
        assert.equal(response.status, 200)
        assert.deepEqual(JSON.parse(String(response.body)), { got: { round } })
      }
      assert.equal(upstream.connections.length, 0)
    })

    test(`${what}, ${where}: the user's route hears of a client that leaves`, async (t) => {
      const upstream = await startRawUpstream(t)
      const reached = deferred()
      const left = deferred()
      const proxy = await startProxy(t, { ...options(upstream), drainTimeout: '4s' }, {
        setup: (app) => {
          app.get('/own', (_request, reply) => {
            reply.raw.on('close', left.resolve)
            reached.resolve()
          })
        }
      })
      const client = await rawClient(t, proxy.port)
      client.write(requestHead('GET', '/own', headers))
      await within(reached.promise, 'the request at the route')
      client.end()
      await within(left.promise, 'the route to hear of it')
      await within(proxy.app.close(), 'close(), which has nothing to wait for', 3000)
      assert.equal(await connections(proxy.app.server as Server), 0)
    })
  }
}
