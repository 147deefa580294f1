// @fastify/restartable gives each new application the server of the one before: the new one takes what comes, and the old one ends
// what it has begun.
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { restartable } from '@fastify/restartable'
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

interface Restartable {
  /** Whichever application is the current one. */
  app: FastifyInstance & { restart: () => Promise<void> }
  port: number
  upstream: RawUpstream
}

const events = ['upgrade', 'request', 'checkContinue', 'connection', 'secureConnection', 'clientError']

async function start (
  t: TestContext, setup: (app: FastifyInstance, round: number) => unknown = () => {}, drainTimeout: string = '300ms'
): Promise<Restartable> {
  const upstream = await startRawUpstream(t)
  const http = await startHttpUpstream(t, (request, response) => {
    request.on('end', () => response.end('forwarded')).resume()
  })
  let round = 0
  const app = await restartable(async (create) => {
    const made = create({})
    await made.register(wstunnel, {
      routes: [{ path: '/ws/', upstream: `${upstream.url}/` }, { path: '/http/', upstream: `${http.url}/` }],
      drainTimeout: drainTimeout as `${bigint}s`
    })
    await setup(made, round++)
    return made
  }, {}, fastify) as unknown as Restartable['app']
  cleanup(t, 'proxies', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: (app.server.address() as AddressInfo).port, upstream }
}

test('upgrades and forwards work after each of three restarts, and no listener is left', async (t) => {
  const { app, port, upstream } = await start(t)
  const counts = (): number[] => events.map((name) => app.server.listenerCount(name))
  const before = counts()
  for (let i = 0; i < 3; i++) {
    const tunnel = await openTunnel(t, { port }, upstream, '/ws/x')
    await roundTrip(tunnel)
    tunnel.client.end()
    await tunnel.upstream.ended
    tunnel.upstream.end()
    await within(app.restart(), 'restart()')
    assert.deepEqual(counts(), before)
    const client = await rawClient(t, port)
    client.write(requestHead('POST', '/http/x', { 'Content-Length': '2', Expect: '100-continue', Connection: 'close' }))
    assert.equal((await client.response()).status, 100)
    client.write('ok')
    assert.equal(String((await client.response()).body), 'forwarded')
  }
  await roundTrip(await openTunnel(t, { port }, upstream, '/ws/x'))
})

test('old tunnels drain while new ones open', async (t) => {
  const { app, port, upstream } = await start(t, () => {}, '60s')
  const old = await openTunnel(t, { port }, upstream, '/ws/old', { upgrade: 'websocket' })
  const outcome = app.wstunnel.tunnels().next().value
  assert.equal(outcome?.state, 'suspended')
  const restarted = app.restart()
  await until(() => app.wstunnel.metrics().tunnels.open === 0, 'the new application')
  for (let i = 0; i < 20; i++) {
    const { client, upstream: connection } = await openTunnel(t, { port }, upstream, `/ws/new${i}`)
    await roundTrip({ client, upstream: connection })
  }
  await roundTrip(old)
  assert.equal(app.wstunnel.metrics().tunnels.open, 20)
  old.client.end()
  await old.upstream.ended
  old.upstream.end()
  await within(restarted, 'restart()')
  assert.equal([...app.wstunnel.tunnels()].length, 20)
})

test('upgrades under way, and connections of declined offers, outlive a restart', async (t) => {
  const { app, port, upstream } = await start(t)
  const kept = await rawClient(t, port)
  kept.write(requestHead('GET', '/nobody', { Connection: 'Upgrade', Upgrade: 'h2c' }))
  assert.equal((await kept.response()).status, 404)
  const client = await rawClient(t, port)
  client.write(upgradeHead('/ws/x'))
  const connection = await upstream.next()
  await connection.head()
  const restarted = app.restart()
  await until(() => app.server.listenerCount('upgrade') === 2, 'the new application')
  connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  assert.equal((await client.response()).status, 403)
  await within(restarted, 'restart()')
  kept.write(requestHead('GET', '/nobody', { Connection: 'Upgrade', Upgrade: 'h2c' }))
  assert.equal((await kept.response()).status, 404)
})

test('an application that could not be made leaves the old one with its upgrades', async (t) => {
  const { app, port, upstream } = await start(t, (_, round) => { if (round === 1) throw new Error('not this time') })
  await assert.rejects(app.restart(), /not this time/)
  await roundTrip(await openTunnel(t, { port }, upstream, '/ws/x'))
  await within(app.restart(), 'restart()', 30_000)
  await roundTrip(await openTunnel(t, { port }, upstream, '/ws/x'))
})

test("another listener's upgrades outlive a restart, and end with the server", async (t) => {
  const { app, port, upstream } = await start(t)
  app.server.on('upgrade', (request, socket) => { if (request.url === '/theirs') socket.write('theirs') })
  const client = await rawClient(t, port)
  client.write(upgradeHead('/theirs'))
  await client.waitFor('theirs')
  const old = await openTunnel(t, { port }, upstream, '/ws/x') // so that there is a drain to its end
  await within(app.restart(), 'restart()')
  await old.client.ended
  old.client.end()
  assert.equal(client.socket.readableEnded, false)
  await roundTrip(await openTunnel(t, { port }, upstream, '/ws/x'))
  const nobody = await rawClient(t, port)
  nobody.write(upgradeHead('/nobody'))
  assert.equal((await nobody.response()).status, 404)
  await within(app.close(), 'close()')
  await client.ended
})

test('close() during the restart of an application ends both', async (t) => {
  const { app, port, upstream } = await start(t)
  const { client } = await openTunnel(t, { port }, upstream, '/ws/x')
  const closed = event(client.socket, 'end')
  await within(app.restart(), 'restart()')
  await within(app.close(), 'close()')
  await closed
})
