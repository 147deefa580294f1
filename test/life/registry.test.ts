// The list of live tunnels while they come and go.
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { Registry } from '../../lib/lifecycle/registry.ts'
import { TunnelLimits } from '../../lib/lifecycle/tunnel-limits.ts'
import type { TunnelFacts, TunnelSession } from '../../lib/lifecycle/tunnel-session.ts'
import { resolveOptions } from '../../lib/plugin/resolve-options.ts'
import { tunnelReasons } from '../../lib/tunnel/reasons.ts'
import { TargetUpstreams } from '../../lib/upstream/target-upstreams.ts'
import type { Upstream } from '../../lib/upstream/upstream.ts'
import { randomFrom, settles } from './world.ts'

const count = 10_000

class End extends Duplex {
  override _read (): void {}
  override _write (_chunk: Buffer, _encoding: string, done: () => void): void { done() }
}

function harness (): {
  registry: Registry
  upstream: Upstream
  target: TunnelFacts['target']
  facts: () => TunnelFacts
  open: () => TunnelSession
  ended: () => number
} {
  const registry = new Registry()
  const tunnelLimits = new TunnelLimits()
  const target = resolveOptions({ upstream: 'ws://127.0.0.1:1/', limits: { maxTunnels: 2 * count } }, '').targets[0] as TunnelFacts['target']
  const upstream = new TargetUpstreams(target).choose({} as never, () => new AbortController().signal) as Upstream
  let ended = 0
  const facts = (): TunnelFacts => ({
    target,
    upstream,
    client: '127.0.0.1',
    httpVersion: '1.1',
    protocol: 'test',
    slot: tunnelLimits.acquire('127.0.0.1', target.limits),
    clientTracker: undefined,
    upstreamTracker: undefined,
    onEnd: () => { ended++ }
  })
  const open = (): TunnelSession => {
    const tunnel = registry.open({ client: new End(), upstream: new End() }, facts(), () => {})
    tunnel.start(undefined, undefined)
    return tunnel
  }
  return { registry, upstream, target, facts, open, ended: () => ended }
}

/** Milliseconds on a CPU: the time of the clock is others' as well. */
function cpu (): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

test('iterating 10,000 tunnels is cheap, and safe while they come and go', async (t) => {
  const random = randomFrom(7)
  const { registry, upstream, open, ended } = harness()
  const all = Array.from({ length: count }, open)
  assert.equal(registry.size, count)

  const before = cpu()
  let bytes = 0
  for (const { id, route, state, age, bytesFromClient } of registry.values()) {
    assert.ok(id !== '' && route !== '' && age >= 0 && state === 'suspended')
    bytes += bytesFromClient
  }
  const took = cpu() - before
  t.diagnostic(`${took.toFixed(1)} ms for ${count} tunnels`)
  assert.equal(bytes, 0)
  assert.ok(took < 1000)

  // Whoever walks slowly sees each tunnel that stays exactly once.
  const stays = new Set(all.filter((_, i) => i % 2 === 0))
  const goes = all.filter((_, i) => i % 2 === 1)
  const seen = new Map<unknown, number>()
  let steps = 0
  for (const tunnel of registry.values()) {
    seen.set(tunnel, (seen.get(tunnel) ?? 0) + 1)
    if (++steps % 100 !== 0) continue
    for (let i = 0; i < 40; i++) goes.splice(Math.floor(random() * goes.length), 1)[0]?.close()
    if (steps < 5000) open()
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const tunnel of stays) assert.equal(seen.get(tunnel), 1)
  assert.ok([...seen.values()].every((times) => times === 1))

  // Closing what is iterated, in the loop.
  for (const tunnel of registry.values()) tunnel.close('all of them')
  await settles(() => registry.size === 0, () => `${registry.size} to go`)
  const { counters } = upstream
  const closed = tunnelReasons.reduce((sum, reason) => sum + counters.closed[reason], 0)
  assert.deepEqual([counters.active, counters.suspended, counters.opened, closed], [0, 0, ended(), ended()])
  assert.equal(counters.closed.killed, ended())
  assert.deepEqual([...registry.values()], [])
})

test('a sweep over 10,000 quiet tunnels is cheap, and makes no timer of its own', (t) => {
  const { registry, open } = harness()
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  for (let i = 0; i < count; i++) open()
  assert.ok(timers() <= before + 1, 'one timer for all of them, at most')
  for (let i = 0; i < 10; i++) registry.sweep()
  const start = cpu()
  for (let i = 0; i < 10; i++) registry.sweep()
  const took = (cpu() - start) / 10
  t.diagnostic(`${took.toFixed(2)} ms a sweep`)
  assert.ok(took < 100)
  for (const tunnel of registry.values()) tunnel.close()
})

test('keep-alive is asked for at the first sweep, on both connections, and once', () => {
  const { registry, upstream, target, facts } = harness()
  const asked: unknown[][] = []
  class Connection extends End {
    setKeepAlive (...args: unknown[]): void { asked.push(args) }
  }
  assert.equal(upstream.tunnels, 0)
  const tunnel = registry.open({ client: new Connection(), upstream: new Connection() }, facts(), () => {})
  tunnel.start(undefined, undefined)
  assert.deepEqual(asked, [], 'not at the switch')
  registry.sweep()
  registry.sweep()
  assert.deepEqual(asked, [[true, target.keepAlive], [true, target.keepAlive]])
  tunnel.close()
})

test('of many that came at once, keep-alive is asked for a few in each turn, however often is swept meanwhile', async () => {
  const { registry, facts } = harness()
  const asked: unknown[] = []
  class Connection extends End {
    setKeepAlive (...args: unknown[]): void { asked.push(args) }
  }
  const opened = 500
  for (let i = 0; i < opened; i++) registry.open({ client: new Connection(), upstream: new Connection() }, facts(), () => {}).start(undefined, undefined)
  registry.sweep()
  let most = asked.length
  while (asked.length < 2 * opened) {
    const before = asked.length
    registry.sweep()
    await new Promise((resolve) => setImmediate(resolve))
    assert.notEqual(asked.length, before, 'it goes on until all have it')
    most = Math.max(most, asked.length - before)
  }
  for (let i = 0; i < 3; i++) {
    registry.sweep()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(asked.length, 2 * opened)
  assert.ok(most <= 200, `${most} sockets in one turn`)
  for (const tunnel of registry.values()) tunnel.close()
})
