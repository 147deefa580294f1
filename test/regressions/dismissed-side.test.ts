// When one side of a tunnel fails, the other is ended as soon as it has taken what waits for it. It was left open where that
// is less than a stream's high-water mark ('drain' never comes), and where its own FIN was still on its way (libuv cannot
// reset such a socket, and Node then says 'error' but never 'close').

import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { encodeFrame } from '../fixtures/frames.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { openTunnel, recordTunnels } from '../fixtures/tunnel.ts'
import type { OpenTunnel, TunnelRecord } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

interface Inside extends OpenTunnel {
  record: TunnelRecord
  /** The proxy's own ends of the two connections. */
  toClient: Socket
  toUpstream: Socket
}

async function inside (t: TestContext): Promise<Inside> {
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, halfCloseTimeout: 0, drainTimeout: '100ms', ...record.hooks })
  const accepted: Socket[] = []
  proxy.app.server.on('connection', (socket: Socket) => accepted.push(socket))
  const dialled: Socket[] = []
  const onDial = (message: unknown): void => { dialled.push((message as { socket: Socket }).socket) }
  subscribe('net.client.socket', onDial)
  t.after(() => unsubscribe('net.client.socket', onDial))
  const tunnel = await openTunnel(t, proxy, upstream)
  const toClient = accepted[0]
  const toUpstream = dialled.find((socket) => socket.remotePort === upstream.port)
  assert.ok(toClient !== undefined && toUpstream !== undefined)
  return { ...tunnel, record, toClient, toUpstream }
}

for (const size of [0, 1000]) {
  const down = encodeFrame(2, Buffer.alloc(size))
  const up = encodeFrame(2, Buffer.alloc(size), { masked: true })

  test(`after a reset of the upstream the client goes as soon as it has taken a frame of ${size} bytes that waited`, async (t) => {
    const { client, upstream, record, toClient, toUpstream } = await inside(t)
    toClient.cork()
    upstream.write(down)
    await until(() => toClient.writableLength >= down.length, 'the bytes to wait for the client')
    const gone = event(toUpstream, 'close').catch(() => {})
    upstream.reset()
    await until(() => toUpstream.destroyed, 'the upstream to be gone')
    await gone
    toClient.uncork()
    await within(over(client), 'the client to be left', 2000)
    assert.equal((await within(record.nextOutcome(), 'the tunnel to end', 2000)).reason, 'upstream_reset')
    assert.deepEqual(client.unread, down)
  })

  test(`after a reset of the client the upstream goes as soon as it has taken a frame of ${size} bytes that waited`, async (t) => {
    const { client, upstream, record, toClient, toUpstream } = await inside(t)
    toUpstream.cork()
    client.write(up)
    await until(() => toUpstream.writableLength >= up.length, 'the bytes to wait for the upstream')
    client.reset()
    await until(() => toClient.destroyed, 'the client to be gone')
    toUpstream.uncork()
    await within(over(upstream), 'the upstream to be left', 2000)
    assert.equal((await within(record.nextOutcome(), 'the tunnel to end', 2000)).reason, 'client_reset')
    assert.deepEqual(upstream.unread, up)
  })

  test(`after the upstream's socket was destroyed the client goes as soon as it has taken a frame of ${size} bytes that waited`, async (t) => {
    const { client, upstream, record, toClient, toUpstream } = await inside(t)
    toClient.cork()
    upstream.write(down)
    await until(() => toClient.writableLength >= down.length, 'the bytes to wait for the client')
    const gone = event(toUpstream, 'close')
    toUpstream.destroy()
    await gone
    toClient.uncork()
    await within(over(client), 'the client to be left', 2000)
    await within(record.nextOutcome(), 'the tunnel to end', 2000)
  })
}

for (const first of ['client', 'upstream'] as const) {
  test(`an error of the ${first} right behind its FIN ends the tunnel`, async (t) => {
    const all = await inside(t)
    const { record, client, upstream } = all
    const mine = first === 'client' ? all.toClient : all.toUpstream
    // In the same turn, so that the other side's own FIN is still on its way.
    mine.once('end', () => mine.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })))
    all[first].end()
    const outcome = await within(record.nextOutcome(), 'the tunnel to end', 2000)
    assert.equal(outcome.reason, `${first}_close`)
    await within(Promise.all([over(client), over(upstream)]), 'both to be left', 2000)
  })
}
