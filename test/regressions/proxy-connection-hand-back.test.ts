// Node's parser finds an upgrade in Proxy-Connection, too. Such a request was given back to the parser with that field as it
// was, for ever.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import { headerOf, startRawUpstream } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const fields = { 'Proxy-Connection': 'upgrade', Upgrade: 'websocket' }

interface Counted {
  proxy: Proxy
  upstream: RawUpstream
  /** How often a connection was given to Node's parser. */
  parsed: () => number
}

/** Cuts a connection off that comes back too often, so that a loop ends. */
async function counted (t: TestContext, options: (upstream: RawUpstream) => ProxyOptions): Promise<Counted> {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, options(upstream))
  let count = 0
  proxy.app.server.on('connection', (socket: Socket) => {
    if (++count > 20) socket.destroy()
  })
  return { proxy, upstream, parsed: () => count }
}

for (const [what, headers] of Object.entries({
  'only Proxy-Connection names': fields,
  'both Connection and Proxy-Connection name': { ...fields, Connection: 'Upgrade' },
  'two Proxy-Connection fields name': { ...fields, 'Proxy-Connection': ['keep-alive', 'foo, Upgrade'] }
})) {
  test(`an upgrade that ${what} is an ordinary request to an http target`, async (t) => {
    const { proxy, upstream, parsed } = await counted(t, ({ httpUrl }) => ({ upstream: `${httpUrl}/` }))
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/x', headers))
    const response = client.response()
    const connection = await Promise.race([upstream.next(), response.then(() => assert.fail('answered without the upstream'))])
    const head = await connection.head()
    assert.equal(headerOf(head, 'upgrade'), undefined)
    assert.equal(headerOf(head, 'proxy-connection'), undefined)
    connection.write(ok)
    assert.equal((await response).status, 200)
    assert.ok(parsed() <= 2, `parsed ${parsed()} times`)
  })
}

test('a ws target takes no upgrade from Proxy-Connection, and the connection goes on', async (t) => {
  const { proxy, upstream, parsed } = await counted(t, ({ url }) => ({ upstream: `${url}/` }))
  const client = await rawClient(t, proxy.port)
  for (const round of [1, 2]) {
    client.write(requestHead('GET', `/${round}`, fields))
    const response = client.response()
    const connection = round === 1
      ? await Promise.race([upstream.next(), response.then(() => assert.fail('answered without the upstream'))])
      : upstream.connections[0]
    assert.ok(connection !== undefined)
    assert.match(await connection.head(), new RegExp(`^GET /${round} `))
    connection.write(ok)
    assert.equal((await response).status, 200)
  }
  assert.ok(parsed() <= 3, `parsed ${parsed()} times`)
})

test('an upgrade that only Proxy-Connection names, for a path of no target, is one 404', async (t) => {
  const { proxy, parsed } = await counted(t, ({ url }) => ({ path: '/ws', upstream: `${url}/` }))
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/x', { ...fields, 'Content-Length': '2' }) + 'ab')
  assert.equal((await client.response()).status, 404)
  assert.ok(parsed() <= 2, `parsed ${parsed()} times`)
})

test('an upgrade that only Proxy-Connection names waits for the request before it, and is answered once', async (t) => {
  const { proxy, upstream, parsed } = await counted(t, ({ httpUrl }) => ({ upstream: `${httpUrl}/` }))
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/first') + requestHead('GET', '/second', fields))
  const first = await upstream.next()
  assert.match(await first.head(), /^GET \/first /)
  first.write(ok)
  assert.equal((await client.response()).status, 200)
  // Newer Nodes take it for the plain request that it is, and so do not wait: it may come by another connection.
  const second = await Promise.race([
    first.head().then((head) => ({ head, connection: first })),
    upstream.next().then(async (connection) => ({ head: await connection.head(), connection }))
  ])
  assert.match(second.head, /^GET \/second /)
  second.connection.write(ok)
  assert.equal((await client.response()).status, 200)
  assert.ok(parsed() <= 4, `parsed ${parsed()} times`)
})
