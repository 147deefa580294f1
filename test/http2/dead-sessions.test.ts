// Node 20 forgets a session whose client has broken the protocol (lib/compat/node20-dead-sessions); later versions destroy it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionsOf } from '../../lib/downstream/connections.ts'
import { open, scene } from '../fixtures/http2-stage.ts'
import { connectFields, frameTypes, rawHttp2 } from '../fixtures/http2-raw.ts'
import { over } from '../fixtures/stage.ts'
import { switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

test('a tunnel ends though its client has left behind a fault of its session; others, of quiet clients, go on', async (t) => {
  const { mock } = t.mock.method(globalThis, 'setInterval')
  const all = await scene(t)
  const looks = mock.calls.filter(({ arguments: [, ms] }) => ms === 30_000).map(({ arguments: [look] }) => look as () => void)
  const quiet = await open(all)
  const client = await rawHttp2(t, all.proxy.port)
  client.write(client.headers(1, connectFields('/')))
  const upstream = await all.upstream.next()
  upstream.write(switching(await upstream.head()))
  await client.waitFor(frameTypes.headers, 1)
  client.write(client.frame(frameTypes.data, 9, 0, Buffer.alloc(10)))
  await client.waitFor(frameTypes.goaway, 0)
  client.socket.resetAndDestroy()
  assert.equal(looks.length, Number.parseInt(process.versions.node) < 22 ? 1 : 0)
  const { session } = quiet.stream
  for (const look of looks) {
    for (let i = 0; i < 4; i++) {
      const pinged = event(session as NonNullable<typeof session>, 'ping')
      look()
      await pinged
      quiet.client.write('behind the answer')
      await quiet.upstream.read(17)
    }
  }
  await over(upstream)
  await until(() => all.proxy.app.wstunnel.metrics().tunnels.open === 1, 'the tunnel to end')
  quiet.client.write('still')
  await quiet.upstream.waitFor('still')
})

test('a session that is closing, on which Node sends no PING, keeps its tunnels', async (t) => {
  const { mock } = t.mock.method(globalThis, 'setInterval')
  const all = await scene(t)
  const looks = mock.calls.filter(({ arguments: [, ms] }) => ms === 30_000).map(({ arguments: [look] }) => look as () => void)
  const { client, upstream } = await open(all)
  connectionsOf(all.proxy.app.server)?.goAway() // as a drain does, and Fastify after http2SessionTimeout
  for (let i = 0; i < 4; i++) {
    for (const look of looks) look()
    client.write('go on')
    assert.equal(String(await upstream.read(5)), 'go on')
  }
  assert.equal(all.proxy.app.wstunnel.metrics().tunnels.open, 1)
})
