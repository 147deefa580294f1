import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { redisLeases } from '../../lib/redis/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRedis } from '../fixtures/redis.ts'
import { closedPort, startWsUpstream } from '../fixtures/upstream.ts'
import { until, within } from '../fixtures/wait.ts'

const program = findProgram('redis-server')

async function redis (t: TestContext, program: string): Promise<{ client: Redis, server: Awaited<ReturnType<typeof startRedis>> }> {
  const server = await startRedis(t, program, await closedPort())
  return { client: connect(t, server.port), server }
}

function connect (t: TestContext, port: number): Redis {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})
  cleanup(t, 'servers', () => client.disconnect())
  return client
}

/** Asks Redis again and again; when this is over, nothing is left to be answered. */
async function eventually (probe: () => Promise<boolean>, what: string): Promise<void> {
  const over = new AbortController()
  const holds = (async () => { while (!over.signal.aborted && !await probe()); })()
  await within(holds, what).finally(() => over.abort())
}

async function leases (client: Redis, count: number, what: string): Promise<void> {
  await eventually(async () => await client.zcard('wstunnel:127.0.0.1') === count, what)
}

/** Redis writes one itself. */
async function clusterFile (t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'wstunnel-redis-'))
  cleanup(t, 'servers', () => rm(directory, { recursive: true, force: true }))
  return join(directory, 'nodes.conf')
}

async function upgradeTo (t: TestContext, port: number): Promise<{ status: number, end: () => void }> {
  const client = await rawClient(t, port)
  client.write(upgradeHead('/'))
  const { status } = await client.response()
  return { status, end: () => client.destroy() }
}

async function statuses (t: TestContext, ports: number[]): Promise<number[]> {
  const found: number[] = []
  for (const port of ports) found.push((await upgradeTo(t, port)).status)
  return found
}

for (const library of ['ioredis', 'node-redis'] as const) {
  test(`two instances share a limit of 3 by ${library}, and an ended tunnel makes room`, async (t) => {
    if (program === undefined) return skipLoudly(t, 'redis-server')
    const { client, server } = await redis(t, program)
    const upstream = await startWsUpstream(t)
    const other = createClient({ url: `redis://127.0.0.1:${server.port}` })
    if (library === 'node-redis') {
      await other.connect()
      cleanup(t, 'servers', () => other.destroy())
    }
    const options = { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store: redisLeases(library === 'ioredis' ? client : other, { ttl: '10s' }) } }
    const [a, b] = [await startProxy(t, options), await startProxy(t, options)]
    const first = await upgradeTo(t, a.port)
    assert.deepEqual(await statuses(t, [b.port, a.port, b.port, a.port]), [101, 101, 429, 429])
    assert.equal(a.app.wstunnel.metrics().tunnels.refused.limit, 1)
    first.end()
    await until(() => [...a.app.wstunnel.tunnels(), ...b.app.wstunnel.tunnels()].length === 2, 'the tunnel to end')
    await leases(client, 2, 'its lease to be released')
    assert.deepEqual(await statuses(t, [b.port, b.port]), [101, 429])
  })
}

test('two processes share a limit of 3, and the places of one that is killed are free within the ttl', async (t) => {
  if (program === undefined) return skipLoudly(t, 'redis-server')
  const { client, server } = await redis(t, program)
  const upstream = await startWsUpstream(t)
  const instance = async (): Promise<{ port: number, kill: () => void }> => {
    const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('child.ts', import.meta.url)), upstream.url, String(server.port), '1500'], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    cleanup(t, 'proxies', async () => { if (child.exitCode === null && child.signalCode === null) { child.kill('SIGKILL'); await once(child, 'exit') } })
    const [line] = await once(child.stdout, 'data') as [Buffer]
    return { port: Number(String(line)), kill: () => { child.kill('SIGKILL') } }
  }
  const [a, b] = await Promise.all([instance(), instance()])
  assert.deepEqual(await statuses(t, [a.port, b.port, a.port, b.port, a.port]), [101, 101, 101, 429, 429])
  const key = 'wstunnel:127.0.0.1'
  const before: string[] = (await client.zrange(key, '0', '-1', 'WITHSCORES')).map(String)
  await eventually(async () => {
    const renewed = (await client.zrange(key, '0', '-1', 'WITHSCORES')).map(String)
    return renewed.length === 6 && renewed.every((value, i) => i % 2 === 0 || Number(value) > Number(before[i]))
  }, 'the leases to be renewed')
  a.kill()
  const killedAt = performance.now()
  let status = 429
  for (; status === 429 && performance.now() - killedAt < 5000;) status = (await upgradeTo(t, b.port)).status
  assert.equal(status, 101)
  assert.ok(performance.now() - killedAt < 2500, 'the places are free soon after the ttl')
})

