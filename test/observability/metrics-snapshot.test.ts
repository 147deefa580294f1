import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from '../../lib/lifecycle/registry.ts'
import { snapshotSteps } from '../../lib/observability/metrics-snapshot.ts'
import { finish, finishInTurns } from '../../lib/net/steps.ts'
import type { Metered } from '../../lib/routing/route-table.ts'
import { Counters } from '../../lib/upstream/counters.ts'

interface FakeUpstream { label: string, counters: Counters }

/** What the snapshot reads of one target: upstreams that may be forgotten, as those of a function are. */
function metered (route: string, count: number): { target: Metered, list: FakeUpstream[], forget: (index: number) => void } {
  const rest = new Counters()
  const list = Array.from({ length: count }, (_, i) => ({ label: `http://u${i}/`, counters: new Counters() }))
  for (const { counters } of list) {
    counters.opened = 1
    counters.handshake.observe(3)
  }
  return {
    list,
    target: { target: { route, upstream: () => '' }, upstreams: { unattributed: rest, values: () => list.values() } } as unknown as Metered,
    forget (index) {
      const [gone] = list.splice(index, 1)
      rest.add(gone!.counters)
    }
  }
}

test('a snapshot in steps is the one taken at once', async () => {
  const all = [metered('/a', 3), metered('/b', 2), metered('/a', 1)].map(({ target }) => target)
  const atOnce = finish(snapshotSteps(new Registry(), all, 7, []))
  assert.deepEqual(await finishInTurns(snapshotSteps(new Registry(), all, 7, [])), atOnce)
  assert.deepEqual(atOnce.routes.map(({ route, tunnels, upstreams }) => [route, tunnels.opened, upstreams.length]), [['/a', 4, 4], ['/b', 2, 2]])
  assert.equal(atOnce.tunnels.opened, 6)
  assert.equal(atOnce.tunnels.handshake.count, 6)
})

test('an upstream that is forgotten between two steps is counted once, before its turn and after', () => {
  for (const index of [0, 4]) {
    const { target, forget } = metered('/', 5)
    const steps = snapshotSteps(new Registry(), [target], 0, [])
    assert.equal(steps.next().done, false)
    assert.equal(steps.next().done, false)
    forget(index)
    assert.equal(finish(steps).tunnels.opened, 5)
  }
})

test('work in turns lets the event loop go on in between', async () => {
  let turns = 0
  let immediate = setImmediate(function turn () {
    turns++
    immediate = setImmediate(turn)
  })
  await finishInTurns((function * () {
    for (let step = 0; step < 6; step++) {
      for (const until = performance.now() + 5; performance.now() < until;);
      yield
    }
  })())
  clearImmediate(immediate)
  assert.ok(turns >= 5, `${turns} turns of others`)
})
