// The copier with a clock by hand and connections in memory.
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { monotonicNow } from '../../lib/net/clock.ts'
import { Tunnel } from '../../lib/tunnel/tunnel.ts'
import type { Ending } from '../../lib/tunnel/tunnel.ts'
import type { TunnelTimers } from '../../lib/tunnel/reasons.ts'
import { deferred, within } from '../fixtures/wait.ts'

const none: TunnelTimers = { idle: 0, halfClose: 0, lifetime: 0, stall: 0 }

/** One end of a tunnel: what is written to it waits until it is taken. */
class End extends Duplex {
  #done: (() => void) | undefined

  override _read (): void {}

  override _write (_chunk: Buffer, _encoding: string, done: () => void): void {
    this.#done = done
  }

  override _final (done: () => void): void {
    done()
  }

  /** Takes what waits; false where nothing does. */
  accept (): boolean {
    const done = this.#done
    this.#done = undefined
    done?.()
    return done !== undefined
  }
}

function pair (timers: Partial<TunnelTimers>, now: number): { client: End, upstream: End, tunnel: Tunnel, ended: Promise<Ending>, endings: Ending[] } {
  const client = new End({ allowHalfOpen: true })
  const upstream = new End({ allowHalfOpen: true })
  const over = deferred<Ending>()
  const endings: Ending[] = []
  const tunnel = new Tunnel({ client, upstream }, { ...none, ...timers }, {
    tunnelEnded (ending) {
      endings.push(ending)
      over.resolve(ending)
    }
  }, now)
  tunnel.start(undefined, undefined)
  return { client, upstream, tunnel, endings, ended: within(over.promise, 'the end') }
}

async function turn (): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

test('a stall begins with the first bytes that wait, not at the sweep before them', async () => {
  const start = monotonicNow()
  const { client, upstream, tunnel, ended } = pair({ stall: 1000 }, start)
  for (let at = 0; at <= 900; at += 100) tunnel.sweep(start + at)
  client.push(Buffer.alloc(10)) // they wait from now on
  await turn()
  tunnel.sweep(start + 1000)
  tunnel.sweep(start + 1950)
  assert.deepEqual([client.destroyed, upstream.destroyed], [false, false])
  tunnel.sweep(start + 2001)
  assert.equal((await ended).reason, 'stalled')
})

test('a side that takes a little at a time is not stalled', async () => {
  const start = monotonicNow()
  const { client, upstream, tunnel } = pair({ stall: 1000 }, start)
  client.push(Buffer.alloc(10))
  client.push(Buffer.alloc(10))
  await turn()
  for (let at = 0; at <= 10_000; at += 100) {
    tunnel.sweep(start + at)
    if (at % 900 === 0) {
      upstream.accept()
      client.push(Buffer.alloc(10))
      await turn()
    }
  }
  assert.equal(client.destroyed, false)
  tunnel.kill('killed')
})

test('without timers nothing ends a quiet tunnel', async () => {
  const { client, tunnel, ended } = pair({}, 0)
  for (let day = 0; day < 1000; day++) tunnel.sweep(day * 86_400_000)
  assert.equal(client.destroyed, false)
  tunnel.kill('killed')
  assert.equal((await ended).reason, 'killed')
})

for (const [name, size] of [['a little', 10], ['much', 100_000]] as const) {
  test(`after an error of one side the other goes as soon as it has taken what waited, ${name}`, async () => {
    const { client, upstream, ended, endings } = pair({}, monotonicNow())
    client.push(Buffer.alloc(size))
    await turn()
    client.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    await turn()
    assert.equal(upstream.destroyed, false)
    while (upstream.accept()) await turn()
    assert.equal((await ended).reason, 'client_reset')
    await turn()
    assert.equal(endings.length, 1)
  })
}
