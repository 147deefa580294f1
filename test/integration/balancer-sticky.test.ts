import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask, balanced, gone, infoOf, kinds, members, named, sequence, states } from '../fixtures/balanced.ts'

const both = { lbMethod: 'byrequests', stickySession: 'ROUTEID|routeid' } as const

for (const kind of kinds) {
  describe(`sticky sessions, by ${kind}`, () => {
    for (const [what, options, expected] of [
      ['a cookie', { headers: { Cookie: 'a=b; ROUTEID=x.c; d=e' } }, 'cc'],
      ['a cookie as we set it', { headers: { Cookie: 'ROUTEID=.c' } }, 'cc'],
      ['several Cookie fields', { headers: { Cookie: ['a=b', 'ROUTEID=x.c'] } }, 'cc'],
      ['a parameter of the query', { path: '/?a=b&routeid=x.c' }, 'cc'],
      ['a parameter of the path', { path: '/p;routeid=x.c?a' }, 'cc'],
      ['both: the parameter', { path: '/?routeid=x.c', headers: { Cookie: 'ROUTEID=x.b' } }, 'cc'],
      ['a cookie of another name', { headers: { Cookie: 'XROUTEID=x.c; routeid=x.c' } }, 'ab'],
      ['a parameter of another name', { path: '/?xrouteid=x.c&ROUTEID=x.c' }, 'ab'],
      ['a value without a route', { headers: { Cookie: 'ROUTEID=c' } }, 'ab'],
      ['an unknown route', { headers: { Cookie: 'ROUTEID=x.z' } }, 'ab'],
      ['what follows the first separator', { headers: { Cookie: 'ROUTEID=x.y.c' } }, 'ab']
    ] as const) {
      test(`by ${what}`, async (t) => {
        const all = await members(t, 3)
        const proxy = await balanced(t, all.map(({ url }, i) => ({ url, route: 'abc'[i] as string })), both)
        assert.equal(await sequence(t, proxy, kind, 2, options as object), expected)
      })
    }

    for (const [stickySessionSep, cookie] of [['Off', 'ROUTEID=c'], ['!', 'ROUTEID=a.b!c']] as const) {
      test(`separator ${stickySessionSep}, in what is read and in what is set`, async (t) => {
        const all = await members(t, 3)
        const proxy = await balanced(t, all.map(({ url }, i) => ({ url, route: 'abc'[i] as string })), { ...both, stickySessionSep, stickyCookie: {} })
        assert.equal(await sequence(t, proxy, kind, 2, { headers: { Cookie: cookie } }), 'cc')
        const { headers } = await ask(t, proxy, kind)
        const [set = ''] = headers['set-cookie'] ?? []
        assert.equal(set.split(';')[0], stickySessionSep === 'Off' ? 'ROUTEID=a' : 'ROUTEID=!a')
        const again = await ask(t, proxy, kind, { headers: { Cookie: set.split(';')[0] as string } })
        assert.deepEqual([again.member, again.headers['set-cookie']], ['a', undefined])
      })
    }

    test('redirect: who takes the sessions of a member that is down', async (t) => {
      const [b, c, d] = await members(t, 3)
      const proxy = await balanced(t, [
        { url: await gone(), route: 'a', redirect: 'd' }, { url: b!.url, route: 'b' }, { url: c!.url, route: 'c' }, { url: d!.url, route: 'd', redirect: 'a' }
      ], both)
      assert.equal(await sequence(t, proxy, kind, 3, { headers: { Cookie: 'ROUTEID=x.a' } }), 'ccc') // the third, with its route d, is named c
      assert.equal(infoOf(proxy).elected, 1)
      proxy.app.wstunnel.balancer('app').disable(`${d!.url}/`)
      assert.match(await sequence(t, proxy, kind, 2, { headers: { Cookie: 'ROUTEID=x.a' } }), /^[ab]{2}$/) // a ring of redirects ends
    })

    test('noFailover: a session whose member is down gets 503, others are balanced', async (t) => {
      const b = await named(t, 'b')
      const proxy = await balanced(t, [{ url: await gone(), route: 'a' }, { url: b.url, route: 'b' }], { ...both, noFailover: true, clock: () => 0 })
      const bound = { headers: { Cookie: 'ROUTEID=x.a' } }
      assert.equal((await ask(t, proxy, kind, bound)).status, 503) // refused
      const refused = await ask(t, proxy, kind, bound)
      assert.deepEqual([refused.status, refused.headers['retry-after']], [503, ['60']])
      assert.deepEqual([infoOf(proxy, 0).elected, infoOf(proxy, 1).elected], [1, 0])
      assert.equal(await sequence(t, proxy, kind, 2), 'bb')
      assert.equal(await sequence(t, proxy, kind, 1, { headers: { Cookie: 'ROUTEID=x.z' } }), 'b')
    })

    test('a session whose member is down goes to another, and its cookie says so', async (t) => {
      const b = await named(t, 'b')
      const proxy = await balanced(t, [{ url: await gone(), route: 'a' }, { url: b.url, route: 'b' }], { ...both, stickyCookie: {} })
      for (let i = 0; i < 2; i++) {
        const { member, headers } = await ask(t, proxy, kind, { headers: { Cookie: 'ROUTEID=x.a' } })
        assert.deepEqual([member, headers['set-cookie']], ['b', ['ROUTEID=.b; Path=/; HttpOnly; SameSite=Lax']])
      }
      assert.deepEqual(states(proxy), ['error', 'up'])
    })

    test('our cookie, with its attributes, only where the client comes without', async (t) => {
      const a = await named(t, 'a')
      const stickyCookie = { path: '/app', domain: 'app.example', httpOnly: false, secure: true, sameSite: 'strict', maxAge: 60 } as const
      const proxy = await balanced(t, [{ url: a.url, route: 'a' }], { ...both, stickyCookie })
      assert.deepEqual((await ask(t, proxy, kind)).headers['set-cookie'], ['ROUTEID=.a; Path=/app; Domain=app.example; Max-Age=60; Secure; SameSite=Strict'])
      assert.equal((await ask(t, proxy, kind, { headers: { Cookie: 'ROUTEID=.a' } })).headers['set-cookie'], undefined)
      assert.equal((await ask(t, proxy, kind, { headers: { Cookie: 'ROUTEID=.b' } })).headers['set-cookie']?.length, 1)
    })

    test('our cookie beside those of the member, of hooks and of rewriteHeaders', async (t) => {
      const a = await named(t, 'a', { http: (_, response) => { response.writeHead(200, { 'x-member': 'a', 'set-cookie': ['one=1', 'two=2'] }).end() } })
      a.wss.on('headers', (headers) => headers.push('Set-Cookie: one=1', 'Set-Cookie: two=2'))
      const options = { ...both, stickyCookie: {} }
      const ours = 'ROUTEID=.a; Path=/; HttpOnly; SameSite=Lax'
      const list = [{ url: a.url, route: 'a' }]
      const plain = await balanced(t, list, options)
      assert.deepEqual((await ask(t, plain, kind)).headers['set-cookie']?.toSorted(), [ours, 'one=1', 'two=2'])
      const rewriting = await balanced(t, list, options, {
        rewriteHeaders: (headers) => ({ ...headers, 'set-cookie': [...[headers['set-cookie'] ?? []].flat(), 'three=3'] })
      }, { setup: (app) => app.addHook('onRequest', async (_, reply) => { reply.header('set-cookie', 'hook=0') }) })
      assert.deepEqual((await ask(t, rewriting, kind)).headers['set-cookie']?.toSorted(), [ours, 'hook=0', 'one=1', 'three=3', 'two=2'])
      const removing = await balanced(t, list, options, { rewriteHeaders: ({ 'set-cookie': _, ...rest }) => rest })
      assert.deepEqual((await ask(t, removing, kind)).headers['set-cookie'], [ours])
    })

    test('our cookie without a route of the member\'s: a short digest that finds it again', async (t) => {
      const all = await members(t, 3)
      const proxy = await balanced(t, all.map(({ url }) => ({ url })), { ...both, stickyCookie: {} })
      const { member, headers } = await ask(t, proxy, kind)
      const [cookie = ''] = headers['set-cookie'] ?? []
      assert.match(cookie, /^ROUTEID=\.[\w-]{1,8};/)
      assert.equal(await sequence(t, proxy, kind, 3, { headers: { Cookie: cookie.split(';')[0] as string } }), member?.repeat(3))
    })

    test('our cookie on a refusal of the member\'s, but on none of ours', async (t) => {
      const a = await named(t, 'a', { verifyClient: () => false })
      const proxy = await balanced(t, [{ url: a.url, route: 'a' }], { ...both, stickyCookie: {} })
      const refused = await ask(t, proxy, kind, { path: '/401' })
      assert.deepEqual([refused.status, refused.headers['set-cookie']?.length], [401, 1])
      proxy.app.wstunnel.balancer('app').disable(`${a.url}/`)
      const ours = await ask(t, proxy, kind)
      assert.deepEqual([ours.status, ours.headers['set-cookie']], [503, undefined])
    })
  })
}

test('fallbackToHttp: false relays the 101 as it comes, without our cookie', async (t) => {
  const a = await named(t, 'a')
  const proxy = await balanced(t, [{ url: a.url, route: 'a' }], { ...both, stickyCookie: {} }, { fallbackToHttp: false })
  const { status, headers } = await ask(t, proxy, 'upgrade')
  assert.deepEqual([status, headers['set-cookie']], [101, undefined])
})
