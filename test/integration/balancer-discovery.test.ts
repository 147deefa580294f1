import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { ask, balanced, kinds, named, sequence, states } from '../fixtures/balanced.ts'
import type { BalancerOptions } from '../fixtures/balanced.ts'
import { startDns } from '../fixtures/dns.ts'
import type { DnsServer } from '../fixtures/dns.ts'
import { recordLog } from '../fixtures/log.ts'
import type { Proxy, ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import { authority } from '../fixtures/tls.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { headerOf, startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, until } from '../fixtures/wait.ts'

const name = 'backend.test'
const service = '_ws._tcp.backend.test'

type DnsMembers = Exclude<BalancerOptions['members'], readonly unknown[]>

async function following (
  t: TestContext, dns: DnsServer, own: Partial<DnsMembers>, options: Partial<BalancerOptions> = {}, more: Partial<ProxyOptions> = {}, setup: ProxySetup = {}
): Promise<Proxy> {
  return await balanced(t, { dns: name, refresh: 20, servers: [dns.address], ...own }, { lbMethod: 'byrequests', ...options }, more, setup)
}

const urls = (proxy: Proxy): string[] => proxy.app.wstunnel.balancer('app').members().map(({ url }) => url)

for (const kind of kinds) {
  describe(`members by DNS, by ${kind}`, () => {
    test('A: the address is dialled, the name is the Host, the path comes first', async (t) => {
      const dns = await startDns(t)
      dns.set(name, 'A', ['127.0.0.1'])
      const a = await startRawUpstream(t, async (connection) => {
        await connection.head()
        connection.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      })
      const proxy = await following(t, dns, { port: a.port, path: '/base' })
      assert.deepEqual(urls(proxy), [`ws://127.0.0.1:${a.port}/base`]) // ready: the first lookup is over
      assert.equal((await ask(t, proxy, kind, { path: '/x?y' })).status, 404)
      const head = String(a.connections[0]?.received)
      assert.match(head, /^GET \/base\/x\?y HTTP\/1\.1\r\n/)
      assert.equal(headerOf(head, 'host'), `${name}:${a.port}`)
    })

    test('SRV: ports, weights and priorities are followed', async (t) => {
      const dns = await startDns(t)
      const [a, b, c] = [await named(t, 'a'), await named(t, 'b'), await named(t, 'c')]
      dns.set('host.test', 'A', ['127.0.0.1'])
      const record = ({ port }: { port: number }, weight: number, priority = 1): object => ({ target: 'host.test', port, weight, priority })
      const records = (...list: object[]): void => dns.set(service, 'SRV', list as never)
      records(record(a, 3), record(b, 1), record(c, 1, 2))
      const proxy = await following(t, dns, { dns: service, type: 'SRV' })
      const counts = async (): Promise<Record<string, number>> => {
        const all = await sequence(t, proxy, kind, 8)
        return Object.fromEntries(['a', 'b', 'c'].map((its) => [its, all.split(its).length - 1]))
      }
      const info = (): string[] =>
        proxy.app.wstunnel.balancer('app').members().map(({ url, loadFactor, lbSet }) => `${new URL(url).port} ${loadFactor} ${lbSet}`).sort()
      assert.deepEqual(await counts(), { a: 6, b: 2, c: 0 })
      records(record(a, 1), record(b, 1), record(c, 2))
      await until(() => info().length === 3 && info().every((text) => text.endsWith(' 0')), 'one priority')
      assert.deepEqual(await counts(), { a: 2, b: 2, c: 4 })
      records(record(c, 0))
      await until(() => info().length === 1, 'one member')
      assert.deepEqual(info(), [`${c.port} 0.1 0`])
      assert.deepEqual(await counts(), { a: 0, b: 0, c: 8 })
    })

    for (const [what, tls] of [['of the route', 'route'], ['of the members', 'member']] as const) {
      test(`TLS is verified for the name, by the tls ${what}`, async (t) => {
        const dns = await startDns(t)
        dns.set(name, 'A', ['127.0.0.1'])
        dns.set('other.test', 'A', ['127.0.0.1'])
        const ca = authority()
        const a = await named(t, 'a', { tls: ca.issue({ names: [name] }) })
        const options = { scheme: 'wss', port: a.port, ...(tls === 'member' ? { tls: { ca: ca.cert } } : {}) } as const
        const more = tls === 'route' ? { tls: { ca: ca.cert } } : {}
        const proxy = await following(t, dns, options, {}, more)
        assert.equal(await sequence(t, proxy, kind, 1), 'a')
        const other = await following(t, dns, { ...options, dns: 'other.test' }, {}, more)
        const { body } = await ask(t, other, kind)
        assert.equal(JSON.parse(String(body)).code, 'FST_WSTUNNEL_UPSTREAM_TLS')
      })
    }

    test('a name that is not found: a state in the log, once, and 503 until it is', async (t) => {
      const dns = await startDns(t)
      const log = recordLog('warn')
      const a = await named(t, 'a')
      const proxy = await following(t, dns, { port: a.port }, {}, {}, { fastify: { logger: log.logger } })
      const lookUps = async (more: number): Promise<void> => {
        const wanted = dns.queries.length + more
        await until(() => dns.queries.length >= wanted, 'lookups')
      }
      await lookUps(4)
      const { status, body } = await ask(t, proxy, kind)
      assert.deepEqual([status, JSON.parse(String(body)).code], [503, 'FST_WSTUNNEL_NO_MEMBER'])
      const lines = (): unknown[] =>
        log.lines.filter(({ msg }) => msg === 'lookup of balancer members failed').map(({ balancer, name, level }) => [balancer, name, level])
      assert.deepEqual(lines(), [['app', name, 40]])
      dns.set(name, 'A', ['127.0.0.1'])
      await until(() => urls(proxy).length === 1, 'a member')
      assert.equal(await sequence(t, proxy, kind, 1), 'a')
      dns.set(name, 'A', 'SERVFAIL')
      await lookUps(4)
      assert.equal(await sequence(t, proxy, kind, 1), 'a') // the last known set
      assert.equal(lines().length, 2)
    })
  })
}

test('what DNS has no longer gets nothing new, and keeps its tunnels', async (t) => {
  const dns = await startDns(t)
  const a = await startRawUpstream(t)
  dns.set(name, 'A', ['127.0.0.1'])
  const proxy = await following(t, dns, { port: a.port })
  const tunnel = await openTunnel(t, proxy, a)
  dns.set(name, 'A', ['127.0.0.2'])
  await until(() => urls(proxy)[0]?.includes('127.0.0.2') === true, 'the other member')
  assert.equal((await ask(t, proxy, 'upgrade')).status, 503)
  assert.equal(a.connections.length, 1)
  await roundTrip(tunnel)
  dns.set(name, 'A', ['127.0.0.1', '127.0.0.2'])
  await until(() => urls(proxy).length === 2, 'both')
  const back = proxy.app.wstunnel.balancer('app').members().find(({ url }) => url.includes('127.0.0.1'))
  assert.deepEqual([back?.tunnels, back?.elected], [1, 1])
})

test('an SRV target with another name is that name from the next connection on', async (t) => {
  const dns = await startDns(t)
  const a = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
  })
  for (const target of ['one.test', 'two.test']) dns.set(target, 'A', ['127.0.0.1'])
  dns.set(service, 'SRV', [{ target: 'one.test', port: a.port }])
  const proxy = await following(t, dns, { dns: service, type: 'SRV' })
  await ask(t, proxy, 'upgrade')
  dns.set(service, 'SRV', [{ target: 'two.test', port: a.port }])
  const before = dns.queries.length
  await until(() => dns.queries.slice(before).filter((query) => query === 'A two.test').length > 1, 'the other name')
  await ask(t, proxy, 'upgrade')
  assert.deepEqual(a.connections.map((connection) => /Host: (\w+)/.exec(String(connection.received))?.[1]), ['one', 'two'])
})

