import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { DrainPlan } from '../../lib/lifecycle/drain-schedule.ts'
import type { Drainable } from '../../lib/lifecycle/drain-schedule.ts'

interface Moments {
  client: number[]
  upstream: number[]
  drained: number[]
}

/** What a drain of so many tunnels does, and when, in parts of its window, by a clock of its own. */
function drain (
  t: TestContext, count: number, timeout: number,
  { tellFrom = 0.75, leave }: { tellFrom?: number, leave?: (tunnels: Set<Drainable>) => void } = {}
): Moments & { over: number } {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const moments: Moments = { client: [], upstream: [], drained: [] }
  const part = (): number => now / timeout
  const tunnels = new Set<Drainable>()
  for (let i = 0; i < count; i++) {
    const tunnel = {
      requestClose: (to: 'client' | 'upstream') => { moments[to].push(part()) },
      drained () {
        moments.drained.push(part())
        tunnels.delete(tunnel)
      }
    }
    tunnels.add(tunnel)
  }
  let over = NaN
  const plan = new DrainPlan(timeout, tunnels, { tellFrom, breakOff: () => { over = part() } })
  leave?.(tunnels)
  for (; now <= timeout + 1; now++) t.mock.timers.tick(1)
  plan.cancel()
  return { ...moments, over }
}

test('a few tunnels have the whole of the window', (t) => {
  const { client, upstream, drained, over } = drain(t, 5, 1000)
  assert.deepEqual([client.length, upstream.length, drained.length], [5, 5, 5])
  assert.ok(client.every((at) => at >= 0.749), `${client}`)
  assert.ok(upstream.every((at) => at >= 0.859 && at <= 0.91), `${upstream}`)
  assert.ok(drained.every((at) => at >= 0.998), `${drained}`)
  assert.ok(over >= 0.998 && over < 1.01)
})

test('thousands begin to be broken off a little before the end, and none is left then', (t) => {
  const { client, drained } = drain(t, 5000, 2000)
  assert.deepEqual([client.length, drained.length], [5000, 5000])
  const [first = 0, last = 0] = [drained[0], drained.at(-1)]
  assert.ok(first >= 0.899 && first < 0.91 && last <= 1, `from ${first} to ${last}`)
  const begin = client[0] as number
  const share = (client.at(-1) as number) - begin
  assert.ok(share > 0.06, 'told one after the other')
  for (let i = 1; i < 10; i++) assert.ok(Math.abs(((client[500 * i] as number) - begin) / share - i / 10) < 0.05, 'evenly')
})

test('who has left is not told', (t) => {
  const { client, upstream, drained } = drain(t, 10, 200, { leave: (tunnels) => { for (const tunnel of [...tunnels].slice(0, 7)) tunnels.delete(tunnel) } })
  assert.deepEqual([client.length, upstream.length, drained.length], [3, 3, 3])
})

test('those of one upstream are told from the beginning', (t) => {
  const { client } = drain(t, 100, 500, { tellFrom: 0 })
  assert.equal(client.length, 100)
  assert.ok((client[0] as number) < 0.5 && (client.at(-1) as number) > 0.78, `${client}`)
})

test('a window of nothing ends all at once', (t) => {
  const { drained } = drain(t, 100, 0)
  assert.equal(drained.length, 100)
})

test('a plan that is cancelled does nothing more', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let told = 0
  const tunnel: Drainable = { requestClose: () => { told++ }, drained: () => { told++ } }
  const plan = new DrainPlan(1000, new Set([tunnel]), { breakOff: () => { told++ } })
  t.mock.timers.tick(700)
  plan.cancel()
  t.mock.timers.tick(1000)
  assert.equal(told, 0)
})

test('a drain whose moments have passed, in a process that was busy, asks for no negative time', async (t) => {
  // Newer Nodes warn of those.
  const timers = t.mock.method(globalThis, 'setTimeout')
  await new Promise<void>((resolve) => {
    const begin = performance.now()
    const plan = new DrainPlan(10, new Set(), { breakOff: resolve })
    t.after(() => plan.cancel())
    while (performance.now() - begin < 30);
  })
  const delays = timers.mock.calls.map(({ arguments: [, ms] }) => ms ?? NaN)
  assert.deepEqual(delays.filter((ms) => !(ms >= 0)), [])
  assert.ok(delays.length >= 5)
})
