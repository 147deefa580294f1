// What names its member took no turn: after a busy session, its member got as much of the rest as the others. In httpd it gets less.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balanced, members, sequence } from '../fixtures/balanced.ts'

test('an exchange that is bound to a member is a turn of it, and one that cannot be chosen is owed none', async (t) => {
  const [a, b, c] = await members(t, 3)
  const proxy = await balanced(t, [
    { url: a!.url, route: 'a' }, { url: b!.url }, { url: c!.url, status: 'D' }
  ], { lbMethod: 'byrequests', stickySession: 'S' })
  assert.equal(await sequence(t, proxy, 'request', 2, { path: '/?S=x.a' }), 'aa')
  assert.equal(await sequence(t, proxy, 'request', 4), 'bbab')
  proxy.app.wstunnel.balancer('app').enable(`${c!.url}/`)
  assert.equal(await sequence(t, proxy, 'request', 3), 'abc')
})
