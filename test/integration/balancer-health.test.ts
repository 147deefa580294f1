import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, test, type TestContext } from 'node:test'
import { ask, balanced, infoOf, kinds, named, sequence, states } from '../fixtures/balanced.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { authority } from '../fixtures/tls.ts'
import { openTunnel } from '../fixtures/tunnel.ts'
import { startRawUpstream, type WsUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const healthCheck = { method: 'GET', uri: '/health', interval: 30, timeout: '5s' } as const

/** A member whose health a test decides. */
async function patient (t: TestContext, name: string): Promise<WsUpstream & { well: boolean, probes: number }> {
  const state = { well: true, probes: 0 }
  const upstream = await named(t, name, {
    http: (request, response) => {
      const probe = request.url === '/health'
      if (probe) state.probes++
      response.writeHead(probe && !state.well ? 503 : 200, { 'x-member': name }).end(name)
    }
  })
  return Object.assign(state, upstream)
}

for (const kind of kinds) {
  test(`an unhealthy member gets nothing and comes back, each change told once, by ${kind}`, async (t) => {
    const messages: Array<{ member: string, from: string, to: string }> = []
    const told = (message: unknown): void => { messages.push(message as typeof messages[number]) }
    channel('fastify-wstunnel:member:state').subscribe(told)
    t.after(() => channel('fastify-wstunnel:member:state').unsubscribe(told))
    const log = recordLog()
    const [a, b] = [await patient(t, 'a'), await patient(t, 'b')]
    const proxy = await balanced(
      t,
      [{ url: a.url, route: 'a' }, { url: b.url, route: 'b' }],
      { lbMethod: 'byrequests', stickySession: 'S', healthCheck },
      {},
      { fastify: { logger: log.logger } }
    )
    assert.equal(await sequence(t, proxy, kind, 4), 'abab')
    const { since } = infoOf(proxy)
    a.well = false
    await until(() => states(proxy)[0] === 'unhealthy', 'the check to fail')
    assert.ok(infoOf(proxy).since >= since && infoOf(proxy).since <= Date.now())
    assert.equal(proxy.app.wstunnel.metrics().balancers[0]?.up, 1)
    assert.equal(await sequence(t, proxy, kind, 3, { headers: { Cookie: 'S=x.a' } }), 'bbb')
    const wanted = a.probes + 3
    await until(() => a.probes > wanted, 'more probes')
    a.well = true
    await until(() => states(proxy)[0] === 'up', 'the check to pass')
    assert.match(await sequence(t, proxy, kind, 4), /a.*a/)
    const changes = [['unhealthy', 40], ['up', 30]]
    const lines = log.lines.filter(({ msg }) => msg === 'balancer member changed')
    assert.deepEqual(lines.map(({ to, level }) => [to, level]), changes)
    assert.deepEqual(lines.map(({ member }) => member), [`${a.url}/`, `${a.url}/`])
    assert.deepEqual(messages.map(({ from, to }) => [from, to]), [['up', 'unhealthy'], ['unhealthy', 'up']])
  })
}

test('tunnels of an unhealthy member live on', async (t) => {
  const a = await patient(t, 'a')
  const proxy = await balanced(t, [{ url: a.url }], { healthCheck })
  const { client, status } = await ask(t, proxy, 'upgrade')
  assert.equal(status, 101)
  a.well = false
  await until(() => states(proxy)[0] === 'unhealthy', 'the check to fail')
  client.write(encodeFrame(1, 'still there?', { masked: true }))
  const echo = encodeFrame(1, 'still there?')
  assert.deepEqual(await client.read(echo.length), echo)
})

test('a draining member that is unhealthy does not get its sessions either', async (t) => {
  const [a, b] = [await patient(t, 'a'), await patient(t, 'b')]
  const proxy = await balanced(t, [{ url: a.url, route: 'a', status: 'N' }, { url: b.url }], { healthCheck, stickySession: 'S' })
  const bound = { headers: { Cookie: 'S=x.a' } }
  assert.equal(await sequence(t, proxy, 'request', 1, bound), 'a')
  a.well = false
  const wanted = a.probes + 2
  await until(() => a.probes > wanted, 'the check to fail')
  assert.equal(await sequence(t, proxy, 'request', 1, bound), 'b')
})

test('a check that passes again ends an error', async (t) => {
  const a = await patient(t, 'a')
  const proxy = await balanced(t, [{ url: a.url }], { healthCheck, retry: '1h', failOnStatus: [503] })
  assert.equal((await ask(t, proxy, 'request', { path: '/x' })).status, 200)
  a.well = false
  await until(() => states(proxy)[0] === 'unhealthy', 'the check to fail')
  a.well = true
  await until(() => states(proxy)[0] === 'up', 'the check to pass')
  assert.equal(await sequence(t, proxy, 'request', 1), 'a')
})

test('a member that was unhealthy when it was removed is healthy when it is added again', async (t) => {
  const a = await patient(t, 'a')
  const proxy = await balanced(t, [{ url: a.url }], { healthCheck })
  const control = proxy.app.wstunnel.balancer('app')
  const { client } = await ask(t, proxy, 'upgrade') // it keeps what is known of the member
  a.well = false
  await until(() => states(proxy)[0] === 'unhealthy', 'the check to fail')
  await control.remove(`${a.url}/`)
  a.well = true
  assert.equal(control.add({ url: a.url }).state, 'up')
  assert.equal(await sequence(t, proxy, 'request', 1), 'a')
  client.destroy()
})

test('members that join and leave are probed, and no longer', async (t) => {
  const [a, b] = [await patient(t, 'a'), await patient(t, 'b')]
  const proxy = await balanced(t, [{ url: a.url }], { healthCheck })
  const control = proxy.app.wstunnel.balancer('app')
  control.add({ url: b.url })
  await until(() => b.probes > 1, 'probes of the new one')
  await control.remove(`${a.url}/`)
  await until(() => a.sockets.every(({ destroyed }) => destroyed), 'the last probe of the old one')
  const { probes } = a
  const more = b.probes + 5
  await until(() => b.probes > more, 'probes of the new one')
  assert.equal(a.probes, probes)
})

test('checks go by the member\'s own tls, and end with the server', async (t) => {
  const ca = authority()
  const a = await startRawUpstream(t, (connection) => connection.socket.once('end', () => connection.end()), { tls: ca.issue() })
  const silent = await startRawUpstream(t)
  const proxy = await balanced(
    t,
    [{ url: a.url, tls: { ca: ca.cert } }, { url: `${silent.url.replace('ws:', 'wss:')}`, status: 'H' }],
    { healthCheck: { interval: 30 } }
  )
  await until(() => a.connections.length > 2 && silent.connections.length > 0, 'probes')
  assert.equal(states(proxy)[0], 'up')
  await proxy.app.close()
  const { length } = a.connections
  await until(() => [...a.connections, ...silent.connections].every(({ socket }) => socket.destroyed || socket.readableEnded), 'every probe to end')
  // Three intervals of another server: nothing more is to come.
  const clock = await patient(t, 'clock')
  await balanced(t, [{ url: clock.url }], { healthCheck: { ...healthCheck, interval: 30 } })
  await until(() => clock.probes > 3, 'probes of another')
  assert.equal(a.connections.length, length)
})

describe('healthPath', () => {
  const routes = [{ path: '/', upstream: 'balancer://app/', onRequest: async () => { throw new Error('no entry') } }]

  test('tells of members and of the drain, below the prefix, without the hooks of the routes', async (t) => {
    const [a, b] = [await named(t, 'a'), await named(t, 'b')]
    const proxy = await startProxy(t, { prefix: '/p', healthPath: '/healthz', balancers: { app: { members: [{ url: a.url }, { url: b.url }] } }, routes })
    const health = async (): Promise<unknown[]> => {
      const response = await fetch(`${proxy.url}/p/healthz`)
      assert.equal(response.headers.get('cache-control'), 'no-store')
      return [response.status, await response.json()]
    }
    assert.deepEqual(await health(), [200, { ready: true, draining: false, balancers: { app: { up: 2, members: 2 } } }])
    const control = proxy.app.wstunnel.balancer('app')
    control.disable(`${a.url}/`)
    assert.deepEqual(await health(), [200, { ready: true, draining: false, balancers: { app: { up: 1, members: 2 } } }])
    control.disable(`${b.url}/`)
    assert.deepEqual(await health(), [503, { ready: false, draining: false, balancers: { app: { up: 0, members: 2 } } }])
    control.enable(`${b.url}/`)
    await proxy.app.wstunnel.drain({ timeout: 0 })
    assert.deepEqual(await health(), [503, { ready: false, draining: true, balancers: { app: { up: 1, members: 2 } } }])
    assert.equal((await fetch(`${proxy.url}/p/else`)).status, 500)
    assert.equal((await fetch(`${proxy.url}/healthz`)).status, 404)
  })

  test('an upgrade to it is answered as a request, and reaches nobody', async (t) => {
    const a = await startRawUpstream(t)
    const proxy = await startProxy(t, { healthPath: '/healthz', balancers: { app: { members: [{ url: a.url }] } }, upstream: 'balancer://app/' })
    const { status, body } = await ask(t, proxy, 'upgrade', { path: '/healthz' })
    assert.deepEqual([status, JSON.parse(String(body)).ready], [200, true])
    assert.equal(a.connections.length, 0)
    await openTunnel(t, proxy, a, '/other')
  })
})
