import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent, request as get } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import WebSocket from 'ws'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import { closedPort, startWsUpstream } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What a request keeps in the storage: itself, as @fastify/request-context's users do. */
interface Store { url: string, request: object }

interface Stored {
  requests: Array<WeakRef<object>>
  proxy: Proxy
}

/** A proxy whose requests run in a context of an AsyncLocalStorage. */
async function start (
  t: TestContext, enter: 'run' | 'enterWith', options: ProxyOptions,
  storage: AsyncLocalStorage<Store> = new AsyncLocalStorage(), more?: (app: Proxy['app']) => void
): Promise<Stored> {
  const requests: Array<WeakRef<object>> = []
  const proxy = await startProxy(t, options, {
    setup (app) {
      app.addHook('onRequest', (request, _reply, done) => {
        const store = { url: request.url, request }
        requests.push(new WeakRef(request))
        if (enter === 'run') return storage.run(store, done)
        storage.enterWith(store)
        done()
      })
      more?.(app)
    }
  })
  return { requests, proxy }
}

async function openAll (t: TestContext, proxy: Proxy, count: number): Promise<WebSocket[]> {
  const clients: WebSocket[] = []
  t.after(() => clients.forEach((client) => client.terminate()))
  for (let i = 0; i < count; i++) {
    const client = new WebSocket(`${proxy.wsUrl}?${i}`)
    clients.push(client)
    await event(client, 'open')
    client.send('hello')
    await event(client, 'message')
  }
  return clients
}

/** Waits until at most these many are alive: the engine may know the last one for a while. */
async function collected (requests: Array<WeakRef<object>>, most: number): Promise<void> {
  const alive = (): number => requests.filter((ref) => ref.deref() !== undefined).length
  await until(() => {
    collect()
    return alive() <= most
  }, () => `at most ${most} of ${requests.length} requests to be alive, ${alive()} are`)
}

for (const enter of ['run', 'enterWith'] as const) {
  for (const fallbackToHttp of [true, false]) {
    test(`tunnels keep no request that an AsyncLocalStorage holds: ${enter}, fallbackToHttp: ${fallbackToHttp}`, async (t) => {
      const upstream = await startWsUpstream(t)
      const { requests, proxy } = await start(t, enter, { upstream: upstream.url, fallbackToHttp })
      await openAll(t, proxy, 20)
      assert.equal(requests.length, 20)
      await collected(requests, 1)
      assert.equal(proxy.app.wstunnel.metrics().tunnels.open, 20)
    })
  }
}

test('onTunnelOpen runs in the context of its request, onTunnelClose in none', async (t) => {
  const upstream = await startWsUpstream(t)
  const seen: Array<[string, string | undefined]> = []
  const closed = deferred()
  const storage = new AsyncLocalStorage<Store>()
  const note = (what: string): void => { seen.push([what, storage.getStore()?.url]) }
  const started = await start(t, 'run', {
    upstream: upstream.url,
    rewriteRequestHeaders (_request, headers) {
      note('request')
      return headers
    },
    rewriteHeaders (headers) {
      note('response')
      return headers
    },
    onTunnelOpen: () => note('open'),
    onTunnelClose () {
      note('close')
      storage.enterWith({ url: 'left behind', request: {} })
      closed.resolve()
    }
  }, storage)
  await openAll(t, started.proxy, 1)
  ;(await upstream.next()).socket.close()
  await within(closed.promise, 'the tunnel to close')
  assert.deepEqual(seen, [['request', '/?0'], ['response', '/?0'], ['open', '/?0'], ['close', undefined]])
  await openAll(t, started.proxy, 1)
  ;(await upstream.next()).socket.close()
  await until(() => seen.length === 8, 'the second tunnel to close')
  assert.deepEqual(seen[7], ['close', undefined])
})

/** What was called, and in the context of which request: `what of url in url`. */
function recorder (storage: AsyncLocalStorage<Store>): { seen: string[], note: (what: string, request?: { url: string }) => void } {
  const seen: string[] = []
  return { seen, note: (what, request) => { seen.push(`${what} of ${request?.url} in ${storage.getStore()?.url}`) } }
}

const large = 1024 * 1024

