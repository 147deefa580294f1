// Request targets and Hosts that were taken for what they are not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'

const targets = ['http://u:p@evil/', 'http://any-host@evil/ws', 'http://front.example\\evil/', 'http://front.example#x']

for (const target of targets) {
  test(`a forward of ${target} is a 400`, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', target))
    assert.equal((await Promise.race([client.response(), upstream.next().then(() => assert.fail('forwarded'))])).status, 400)
    assert.equal(upstream.connections.length, 0)
  })
}

for (const port of ['65536', '99999']) {
  for (const [what, head] of Object.entries({
    'a forward': requestHead('GET', '/x', { Host: `front.example:${port}` }),
    'an upgrade': upgradeHead('/x', { host: `front.example:${port}` })
  })) {
    test(`${what} with the port ${port} in Host is a 400`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, { upstream: `${upstream.url}/` })
      const client = await rawClient(t, proxy.port)
      client.write(head)
      assert.equal((await Promise.race([client.response(), upstream.next().then(() => assert.fail('forwarded'))])).status, 400)
    })
  }
}

type Mapping = [string, (url: string) => ProxyOptions, string, string]

const mappings: Mapping[] = [
  ['an upstream without a path', (url) => ({ path: '/ws', upstream: url }), '/ws/a', '/a'],
  ['an upstream without a path', (url) => ({ path: '/ws', upstream: url }), '/ws?q=//', '/?q=//'],
  ['a prefix with a slash', (url) => ({ path: '/ws/', upstream: `${url}/` }), '/ws//evil/x', '/evil/x'],
  ['the prefix of the plugin', (url) => ({ prefix: '/app', path: '/', upstream: `${url}/` }), '/app//evil/x', '/evil/x']
]

for (const [what, options, path, mapped] of mappings) {
  for (const kind of ['forward', 'upgrade']) {
    test(`with ${what} the ${kind} of ${path} does not begin with two slashes at the upstream`, async (t) => {
      const upstream = await startRawUpstream(t)
      const proxy = await startProxy(t, options(upstream.url))
      const client = await rawClient(t, proxy.port)
      client.write(kind === 'upgrade' ? upgradeHead(path) : requestHead('GET', path))
      const [, target] = (await (await upstream.next()).head()).split(' ')
      assert.equal(target, mapped)
    })
  }
}
