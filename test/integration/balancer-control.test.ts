import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, test } from 'node:test'
import { ask, balanced, begin, gone, infoOf, kinds, members, named, sequence, states } from '../fixtures/balanced.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { decodeFrames } from '../fixtures/frames.ts'
import { recordLog } from '../fixtures/log.ts'
import { over } from '../fixtures/stage.ts'
import { authority } from '../fixtures/tls.ts'
import { openTunnel, recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

describe('changes while it runs', () => {
  for (const kind of kinds) {
    test(`add, disable, drain, enable, set and remove, by ${kind}`, async (t) => {
      const [a, b] = await members(t, 2)
      const proxy = await balanced(t, [{ url: a!.url, route: 'a' }], { lbMethod: 'byrequests', stickySession: 'S' })
      const control = proxy.app.wstunnel.balancer('app')
      assert.equal(control.name, 'app')
      const added = control.add({ url: b!.url, route: 'b', loadFactor: 2 })
      assert.deepEqual([added.url, added.route, added.loadFactor, added.state], [`${b!.url}/`, 'b', 2, 'up'])
      assert.equal(await sequence(t, proxy, kind, 6), 'babbab')
      control.disable(added.url)
      assert.equal(await sequence(t, proxy, kind, 2, { headers: { Cookie: 'S=x.b' } }), 'aa')
      control.enable(added.url)
      await control.drain(added.url)
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
      assert.equal(await sequence(t, proxy, kind, 2, { headers: { Cookie: 'S=x.b' } }), 'bb')
      control.enable(added.url)
      const changed = control.set(added.url, { loadFactor: 1, lbSet: 1, max: 99, status: '+H', redirect: 'a' })
      assert.deepEqual([changed.loadFactor, changed.lbSet, changed.max, changed.status, changed.redirect], [1, 1, 99, 'H', 'a'])
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
      await control.remove(`${a!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'bb')
      await control.remove(added.url)
      assert.equal((await ask(t, proxy, kind)).status, 503)
      assert.deepEqual(control.members(), [])
      control.add({ url: a!.url })
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
    })
  }

  test('enable ends an error', async (t) => {
    const proxy = await balanced(t, [{ url: await gone() }])
    await ask(t, proxy, 'request')
    assert.deepEqual(states(proxy), ['error'])
    proxy.app.wstunnel.balancer('app').enable(infoOf(proxy).url)
    assert.deepEqual(states(proxy), ['up'])
  })

  test('no change touches a tunnel that lives', async (t) => {
    const [a, b] = [await startRawUpstream(t), await startRawUpstream(t)]
    const proxy = await balanced(t, [{ url: a.url }], {})
    const control = proxy.app.wstunnel.balancer('app')
    const tunnel = await openTunnel(t, proxy, a)
    const url = `${a.url}/`
    const changes: Array<() => unknown> = [
      () => control.add({ url: b.url }), () => control.set(url, { loadFactor: 9, max: 1 }), () => control.disable(url), () => control.enable(url),
      () => control.drain(url), () => control.remove(url), () => control.add({ url }), () => control.remove(`${b.url}/`)
    ]
    for (const change of changes) {
      await change()
      await roundTrip(tunnel)
    }
    assert.deepEqual([infoOf(proxy).tunnels, infoOf(proxy).elected], [1, 1])
  })

  test('what is counted of a member that is removed and added again goes on, while it has a tunnel', async (t) => {
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url }, { url: b!.url }])
    const control = proxy.app.wstunnel.balancer('app')
    control.disable(`${b!.url}/`)
    const open = [await ask(t, proxy, 'upgrade'), await ask(t, proxy, 'upgrade')]
    control.enable(`${b!.url}/`)
    await control.remove(`${a!.url}/`)
    const again = control.add({ url: a!.url })
    assert.deepEqual([again.tunnels, again.busy, again.elected], [2, 2, 2])
    assert.equal(await sequence(t, proxy, 'upgrade', 2), 'bb') // least busy stays right
    for (const { client } of open) client.destroy()
    await until(() => infoOf(proxy, 1).tunnels === 0, 'the tunnels to end')
    await control.remove(`${a!.url}/`)
    assert.equal(control.add({ url: a!.url }).elected, 0)
  })

  test('a member that is added again has the options it is added with', async (t) => {
    const ca = authority()
    const a = await startRawUpstream(t, undefined, { tls: ca.issue() })
    const proxy = await balanced(t, [{ url: a.url, tls: { ca: ca.cert } }], { retry: 0 })
    const control = proxy.app.wstunnel.balancer('app')
    const tunnel = await openTunnel(t, proxy, a)
    await control.remove(`${a.url}/`)
    control.add({ url: a.url }) // without that authority
    const upgrade = await ask(t, proxy, 'upgrade')
    assert.equal(JSON.parse(String(upgrade.body)).code, 'FST_WSTUNNEL_UPSTREAM_TLS')
    const request = await ask(t, proxy, 'request')
    assert.equal(JSON.parse(String(request.body)).code, 'FST_WSTUNNEL_UPSTREAM_TLS')
    await roundTrip(tunnel)
    assert.equal(infoOf(proxy).tunnels, 1)
  })

  test('a member\'s counters stay in those of its route when it goes', async (t) => {
    const record = recordTunnels()
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url }], {}, record.hooks)
    const control = proxy.app.wstunnel.balancer('app')
    control.add({ url: b!.url, lbSet: 1 })
    await sequence(t, proxy, 'request', 3)
    const { client } = await ask(t, proxy, 'upgrade')
    await control.remove(`${a!.url}/`)
    const shown = (): unknown[] => {
      const { tunnels, forwards, routes } = proxy.app.wstunnel.metrics()
      assert.deepEqual([tunnels.opened, forwards.status['2xx']], [routes[0]?.tunnels.opened, routes[0]?.forwards.status['2xx']])
      return [tunnels.opened, tunnels.open, forwards.status['2xx'], forwards.bytesFromUpstream, routes[0]?.upstreams.length]
    }
    assert.deepEqual(shown(), [1, 1, 3, 3, 1]) // it lives
    client.destroy()
    await record.nextOutcome()
    assert.deepEqual(shown(), [1, 0, 3, 3, 0])
    assert.deepEqual(shown(), [1, 0, 3, 3, 0])
  })

  test('a member that goes gives its connections back', async (t) => {
    const a = await named(t, 'a')
    const b = await named(t, 'b')
    const proxy = await balanced(t, [{ url: a.url }, { url: b.url, lbSet: 1 }])
    const control = proxy.app.wstunnel.balancer('app')
    const held = await begin(t, proxy, 'request')
    await sequence(t, proxy, 'request', 2)
    assert.ok(a.sockets.some(({ destroyed }) => !destroyed))
    await control.remove(`${a.url}/`)
    held.client.destroy()
    await until(() => a.requests.every(({ socket }) => socket.destroyed), 'the exchange to end')
    assert.equal(await sequence(t, proxy, 'request', 1), 'b') // whatever comes next sees to it
    await until(() => a.sockets.every(({ destroyed }) => destroyed), 'every connection to close')
  })

  test('bad input is an error, and changes nothing', async (t) => {
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url, route: 'a' }])
    const control = proxy.app.wstunnel.balancer('app')
    const before = control.members()
    const url = `${a!.url}/`
    const nobody = /^url: expected a member of balancer app, got 'ws:\/\/nobody\/' \(known: ws:\/\/127\.0\.0\.1:\d+\/\)$/
    const rows: Array<[() => unknown, string | RegExp]> = [
      [() => control.add({ url }), /^url: expected each member once/],
      [() => control.add({ url: b!.url, loadFactor: 0 }), /^loadFactor: /],
      [() => control.add({ url: b!.url, weight: 1 } as never), 'weight: unknown option, did you mean loadFactor?'],
      [() => control.add(undefined as never), "expected a member such as { url: 'ws://10.0.0.1:9080' }, got undefined"],
      [() => control.add({ url: 'http://x/' }), /^url: expected/],
      [() => control.remove('ws://nobody/'), nobody],
      [() => control.drain('ws://nobody/', { closeTunnels: '1s' }), nobody],
      [() => control.disable('ws://nobody/'), nobody],
      [() => control.enable('ws://nobody/'), nobody],
      [() => control.set('ws://nobody/', {}), nobody],
      [() => control.set(url, { status: '+Z' }), /^status: expected letters/],
      [() => control.set(url, { loadFactor: 2, max: 0 }), /^max: /],
      [() => control.set(url, { route: 'b' } as never), 'route: unknown option'],
      [() => control.drain(url, { closeTunnels: '30' as never }), "closeTunnels: expected a duration such as '30s', got '30'"],
      [() => control.remove(url, { closeTunnels: 'soon' as never }), "closeTunnels: expected a duration such as '30s', got 'soon'"]
    ]
    for (const [act, message] of rows) await assert.rejects(async () => { await act() }, { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message })
    assert.deepEqual(control.members(), before)
    assert.equal(await sequence(t, proxy, 'request', 1), 'a')
  })
})

describe('closeTunnels', () => {
  for (const how of ['drain', 'remove'] as const) {
    test(`${how}: WebSockets are told to go (1001) on both sides, then ended; others are left alone`, async (t) => {
      const record = recordTunnels()
      const [a, b] = [await startRawUpstream(t), await startRawUpstream(t)]
      const proxy = await balanced(t, [{ url: a.url }, { url: b.url }], { lbMethod: 'byrequests' }, { ...record.hooks, upgrade: ['websocket', 'tcp'] })
      const leaving = await openTunnel(t, proxy, a)
      const staying = await openTunnel(t, proxy, b)
      const plain = await openTunnel(t, proxy, a, '/', { upgrade: 'tcp', headers: { 'Sec-WebSocket-Key': undefined, 'Sec-WebSocket-Version': undefined } })
      const control = proxy.app.wstunnel.balancer('app')
      const closing = control[how](`${a.url}/`, { closeTunnels: 400 })
      for (const end of [leaving.client, leaving.upstream]) {
        await until(() => end.unread.length > 0, 'a Close frame')
        const [frame] = decodeFrames(end.unread)
        assert.deepEqual([frame?.opcode, frame?.payload.readUInt16BE(0)], [8, 1001])
      }
      await closing
      const outcomes = [await record.nextOutcome(), await record.nextOutcome()]
      assert.deepEqual(outcomes.map(({ reason, by }) => [reason, by]), [['drained', 'proxy'], ['drained', 'proxy']])
      await Promise.all([over(leaving.client), over(plain.client)])
      await roundTrip(staying)
      assert.equal(plain.client.unread.length, 0)
      assert.equal(proxy.app.wstunnel.metrics().tunnels.open, 1)
      assert.equal(control.members().length, how === 'drain' ? 2 : 1)
    })
  }

  for (const when of ['in time', 'too late']) {
    test(`an upgrade that was under way, and switches ${when}, is ended, too`, async (t) => {
      const record = recordTunnels()
      const a = await startRawUpstream(t)
      const proxy = await balanced(t, [{ url: a.url }], {}, record.hooks)
      const first = await openTunnel(t, proxy, a)
      const client = await rawClient(t, proxy.port)
      client.write(upgradeHead('/'))
      const late = await a.next()
      const head = await late.head()
      const startedAt = performance.now()
      const closing = proxy.app.wstunnel.balancer('app').remove(`${a.url}/`, { closeTunnels: 300 })
      if (when === 'too late') {
        assert.equal((await record.nextOutcome()).reason, 'drained')
        await until(() => performance.now() > startedAt + 400, 'the time to be over')
      }
      late.write(switching(head))
      assert.equal((await client.response()).status, 101)
      await closing
      if (when === 'in time') assert.equal((await record.nextOutcome()).reason, 'drained')
      assert.equal((await record.nextOutcome()).reason, 'drained')
      await Promise.all([over(client), over(first.client)])
    })
  }

  test('is over at once where there is nothing to close', async (t) => {
    const a = await named(t, 'a')
    const proxy = await balanced(t, [{ url: a.url }])
    await proxy.app.wstunnel.balancer('app').drain(`${a.url}/`, { closeTunnels: '1h' })
    assert.deepEqual(states(proxy), ['draining'])
  })
})

describe('what is told of members', () => {
  test('metrics: every field, and what has changed of it', async (t) => {
    const before = Date.now()
    const a = await named(t, 'a')
    const proxy = await balanced(t, [{ url: a.url, loadFactor: 2, route: 'a', max: 5 }, { url: await gone(), route: 'b', redirect: 'a', status: 'HI' }])
    await ask(t, proxy, 'request', { method: 'POST', body: 'four' })
    const { balancers: [app] } = proxy.app.wstunnel.metrics()
    assert.deepEqual([app?.balancer, app?.lbMethod, app?.up], ['app', 'bybusyness', 2])
    const [first, second] = app?.members ?? []
    const { since, ...rest } = first ?? assert.fail()
    assert.ok(since >= before && since <= Date.now())
    assert.deepEqual(rest, {
      url: `${a.url}/`,
      route: 'a',
      redirect: null,
      state: 'up',
      status: '',
      loadFactor: 2,
      lbSet: 0,
      max: 5,
      busy: 0,
      tunnels: 0,
      elected: 1,
      failures: 0,
      bytesFromClient: 4,
      bytesFromUpstream: 1
    })
    assert.deepEqual([second?.redirect, second?.status, second?.max], ['a', 'IH', null])
    proxy.app.wstunnel.balancer('app').disable(`${a.url}/`)
    assert.ok(infoOf(proxy).since >= since)
    JSON.stringify(app)
  })

  test('each change of a state is one line and one message', async (t) => {
    const messages: unknown[] = []
    const told = (message: unknown): void => { messages.push(message) }
    channel('fastify-wstunnel:member:state').subscribe(told)
    t.after(() => channel('fastify-wstunnel:member:state').unsubscribe(told))
    const log = recordLog()
    const url = await gone()
    let now = 0
    const proxy = await balanced(t, [{ url }, { url: await gone(), status: 'D' }], { retry: '1s', clock: () => now }, {}, { fastify: { logger: log.logger } })
    for (let i = 0; i < 3; i++) await ask(t, proxy, 'request')
    now = 1000
    infoOf(proxy)
    const control = proxy.app.wstunnel.balancer('app')
    control.disable(url)
    control.disable(url)
    control.enable(url)
    const lines = log.lines.filter(({ msg }) => msg === 'balancer member changed')
    const written = lines.map(({ level, balancer, member, from, to, err }) =>
      [level, balancer, member, from, to, (err as { code?: string } | undefined)?.code])
    assert.deepEqual(written, [
      [40, 'app', url, 'up', 'error', 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE'],
      [30, 'app', url, 'error', 'up', undefined],
      [30, 'app', url, 'up', 'disabled', undefined],
      [30, 'app', url, 'disabled', 'up', undefined]
    ])
    assert.deepEqual(
      (messages as Array<{ from: string, to: string }>).map(({ from, to }) => `${from} ${to}`),
      ['up error', 'error up', 'up disabled', 'disabled up']
    )
  })
})

test('an exchange of a removed member that fails tries the others', async (t) => {
  const a = await startRawUpstream(t)
  const b = await named(t, 'b')
  const proxy = await balanced(t, [{ url: a.url }, { url: b.url }], { lbMethod: 'byrequests' })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/'))
  const connection = await a.next()
  await connection.head()
  await proxy.app.wstunnel.balancer('app').remove(`${a.url}/`)
  connection.reset()
  assert.equal(String((await client.response()).body), 'b')
})

for (const [written, spelled] of [
  ['http://127.0.0.1:PORT', 'HTTP://127.0.0.1:PORT/'],
  ['http://127.0.0.1:PORT/a', 'http://127.1:PORT/x/../a'], ['ws://127.0.0.1:PORT/', 'ws://127.0.0.1:PORT']
] as const) {
  test(`a member at ${written} may be named as ${spelled}`, async (t) => {
    const [a] = await members(t, 1)
    const at = (url: string): string => url.replace('PORT', String(a!.port))
    const proxy = await balanced(t, [{ url: at(written) }])
    const control = proxy.app.wstunnel.balancer('app')
    const url = at(spelled)
    await control.drain(url)
    assert.deepEqual(states(proxy), ['draining'])
    control.enable(url)
    control.disable(url)
    assert.deepEqual(states(proxy), ['disabled'])
    control.enable(url)
    assert.equal(control.set(url, { loadFactor: 3 }).loadFactor, 3)
    await control.remove(url, { closeTunnels: '1s' })
    assert.deepEqual(states(proxy), [])
  })
}

test('an error that names no member lists those that there are, without credentials', async (t) => {
  const proxy = await balanced(t, [{ url: 'http://a.example/' }, { url: 'http://b.example:81/' }])
  const control = proxy.app.wstunnel.balancer('app')
  for (const change of [() => control.disable('http://u:secret@a.example/'), () => control.enable('nobody'), () => control.set('', {})]) {
    assert.throws(change, (error: Error) => /\(known: http:\/\/a\.example\/, http:\/\/b\.example:81\/\)/.test(error.message) && !/secret/.test(error.message))
  }
  assert.throws(
    () => proxy.app.wstunnel.balancer('http://u:secret@a.example/'),
    (error: Error) => error.message.includes('***@a.example') && !error.message.includes('secret')
  )
  await assert.rejects(control.remove('http://c.example/'), /got 'http:\/\/c\.example\/' \(known: http:\/\/a\.example\/, http:\/\/b\.example:81\/\)/)
})
