import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy, type Proxy, type ProxyOptions } from '../fixtures/proxy.ts'
import { closedPort, headersOf, startHttpUpstream, startRawUpstream, switching, type HttpUpstream } from '../fixtures/upstream.ts'

type BalancerOptions = NonNullable<ProxyOptions['balancers']>[string]
type MemberOptions = Extract<BalancerOptions['members'], readonly unknown[]>[number]

/** Upstreams that answer every request with their number, from 0. */
async function numbered (t: TestContext, count: number): Promise<HttpUpstream[]> {
  return await Promise.all(Array.from({ length: count }, async (_, i) => startHttpUpstream(t, (request, response) => {
    response.writeHead(request.url?.endsWith('/busy') === true ? 503 : 200, { 'content-type': 'text/plain' }).end(String(i))
  })))
}

async function balanced (t: TestContext, members: readonly MemberOptions[], options: Partial<BalancerOptions> = {}, path = '/'): Promise<Proxy> {
  return await startProxy(t, { balancers: { app: { ...options, members } }, routes: [{ upstream: `balancer://app${path}` }] })
}

async function bodies (proxy: Proxy, count: number, init: RequestInit = {}): Promise<string> {
  const all: string[] = []
  for (let i = 0; i < count; i++) all.push(await (await fetch(`${proxy.url}/x`, init)).text())
  return all.join('')
}

describe('requests over members', () => {
  test('byrequests: in turn, by load factor', async (t) => {
    const [a, b] = await numbered(t, 2) as [HttpUpstream, HttpUpstream]
    const proxy = await balanced(t, [{ url: a.wsUrl, loadFactor: 3 }, { url: b.wsUrl }], { lbMethod: 'byrequests' })
    assert.equal(await bodies(proxy, 8), '00100010')
  })

  test('a member that refuses connections is passed over, and left out from then on', async (t) => {
    const [a] = await numbered(t, 1) as [HttpUpstream]
    const gone = `ws://127.0.0.1:${await closedPort()}/`
    const proxy = await balanced(t, [{ url: gone }, { url: `${a.wsUrl}/` }], { lbMethod: 'byrequests' })
    assert.equal(await bodies(proxy, 3, { method: 'POST', body: 'kept' }), '000')
    const [first, second] = proxy.app.wstunnel.balancer('app').members()
    assert.equal(first?.state, 'error')
    assert.deepEqual([first?.elected, first?.failures, second?.elected], [1, 1, 3])
  })

  test('all down: 503 at once, with Retry-After', async (t) => {
    const gone = `ws://127.0.0.1:${await closedPort()}/`
    const proxy = await balanced(t, [{ url: gone }], { retry: '30s' })
    await (await fetch(proxy.url)).text()
    const response = await fetch(proxy.url)
    assert.equal(response.status, 503)
    assert.equal(response.headers.get('retry-after'), '30')
    assert.equal((await response.json() as { code: string }).code, 'FST_WSTUNNEL_NO_MEMBER')
  })
})

describe('upgrades over members', () => {
  test('fails over to the next member, and sets the sticky cookie on the 101', async (t) => {
    const silent = await startRawUpstream(t, (connection) => connection.end())
    const good = await startRawUpstream(t, async (connection) => connection.write(switching(await connection.head())))
    const proxy = await balanced(t, [{ url: silent.url, route: 'a' }, { url: good.url, route: 'b' }], {
      lbMethod: 'byrequests', stickySession: 'ROUTEID', stickyCookie: {}
    })
    const client = await rawClient(t, proxy.port)
    client.write(upgradeHead('/'))
    const head = await client.head()
    assert.match(head, /^HTTP\/1.1 101 /)
    assert.deepEqual(headersOf(head, 'set-cookie'), ['ROUTEID=.b; Path=/; HttpOnly; SameSite=Lax'])
    const [a, b] = proxy.app.wstunnel.balancer('app').members()
    assert.deepEqual([a?.state, a?.busy, b?.busy, b?.tunnels], ['error', 0, 1, 1])
  })
})
