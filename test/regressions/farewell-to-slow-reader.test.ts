// Between a drain's farewell and the end of the frame that was under way the proxy read as fast as one side could send, and kept
// what the other did not take: of one frame it may be gigabytes.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { decodeFrames, encodeFrame } from '../fixtures/frames.ts'
import { deferred, event, within } from '../fixtures/wait.ts'
import { kill, settles, world } from '../life/world.ts'

const mib = 1024 * 1024
const size = 48 * mib

for (const deaf of ['client', 'upstream'] as const) {
  test(`a ${deaf} that reads nothing in the middle of a frame holds the other side up, gets the frame whole, and then its Close`, async (t) => {
    const all = await world(t)
    const { client, upstream, peer } = await all.tunnel()
    const [silent, flooder] = deaf === 'client' ? [client, upstream] : [upstream, client]
    const read = deaf === 'client' ? all.dialled[0] : peer
    assert.ok(read !== undefined)
    const tunnel = all.record.opened[0] as typeof all.record.opened[number] & { requestClose: (to: 'client' | 'upstream') => void }
    const received = (): number => deaf === 'client' ? tunnel.bytesFromUpstream : tunnel.bytesFromClient

    const frame = encodeFrame(2, Buffer.alloc(size, 'so it goes. '), { masked: deaf === 'upstream' })
    silent.pause()
    flooder.write(frame.subarray(0, 100_000))
    await settles(() => received() === 100_000, () => 'the beginning of the frame')
    tunnel.requestClose('client')
    tunnel.requestClose('upstream')
    const [close] = await event<[Buffer]>(flooder.resume(), 'data') // no frame was under way in this direction
    assert.deepEqual(decodeFrames(close).map(({ opcode, payload }) => [opcode, payload.readUInt16BE()]), [[8, 1001]])
    const whole = event(flooder, 'drain', 60_000)
    flooder.write(frame.subarray(100_000))
    flooder.write(encodeFrame(1, 'too late', { masked: deaf === 'upstream' }))
    await settles(() => read.isPaused() || received() > size, () => 'the proxy to wait')
    assert.ok(received() < size, `${received()} bytes were read for a side that reads none`)

    const hash = createHash('sha1')
    const over = deferred<string>()
    let count = 0
    let last: Buffer = Buffer.alloc(0)
    silent.on('data', (chunk: Buffer) => {
      count += chunk.length
      last = Buffer.concat([last.subarray(-20), chunk])
      const extra = Math.max(0, count - frame.length)
      hash.update(chunk.subarray(0, Math.max(0, chunk.length - extra)))
    })
    silent.on('end', () => over.resolve(hash.digest('hex')))
    silent.resume()
    assert.equal(await within(over.promise, () => `a FIN, after ${count} bytes`, 60_000), createHash('sha1').update(frame).digest('hex'))
    const farewell = last.subarray(frame.length - count)
    assert.deepEqual(decodeFrames(farewell).map(({ opcode, payload }) => [opcode, payload.readUInt16BE()]), [[8, 1001]])
    assert.equal(count, frame.length + (deaf === 'client' ? 4 : 8))
    await whole
    kill(flooder, 'end')
    kill(silent, 'end')
    assert.equal((await all.record.nextOutcome()).reason, 'drained')
  })
}