test('what is set by hand holds: a disabled member stays disabled', async (t) => {
  const dns = await startDns(t)
  dns.set(name, 'A', ['127.0.0.1'])
  const proxy = await following(t, dns, { port: 9 })
  proxy.app.wstunnel.balancer('app').disable(urls(proxy)[0] as string)
  dns.set(name, 'A', ['127.0.0.1', '127.0.0.2'])
  await until(() => urls(proxy).length === 2, 'the second')
  assert.deepEqual(states(proxy), ['disabled', 'up'])
})

describe('the first lookup', () => {
  test('is over before the server is ready', async (t) => {
    const dns = await startDns(t)
    const answer = deferred<string[]>()
    dns.set(name, 'A', answer.promise)
    let ready = false
    const starting = following(t, dns, { port: 9 }).then((proxy) => { ready = true; return proxy })
    await until(() => dns.queries.length > 0, 'the question')
    assert.equal(ready, false)
    answer.resolve(['127.0.0.1'])
    assert.equal(urls(await starting).length, 1)
  })

  test('that goes unanswered does not keep the server from starting, nor from closing', async (t) => {
    const servers = [await startDns(t), await startDns(t), await startDns(t)]
    for (const dns of servers) dns.set(name, 'A', 'silence')
    const startedAt = performance.now()
    const proxy = await following(t, servers[0] as DnsServer, { servers: servers.map(({ address }) => address) })
    assert.ok(performance.now() - startedAt < 9000) // Fastify gives a hook 10 s
    assert.equal((await ask(t, proxy, 'request')).status, 503)
    const closing = performance.now()
    await proxy.app.close()
    assert.ok(performance.now() - closing < 2000)
  })
})
