import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseAddress } from '../../lib/config/upstream-url.ts'
import type { Address } from '../../lib/config/upstream-url.ts'
import { dial } from '../../lib/upstream/connect.ts'
import type { DialOptions } from '../../lib/upstream/connect.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { closedPort, startRawUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'
import { watchErrors } from '../life/world.ts'

// Of a type that Node only looks at when TLS begins: tls.connect() throws.
const unusable = { servername: 5 as never, rejectUnauthorized: false }

/** Every socket that anybody dials during the test. */
function watchDials (t: TestContext): Socket[] {
  const sockets: Socket[] = []
  const onDial = (message: unknown): void => { sockets.push((message as { socket: Socket }).socket) }
  channel('net.client.socket').subscribe(onDial)
  t.after(() => channel('net.client.socket').unsubscribe(onDial))
  return sockets
}

for (const listens of [true, false]) {
  const who = listens ? 'somebody' : 'nobody'
  test(`TLS options that throw at the dial are an error, called back once, and the socket is released (${who} listens)`, async (t) => {
    const errors = watchErrors(t)
    const port = listens ? (await startRawUpstream(t)).port : await closedPort()
    const options: DialOptions = { address: parseAddress(`wss://127.0.0.1:${port}/`) as Address, tls: unusable, connectTimeout: 0, keepAlive: 0 }
    const sockets = watchDials(t)
    const calls: unknown[][] = []
    await new Promise<void>((resolve) => {
      dial(options, (...args) => {
        calls.push(args)
        resolve()
      })
      assert.deepEqual(calls, [], 'not called back before the caller has what gives up')
    })
    const [error, dialled] = calls[0] as [Error & { code: string, cause: unknown }, null]
    assert.equal(error.code, 'FST_WSTUNNEL_UPSTREAM_TLS')
    assert.ok(error.cause instanceof TypeError)
    assert.equal(dialled, null)
    const [socket] = sockets as [Socket]
    if (!socket.closed) await event(socket, 'close')
    assert.deepEqual([calls.length, sockets.length, errors], [1, 1, []])
  })
}

test('TLS options that throw at the dial: nothing is called back after giving up', async (t) => {
  const options: DialOptions = { address: parseAddress(`wss://127.0.0.1:${await closedPort()}/`) as Address, tls: unusable, connectTimeout: 0, keepAlive: 0 }
  const sockets = watchDials(t)
  let called = false
  dial(options, () => { called = true })()
  const [socket] = sockets as [Socket]
  if (!socket.closed) await event(socket, 'close')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(called, false)
})

for (const [what, head] of [['an upgrade', upgradeHead('/x')], ['a forward', requestHead('GET', '/x')]] as const) {
  test(`TLS options that throw at the dial are a 502 for ${what}, and nothing is left`, async (t) => {
    const errors = watchErrors(t)
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `wss://127.0.0.1:${upstream.port}/`, tls: unusable, limits: { maxTunnels: 1 } })
    const clients = [await rawClient(t, proxy.port), await rawClient(t, proxy.port), await rawClient(t, proxy.port)]
    const sockets = watchDials(t)
    for (const client of clients) {
      client.write(head)
      const response = await client.response()
      assert.equal(response.status, 502)
      assert.equal(JSON.parse(String(response.body)).code, 'FST_WSTUNNEL_UPSTREAM_TLS')
    }
    for (const socket of sockets) if (!socket.closed) await event(socket, 'close')
    assert.ok(sockets.length >= 3)
    assert.deepEqual(errors, [])
  })
}

for (const { connectTimeout, patience, timers, what } of [
  { connectTimeout: 5000, patience: 5000, timers: 0, what: 'a caller that gives up as soon has the only timer' },
  { connectTimeout: 5000, patience: Infinity, timers: 1, what: 'one that waits on has none' },
  { connectTimeout: 5000, patience: 6000, timers: 1, what: 'nor has one that gives up later' },
  { connectTimeout: 0, patience: Infinity, timers: 0, what: 'no limit, no timer' }
]) {
  test(`timers of a dial: ${what}`, async (t) => {
    const { port } = await startRawUpstream(t)
    const options: DialOptions = { address: parseAddress(`ws://127.0.0.1:${port}/`) as Address, tls: {}, connectTimeout, keepAlive: 0 }
    const live = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = live()
    const giveUp = dial(options, () => assert.fail('called back after giving up'), true, patience)
    assert.equal(live() - before, timers)
    giveUp()
    assert.equal(live(), before)
  })
}
