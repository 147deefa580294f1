import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startProxy } from '../fixtures/proxy.ts'
import { openTunnel, recordTunnels } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

const total = 64 * 1024 * 1024

/** A seed makes a failure repeatable: SEED=… node --import tsx --test … */
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 32)) >>> 0

/** xorshift32: integers in [0, 2^32) that depend on the seed alone. */
function randomNumbers (start: number): () => number {
  let state = start === 0 ? 1 : start
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** Sends `total` random bytes in pieces of random size with random pauses, then a FIN. Returns their hash. */
async function send (socket: Socket, random: () => number): Promise<string> {
  const hash = createHash('sha256')
  for (let sent = 0; sent < total;) {
    const size = Math.min(total - sent, random() % 8 === 0 ? 1 + random() % 64 : 1 + random() % 131_072)
    const words = Uint32Array.from({ length: Math.ceil(size / 4) }, random)
    const chunk = Buffer.from(words.buffer, 0, size)
    hash.update(chunk)
    sent += size
    if (!socket.write(chunk)) await event(socket, 'drain')
    if (random() % 32 === 0) await pause(random() % 4)
  }
  socket.end()
  return hash.digest('hex')
}

/** Reads to the FIN, stopping now and then. Returns what it saw. */
async function receive (socket: Socket, random: () => number): Promise<{ hash: string, bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  const ended = event(socket, 'end', 60_000)
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    bytes += chunk.length
    if (random() % 64 === 0) {
      socket.pause()
      pause(random() % 4).then(() => socket.resume())
    }
  })
  socket.resume()
  await ended
  return { hash: hash.digest('hex'), bytes }
}

test('64 MiB each way at once arrive byte for byte', { timeout: 60_000 }, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const upstream = await startRawUpstream(t)
  const record = recordTunnels()
  const proxy = await startProxy(t, { upstream: upstream.url, ...record.hooks })
  const tunnel = await openTunnel(t, proxy, upstream)
  const near = tunnel.client.takeOver()
  const far = tunnel.upstream.takeOver()
  const [up, down, atUpstream, atClient] = await within(Promise.all([
    send(near, randomNumbers(seed)),
    send(far, randomNumbers(seed + 1)),
    receive(far, randomNumbers(seed + 2)),
    receive(near, randomNumbers(seed + 3))
  ]), 'both directions to end', 50_000)
  const { bytesFromClient, bytesFromUpstream } = await record.nextOutcome()
  assert.deepEqual(
    { atUpstream, atClient, counted: [bytesFromClient, bytesFromUpstream] },
    { atUpstream: { hash: up, bytes: total }, atClient: { hash: down, bytes: total }, counted: [total, total] },
    `SEED=${seed}`
  )
})
