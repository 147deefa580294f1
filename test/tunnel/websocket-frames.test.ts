import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import * as ws from 'ws'
import { closeFrame, FrameTracker } from '../../lib/tunnel/websocket-frames.ts'
import { decodeFrames, encodeFrame } from '../fixtures/frames.ts'

// `ws` exports it, but its types do not say so.
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable }

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 }
const sides = [['a client', true], ['an upstream', false]] as const

/** What a tracker knows. */
function known (tracker: FrameTracker): { atBoundary: boolean, closing: boolean, malformed: boolean, closeCode: number | undefined } {
  const { atBoundary, closing, malformed, closeCode } = tracker
  return { atBoundary, closing, malformed, closeCode }
}

const quiet = { atBoundary: true, closing: false, malformed: false, closeCode: undefined }

function close (code: number | undefined, masked: boolean, reason = ''): Buffer {
  const payload = code === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)])
  return encodeFrame(opcodes.close, payload, { masked })
}

for (const [side, masked] of sides) {
  describe(`frames of ${side}`, () => {
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536]) {
      test(`of ${length} bytes, split in two`, () => {
        const frame = encodeFrame(opcodes.binary, Buffer.alloc(length, 0x81), { masked })
        // at every offset of the header, and at some of a long payload's
        const offsets = Array.from({ length: Math.min(frame.length - 1, 200) }, (_, i) => i + 1)
        if (frame.length > 200) offsets.push(1000, 65_000, frame.length - 2, frame.length - 1)
        for (const at of offsets.filter((offset) => offset > 0 && offset < frame.length)) {
          const tracker = new FrameTracker(masked)
          tracker.push(frame.subarray(0, at))
          assert.deepEqual(known(tracker), { ...quiet, atBoundary: false }, `after ${at} bytes`)
          tracker.push(frame.subarray(at))
          assert.deepEqual(known(tracker), quiet, `split at ${at}`)
        }
      })
      test(`of ${length} bytes: their end is found among others`, () => {
        const frame = encodeFrame(opcodes.binary, Buffer.alloc(length, 0x81), { masked })
        const next = encodeFrame(opcodes.text, 'next', { masked })
        const tracker = new FrameTracker(masked)
        assert.equal(tracker.push(Buffer.concat([frame, next]), true), frame.length)
        assert.equal(tracker.atBoundary, true)
        assert.equal(tracker.push(next.subarray(0, 3), true), 3)
        assert.equal(tracker.atBoundary, false)
        assert.equal(tracker.push(Buffer.concat([next.subarray(3), frame]), true), next.length - 3)
        assert.equal(tracker.atBoundary, true)
      })
    }

    test('a conversation, split at every offset and byte by byte', () => {
      const frames = [
        encodeFrame(opcodes.text, 'hel', { masked, fin: false }), encodeFrame(opcodes.ping, '', { masked }),
        encodeFrame(opcodes.continuation, 'lo', { masked }),
        encodeFrame(opcodes.binary, Buffer.alloc(130), { masked, rsv: 4 }), encodeFrame(opcodes.pong, 'x', { masked }), close(4000, masked, 'bye')
      ]
      const bytes = Buffer.concat(frames)
      const ends = new Set([0])
      for (let i = 0, at = 0; i < frames.length; i++) ends.add(at += (frames[i] as Buffer).length)
      for (let at = 0; at <= bytes.length; at++) {
        const tracker = new FrameTracker(masked)
        assert.equal(tracker.push(bytes.subarray(0, at)), at)
        assert.equal(tracker.atBoundary, ends.has(at), `after ${at} bytes`)
        assert.equal(tracker.push(bytes.subarray(at)), bytes.length - at)
        assert.deepEqual(known(tracker), { ...quiet, closing: true, closeCode: 4000 }, `split at ${at}`)
      }
      const tracker = new FrameTracker(masked)
      for (let at = 0; at < bytes.length; at++) {
        tracker.push(bytes.subarray(at, at + 1))
        assert.equal(tracker.atBoundary, ends.has(at + 1))
      }
      assert.equal(tracker.closeCode, 4000)
    })

    for (const code of [1000, 1001, 1005, 1011, 3000, 4999, 0, 65_535, undefined]) {
      test(`a Close ${code === undefined ? 'without a code' : `with ${code}`}, split at every offset`, () => {
        const frame = close(code, masked, code === undefined ? '' : 'why')
        for (let at = 0; at <= frame.length; at++) {
          const tracker = new FrameTracker(masked)
          tracker.push(frame.subarray(0, at))
          if (at < frame.length) assert.equal(tracker.atBoundary, at === 0)
          tracker.push(frame.subarray(at))
          assert.deepEqual(known(tracker), { ...quiet, closing: true, closeCode: code ?? 1005 }, `split at ${at}`)
        }
      })
    }
    test('a Close of one byte has no code', () => {
      const tracker = new FrameTracker(masked)
      tracker.push(encodeFrame(opcodes.close, 'x', { masked }))
      assert.deepEqual(known(tracker), { ...quiet, closing: true, closeCode: 1005 })
    })
    test('a Close is closing as soon as its header is read', () => {
      const frame = close(1000, masked)
      const header = masked ? 6 : 2
      const tracker = new FrameTracker(masked)
      tracker.push(frame.subarray(0, header - 1))
      assert.equal(tracker.closing, false)
      tracker.push(frame.subarray(header - 1, header))
      assert.equal(tracker.closing, true)
      assert.equal(tracker.closeCode, undefined)
    })
    test('the first Close counts', () => {
      const tracker = new FrameTracker(masked)
      tracker.push(Buffer.concat([close(1000, masked), close(1001, masked), close(undefined, masked)]))
      assert.equal(tracker.closeCode, 1000)
    })
    test('a payload that looks like a Close is none', () => {
      const tracker = new FrameTracker(masked)
      tracker.push(encodeFrame(opcodes.binary, Buffer.from([0x88, 0x02, 0x03, 0xe8, 0x88, 0x00]), { masked }))
      assert.deepEqual(known(tracker), quiet)
    })
  })

  describe(`what ${side} may not send`, () => {
    const malformed = (bytes: Buffer): void => {
      for (let at = 0; at <= bytes.length; at++) {
        const tracker = new FrameTracker(masked)
        assert.equal(tracker.push(bytes.subarray(0, at)), at)
        assert.equal(tracker.push(bytes.subarray(at)), bytes.length - at)
        assert.equal(tracker.malformed, true)
        assert.equal(tracker.atBoundary, false)
        // and from then on all is let through, and nothing more is found in it
        assert.equal(tracker.push(close(1000, masked)), close(1000, masked).length)
        assert.equal(tracker.push(Buffer.from('anything'), true), 8)
        assert.deepEqual(known(tracker), { atBoundary: false, closing: false, malformed: true, closeCode: undefined })
      }
    }
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      test(`a frame of the reserved opcode ${opcode}`, () => malformed(encodeFrame(opcode, 'x', { masked })))
    }
    test(`a frame that is ${masked ? 'not ' : ''}masked`, () => {
      malformed(encodeFrame(opcodes.text, 'x', { masked: !masked }))
      malformed(encodeFrame(opcodes.text, '', { masked: !masked }))
    })
    test('a length beyond what a number holds', () => {
      malformed(Buffer.from([0x82, masked ? 0xff : 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
      malformed(Buffer.from([0x82, masked ? 0xff : 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
      malformed(Buffer.from([0x82, masked ? 0xff : 0x7f, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    })
    test('the longest length that a number holds is followed', () => {
      const tracker = new FrameTracker(masked)
      tracker.push(Buffer.from([0x82, masked ? 0xff : 0x7f, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
      assert.deepEqual(known(tracker), { ...quiet, atBoundary: false })
    })
    test('text', () => malformed(Buffer.from('<html></html>')))
  })
}

describe('any bytes', () => {
  test('are followed to their end, in any pieces, without a throw', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), fc.boolean(), fc.boolean(), (pieces, masked, stop) => {
      const tracker = new FrameTracker(masked)
      for (const piece of pieces) {
        let bytes = Buffer.from(piece)
        while (bytes.length > 0) {
          const followed = tracker.push(bytes, stop)
          assert.ok(followed > 0 && followed <= bytes.length)
          if (!stop) assert.equal(followed, bytes.length)
          if (followed < bytes.length) assert.ok(tracker.atBoundary || tracker.malformed)
          bytes = bytes.subarray(followed)
        }
      }
    }))
  })
  test('mean the same in one piece and in many', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), fc.boolean(), (pieces, masked) => {
      const whole = new FrameTracker(masked)
      whole.push(Buffer.concat(pieces))
      const parts = new FrameTracker(masked)
      for (const piece of pieces) parts.push(Buffer.from(piece))
      assert.deepEqual(known(parts), known(whole))
    }))
  })
  test('are not changed', () => {
    const bytes = encodeFrame(opcodes.close, 'xyz', { masked: true })
    const before = Buffer.from(bytes)
    new FrameTracker(true).push(bytes)
    assert.deepEqual(bytes, before)
  })
  test('none at all', () => {
    const tracker = new FrameTracker(true)
    assert.equal(tracker.push(Buffer.alloc(0)), 0)
    assert.equal(tracker.push(Buffer.alloc(0), true), 0)
    assert.deepEqual(known(tracker), quiet)
  })
})

describe('a Close of ours', () => {
  /** The code that the receiver of `ws` reads in the bytes; it throws for what breaks RFC 6455. */
  async function received (bytes: Buffer, isServer: boolean): Promise<{ messages: string[], code: number }> {
    const receiver = new Receiver({ isServer })
    const messages: string[] = []
    receiver.on('message', (data: Buffer) => messages.push(String(data)))
    const concluded = once(receiver, 'conclude')
    receiver.end(bytes)
    const [code] = await concluded as [number]
    return { messages, code }
  }
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78])

  for (const code of [1000, 1001, 1011, 4000]) {
    test(`to a client, ${code}`, async () => {
      const before = encodeFrame(opcodes.text, 'before')
      assert.deepEqual(await received(Buffer.concat([before, closeFrame(code)]), false), { messages: ['before'], code })
      assert.deepEqual(decodeFrames(closeFrame(code)), [{ fin: true, rsv: 0, opcode: 8, masked: false, payload: Buffer.from([code >> 8, code & 0xff]) }])
    })
    test(`to an upstream, ${code}`, async () => {
      const before = encodeFrame(opcodes.text, 'before', { masked: true })
      assert.deepEqual(await received(Buffer.concat([before, closeFrame(code, mask)]), true), { messages: ['before'], code })
      assert.deepEqual(closeFrame(code, mask).subarray(2, 6), mask)
    })
    test(`and the tracker, ${code}`, () => {
      for (const [tracker, frame] of [[new FrameTracker(false), closeFrame(code)], [new FrameTracker(true), closeFrame(code, mask)]] as const) {
        tracker.push(frame)
        assert.deepEqual(known(tracker), { ...quiet, closing: true, closeCode: code })
      }
    })
  }
  test('does not change the mask', () => {
    closeFrame(1001, mask)
    assert.deepEqual(mask, Buffer.from([0x12, 0x34, 0x56, 0x78]))
  })
})
