import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDuration } from '../../lib/config/duration.ts'

const longest = 2 ** 31 - 1

describe('durations', () => {
  for (const [value, ms] of [
    [0, 0], [1, 1], [1500, 1500], [0.5, 0.5], [longest, longest],
    ['0ms', 0], ['0s', 0], ['500ms', 500], ['30s', 30_000], ['5m', 300_000], ['1h', 3_600_000], ['1.5s', 1500], ['0.25m', 15_000], ['007s', 7000],
    ['596h', 2_145_600_000], [`${longest}ms`, longest]
  ] as const) test(`${typeof value} ${value}`, () => assert.equal(parseDuration(value), ms))
})

describe('what is none', () => {
  for (const value of [
    '', ' ', '30', '0', '30 s', ' 30s', '30s ', '30s\n', '30S', '30Ms', '30sec', '30secs',
    '1d', '1w', '1us', '-1s', '+1s', '1e3ms', '.5s', '5.s', '1.2.3s', '1,5s', '1h30m',
    's', 'ms', 'NaN', 'Infinitys', '0x10s', '\u0661s', '597h', '2147483648ms', '99999999999999999999h', `${'9'.repeat(400)}s`,
    -1, -0.001, NaN, Infinity, -Infinity, longest + 1, true, false, null, undefined, {}, [], ['1s'], 1n, Symbol('1s'), () => 1, { valueOf: () => 1 }
  ]) {
    const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 30)) : typeof value === 'object' ? JSON.stringify(value) : String(value)
    test(`${typeof value} ${shown}`, () => assert.equal(parseDuration(value), undefined))
  }
})
