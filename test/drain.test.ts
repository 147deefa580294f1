import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrainPlan } from '../lib/drain.ts'
import type { Drainable } from '../lib/drain.ts'
import { deferred, within } from './fixtures/wait.ts'

interface Moments {
  client: number[]
  upstream: number[]
  drained: number[]
}

/** What a drain of so many tunnels does, and when, in parts of its window. */
async function drain (count: number, timeout: number, { tellFrom = 0.75, leave }: { tellFrom?: number, leave?: (tunnels: Set<Drainable>) => void } = {}): Promise<Moments & { over: number }> {
  const moments: Moments = { client: [], upstream: [], drained: [] }
  const startedAt = performance.now()
  const part = (): number => (performance.now() - startedAt) / timeout
  const tunnels = new Set<Drainable>()
  for (let i = 0; i < count; i++) {
    const tunnel = {
      farewell: (to: 'client' | 'upstream') => { moments[to].push(part()) },
      drained () {
        moments.drained.push(part())
        tunnels.delete(tunnel)
      }
    }
    tunnels.add(tunnel)
  }
  const over = deferred<number>()
  const plan = new DrainPlan(timeout, tunnels, { tellFrom, breakOff: () => over.resolve(part()) })
  leave?.(tunnels)
  const ended = await within(over.promise, 'the end of the drain')
  plan.cancel()
  return { ...moments, over: ended }
}

test('a few tunnels have the whole of the window', async () => {
  const { client, upstream, drained, over } = await drain(5, 1000)
  assert.deepEqual([client.length, upstream.length, drained.length], [5, 5, 5])
  assert.ok(client.every((at) => at >= 0.749), `${client}`)
  assert.ok(upstream.every((at) => at >= 0.899), `${upstream}`)
  assert.ok(drained.every((at) => at >= 0.998), `${drained}`)
  assert.ok(over >= 0.998)
})

test('thousands begin to be broken off a little before the end, and none is left then', async () => {
  const { client, drained } = await drain(5000, 2000)
  assert.deepEqual([client.length, drained.length], [5000, 5000])
  const [first = 0, last = 0] = [drained[0], drained.at(-1)]
  assert.ok(first >= 0.949 && first < 1, `from ${first} to ${last}`)
  assert.ok((client.at(-1) as number) - (client[0] as number) > 0.1, 'told one after the other')
})

test('who has left is not told', async () => {
  const { client, upstream, drained } = await drain(10, 200, { leave: (tunnels) => { for (const tunnel of [...tunnels].slice(0, 7)) tunnels.delete(tunnel) } })
  assert.deepEqual([client.length, upstream.length, drained.length], [3, 3, 3])
})

test('those of one upstream are told from the beginning', async () => {
  const { client } = await drain(100, 500, { tellFrom: 0 })
  assert.equal(client.length, 100)
  assert.ok((client[0] as number) < 0.5 && (client.at(-1) as number) > 0.8, `${client}`)
})

test('a window of nothing ends all at once', async () => {
  const { drained } = await drain(100, 0)
  assert.equal(drained.length, 100)
})

test('a plan that is cancelled does nothing more', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let told = 0
  const tunnel: Drainable = { farewell: () => { told++ }, drained: () => { told++ } }
  const plan = new DrainPlan(1000, new Set([tunnel]), { breakOff: () => { told++ } })
  t.mock.timers.tick(700)
  plan.cancel()
  t.mock.timers.tick(1000)
  assert.equal(told, 0)
})
