// On Node 20 the plugin sees to it that the options of sockets share their hidden classes; later ones do by themselves.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { event } from '../fixtures/wait.ts'

test('a socket, of a server, too, leaves no hidden classes behind', { timeout: 60_000 }, async (t) => {
  const child = fork(fileURLToPath(new URL('shapes.child.ts', import.meta.url)), { execArgv: ['--expose-gc', '--import', 'tsx'] })
  t.after(() => child.kill())
  const [bytes] = await event<[number]>(child, 'message')
  assert.ok(bytes < 400, `${Math.round(bytes)} bytes in the old generation for each`) // some 800 where each has its own
})
