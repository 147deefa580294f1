// Each timer ends a tunnel at its own moment: never early, and late by at most 250 ms or a twentieth, whichever is more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel, recordTunnels } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'
import { headOn, settles, world } from './world.ts'

/**
 * For how long this process did not get to run since the watch began, though it had something to do: a busy machine's part of
 * the lateness. On an idle machine it is about nothing.
 */
function watchLag (t: TestContext): () => number {
  let total = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const late = now - last - 20
    if (late > 5) total += late
    last = now
  }, 20)
  t.after(() => clearInterval(timer))
  return () => total
}

function onTime (took: number, set: number, lag: number): void {
  // A timer of Node's counts whole milliseconds.
  assert.ok(took >= set - 1, `${took} ms is before ${set} ms`)
  assert.ok(took <= set + Math.max(250, set / 20) + lag, `${took} ms is long after ${set} ms (the process lagged ${lag} ms)`)
}

// Real connections, real time. The others are set, too, each to more than can be reached.

const far = { idleTimeout: '20s', halfCloseTimeout: '20s', maxLifetime: '20s', stallTimeout: '20s' } as const

test('idleTimeout counts from the last byte, of whichever side', async (t) => {
  for (const last of ['client', 'upstream'] as const) {
    const all = await world(t, { ...far, idleTimeout: '700ms' })
    const lag = watchLag(t)
    // A machine that does not let this process run for a while ends the tunnel before its byte has come: then once more.
    for (let came = false; !came;) {
      const { client, upstream } = await all.tunnel()
      const [from, to] = last === 'client' ? [client, upstream] : [upstream, client]
      const tunnel = all.record.opened.at(-1) as typeof all.record.opened[number]
      const ended = all.record.nextOutcome()
      to.resume()
      from.resume()
      await settles(() => tunnel.age > 350, () => 'half of the timeout to be over')
      const start = performance.now()
      const byte = new Promise<boolean>((resolve) => to.once('data', () => resolve(true)))
      from.write('x')
      came = await within(Promise.race([byte, ended.then(() => false)]), 'the byte')
      const outcome = await ended
      if (came) onTime(performance.now() - start, 700, lag())
      assert.deepEqual([outcome.reason, outcome.by], ['idle_timeout', 'proxy'])
      for (const socket of [client, upstream]) socket.destroy()
    }
    await all.nothingLeft('the idle timeout')
  }
})

test('halfCloseTimeout counts from the end of one side, though the other goes on', async (t) => {
  for (const first of ['client', 'upstream'] as const) {
    const all = await world(t, { ...far, halfCloseTimeout: '600ms' })
    const lag = watchLag(t)
    const { client, upstream } = await all.tunnel()
    const [from, to] = first === 'client' ? [client, upstream] : [upstream, client]
    const ended = event(to, 'end')
    to.resume()
    from.resume()
    const start = performance.now()
    from.end()
    await ended
    const busy = setInterval(() => { to.write('still here') }, 50)
    t.after(() => clearInterval(busy))
    const outcome = await all.record.nextOutcome()
    clearInterval(busy)
    onTime(performance.now() - start, 600, lag())
    assert.deepEqual([outcome.reason, outcome.by], ['half_close_timeout', 'proxy'])
    for (const socket of [client, upstream]) socket.destroy()
    await all.nothingLeft('the half-close timeout')
  }
})

test('maxLifetime counts from the switch, busy or not', async (t) => {
  const all = await world(t, { ...far, maxLifetime: '800ms' })
  const lag = watchLag(t)
  const { client, upstream } = await all.tunnel()
  const start = performance.now() - (all.record.opened[0]?.age ?? 0)
  client.resume()
  const busy = setInterval(() => { upstream.write('x') }, 50)
  t.after(() => clearInterval(busy))
  const outcome = await all.record.nextOutcome()
  clearInterval(busy)
  onTime(performance.now() - start, 800, lag())
  assert.deepEqual([outcome.reason, outcome.by], ['max_lifetime', 'proxy'])
  for (const socket of [client, upstream]) socket.destroy()
  await all.nothingLeft('the end of its life')
})

test('stallTimeout counts from the last byte that a side took, though the other direction is busy', async (t) => {
  for (const deaf of ['client', 'upstream'] as const) {
    const all = await world(t, { ...far, stallTimeout: '700ms' })
    const lag = watchLag(t)
    const { client, upstream } = await all.tunnel()
    const [silent, flooder] = deaf === 'client' ? [client, upstream] : [upstream, client]
    const tunnel = all.record.opened[0] as typeof all.record.opened[number]
    const taken = (): number => deaf === 'client' ? tunnel.bytesFromUpstream : tunnel.bytesFromClient
    silent.pause()
    flooder.resume()
    const piece = Buffer.alloc(64 * 1024)
    const flood = (): void => { while (flooder.writable && flooder.write(piece)); }
    flooder.on('drain', flood)
    flood()
    // The last byte that moved: seen by looking at every turn, as long as anything does.
    let before = -1
    let start = performance.now()
    const outcome = all.record.nextOutcome()
    let over = false
    void outcome.finally(() => { over = true })
    const busy = setInterval(() => { if (silent.writable) silent.write('x') }, 50)
    t.after(() => clearInterval(busy))
    await settles(() => {
      if (taken() !== before) {
        before = taken()
        start = performance.now()
      }
      return over
    }, () => 'the stall to be noticed')
    clearInterval(busy)
    const { reason, by } = await outcome
    onTime(performance.now() - start, 700, lag())
    assert.deepEqual([reason, by], ['stalled', 'proxy'])
    flooder.destroy()
    silent.destroy()
    await all.nothingLeft('the stall')
  }
})

test('handshakeTimeout is a 504 on time, and the dial is destroyed', async (t) => {
  for (const answer of ['', 'HTTP/1.1 101 Switching', 'HTTP/1.1 100 Continue\r\n\r\n']) {
    const all = await world(t, { ...far, handshakeTimeout: '600ms', limits: { maxTunnels: 1 } })
    const lag = watchLag(t)
    const { socket } = await all.client()
    const start = performance.now()
    socket.write(upgradeHead('/'))
    const upstream = await all.arrived()
    await headOn(upstream)
    upstream.write(answer)
    const gone = event(upstream, 'close')
    upstream.on('end', () => upstream.end())
    upstream.resume()
    assert.match(await headOn(socket), /^HTTP\/1\.1 504 /)
    onTime(performance.now() - start, 600, lag())
    await gone
    socket.destroy()
    await all.nothingLeft('the handshake timeout')
    assert.equal(all.app.wstunnel.metrics().tunnels.refused.handshake, 1)
    await all.tunnel() // its place is free again
  }
})

test('a tunnel with a short timer is on time beside one that has long ones only', async (t) => {
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const routes = [{ path: '/long/', upstream: upstream.url }, { path: '/', upstream: upstream.url, maxLifetime: '400ms' as const }]
  const proxy = await startProxy(t, { routes, ...record.hooks })
  const lag = watchLag(t)
  await openTunnel(t, proxy, upstream, '/long/')
  const start = performance.now()
  await openTunnel(t, proxy, upstream)
  const { reason } = await record.nextOutcome()
  assert.equal(reason, 'max_lifetime')
  onTime(performance.now() - start, 400, lag())
})
