import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask, balanced, begin, handClock, infoOf, kinds, members, named, sequence, states } from '../fixtures/balanced.ts'
import wstunnel from '../../lib/index.ts'
import { recordLog } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { until } from '../fixtures/wait.ts'

for (const kind of kinds) {
  describe(`policies, by ${kind}`, () => {
    test('byrequests: in turn, by load factor', async (t) => {
      const [a, b, c] = await members(t, 3)
      const proxy = await balanced(t, [{ url: a!.url, loadFactor: 3 }, { url: b!.url }, { url: c!.url }], { lbMethod: 'byrequests' })
      assert.equal(await sequence(t, proxy, kind, 10), 'abacaabaca')
      assert.deepEqual(proxy.app.wstunnel.balancer('app').members().map(({ elected }) => elected), [6, 2, 2])
    })

    test('random: the less busy of two that chance has drawn', async (t) => {
      const [a, b] = await members(t, 2)
      const drawn = [0.1, 0.5, 0.9, 0.5]
      const proxy = await balanced(t, [{ url: a!.url }, { url: b!.url }], { lbMethod: 'random', random: () => drawn.shift() ?? 0.1 })
      assert.equal(await sequence(t, proxy, kind, 2), 'ab')
      assert.deepEqual(drawn, [])
    })

    test('a function', async (t) => {
      const [a, b] = await members(t, 2)
      const seen: unknown[] = []
      const proxy = await balanced(t, [{ url: a!.url, route: 'first' }, { url: b!.url, loadFactor: 2 }], {
        hashBy: 'header:x-tenant',
        lbMethod: (candidates, context) => {
          seen.push(candidates.map(({ url, route, weight, busy, traffic }) => ({ url, route, weight, busy, traffic })), context.key())
          return candidates.find(({ route }) => route === undefined) ?? assert.fail()
        }
      })
      assert.equal(await sequence(t, proxy, kind, 1, { headers: { 'X-Tenant': 'acme' } }), 'b')
      assert.deepEqual(seen, [[
        { url: `${a!.url}/`, route: 'first', weight: 1, busy: 0, traffic: 0 },
        { url: `${b!.url}/`, route: undefined, weight: 2, busy: 0, traffic: 0 }
      ], 'acme'])
    })

    for (const [what, lbMethod] of [
      ['returns nothing', () => undefined],
      ['returns a copy', ([first]: readonly object[]) => ({ ...first })],
      ['throws', () => { throw new Error('10.0.0.1 is on fire') }],
      ['is async', async () => { throw new Error('late') }],
      ['throws no Error', () => { throw 'fire' }] // eslint-disable-line no-throw-literal
    ] as const) {
      test(`a function that ${what}: 500, and the server goes on`, async (t) => {
        const [a] = await members(t, 1)
        let broken = true
        const proxy = await balanced(t, [{ url: a!.url }], { lbMethod: (candidates) => broken ? lbMethod(candidates) as never : candidates[0] as never })
        const { status } = await ask(t, proxy, kind)
        assert.equal(status, 500)
        assert.deepEqual([infoOf(proxy).elected, infoOf(proxy).busy], [0, 0])
        broken = false
        assert.equal(await sequence(t, proxy, kind, 1), 'a')
      })
    }

    test('hash: the same key, the same member; without a key by the client', async (t) => {
      const all = await members(t, 4)
      const rows = {
        'header:x-user': (key: string) => ({ headers: { 'X-User': key } }),
        'cookie:user': (key: string) => ({ headers: { Cookie: `other=1; user=${key}` } }),
        'query:user': (key: string) => ({ path: `/?user=${key}` })
      }
      for (const [hashBy, by] of Object.entries(rows)) {
        const proxy = await balanced(t, all.map(({ url }) => ({ url })), { lbMethod: 'hash', hashBy }, {}, { fastify: { trustProxy: true } })
        const found = new Set<string>()
        for (const key of ['ann', 'bob', 'cid', 'dan', 'eve', 'fay', 'gus', 'hal']) {
          const three = await sequence(t, proxy, kind, 3, by(key))
          assert.match(three, /^([a-d])\1\1$/, `${hashBy} ${key}`)
          found.add(three.charAt(0))
        }
        assert.ok(found.size > 1, hashBy)
        const keyless = new Set<string>()
        for (let i = 1; i < 17; i++) {
          const headers = { 'X-Forwarded-For': `192.0.2.${i}` }
          const twice = await sequence(t, proxy, kind, 2, { headers })
          assert.match(twice, /^([a-d])\1$/)
          keyless.add(twice.charAt(0))
        }
        assert.ok(keyless.size > 1, `requests without ${hashBy} all went to ${[...keyless].join()}`)
      }
    })
  })

  describe(`members, by ${kind}`, () => {
    test('lbSet: lower sets first', async (t) => {
      const [a, b, c] = await members(t, 3)
      const proxy = await balanced(t, [{ url: a!.url, lbSet: 2 }, { url: b!.url, lbSet: 1 }, { url: c!.url, lbSet: 1 }], { lbMethod: 'byrequests' })
      assert.equal(await sequence(t, proxy, kind, 4), 'bcbc')
      const control = proxy.app.wstunnel.balancer('app')
      control.disable(`${b!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'cc')
      control.disable(`${c!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
      control.enable(`${b!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'bb')
    })

    for (const [letter, state] of [['D', 'disabled'], ['S', 'stopped']] as const) {
      test(`+${letter}: never chosen, 503 where there is nobody else`, async (t) => {
        const [a, b] = await members(t, 2)
        const proxy = await balanced(t, [{ url: a!.url, status: `+${letter}`, route: 'a' }, { url: b!.url }], { lbMethod: 'byrequests', stickySession: 'S' })
        assert.equal(await sequence(t, proxy, kind, 3, { headers: { Cookie: 'S=x.a' } }), 'bbb')
        assert.deepEqual(states(proxy), [state, 'up'])
        proxy.app.wstunnel.balancer('app').set(`${b!.url}/`, { status: `+${letter}` })
        const { status, headers, body } = await ask(t, proxy, kind)
        assert.deepEqual([status, headers['retry-after']], [503, ['5']])
        assert.equal(JSON.parse(String(body)).code, 'FST_WSTUNNEL_NO_MEMBER')
      })
    }

    test('+H: only where nobody else of the set is usable', async (t) => {
      const [a, b, c] = await members(t, 3)
      const proxy = await balanced(t, [{ url: a!.url, status: '+H' }, { url: b!.url }, { url: c!.url, lbSet: 1 }], { lbMethod: 'byrequests' })
      assert.equal(await sequence(t, proxy, kind, 3), 'bbb')
      proxy.app.wstunnel.balancer('app').disable(`${b!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
      proxy.app.wstunnel.balancer('app').disable(`${a!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 2), 'cc')
    })

    test('+R: stands in for the unusable of its set, one for one', async (t) => {
      const [a, b, c, d] = await members(t, 4)
      const proxy = await balanced(
        t,
        [{ url: a!.url }, { url: b!.url }, { url: c!.url, status: 'R' }, { url: d!.url, status: 'R' }],
        { lbMethod: 'byrequests' }
      )
      assert.equal(await sequence(t, proxy, kind, 4), 'abab')
      const control = proxy.app.wstunnel.balancer('app')
      control.disable(`${a!.url}/`)
      assert.deepEqual([...new Set(await sequence(t, proxy, kind, 6))].sort(), ['b', 'c'])
      control.disable(`${b!.url}/`)
      assert.deepEqual([...new Set(await sequence(t, proxy, kind, 6))].sort(), ['c', 'd'])
      control.enable(`${a!.url}/`)
      control.enable(`${b!.url}/`)
      assert.deepEqual([...new Set(await sequence(t, proxy, kind, 6))].sort(), ['a', 'b'])
    })

    test('+N: only for sessions that name its route', async (t) => {
      const [a, b] = await members(t, 2)
      const proxy = await balanced(t, [{ url: a!.url, status: 'N', route: 'a' }, { url: b!.url, route: 'b' }], { lbMethod: 'byrequests', stickySession: 'S' })
      assert.deepEqual(states(proxy), ['draining', 'up'])
      assert.equal(await sequence(t, proxy, kind, 3), 'bbb')
      assert.equal(await sequence(t, proxy, kind, 3, { headers: { Cookie: 'S=x.a' } }), 'aaa')
      assert.equal(proxy.app.wstunnel.metrics().balancers[0]?.up, 1)
    })

    test('max: passed over while it has so many exchanges; 503 where all have', async (t) => {
      const [a, b] = await members(t, 2)
      const proxy = await balanced(t, [{ url: a!.url, max: 2, loadFactor: 9 }, { url: b!.url, max: 1 }], { lbMethod: 'byrequests' })
      const open = []
      for (let i = 0; i < 3; i++) open.push(await begin(t, proxy, kind))
      assert.deepEqual(open.map(({ member }) => member), ['a', 'a', 'b'])
      const full = await ask(t, proxy, kind)
      assert.deepEqual([full.status, full.headers['retry-after']], [503, ['5']])
      open[0]!.client.destroy()
      await until(() => infoOf(proxy).busy === 1, 'a place')
      assert.equal((await begin(t, proxy, kind)).member, 'a')
    })

    test('the path: the member\'s, the balancer\'s, the request\'s, with one slash between', async (t) => {
      const seen: string[] = []
      const a = await named(t, 'a', { http: (request, response) => { seen.push(request.url as string); response.end() } })
      a.wss.on('connection', (_, request) => seen.push(request.url as string))
      const routes = ['/p/', '/q', '/r/'].map((path, i) => ({ path, upstream: ['balancer://app/', 'balancer://app', 'balancer://app/deep/'][i] as string }))
      for (const base of ['', '/', '/base1', '/base2/']) {
        const proxy = await startProxy(t, { balancers: { app: { members: [{ url: a.url + base }] } }, routes })
        for (const path of ['/p/', '/p/a', '/p/a?b=%2f', '/q', '/q/a', '/r/', '/r/a']) await ask(t, proxy, kind, { path })
        const below = base.replace(/\/$/, '')
        assert.deepEqual(seen.splice(0), [
          `${below}/`, `${below}/a`, `${below}/a?b=%2f`, `${below}/`, `${below}/a`, `${below}/deep/`, `${below}/deep/a`
        ])
      }
    })

    test('slowStart: who comes back begins with a tenth of its share', async (t) => {
      const [a, b] = await members(t, 2)
      const hand = handClock()
      const proxy = await balanced(t, [{ url: a!.url }, { url: b!.url }], { lbMethod: 'byrequests', slowStart: '10s', clock: hand.clock })
      assert.equal(await sequence(t, proxy, kind, 4), 'abab') // nobody has just come
      const control = proxy.app.wstunnel.balancer('app')
      control.disable(`${b!.url}/`)
      control.enable(`${b!.url}/`)
      const count = (text: string): number => text.split('b').length - 1
      assert.equal(count(await sequence(t, proxy, kind, 11)), 1)
      hand.now += 5000
      assert.equal(count(await sequence(t, proxy, kind, 12)), 4)
      hand.now += 5000
      assert.equal(count(await sequence(t, proxy, kind, 12)), 6)
    })
  })
}

describe('what only tunnels have', () => {
  test('bybusyness counts them while they live, by load factor; it is the default', async (t) => {
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url, loadFactor: 2 }, { url: b!.url }])
    assert.equal(proxy.app.wstunnel.metrics().balancers[0]?.lbMethod, 'bybusyness')
    const open = []
    for (let i = 0; i < 6; i++) open.push(await ask(t, proxy, 'upgrade'))
    assert.equal(open.filter(({ member }) => member === 'a').length, 4)
    assert.deepEqual([infoOf(proxy, 0).busy, infoOf(proxy, 0).tunnels, infoOf(proxy, 1).tunnels], [4, 4, 2])
    for (const { member, client } of open) if (member === 'b') client.destroy()
    await until(() => infoOf(proxy, 1).busy === 0, 'the tunnels to end')
    assert.equal(await sequence(t, proxy, 'request', 3), 'bbb')
    assert.equal(await sequence(t, proxy, 'upgrade', 2), 'bb')
  })

  test('bytraffic counts the bytes of those that live', async (t) => {
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url }, { url: b!.url }], { lbMethod: 'bytraffic' })
    const { client, member } = await ask(t, proxy, 'upgrade')
    assert.equal(member, 'a')
    client.write(Buffer.concat([Buffer.from([0x82, 0xfe, 0x40, 0x00, 0, 0, 0, 0]), Buffer.alloc(0x4000)])) // comes back as an echo
    await client.waitFor((bytes) => bytes.length > 0x4000)
    await until(() => infoOf(proxy).bytesFromUpstream === 0x4004, 'the echo to be counted')
    assert.equal(await sequence(t, proxy, 'upgrade', 3), 'bbb')
    assert.deepEqual([infoOf(proxy).bytesFromClient, infoOf(proxy).bytesFromUpstream], [0x4008, 0x4004])
  })

  test('bytraffic: who comes back does not make up for what it missed', async (t) => {
    const [a, b] = await members(t, 2)
    const proxy = await balanced(t, [{ url: a!.url }, { url: b!.url }], { lbMethod: 'bytraffic' })
    const control = proxy.app.wstunnel.balancer('app')
    control.disable(`${b!.url}/`)
    assert.equal(await sequence(t, proxy, 'request', 6), 'aaaaaa')
    control.enable(`${b!.url}/`)
    assert.match(await sequence(t, proxy, 'request', 4), /^(ab|ba){2}$/)
  })
})

describe('registration', () => {
  test('a balancer that no route uses is a warning; a function may name any', async (t) => {
    const log = recordLog('warn')
    const [a] = await members(t, 1)
    const used = { members: [{ url: a!.url }] }
    const proxy = await startProxy(t, { balancers: { app: used, spare: used }, upstream: 'balancer://app/' }, { fastify: { logger: log.logger } })
    assert.deepEqual(log.lines.map(({ msg }) => msg), ['balancer spare is used by no route'])
    assert.equal(await sequence(t, proxy, 'request', 1), 'a')

    const byFunction = recordLog('warn')
    const other = await startProxy(t, {
      balancers: { app: used },
      upstream: (request) => request.headers['x-to'] === undefined ? 'balancer://app/' : 'balancer://nope/'
    }, { fastify: { logger: byFunction.logger } })
    assert.deepEqual(byFunction.lines, [])
    for (const kind of kinds) {
      assert.equal(await sequence(t, other, kind, 1), 'a')
      assert.equal((await ask(t, other, kind, { headers: { 'X-To': 'nope' } })).status, 500)
    }
  })

  test('a name stands for the whole server, and only once', async (t) => {
    const [a] = await members(t, 1)
    const app = { members: [{ url: a!.url }] }
    const proxy = await startProxy(t, { balancers: { app } }, {
      after: (server) => server.register(async (scope) => { scope.register(wstunnel, { prefix: '/deep', upstream: 'balancer://app/' }) })
    })
    assert.equal(await sequence(t, proxy, 'upgrade', 1, { path: '/deep/x' }), 'a')
    await assert.rejects(startProxy(t, { balancers: { app }, upstream: 'balancer://app/' }, {
      after: (server) => server.register(wstunnel, { prefix: '/b', balancers: { app } })
    }), {
      code: 'FST_WSTUNNEL_INVALID_OPTIONS',
      message: 'balancers.app: expected a name of its own on this server: an earlier registration has a balancer of this name'
    })
    assert.throws(
      () => proxy.app.wstunnel.balancer('nope'),
      { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: "name: expected a balancer, got 'nope' (known: app)" }
    )
  })
})
