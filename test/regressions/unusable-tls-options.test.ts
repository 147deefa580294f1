// TLS options that Node cannot use threw at every dial, and left a socket behind whose error nobody listened for: the first
// request ended the process.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { closedPort } from '../fixtures/upstream.ts'

type Tls = NonNullable<ProxyOptions['tls']>

const unusable: Array<[string, Tls]> = [
  ['a certificate that is none', { cert: 'garbage', key: 'garbage' }],
  ['a certificate that says so of itself', { cert: '-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----' }],
  ['a version that there is not', { minVersion: 'TLSv9' as never }],
  ['a cipher that there is not', { ciphers: 'nope' }],
  ['an authority that is none', { pfx: 'garbage' }]
]

for (const [what, tls] of unusable) {
  test(`${what} is refused when the plugin is registered`, async (t) => {
    for (const options of [{ upstream: 'wss://up.example/', tls }, { routes: [{ path: '/', upstream: 'wss://up.example/', tls }] }]) {
      const app = Fastify()
      t.after(() => app.close())
      app.register(wstunnel, options)
      await assert.rejects(async () => await app.ready(), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'FST_WSTUNNEL_INVALID_OPTIONS')
        assert.match(error.message, /\btls(\.cert)?: /)
        return true
      })
    }
  })
}

// What only shows at the dial.
test('a TLS option that throws at the dial is an answer, and no uncaught error', async (t) => {
  const port = await closedPort()
  const proxy = await startProxy(t, {
    upstream: `wss://127.0.0.1:${port}/`,
    tls: { checkServerIdentity: 'nope' as never }
  }).catch(() => undefined)
  if (proxy === undefined) return // refused at once: as good
  for (const head of [upgradeHead('/x'), requestHead('GET', '/x'), upgradeHead('/x')]) {
    const client = await rawClient(t, proxy.port)
    client.write(head)
    assert.ok((await client.response()).status >= 500)
  }
})
