// @fastify/restartable gives each new application the server of the one before, and with it the sessions of clients.
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { restartable } from '@fastify/restartable'
import fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { cancel, type Connect, extendedConnect, http2Session } from '../fixtures/http2.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { type RawUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { until, within } from '../fixtures/wait.ts'

interface Scene {
  /** Whichever application is the current one. */
  app: FastifyInstance & { restart: () => Promise<void> }
  url: string
  upstream: RawUpstream
}

/** @param webSockets of each application */
async function start (t: TestContext, webSockets: (round: number) => boolean, drainTimeout: '300ms' | '60s'): Promise<Scene> {
  const upstream = await startRawUpstream(t)
  let round = 0
  const app = await restartable(async (create) => {
    const made = create({ http2: true } as object)
    await made.register(wstunnel, { upstream: `${upstream.url}/`, drainTimeout, http2: { webSockets: webSockets(round++) } })
    return made
  }, { http2: true } as object, fastify) as unknown as Scene['app']
  cleanup(t, 'proxies', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, upstream }
}

async function tunnel (connect: Connect, server: RawUpstream): Promise<Connect & { upstream: RawConnection }> {
  const upstream = await server.next()
  upstream.write(switching(await upstream.head()))
  assert.equal((await connect.response)[':status'], 200)
  return { ...connect, upstream }
}

async function roundTrip ({ client, upstream }: Connect & { upstream: RawConnection }): Promise<void> {
  client.write('there')
  assert.equal(String(await upstream.read(5)), 'there')
  upstream.write('back')
  assert.equal(String(await client.read(4)), 'back')
}

test('one session has tunnels of each of three applications, and no listener is left', async (t) => {
  const { app, url, upstream } = await start(t, () => true, '300ms')
  const counts = (): number[] => ['connect', 'session', 'connection', 'stream'].map((name) => app.server.listenerCount(name))
  const before = counts()
  const session = await http2Session(t, url)
  for (let i = 0; i < 3; i++) {
    const each = await tunnel(extendedConnect(session, '/'), upstream)
    await roundTrip(each)
    each.client.end()
    each.upstream.end()
    await each.code
    await within(app.restart(), 'restart()')
    assert.deepEqual(counts(), before)
    assert.ok((await http2Session(t, url)).remoteSettings.enableConnectProtocol)
  }
  await roundTrip(await tunnel(extendedConnect(session, '/'), upstream))
})

test('a tunnel of the old application drains while the new one opens others in the same session', async (t) => {
  const { app, url, upstream } = await start(t, () => true, '60s')
  const session = await http2Session(t, url)
  const old = await tunnel(extendedConnect(session, '/'), upstream)
  const restarted = app.restart()
  await until(() => app.wstunnel.metrics().tunnels.open === 0, 'the new application')
  await roundTrip(await tunnel(extendedConnect(session, '/'), upstream))
  await roundTrip(old)
  cancel(old.stream)
  await within(restarted, 'restart()')
  assert.equal(app.wstunnel.metrics().tunnels.open, 1)
})

test('behind an application without WebSockets over HTTP/2, sessions that still ask are sent to HTTP/1.1', async (t) => {
  const { app, url, upstream } = await start(t, (round) => round === 0, '60s')
  const session = await http2Session(t, url)
  const old = await tunnel(extendedConnect(session, '/'), upstream)
  const restarted = app.restart()
  await until(() => app.wstunnel.metrics().tunnels.open === 0, 'the new application')
  const late = extendedConnect(session, '/')
  late.stream.on('error', () => {})
  assert.equal(await late.code, 0xd)
  await roundTrip(old)
  cancel(old.stream)
  await within(restarted, 'restart()')
  assert.equal((await http2Session(t, url)).remoteSettings.enableConnectProtocol, false)
  assert.equal((await extendedConnect(session, '/').response)[':status'], 405)
})
