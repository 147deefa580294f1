// On Node 20 the plugin sees to it that the options of sockets share their hidden classes. From 22 on they do by themselves.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { event } from '../../test/fixtures/wait.ts'

/** Bytes of the old generation for each socket: 850 and more where its options have hidden classes of their own. */
const most = 400

test('a socket leaves no hidden classes behind', { timeout: 60_000 }, async (t) => {
  const child = fork(fileURLToPath(new URL('hidden-classes.child.ts', import.meta.url)), { execArgv: ['--expose-gc', '--import', 'tsx'] })
  t.after(() => child.kill())
  const [rounds] = await event<[number[]]>(child, 'message')
  const told = `${rounds.map(Math.round).join(', ')} bytes`
  assert.equal(rounds.filter(Number.isFinite).length, 5, told)
  // A collection may have fallen into a round, or the compilers' work: the middle one tells.
  assert.ok((rounds.toSorted((a, b) => a - b)[2] as number) < most, told)
})
