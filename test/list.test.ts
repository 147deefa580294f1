import assert from 'node:assert/strict'
import { test } from 'node:test'
import { List } from '../lib/list.ts'

test('a list keeps the order in which its members came, whoever leaves', () => {
  const list = new List<string>()
  const [a, b, c] = ['a', 'b', 'c'].map((value) => list.add(value))
  assert.deepEqual([[...list], list.size], [['a', 'b', 'c'], 3])
  assert.equal(b !== undefined && list.remove(b), true)
  assert.equal(b !== undefined && list.remove(b), false, 'once')
  assert.deepEqual([...list], ['a', 'c'])
  for (const entry of [a, c]) if (entry !== undefined) list.remove(entry)
  assert.deepEqual([[...list], list.size], [[], 0])
  list.add('d')
  assert.deepEqual([...list], ['d'])
})

test('whoever walks sees those that come, none that has gone, and goes on where its own place was taken', () => {
  const list = new List<number>()
  const entries = Array.from({ length: 6 }, (_, i) => list.add(i))
  const seen: number[] = []
  for (const value of list) {
    seen.push(value)
    if (value === 2) for (const entry of entries.slice(1, 4)) list.remove(entry)
    if (value === 4) list.add(6)
  }
  assert.deepEqual(seen, [0, 1, 2, 4, 5, 6])
})

test('what has left refers to none that stay', () => {
  const list = new List<number>()
  const entries = Array.from({ length: 3 }, (_, i) => list.add(i))
  const [, middle] = entries
  assert.ok(middle !== undefined && list.remove(middle))
  assert.deepEqual([middle.previous, middle.next], [undefined, undefined])
})

test('a walk in which each second member leaves at once takes one pass, not one for each', () => {
  const list = new List<number>()
  const entries = Array.from({ length: 40_000 }, (_, i) => list.add(i))
  const before = process.cpuUsage()
  for (const value of list) {
    const entry = entries[value]
    if (value % 2 === 1 && entry !== undefined) list.remove(entry)
  }
  assert.ok(process.cpuUsage(before).user < 1_000_000)
  assert.equal(list.size, 20_000)
})
