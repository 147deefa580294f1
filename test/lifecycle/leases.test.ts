import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import type { LeaseStore } from '../../lib/index.ts'
import { Leases } from '../../lib/lifecycle/leases.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel } from '../fixtures/tunnel.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

interface FakeStore extends LeaseStore {
  asked: string[]
  released: string[]
  renewed: string[][]
}

/** A store that answers as it is told. */
function fakeStore (answer: () => Promise<boolean>, ttl: number = 60_000): FakeStore {
  const asked: string[] = []
  const released: string[] = []
  const renewed: string[][] = []
  return {
    ttl,
    asked,
    released,
    renewed,
    async acquire (_key, lease) {
      asked.push(lease)
      return await answer()
    },
    async renew (leases) { renewed.push([...leases.keys()]) },
    async release (_key, lease) { released.push(lease) }
  }
}

test('a store that says no is a 429 at the stage limit, and nothing is dialled', async (t) => {
  const upstream = await startRawUpstream(t)
  const store = fakeStore(async () => false)
  const { port, app } = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store } })
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  const { status } = await client.response()
  assert.deepEqual([status, upstream.connections.length, app.wstunnel.metrics().tunnels.refused.limit, store.released.length], [429, 0, 1, 0])
})

test('the store is asked behind the limits of the instance, and only for a limit of clients', async (t) => {
  const upstream = await startRawUpstream(t)
  const store = fakeStore(async () => true)
  const { port } = await startProxy(t, {
    limits: { store },
    routes: [{ path: '/free/', upstream: `${upstream.url}/` }, { path: '/', upstream: `${upstream.url}/`, limits: { maxTunnelsPerClient: 2 } }]
  })
  await openTunnel(t, { port }, upstream, '/free/')
  assert.equal(store.asked.length, 0)
  await openTunnel(t, { port }, upstream)
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  assert.equal((await client.response()).status, 429)
  assert.equal(store.asked.length, 1)
})

test('a lease that comes when the client has left is given back', async (t) => {
  const upstream = await startRawUpstream(t)
  const answer = deferred<boolean>()
  const store = fakeStore(() => answer.promise)
  const { port, app } = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store } })
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  await until(() => store.asked.length === 1, 'the store to be asked')
  client.destroy()
  await until(() => app.wstunnel.metrics().tunnels.refused.limit === 1, 'the exchange to end')
  assert.equal(store.released.length, 0)
  answer.resolve(true)
  await until(() => store.released.length > 0, 'the lease to be given back')
  assert.deepEqual([...new Set(store.released)], store.asked)
  assert.equal(upstream.connections.length, 0)
})

test('an upgrade that the upstream refuses gives its lease back', async (t) => {
  const upstream = await startRawUpstream(t)
  const store = fakeStore(async () => true)
  const { port } = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store } })
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  assert.equal((await client.response()).status, 403)
  await until(() => store.released.length > 0, 'the lease to be given back')
  assert.deepEqual(store.released, store.asked)
})

test('a store that has failed is not asked for a while, and renewed leases include those that it never gave', async (t) => {
  const upstream = await startRawUpstream(t)
  const store = fakeStore(() => { throw new Error('no store') }, 300)
  const { port } = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store } })
  await openTunnel(t, { port }, upstream)
  assert.equal(store.asked.length, 1)
  await until(() => store.renewed.some((leases) => leases.includes(store.asked[0] as string)), 'the lease to be renewed')
})

test('a drain, and a reply by another, end the exchange at once while the store is asked, and the late lease is given back', async (t) => {
  const upstream = await startRawUpstream(t)
  const answer = deferred<boolean>()
  const store = fakeStore(() => answer.promise)
  const limits = { maxTunnelsPerClient: 3, store }
  const drained = await startProxy(t, { upstream: upstream.url, limits })
  const answered = await startProxy(t, { upstream: upstream.url, limits }, { fastify: { handlerTimeout: 20 } })
  const clients = await Promise.all([drained, answered].map(async ({ port }) => {
    const client = await rawClient(t, port)
    client.write(upgradeHead('/'))
    return client
  }))
  await until(() => store.asked.length === 2, 'the store to be asked')
  const draining = drained.app.wstunnel.drain({ timeout: '60s' })
  const codes = (await Promise.all(clients.map(async (client) => await client.response()))).map(({ status, body }) =>
    [status, (JSON.parse(String(body)) as { code: string }).code])
  assert.deepEqual(codes, [[503, 'FST_WSTUNNEL_DRAINING'], [503, 'FST_ERR_HANDLER_TIMEOUT']])
  await draining
  await until(() => answered.app.wstunnel.metrics().tunnels.refused.limit === 1, 'the exchange to end')
  assert.deepEqual([drained.app.wstunnel.metrics().tunnels.refused.limit, store.released], [1, []])
  answer.resolve(true)
  await until(() => store.released.length >= 2, 'the leases to be given back')
  assert.deepEqual([[...new Set(store.released)].sort(), upstream.connections.length], [store.asked.toSorted(), 0])
})

