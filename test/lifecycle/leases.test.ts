import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LeaseStore } from '../../lib/index.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

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

for (const [name, limits] of [['no store', { store: {} }], ['no ttl', { store: { ...fakeStore(async () => true), ttl: 0 } }]] as const) {
  test(`limits.store with ${name} is an error that names it`, async (t) => {
    await assert.rejects(startProxy(t, { upstream: 'ws://127.0.0.1:9/', limits: limits as never }), /limits\.store: expected a store of leases/)
  })
}

test('limits.store of a route is an unknown option', async (t) => {
  await assert.rejects(startProxy(t, { routes: [{ upstream: 'ws://127.0.0.1:9/', limits: { store: fakeStore(async () => true) } as never }] }), /routes\[0\]\.limits\.store: unknown option/)
})