test('everything of a forward runs in the context of its own request, on a connection that others have had before and after', async (t) => {
  const upstream = await startWsUpstream(t, {
    http (request, response) {
      if (request.url?.includes('hint') === true) response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      setImmediate(() => response.end(request.url?.includes('large') === true ? Buffer.alloc(large) : 'small'))
    }
  })
  const storage = new AsyncLocalStorage<Store>()
  const { seen, note } = recorder(storage)
  const dead = { url: `ws://127.0.0.1:${await closedPort()}/` }
  const onCreate = (message: unknown): void => {
    const { origin, path } = (message as { request: { origin: URL, path: string } }).request
    if (String(origin).includes(String(upstream.port))) note('dispatch', { url: path })
  }
  subscribe('undici:request:create', onCreate)
  t.after(() => unsubscribe('undici:request:create', onCreate))
  const started = await start(t, 'run', {
    balancers: {
      app: {
        members: [dead, { url: `${upstream.url}/` }],
        retry: 0,
        lbMethod (members) {
          note('lbMethod')
          return members.find(({ url }) => url === dead.url) ?? members[0]!
        }
      }
    },
    async upstream (request) {
      await new Promise(setImmediate)
      note('upstream', request)
      return 'balancer://app/'
    },
    limits: { maxConnectionsPerUpstream: 1 },
    rewriteRequestHeaders (request, headers) {
      note('request', request)
      return headers
    },
    rewriteHeaders (headers, request) {
      note('response', request)
      return headers
    },
    onRequest: (request, _reply, done) => {
      note('onRequest', request)
      done()
    }
  }, storage, (app) => {
    app.addHook('onSend', async (request) => note('onSend', request))
    app.addHook('onResponse', async (request) => note('onResponse', request))
  })
  const urls = Array.from({ length: 6 }, (_, i) => `/${i % 2 === 0 ? 'large' : 'small'}${i % 3 === 0 ? '-hint' : ''}-${i}`)
  await Promise.all(urls.map(async (url) => { await (await fetch(started.proxy.url + url)).arrayBuffer() }))
  assert.equal(upstream.sockets.length, 1, 'they shared one connection')
  // A second attempt asks and writes once more. A function that chooses a member is not told of whom it is for.
  const expected = (url: string): string[] => [
    ...['onRequest', 'upstream', 'request', 'request', 'dispatch', 'response', 'onSend', 'onResponse'].map((what) => `${what} of ${url} in ${url}`),
    ...['lbMethod', 'lbMethod'].map((what) => `${what} of undefined in ${url}`)
  ]
  await until(() => seen.filter((line) => line.startsWith('onResponse')).length === urls.length, 'the responses to be complete')
  assert.deepEqual(seen.toSorted(), urls.flatMap(expected).toSorted())
})

for (const [name, options] of Object.entries({ 'async: true': {}, 'asyncDelay: 1': { asyncDelay: 1 }, 'async: false': { async: false } })) {
  test(`everything of an upgrade runs in the context of its request, and what comes behind its tunnel in none: ${name}`, async (t) => {
    const upstream = await startWsUpstream(t)
    const storage = new AsyncLocalStorage<Store>()
    const { seen, note } = recorder(storage)
    const dead = { url: `ws://127.0.0.1:${await closedPort()}/` }
    const { proxy } = await start(t, 'run', {
      ...options,
      balancers: {
        app: {
          members: [dead, { url: `${upstream.url}/` }],
          retry: 0,
          lbMethod (members) {
            note('lbMethod')
            return members.find(({ url }) => url === dead.url) ?? members[0]!
          }
        }
      },
      async upstream (request) {
        await new Promise(setImmediate)
        note('upstream', request)
        return 'balancer://app/'
      },
      rewriteRequestHeaders (request, headers) {
        note('request', request)
        return headers
      },
      rewriteHeaders (headers, request) {
        note('response', request)
        return headers
      },
      onTunnelOpen: (_tunnel, request) => note('open', request),
      onTunnelClose: () => note('close')
    }, storage, (app) => { app.addHook('onResponse', async (request) => note('onResponse', request)) })
    const [client] = await openAll(t, proxy, 1)
    if (name !== 'async: false') await until(() => seen.some((line) => line.startsWith('onResponse')), 'the request to be completed')
    client?.close()
    await until(() => seen.some((line) => line.startsWith('close')) && seen.some((line) => line.startsWith('onResponse')), 'the tunnel to end')
    const of = (what: string): string => `${what} of /?0 in /?0`
    assert.deepEqual(seen.toSorted(), [
      ...['upstream', 'request', 'request', 'response', 'open', 'onResponse'].map(of),
      'lbMethod of undefined in /?0',
      'lbMethod of undefined in /?0',
      'close of undefined in undefined'
    ].toSorted())
  })
}

test('connections of a pool keep no request that an AsyncLocalStorage holds', async (t) => {
  const upstream = await startWsUpstream(t, { http: (_request, response) => { response.end('kept') } })
  upstream.server.keepAliveTimeout = 0
  const { requests, proxy } = await start(t, 'run', { upstream: upstream.url })
  const ask = async (url: string): Promise<void> => {
    const agent = new Agent()
    const [response] = await event(get(proxy.url + url, { agent }).end(), 'response') as [import('node:http').IncomingMessage]
    response.resume()
    await event(response, 'end')
    agent.destroy()
  }
  await Promise.all(Array.from({ length: 10 }, (_, i) => ask(`/${i}`)))
  assert.equal(requests.length, 10)
  await collected(requests, 1)
})

test('the health checks of a member that a request adds keep nothing of that request', async (t) => {
  const storage = new AsyncLocalStorage<object>()
  let held: WeakRef<object> | undefined
  const upstream = await startWsUpstream(t, { http: (_request, response) => { response.end('well') } })
  const proxy = await startProxy(t, {
    upstream: 'balancer://app/',
    balancers: { app: { members: [{ url: upstream.url }], healthCheck: { method: 'GET', uri: '/', interval: 20 } } }
  }, {
    setup (app) {
      app.get('/add', (_request, reply) => {
        const store = { added: true }
        held = new WeakRef(store)
        storage.run(store, () => { app.wstunnel.balancer('app').add({ url: upstream.url.replace('127.0.0.1', 'localhost') }) })
        reply.send('added')
      })
    }
  })
  await (await fetch(`${proxy.url}/add`)).text()
  const before = upstream.requests.length
  await until(() => upstream.requests.length > before + 4, 'some more probes')
  await collected([held as WeakRef<object>], 0)
})