test('a drain lets a handshake that was let in come to its end', async (t) => {
  const upstream = await startRawUpstream(t)
  const { port, app } = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store: fakeStore(async () => true) } })
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  const head = await connection.head()
  const draining = app.wstunnel.drain({ timeout: '1s' })
  connection.write(switching(head))
  assert.equal((await client.response()).status, 101)
  await draining
})

test('without a store, or without a limit of clients, an upgrade is dialled in the turn in which its hooks are done', async (t) => {
  const dialled: number[] = []
  const onSocket = (): void => { dialled.push(dialled.length) }
  subscribe('net.client.socket', onSocket)
  t.after(() => unsubscribe('net.client.socket', onSocket))
  const upstream = await startRawUpstream(t)
  const store = fakeStore(async () => true)
  const inTurn: number[] = []
  for (const limits of [{}, { store }, { maxTunnelsPerClient: 3 }, { maxTunnelsPerClient: 3, store }]) {
    const { port } = await startProxy(t, {
      upstream: upstream.url,
      limits,
      preHandler (_request, _reply, done) {
        const before = dialled.length
        done()
        inTurn.push(dialled.length - before)
      }
    })
    await openTunnel(t, { port }, upstream)
  }
  assert.deepEqual([inTurn, store.asked.length], [[1, 1, 1, 0], 1])
})

test('what a failed store cannot take back is given back when it answers again, and not asked for before', async () => {
  let works = true
  const store = fakeStore(async () => {
    if (!works) throw new Error('no store')
    return true
  })
  const told: Array<string | undefined> = []
  const leases = new Leases(store, (error) => told.push(error?.message))
  const first = leases.acquire('a', 3)
  assert.equal(await first.granted, true)
  works = false
  const second = leases.acquire('a', 3)
  assert.equal(await second.granted, true)
  first.release()
  second.release()
  const unasked = leases.acquire('a', 3)
  assert.deepEqual([unasked.granted, store.asked.length, store.released, told], [true, 2, [], ['no store']])
  works = true
  await leases.renew()
  await until(() => store.released.length === 2, 'the two to be given back')
  assert.deepEqual([store.released.toSorted(), told], [store.asked.toSorted(), ['no store', undefined]])
  unasked.release()
})

test('one renewal at a time is asked of a store that does not answer', async (t) => {
  const store = fakeStore(async () => true, 60)
  const asked = t.mock.method(store, 'renew', () => new Promise<void>(() => {}))
  const failed = deferred()
  const leases = new Leases(store, () => failed.resolve())
  const lease = leases.acquire('a', 3)
  await lease.granted
  await until(() => asked.mock.callCount() === 1, 'a renewal')
  const first = performance.now()
  await until(() => asked.mock.callCount() === 2, 'the next, when the ttl is over')
  assert.ok(performance.now() - first > 40, 'not each third of the ttl')
  lease.release()
  await within(failed.promise, 'the failure to be told')
})

for (const [name, limits] of [
  ['no store', { store: {} }],
  ['no ttl', { store: { ...fakeStore(async () => true), ttl: 0 } }],
  ['an endless ttl', { store: { ...fakeStore(async () => true), ttl: Infinity } }]
] as const) {
  test(`limits.store with ${name} is an error that names it`, async (t) => {
    await assert.rejects(startProxy(t, { upstream: 'ws://127.0.0.1:9/', limits: limits as never }), /limits\.store: expected a lease store/)
  })
}

test('limits.store of a route is an unknown option', async (t) => {
  await assert.rejects(
    startProxy(t, { routes: [{ upstream: 'ws://127.0.0.1:9/', limits: { store: fakeStore(async () => true) } as never }] }),
    /routes\[0\]\.limits\.store: unknown option/
  )
})
