// A client that left during the hooks of its upgrade: the upstream function was asked all the same, with a signal that had
// aborted, and nobody listened to its promise. That it was rejected, as is usual then, ended the process.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { until, within } from '../fixtures/wait.ts'
import { Gate } from './gate.ts'

for (const [how, happened] of [['end', 'end'], ['reset', 'close']] as const) {
  test(`a client that leaves during the hooks of its upgrade, by ${how}: an upstream function is not asked`, async (t) => {
    const gate = new Gate<Socket>()
    let asked = 0
    const proxy = await startProxy(t, {
      upgrade: 'websocket',
      upstream: async (_request, signal) => {
        asked++
        signal.throwIfAborted()
        return 'ws://127.0.0.1:1/'
      },
      preHandler: async ({ raw }) => { await gate.pass(raw.socket) }
    })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const socket = await gate.reached
    socket.on('error', () => {}) // `event` would reject
    const left = new Promise((resolve) => socket.once(happened, resolve))
    client[how]()
    await within(left, 'the client to leave')
    gate.open()
    await until(() => proxy.app.wstunnel.metrics().tunnels.refused.dial === 1, 'the upgrade to be refused')
    assert.equal(asked, 0)
  })
}
