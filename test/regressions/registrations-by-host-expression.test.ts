import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'

// A host that is a RegExp is checked by the candidate, not by the router. Registrations that only it tells apart were taken for the same.

test('registrations of one path whose hosts are different expressions stand beside each other, and beside one for all hosts', async () => {
  const app = Fastify()
  try {
    for (const constraints of [{ host: /^a\./ }, { host: /^b\./ }, undefined]) {
      await app.register(wstunnel, { upstream: 'http://127.0.0.1:9/', ...constraints === undefined ? {} : { constraints } })
    }
    await app.ready()
    await assert.rejects(async () => app.register(wstunnel, { upstream: 'http://127.0.0.1:9/', constraints: { host: /^a\./ } }), /paths of its own|already/)
  } finally {
    await app.close()
  }
})
