import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { tunnelReasons } from '../../lib/tunnel/reasons.ts'
import { Counters, HistogramCounter, refusalStages } from '../../lib/upstream/counters.ts'

describe('a histogram', () => {
  test('of nothing', () => {
    assert.deepEqual(new HistogramCounter([1, 5]).snapshot(), { count: 0, sum: 0, buckets: [{ le: 1, count: 0 }, { le: 5, count: 0 }] })
  })
  test('is cumulative, a bound belongs to its bucket, and what is above the last is only in the count', () => {
    const histogram = new HistogramCounter([1, 5, 10])
    for (const value of [0, 1, 1.5, 5, 10, 10.5, 1000]) histogram.observe(value)
    assert.deepEqual(histogram.snapshot(), { count: 7, sum: 1028, buckets: [{ le: 1, count: 2 }, { le: 5, count: 4 }, { le: 10, count: 5 }] })
  })
  test('adds another, which stays as it is', () => {
    const a = new HistogramCounter([1, 5])
    const b = new HistogramCounter([1, 5])
    a.observe(1)
    b.observe(2)
    b.observe(9)
    a.add(b)
    assert.deepEqual(a.snapshot(), { count: 3, sum: 12, buckets: [{ le: 1, count: 1 }, { le: 5, count: 2 }] })
    assert.deepEqual(b.snapshot(), { count: 2, sum: 11, buckets: [{ le: 1, count: 0 }, { le: 5, count: 1 }] })
  })
  test('is shown fresh each time', () => {
    const histogram = new HistogramCounter([1])
    const before = histogram.snapshot()
    histogram.observe(1)
    assert.equal(before.count, 0)
    assert.equal(before.buckets[0]?.count, 0)
    assert.notEqual(histogram.snapshot(), histogram.snapshot())
  })
})

describe('counters', () => {
  const plain = (counters: Counters): Record<string, unknown> => Object.fromEntries(Object.entries(counters).map(([name, value]) =>
    [name, value instanceof HistogramCounter ? value.snapshot() : typeof value === 'object' ? { ...value } : value]))

  /** Every number another one. */
  function filled (from: number): Counters {
    const counters = new Counters()
    let next = from
    for (const [name, value] of Object.entries(counters)) {
      if (typeof value === 'number') (counters as unknown as Record<string, number>)[name] = next++
      else if (value instanceof HistogramCounter) value.observe(next++)
      else for (const key of Object.keys(value)) value[key] = next++
    }
    return counters
  }

  test('begin at zero, with every reason, stage and class', () => {
    const counters = new Counters()
    assert.deepEqual(Object.keys(counters.closed), [...tunnelReasons])
    assert.deepEqual(Object.keys(counters.refused), [...refusalStages])
    assert.deepEqual(Object.keys(counters.status), ['1xx', '2xx', '3xx', '4xx', '5xx'])
    for (const group of [counters.closed, counters.refused, counters.status]) assert.ok(Object.values(group).every((count) => count === 0))
    assert.deepEqual(
      [counters.active, counters.suspended, counters.opened, counters.inFlight, counters.aborted, counters.failed, counters.busy],
      [0, 0, 0, 0, 0, 0, 0]
    )
  })
  test('know the reasons and stages of the documentation', () => {
    assert.deepEqual([...tunnelReasons].sort(), ['client_close', 'client_reset', 'drained', 'error', 'half_close_timeout', 'idle_timeout', 'killed',
      'max_lifetime', 'stalled', 'upstream_close', 'upstream_reset'])
    assert.deepEqual([...refusalStages], ['decision', 'limit', 'dial', 'handshake', 'upstream'])
  })
  test('added to none are themselves: no number is forgotten', () => {
    const sum = new Counters()
    sum.add(filled(1))
    assert.deepEqual(plain(sum), plain(filled(1)))
  })
  test('added twice are doubled, and stay as they are', () => {
    const sum = new Counters()
    const one = filled(1)
    sum.add(one)
    sum.add(one)
    assert.deepEqual(plain(one), plain(filled(1)))
    const numbers = (text: string): number[] => (text.match(/(?<="(?!le)\w+":)[\d.]+/g) ?? []).map(Number)
    assert.deepEqual(numbers(JSON.stringify(plain(sum))), numbers(JSON.stringify(plain(one))).map((value) => value * 2))
  })
  test('of two are each other\'s no business', () => {
    const a = new Counters()
    a.closed.killed++
    a.handshake.observe(1)
    assert.equal(new Counters().closed.killed, 0)
    assert.equal(new Counters().handshake.snapshot().count, 0)
  })
  test('are busy with what lives', () => {
    const counters = new Counters()
    counters.active = 1
    counters.suspended = 2
    counters.inFlight = 4
    counters.opened = 100
    assert.equal(counters.busy, 7)
  })
  test('have bounds that rise', () => {
    const { handshake, lifetime, duration } = new Counters()
    for (const histogram of [handshake, lifetime, duration]) {
      const bounds = histogram.snapshot().buckets.map(({ le }) => le)
      assert.ok(bounds.length > 5)
      assert.deepEqual(bounds, [...new Set(bounds)].sort((a, b) => a - b))
    }
  })
})
