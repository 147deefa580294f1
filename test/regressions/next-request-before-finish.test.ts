// A response is whole to its client as soon as its last byte is there: before the server has heard that it was written, or a
// hook's stream has ended. What comes then, behind an upgrade that was refused, is processed no more.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { deferred } from '../fixtures/wait.ts'

test('a request that comes behind a whole response to an upgrade is not processed, though that is not finished yet', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => response.end(request.url))
  const end = deferred<void>()
  const sockets: Socket[] = []
  const proxy = await startProxy(t, { upstream: upstream.wsUrl }, {
    setup: (app) => {
      app.server.on('connection', (socket: Socket) => sockets.push(socket))
      app.addHook('onSend', (request, _, payload, done) => {
        if (request.url !== '/first') return done(null, payload)
        done(null, Readable.from((async function * () {
          yield * payload as Readable
          await end.promise
        })()))
      })
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/first'))
  const first = await client.response()
  assert.deepEqual([first.status, String(first.body), first.headers['connection']], [200, '/first', ['close']])
  const came = once(sockets[0] as Socket, 'data')
  client.write(requestHead('GET', '/second'))
  await came
  end.resolve()
  await client.ended
  assert.equal(client.unread.length, 0)
  assert.equal(upstream.requests.length, 1)
})
