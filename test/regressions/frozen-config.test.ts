// What the options were resolved to could be changed behind the table's back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../lib/plugin/resolve-options.ts'

test('a resolved configuration is frozen, all of it', () => {
  const config = resolveOptions({
    allowedOrigins: ['https://app.example'],
    tls: { minVersion: 'TLSv1.3' },
    routes: [
      { path: '/ws', upstream: 'ws://up.example/ws' },
      { path: '/rooms/:room', upstream: 'http://up.example/' },
      { path: '/any', upstream: 'ws://up.example/', upgrade: ['websocket', 'foo'] },
      { path: '/late/', upstream: 'ws://up.example/late' }
    ]
  }, '/app')
  const warm: string[] = []
  const visit = (value: unknown, where: string): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Object.isFrozen(value)) warm.push(where)
    for (const [name, each] of Object.entries(value)) visit(each, `${where}.${name}`)
  }
  visit(config, 'config')
  assert.deepEqual(warm, [])
})
