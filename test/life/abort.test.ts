// Kills either side at every byte of the handshake.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { upgradeHead } from '../fixtures/client.ts'
import { switching } from '../fixtures/upstream.ts'
import { headOn, kill, settles, world } from './world.ts'
import type { Kill, World } from './world.ts'

const kinds = [['an upgrade', true], ['a tunnel', false]] as const
const kills: readonly Kill[] = ['destroy', 'reset']
const key = 'AAAAAAAAAAAAAAAAAAAAAA=='
const head = upgradeHead('/', { host: 'a.example', key })

function total (counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** The client's head is sent, and has come to the upstream. */
async function asked (all: World): Promise<{ client: Socket, upstream: Socket, answer: string }> {
  const { socket } = await all.client()
  socket.write(head)
  const upstream = await all.arrived()
  return { client: socket, upstream, answer: switching(await headOn(upstream)) }
}

function leaveWhenLeft (socket: Socket): void {
  socket.on('end', () => socket.end())
  socket.resume()
}

for (const [kind, fallbackToHttp] of kinds) {
  test(`the client leaves at every byte of its head, for ${kind}`, async (t) => {
    const all = await world(t, { fallbackToHttp, limits: { maxTunnels: 1 } })
    for (const how of kills) {
      for (let bytes = 0; bytes < head.length; bytes++) {
        const { socket, peer } = await all.client()
        if (bytes > 0) socket.write(head.slice(0, bytes))
        await settles(() => peer.bytesRead === bytes, () => `${bytes} bytes at the proxy`)
        kill(socket, how)
        await all.nothingLeft(`${how} at byte ${bytes} of the client's head`)
      }
    }
    const { opened, refused } = all.app.wstunnel.metrics().tunnels
    assert.deepEqual([opened, total(refused)], [0, 0])
    await all.tunnel() // the one place is free
  })

  test(`the client leaves at every byte of the upstream's 101, for ${kind}`, async (t) => {
    const all = await world(t, { fallbackToHttp, limits: { maxTunnels: 1 } })
    let before = 0
    for (const how of kills) {
      for (let bytes = 0, length = Infinity; bytes <= length; bytes++) {
        const { client, upstream, answer } = await asked(all)
        length = answer.length
        if (bytes > 0) upstream.write(answer.slice(0, bytes))
        await settles(() => all.dialled[0]?.bytesRead === bytes, () => `${bytes} bytes at the proxy`)
        leaveWhenLeft(upstream)
        if (bytes < length) before++
        else await settles(() => all.record.opened.length > all.record.closed.length, () => 'the tunnel to be open')
        kill(client, how)
        await all.nothingLeft(`${how} of the client at byte ${bytes} of the 101`)
      }
    }
    const { opened, refused } = all.app.wstunnel.metrics().tunnels
    assert.deepEqual([opened, refused.handshake, total(refused)], [kills.length, before, before])
    await all.tunnel()
  })

  test(`the upstream leaves at every byte of its 101, for ${kind}`, async (t) => {
    const all = await world(t, { fallbackToHttp, limits: { maxTunnels: 1 } })
    let refusals = 0
    for (const how of kills) {
      for (let bytes = 0, length = Infinity; bytes <= length; bytes++) {
        const { client, upstream, answer } = await asked(all)
        length = answer.length
        if (bytes > 0) upstream.write(answer.slice(0, bytes))
        await settles(() => all.dialled[0]?.bytesRead === bytes, () => `${bytes} bytes at the proxy`)
        kill(upstream, how)
        if (bytes < length) {
          refusals++
          assert.match(await headOn(client), /^HTTP\/1\.1 502 /, `${how} at byte ${bytes}`)
          client.destroy()
        } else {
          assert.match(await headOn(client), /^HTTP\/1\.1 101 /)
          leaveWhenLeft(client)
        }
        await all.nothingLeft(`${how} of the upstream at byte ${bytes} of its 101`)
      }
    }
    const { opened, refused } = all.app.wstunnel.metrics().tunnels
    assert.deepEqual([opened, refused.handshake, total(refused)], [kills.length, refusals, refusals])
    assert.deepEqual(all.record.closed.map(({ reason }) => reason), ['upstream_close', 'upstream_reset'])
    await all.tunnel()
  })
}
