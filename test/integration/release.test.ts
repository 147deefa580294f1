import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startProxy } from '../fixtures/proxy.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'
import WebSocket from 'ws'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What a tunnel's request was made of, held weakly. */
interface Held {
  request: WeakRef<object>
  reply: WeakRef<object>
  rawRequest: WeakRef<object>
  rawResponse: WeakRef<object>
}

for (const path of ['upgrade', 'tunnel'] as const) {
  for (const async of [true, false]) {
    test(`an accepted ${path} with async: ${async} ${async ? 'releases' : 'keeps'} its request while it lives`, async (t) => {
      const upstream = await startWsUpstream(t)
      const held: Held[] = []
      const proxy = await startProxy(t, { upstream: upstream.url, fallbackToHttp: path === 'upgrade', async }, {
        setup (app) {
          app.addHook('preHandler', async (request, reply) => {
            held.push({
              request: new WeakRef(request), reply: new WeakRef(reply), rawRequest: new WeakRef(request.raw), rawResponse: new WeakRef(reply.raw)
            })
          })
        }
      })
      // The last request is what the engine's inline caches may still know; the ones before it are not.
      const clients: WebSocket[] = []
      for (let i = 0; i < 3; i++) {
        const client = new WebSocket(proxy.wsUrl)
        clients.push(client)
        await event(client, 'open')
        client.send('hello')
        await event(client, 'message')
      }
      t.after(() => clients.forEach((client) => client.terminate()))
      const first = held[0] as Held
      const alive = (): string[] => Object.entries(first).filter(([, ref]) => ref.deref() !== undefined).map(([name]) => name)
      if (async) {
        await until(() => {
          collect()
          return alive().length === 0
        }, () => `${alive().join(', ')} to be released`)
      } else {
        for (let i = 0; i < 5; i++) {
          await new Promise((resolve) => setImmediate(resolve))
          collect()
        }
        assert.ok(alive().includes('rawResponse'))
      }
      assert.equal(proxy.app.wstunnel.metrics().tunnels.open, 3)
    })
  }
}

test('a request that is kept as long as its tunnel does not keep the heads of the handshake', async (t) => {
  const upstream = await startWsUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, async: false })
  const clients: WebSocket[] = []
  t.after(() => clients.forEach((client) => client.terminate()))
  const open = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const client = new WebSocket(proxy.wsUrl, { headers: { cookie: 'c'.repeat(10_000) } })
      clients.push(client)
      await event(client, 'open')
    }
  }
  const buffers = async (): Promise<number> => {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      collect()
    }
    return process.memoryUsage().arrayBuffers
  }
  await open(10)
  const before = await buffers()
  await open(100)
  const each = (await buffers() - before) / 100
  assert.ok(each < 10_000, `${each.toFixed(0)} bytes a tunnel`)
})
