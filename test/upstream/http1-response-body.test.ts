import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RawResponseBody } from '../../lib/upstream/http1-response-body.ts'
import type { RawResponseBodyOptions } from '../../lib/upstream/http1-response-body.ts'
import { event } from '../fixtures/wait.ts'

/** The connection to an upstream. */
class Connection extends Duplex {
  override _read (): void {}
  override _write (_chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void { callback() }
}

interface Answer { body: RawResponseBody, stream: Connection, transport: Connection }

function answer (options: Partial<RawResponseBodyOptions> & Pick<RawResponseBodyOptions, 'framing'>): Answer {
  const stream = new Connection()
  const transport = new Connection()
  const body = new RawResponseBody({ stream, transport: transport as unknown as Socket, rest: Buffer.alloc(0), timeout: 0, raw: false, ...options })
  return { body, stream, transport }
}

async function settle (): Promise<void> {
  for (let i = 0; i < 5; i++) await nextTurn()
}

/** The whole body; or the error that it ended with. */
async function read ({ body }: Answer): Promise<string> {
  let text = ''
  for await (const chunk of body) text += (chunk as Buffer).toString('latin1')
  return text
}

function gone ({ stream, transport }: Answer): void {
  assert.ok(stream.destroyed && transport.destroyed, 'the connection is gone')
}

describe('an answer is whole', () => {
  const chunks = '5\r\nhello\r\n0\r\nA: b\r\n\r\n'
  for (const [what, framing, wire, body, raw] of [
    ['none', { kind: 'none' }, '', '', ''],
    ['of a length', { kind: 'length', length: 5 }, 'hello', 'hello', 'hello'],
    ['of a length, with more after it', { kind: 'length', length: 5 }, 'helloHTTP/1.1', 'hello', 'hello'],
    ['in chunks', { kind: 'chunked' }, chunks, 'hello', chunks],
    ['in chunks, with more after them', { kind: 'chunked' }, `${chunks}HTTP/1.1`, 'hello', chunks],
    ['up to the end', { kind: 'close' }, 'hello', 'hello', 'hello']
  ] as const) {
    for (const [how, expected, isRaw] of [['decoded', body, false], ['as it came', raw, true]] as const) {
      test(`${what}, ${how}, split at every offset`, async () => {
        for (let at = 0; at <= wire.length; at++) {
          const made = answer({ framing, raw: isRaw, rest: Buffer.from(wire.slice(0, at)) })
          made.stream.push(wire.slice(at))
          if (framing.kind === 'close') made.stream.push(null)
          assert.equal(await read(made), expected, `split at ${at}`)
          gone(made)
        }
      })
    }
  }
})

describe('an answer fails', () => {
  const length = { kind: 'length', length: 5 } as const
  const closed = { code: 'FST_WSTUNNEL_UPSTREAM_CLOSED', statusCode: 502 }

  for (const [what, framing, wire] of [
    ['of a length', length, 'hell'],
    ['in chunks', { kind: 'chunked' }, '5\r\nhello\r\n'],
    ['in chunks, before the last line', { kind: 'chunked' }, '0\r\n']
  ] as const) {
    test(`${what}, by an end that comes early`, async () => {
      const made = answer({ framing })
      made.stream.push(wire)
      made.stream.push(null)
      await assert.rejects(read(made), closed)
      gone(made)
    })
    test(`${what}, by a connection that is destroyed`, async () => {
      const made = answer({ framing, rest: Buffer.from(wire) })
      made.stream.destroy()
      await assert.rejects(read(made), closed)
      gone(made)
    })
  }
  test('by an error, which is the cause', async () => {
    const made = answer({ framing: { kind: 'close' } })
    const cause = new Error('reset')
    made.stream.destroy(cause)
    await assert.rejects(read(made), { ...closed, cause })
    gone(made)
  })
  test('by chunks that are malformed', async () => {
    const made = answer({ framing: { kind: 'chunked' } })
    made.stream.push('nonsense\r\n')
    await assert.rejects(read(made), { code: 'FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE', statusCode: 502 })
    gone(made)
  })
  test('by a connection that falls silent', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const made = answer({ framing: length, timeout: 100 })
    const failed = event<[Error & { code: string }]>(made.body, 'error', 1e6)
    made.body.resume()
    await settle()
    t.mock.timers.tick(100)
    assert.equal((await failed)[0].code, 'FST_WSTUNNEL_UPSTREAM_TIMEOUT')
    gone(made)
  })
  test('never by silence, where nothing is said of a time', async (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const made = answer({ framing: length })
    made.body.resume()
    await settle()
    t.mock.timers.tick(1e9)
    await settle()
    assert.equal(made.body.destroyed, false)
    made.body.destroy()
    gone(made)
  })
  test('by whoever gives it up: the connection goes too', async () => {
    const made = answer({ framing: length })
    made.body.destroy()
    await settle()
    gone(made)
    made.stream.emit('data', Buffer.from('late'))
    made.stream.emit('end')
  })
})

describe('a slow reader of an answer', () => {
  test('holds the upstream up', async () => {
    const made = answer({ framing: { kind: 'close' } })
    const total = 1024 * 1024
    made.body.read(0)
    for (let i = 0; i < 64; i++) made.stream.push(Buffer.alloc(total / 64))
    made.stream.push(null)
    await settle()
    assert.ok(made.stream.isPaused())
    assert.ok(made.body.readableLength <= made.body.readableHighWaterMark + total / 64, `${made.body.readableLength} bytes wait`)
    assert.equal((await read(made)).length, total)
    gone(made)
  })
})
