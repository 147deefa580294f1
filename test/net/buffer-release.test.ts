import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import { describe, test } from 'node:test'
import { releaseBuffer, releaseOnceWritten } from '../../lib/net/buffer-release.ts'
import { givesBack } from '../fixtures/memory.ts'

const large = (): Buffer => Buffer.from(randomBytes(65_536)) // of this size not out of Node's pool

describe('the memory of a chunk', () => {
  test(`is ${givesBack ? '' : 'not '}given back on this Node`, () => {
    const chunk = large()
    releaseBuffer(chunk)
    assert.equal(chunk.length, givesBack ? 0 : 65_536)
  })

  test('is left alone where it is small', () => {
    const chunk = Buffer.allocUnsafeSlow(16_383)
    releaseBuffer(chunk)
    assert.equal(chunk.length, 16_383)
    assert.equal(releaseOnceWritten(chunk), undefined)
  })

  test('is left alone where it is a part of something larger', () => {
    const whole = large()
    for (const part of [whole.subarray(1), whole.subarray(0, 65_535)]) {
      releaseBuffer(part)
      assert.equal(releaseOnceWritten(part), undefined)
    }
    assert.equal(whole.length, 65_536)
  })

  test('is given back when it is written, and not before', async () => {
    const chunk = large()
    const expected = Buffer.from(chunk)
    let finish = (): void => {}
    const stream = new Writable({
      write (bytes: Buffer, _, callback) {
        assert.deepEqual(bytes, expected)
        finish = callback
      }
    })
    stream.write(chunk, releaseOnceWritten(chunk))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(chunk.length, 65_536)
    finish()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(chunk.length, givesBack ? 0 : 65_536)
  })

  test('is left alone where it could not be written', async () => {
    const chunk = large()
    const stream = new Writable({ write (_bytes, _, callback) { callback(new Error('no')) } })
    stream.on('error', () => {})
    stream.write(chunk, releaseOnceWritten(chunk))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(chunk.length, 65_536)
  })
})
