import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counters } from '../../lib/upstream/counters.ts'
import { AttemptRecorder, ForwardRecorder, TunnelRecorder } from '../../lib/upstream/recorders.ts'

describe('a forward', () => {
  test('is in flight at one upstream at a time, and counted where it ends', () => {
    const [route, first, second] = [new Counters(), new Counters(), new Counters()]
    const recorder = new ForwardRecorder(route)
    assert.deepEqual([route.inFlight, first.inFlight], [0, 0])
    recorder.enter(first)
    recorder.enter(second)
    assert.deepEqual([route.inFlight, first.inFlight, second.inFlight], [0, 0, 1])
    recorder.fromClient(3)
    recorder.fromUpstream(5)
    recorder.end({ failed: false, status: 204 })
    assert.deepEqual(
      [second.inFlight, second.status['2xx'], second.forwardBytesFromClient, second.forwardBytesFromUpstream, second.duration.snapshot().count],
      [0, 1, 3, 5, 1]
    )
    assert.equal(first.duration.snapshot().count, 0)
  })

  test('ends once', () => {
    const counters = new Counters()
    const recorder = new ForwardRecorder(new Counters())
    recorder.enter(counters)
    recorder.end({ failed: true, status: 502 })
    recorder.end({ failed: false, status: 200 })
    assert.deepEqual([counters.inFlight, counters.failed, counters.aborted, counters.status['5xx'], counters.status['2xx']], [0, 1, 0, 1, 0])
  })

  for (const [failed, status, expected] of [[true, undefined, [1, 0]], [false, undefined, [0, 1]], [false, 200, [0, 0]]] as const) {
    test(`that ${failed ? 'failed' : 'did not fail'} with ${status ?? 'no whole response'} counts as failed, aborted: ${expected.join()}`, () => {
      const counters = new Counters()
      new ForwardRecorder(counters).end({ failed, status })
      assert.deepEqual([counters.failed, counters.aborted], expected)
      assert.equal(counters.inFlight, 0) // it reached no upstream
    })
  }
})

test('an attempt is pending until its one end, and timed once, if it was dialled', () => {
  const counters = new Counters()
  const recorder = new AttemptRecorder(counters)
  recorder.handshaken()
  assert.deepEqual([counters.pending, counters.handshake.snapshot().count], [1, 0])
  recorder.dialled()
  for (let i = 0; i < 2; i++) recorder.handshaken()
  for (let i = 0; i < 2; i++) recorder.end()
  assert.deepEqual([counters.pending, counters.handshake.snapshot().count], [0, 1])
})

test('a tunnel is open in one state at a time, counts what is new of its bytes, and ends once', () => {
  const counters = new Counters()
  const recorder = new TunnelRecorder(counters, 0)
  assert.deepEqual([counters.opened, counters.active, counters.suspended, recorder.state], [1, 1, 0, 'active'])
  for (let i = 0; i < 2; i++) recorder.suspend()
  assert.deepEqual([counters.active, counters.suspended, recorder.state], [0, 1, 'suspended'])
  recorder.bytes(10, 20)
  recorder.bytes(11, 25)
  assert.deepEqual([counters.tunnelBytesFromClient, counters.tunnelBytesFromUpstream], [11, 25])
  for (let i = 0; i < 2; i++) recorder.end('drained', 7)
  recorder.suspend()
  assert.deepEqual([counters.active, counters.suspended, counters.closed.drained, counters.lifetime.snapshot().count], [0, 0, 1, 1])
})
