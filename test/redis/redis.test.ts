import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { redisLeases } from '../../lib/redis/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRedis } from '../fixtures/redis.ts'
import { closedPort, startWsUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

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
    const options = { upstream: upstream.url, limits: { maxTunnelsPerClient: 3, store: redisLeases(library === 'ioredis' ? client : other as never, { ttl: '10s' }) } }
    const [a, b] = [await startProxy(t, options), await startProxy(t, options)]
    const first = await upgradeTo(t, a.port)
    assert.deepEqual(await statuses(t, [b.port, a.port, b.port, a.port]), [101, 101, 429, 429])
    assert.equal(a.app.wstunnel.metrics().tunnels.refused.limit, 1)
    first.end()
    await until(() => [...a.app.wstunnel.tunnels(), ...b.app.wstunnel.tunnels()].length === 2, 'the tunnel to end')
    let left = 3
    void client.zcard('wstunnel:127.0.0.1').then((count) => { left = count })
    await until(() => {
      void client.zcard('wstunnel:127.0.0.1').then((count) => { left = count })
      return left === 2
    }, 'its lease to be released')
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
  let renewed = before
  await until(() => {
    void client.zrange(key, '0', '-1', 'WITHSCORES').then((found) => { renewed = found.map(String) })
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
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnelsPerClient: 4, store: redisLeases(client, { ttl: 900 }) } }, { fastify: { logger: log.logger } })
  assert.deepEqual(await statuses(t, [proxy.port]), [101])
  server.kill('SIGSTOP')
  const startedAt = performance.now()
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port]), [101, 101])
  assert.ok(performance.now() - startedAt < 1500, `${performance.now() - startedAt} ms`)
  const lines = (text: string): number => log.lines.filter(({ msg }) => String(msg).includes(text)).length
  assert.equal(lines('store of leases fails'), 1)
  server.kill('SIGCONT')
  let count = 0
  await until(() => {
    void client.zcard('wstunnel:127.0.0.1').then((found) => { count = found })
    return count === 3 && lines('answers again') === 1
  }, () => `the three leases to be there, ${count} are`)
  server.kill('SIGKILL')
  assert.deepEqual(await statuses(t, [proxy.port, proxy.port]), [101, 429]) // the local limit holds
  const again = await startRedis(t, program, server.port)
  await until(() => {
    void client.zcard('wstunnel:127.0.0.1').then((found) => { count = found }, () => {})
    return count === 4
  }, () => `the four leases to be there, ${count} are`)
  await client.flushall()
  count = 0
  await until(() => {
    void client.zcard('wstunnel:127.0.0.1').then((found) => { count = found })
    return count === 4
  }, 'the leases to be added again after a flush')
  assert.equal(again.port, server.port)
})
