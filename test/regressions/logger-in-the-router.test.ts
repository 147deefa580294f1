// The line about another route of the same path is written while the router looks the request up: an error of the logger ended the process.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'

test('a logger that fails at the line about another route does no harm', async (t) => {
  const upstream = await startHttpUpstream(t)
  const failing = { write (line: string): void { if (line.includes('another route')) throw new Error('no space left') } }
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    fastify: { logger: { level: 'debug', stream: failing } },
    setup: (app) => app.get('/*', async () => 'theirs')
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/x'))
  assert.equal(String((await client.response()).body), 'theirs')
})
