import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Server } from 'socket.io'
import type { Socket as ServerSocket } from 'socket.io'
import { io } from 'socket.io-client'
import type { Socket as ClientSocket } from 'socket.io-client'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import type { HttpUpstream } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'

interface Pair {
  proxy: Proxy
  /** The targets of the plain requests that socket.io has seen. */
  requests: string[]
  client: ClientSocket
  server: ServerSocket
}

const registrations: Array<[name: string, options: (upstream: HttpUpstream) => ProxyOptions]> = [
  ['a path and an http upstream', (upstream) => ({ path: '/socket.io/', upstream: `${upstream.url}/socket.io/`, upgrade: 'websocket' })],
  ['a prefix and an http upstream', (upstream) => ({ prefix: '/socket.io', upstream: `${upstream.url}/socket.io/`, upgrade: 'websocket' })],
  ['a path and a ws upstream', (upstream) => ({ path: '/socket.io/', upstream: `${upstream.wsUrl}/socket.io/` })]
]

/** socket.io through the proxy, from the first poll to the upgrade. */
async function upgraded (t: TestContext, options: (upstream: HttpUpstream) => ProxyOptions): Promise<Pair> {
  const upstream = await startHttpUpstream(t, () => {})
  const engine = new Server(upstream.server)
  cleanup(t, 'proxies', async () => { await engine.close() })
  const requests: string[] = []
  // socket.io takes the listeners away that were there before it
  upstream.server.on('request', (request) => requests.push(request.url ?? ''))
  const proxy = await startProxy(t, options(upstream))
  const accepted = event<[ServerSocket]>(engine as never, 'connection')
  const client = io(proxy.url, { reconnection: false, forceNew: true })
  cleanup(t, 'connections', () => client.close())
  client.io.engine.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    client.io.engine.once('upgrade', () => resolve())
    client.io.engine.once('upgradeError', reject)
    client.once('connect_error', reject)
  })
  const [server] = await accepted
  return { proxy, requests, client, server }
}

for (const [name, options] of registrations) {
  test(`with ${name}, socket.io begins by polling`, async (t) => {
    const { requests } = await upgraded(t, options)
    assert.match(requests[0] ?? '', /^\/socket\.io\/\?.*transport=polling/)
  })

  test(`with ${name}, socket.io upgrades to a websocket`, async (t) => {
    const { client, proxy } = await upgraded(t, options)
    assert.deepEqual([client.io.engine.transport.name, proxy.app.wstunnel.metrics().tunnels.opened], ['websocket', 1])
  })

  test(`with ${name}, the polls are counted as forwards`, async (t) => {
    const { proxy } = await upgraded(t, options)
    const { status } = proxy.app.wstunnel.metrics().forwards
    assert.ok(status['2xx'] >= 2, JSON.stringify(status))
  })

  test(`with ${name}, a message of the client is acknowledged after the upgrade`, async (t) => {
    const { client, server } = await upgraded(t, options)
    server.on('double', (value: number, reply: (result: number) => void) => reply(value * 2))
    assert.equal(await client.timeout(10_000).emitWithAck('double', 21), 42)
  })

  test(`with ${name}, a message of the server is acknowledged after the upgrade`, async (t) => {
    const { client, server } = await upgraded(t, options)
    client.on('reverse', (text: string, reply: (result: string) => void) => reply([...text].reverse().join('')))
    assert.equal(await server.timeout(10_000).emitWithAck('reverse', 'abc'), 'cba')
  })

  test(`with ${name}, binary data passes both ways after the upgrade`, async (t) => {
    const { client, server } = await upgraded(t, options)
    const sent = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
    server.on('echo', (data: Buffer, reply: (data: Buffer) => void) => reply(data))
    assert.deepEqual(Buffer.from(await client.timeout(10_000).emitWithAck('echo', sent)), sent)
  })
}
