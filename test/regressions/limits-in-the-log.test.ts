// A refusal for a limit was logged as an error with its stack: 1.5 KB for each request of a client that is refused by design.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

interface Line { level: number, msg: string, err?: { code?: string, stack?: string } }

test('a refusal for a limit is logged at info, without a stack, and goes through the error handler of the user', async (t) => {
  const lines: Line[] = []
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url, limits: { maxTunnels: 0 } }, {
    fastify: { logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line) as Line) } } } }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/x'))
  assert.equal((await client.response()).status, 503)
  await client.ended
  const line = lines.find(({ err }) => err !== undefined)
  assert.deepEqual([line?.err?.code, line?.level], ['FST_WSTUNNEL_LIMIT', 30])
  assert.ok(!(line?.err?.stack ?? '').includes(' at '))
  assert.ok(lines.every(({ level }) => level <= 30))
})
