import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import status from '../../lib/status/index.ts'
import { wsClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'

const manyUpstreams = 1000
const manyTunnels = 10_000
/** Real tunnels; each is listed several times, to make as many as are wanted with the sockets that a process may have. */
const realTunnels = 500
const longestTurn = 20

/** Milliseconds of the process's own work. */
function cpuTime (): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/**
 * The longest turn of the event loop while something is done, in milliseconds. A turn in which the machine did other things has little
 * CPU time, one in which the collector helped has little time: the smaller of the two is what the turn has really taken.
 */
async function longestTurnOf (work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  const over = new AbortController()
  const watch = (async () => {
    for (let [time, cpu] = [performance.now(), cpuTime()]; !over.signal.aborted;) {
      await setImmediate()
      const [now, cpuNow] = [performance.now(), cpuTime()]
      longest = Math.max(longest, Math.min(now - time, cpuNow - cpu))
      ;[time, cpu] = [now, cpuNow]
    }
  })()
  await work()
  over.abort()
  await watch
  return longest
}

test(`with ${manyTunnels} tunnels and ${manyUpstreams} upstreams no turn of the event loop is long`, async (t) => {
  const upstream = await startWsUpstream(t, { http: (_request, response) => response.end('hello') })
  const proxy = await startProxy(t, {
    balancers: { app: { lbMethod: 'byrequests', members: Array.from({ length: manyUpstreams }, (_, i) => ({ url: `${upstream.url}/m${i}/` })) } },
    upstream: 'balancer://app/'
  }, { after: (app) => { app.register(status, { prefix: '/wstunnel' }) } })
  for (let i = 0; i < manyUpstreams; i += 50) await Promise.all(Array.from({ length: 50 }, async () => await (await fetch(proxy.url)).text()))
  for (let i = 0; i < realTunnels; i += 50) await Promise.all(Array.from({ length: 50 }, async () => await wsClient(t, proxy.wsUrl)))
  const { tunnels } = proxy.app.wstunnel
  t.mock.method(proxy.app.wstunnel, 'tunnels', function * () {
    for (let i = 0; i < manyTunnels / realTunnels; i++) yield * tunnels()
  })

  t.mock.timers.enable({ apis: ['setTimeout'] })
  const turns: number[] = []
  let took = 0
  for (let i = 0; i < 7; i++) {
    // Each time other lists, so that no answer is one that was kept.
    const queries = ['age', 'bytes', 'rate'].map((sort) => `sort=${sort}&limit=${500 - i}`)
    let answers: string[] = []
    turns.push(await longestTurnOf(async () => {
      const began = cpuTime()
      answers = await Promise.all(queries.map(async (query) => (await proxy.app.inject(`/wstunnel/status.json?${query}`)).payload))
      took = cpuTime() - began
    }))
    for (const answer of answers) {
      const { routes, balancers, live } = JSON.parse(answer) as {
        routes: Array<{ upstreams: unknown[] }>
        balancers: Array<{ members: unknown[] }>
        live: { total: number, tunnels: unknown[] }
      }
      assert.deepEqual(
        [routes[0]!.upstreams.length, balancers[0]!.members.length, live.total, live.tunnels.length],
        [manyUpstreams, manyUpstreams, manyTunnels, 500 - i]
      )
      assert.ok(answer.length < 1024 * 1024, `${answer.length} bytes`)
    }
    t.mock.timers.tick(1000) // until the snapshot is let go
  }
  // Other processes, and a cold cache, make a turn longer: the best of seven is what it takes here, and none is out of proportion.
  const [best = Infinity, ...others] = turns.toSorted((a, b) => a - b)
  t.diagnostic(`longest turns: ${turns.map((turn) => turn.toFixed(1)).join(', ')} ms; the last three answers took ${took.toFixed()} ms of CPU`)
  assert.ok(best < longestTurn && (others[2] ?? Infinity) < 3 * longestTurn, `the longest turns: ${turns.join()}`)
})
