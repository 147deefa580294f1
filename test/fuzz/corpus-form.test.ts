import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, serialize } from './corpus-form.ts'

const head = 'GET / HTTP/1.1\r\nHost: a\r\n'

for (const value of [
  '', 'x'.repeat(10), `${head}${'x'.repeat(46_444)}\r\n${'ab'.repeat(1000)}`, 'x'.repeat(300),
  `${'\0é'.repeat(400)}end`, [head.repeat(50), { a: 'a'.repeat(999) }], { repeat: 3 }, null
]) {
  const shown = JSON.stringify(value).slice(0, 40)
  test(`${shown} comes back`, () => assert.deepEqual(parse(serialize(value)), value))
}

test('what repeats is written once', () => {
  assert.deepEqual(JSON.parse(serialize(`${head}${'x'.repeat(2_000_000)}end`)), { repeat: [head, ['x', 2_000_000], 'end'] })
})
