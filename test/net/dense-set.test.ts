import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DenseSet } from '../../lib/net/dense-set.ts'

test('a dense set has what was added and not deleted, whatever the order', () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 9 })), (numbers) => {
    const roster = new DenseSet<{ index: number, number: number }>()
    const items = Array.from({ length: 10 }, (_, number) => ({ index: -1, number }))
    const expected = new Set<object>()
    for (const number of numbers) { // the first time it comes, the second it goes
      const item = items[number] as typeof items[number]
      if (expected.delete(item)) assert.equal(roster.delete(item), true)
      else {
        roster.add(item)
        expected.add(item)
      }
      assert.deepEqual([roster.size, new Set(roster.values())], [expected.size, expected])
    }
    for (const item of items) assert.equal(roster.delete(item), expected.has(item))
    for (const item of items) assert.equal(roster.delete(item), false)
    assert.equal(roster.size, 0)
  }))
})

test('those that go while it is gone through have been given all the same', () => {
  const roster = new DenseSet<{ index: number }>()
  const items = Array.from({ length: 5 }, () => ({ index: -1 }))
  for (const item of items) roster.add(item)
  const seen: object[] = []
  for (const item of roster.values()) {
    seen.push(item)
    roster.delete(item)
  }
  assert.deepEqual(seen, items)
})