test('a Redis that does not answer, or is gone, holds no upgrade up for long, is warned of once, and heals', async (t) => {
  if (program === undefined) return skipLoudly(t, 'redis-server')
  const { client, server } = await redis(t, program)
  const upstream = await startWsUpstream(t)
  const log = recordLog()
  const proxy = await startProxy(
    t,
    { upstream: upstream.url, limits: { maxTunnelsPerClient: 4, store: redisLeases(client, { ttl: 900 }) } },
    { fastify: { logger: log.logger } }
  )
  assert.deepEqual(await statuses(t, [proxy.port]), [101])
  server.kill('SIGSTOP')
  const startedAt = performance.now()
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port]), [101, 101])
  assert.ok(performance.now() - startedAt < 1500, `${performance.now() - startedAt} ms`)
  const lines = (text: string): number => log.lines.filter(({ msg }) => String(msg).includes(text)).length
  assert.equal(lines('lease store fails'), 1)
  server.kill('SIGCONT')
  await leases(client, 3, 'the three leases to be there')
  await until(() => lines('answers again') === 1, 'that to be told')
  server.kill('SIGKILL')
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port]), [101, 429]) // the local limit holds
  const again = await startRedis(t, program, server.port)
  await leases(client, 4, 'the four leases to be there')
  await client.flushall()
  await leases(client, 4, 'the leases to be added again after a flush')
  assert.equal(again.port, server.port)
})

test('a Redis that has become a replica is warned of once, and heals when it is promoted', async (t) => {
  if (program === undefined) return skipLoudly(t, 'redis-server')
  const { client } = await redis(t, program)
  const upstream = await startWsUpstream(t)
  const log = recordLog()
  const proxy = await startProxy(
    t,
    { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store: redisLeases(client, { ttl: 600 }) } },
    { fastify: { logger: log.logger } }
  )
  const first = await upgradeTo(t, proxy.port)
  await client.replicaof('127.0.0.1', await closedPort())
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port, proxy.port]), [101, 101, 429])
  const { err } = await log.line(({ msg }) => msg?.includes('lease store fails') === true, 'the failure') as { err?: { message: string } }
  assert.match(err?.message ?? '', /READONLY/)
  first.end()
  await until(() => [...proxy.app.wstunnel.tunnels()].length === 2, 'the tunnel to end')
  await client.replicaof('NO', 'ONE')
  await log.line(({ msg }) => msg?.includes('answers again') === true, 'that it works')
  await leases(client, 2, 'the leases of the two tunnels, and no other')
  assert.equal(log.lines.filter(({ msg }) => msg?.includes('lease store fails')).length, 1)
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port]), [101, 429])
})

test('a Redis Cluster does, by both libraries', async (t) => {
  if (program === undefined) return skipLoudly(t, 'redis-server')
  const port = await closedPort()
  await startRedis(t, program, port, ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-config-file', await clusterFile(t)])
  const node = connect(t, port)
  await node.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await eventually(async () => String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:ok'), 'the cluster to be ready')
  const a = new Cluster([{ host: '127.0.0.1', port }])
  const b = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] })
  await within(b.connect(), 'the cluster')
  cleanup(t, 'servers', () => {
    a.disconnect()
    b.destroy()
  })
  const stores = [redisLeases(a, { prefix: 'app{1}:' }), redisLeases(b, { prefix: 'app{1}:' })] as const
  const got: boolean[] = []
  for (const [i, store] of [...stores, ...stores].entries()) got.push(await store.acquire('2001:db8:0:0', `lease ${i}`, 3))
  assert.deepEqual(got, [true, true, true, false])
  // Of two clients, whose keys are in different slots.
  for (const store of stores) await store.renew(new Map([['lease 0', '2001:db8:0:0'], ['other', '10.0.0.1']]))
  await stores[0].release('2001:db8:0:0', 'lease 1')
  await stores[1].release('2001:db8:0:0', 'lease 2')
  assert.deepEqual([await node.zrange('app{1}:2001:db8:0:0', '0', '-1'), await node.zrange('app{1}:10.0.0.1', '0', '-1')], [['lease 0'], ['other']])
  assert.ok(await node.pttl('app{1}:10.0.0.1') > 20_000, 'a key goes by itself')
})

test('options that are none are errors that name them; a ttl is rounded up to whole milliseconds', () => {
  const client = { eval: async () => 1 }
  const code = 'FST_WSTUNNEL_INVALID_OPTIONS'
  for (const ttl of [0, -1, NaN, Infinity, 2 ** 31, '30', '30 s', '0s', '1000h', null, {}]) {
    assert.throws(() => redisLeases(client, { ttl: ttl as never }), { code, message: /^ttl: expected a duration/ }, String(ttl))
  }
  assert.throws(() => redisLeases(client, { prefix: 5 as never }), { code, message: /^prefix: expected a string/ })
  for (const none of [undefined, {}, { call () {} }]) assert.throws(() => redisLeases(none as never), { code, message: /^client: expected a Redis client/ })
  assert.deepEqual([redisLeases(client, { ttl: '1.5s' }).ttl, redisLeases(client, { ttl: 0.5 }).ttl, redisLeases(client).ttl], [1500, 1, 30_000])
})
