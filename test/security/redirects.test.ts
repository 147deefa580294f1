// Redirects and cookies that are led back: what must not come of what an upstream, or a client, writes into them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { ask, kinds } from '../fixtures/balanced.ts'
import type { AskOptions } from '../fixtures/balanced.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

/** What clients are told of a field, for each of these values of it, in answers to requests and to upgrades; `{up}` is the upstream's authority. */
async function told (
  t: TestContext, field: string, values: readonly string[], options: Omit<ProxyOptions, 'upstream'>,
  { path = '/x', ...request }: AskOptions = {}, setup: ProxySetup = {}
): Promise<string[]> {
  let value = ''
  const upstream = await startRawUpstream(t, async (connection) => {
    connection.socket.once('end', () => connection.end())
    for (;;) {
      await connection.head()
      connection.write(`HTTP/1.1 302 Found\r\n${field}: ${value}\r\nContent-Length: 0\r\n\r\n`)
    }
  })
  const authority = `127.0.0.1:${upstream.port}`
  const proxy = await startProxy(t, { ...options, upstream: `ws://${authority}/base` }, setup)
  const results: string[] = []
  for (const each of values) {
    value = each.replaceAll('{up}', authority)
    const [plain, upgrade] = await Promise.all(kinds.map((kind) => ask(t, proxy, kind, { path, ...request })))
    assert.deepEqual(plain?.headers[field.toLowerCase()], upgrade?.headers[field.toLowerCase()])
    results.push((plain?.headers[field.toLowerCase()] ?? []).join().replaceAll(authority, '{up}'))
  }
  return results
}

test('R1 a path that would name an authority without the base stays below the base', async (t) => {
  const values = ['/base//evil.example/', '/base/\\evil.example/', '/base/\t/evil.example/', '/base///evil.example', '/base/../..//evil.example']
  assert.deepEqual(await told(t, 'Location', values, {}), values)
  assert.deepEqual(await told(t, 'Content-Location', values, {}), values)
})

test('R2 a URL that only looks like the upstream\'s is no URL of the upstream', async (t) => {
  const values = [
    'http://{up}@evil.example/base/x', 'http://{up}\\@evil.example/base/x', 'http://evil.example\\@{up}/base/x',
    'http://{up}.evil.example/base/x', 'http://{up}1/base/x', 'http://evil.example/?http://{up}/base/x', '//{up}@evil.example/base/x'
  ]
  assert.deepEqual(await told(t, 'Location', values, { prefix: '/app' }, { path: '/app/x' }), values)
})

test('R3 a client\'s segment begins no attribute of a cookie', async (t) => {
  const values = ['a=1; Path=/base', 'a=1; Path=/base/x']
  assert.deepEqual(await told(t, 'Set-Cookie', values, { path: '/rooms/:room' }, { path: '/rooms/x;Domain=evil.example/y' }), values)
})

test('R4 a Location names the host that the client asked, and no other that it speaks of', async (t) => {
  const headers = { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'gopher', Forwarded: 'host=evil.example;proto=gopher' }
  assert.deepEqual(await told(t, 'Location', ['http://{up}/base/x'], { prefix: '/app' }, { path: '/app/x', headers }), ['http://front.example/app/x'])
})

test('R5 what a trusted proxy calls host or scheme is written only if it is one', async (t) => {
  const trusting = { fastify: { trustProxy: true } }
  for (const [host, protocol] of [
    ['front.example/@evil.example', 'https'], ['a b', 'https'],
    ['front.example:99999', 'https'], ['front.example', 'javascript'], ['"><script>', 'https']
  ] as const) {
    const headers = { 'X-Forwarded-Host': host, 'X-Forwarded-Proto': protocol }
    assert.deepEqual(await told(t, 'Location', ['http://{up}/base/x'], { prefix: '/app' }, { path: '/app/x', headers }, trusting), ['/app/x'])
  }
})

test('R6 a redirect that leaves the base by its dot segments does not come below the prefix', async (t) => {
  const values = [
    '/base/../admin', '/base/%2e%2e/admin', '/base/x/../../admin',
    '/base/.%2E\\admin', 'http://{up}/base/../admin', 'http://{up}/base/%2E./admin'
  ]
  assert.deepEqual(await told(t, 'Location', values, { prefix: '/app' }, { path: '/app/x' }), values)
})
