import assert from 'node:assert/strict'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { describe, test, type TestContext } from 'node:test'
import { ask, balanced, gone, handClock, infoOf, kinds, members, named, scripted, sequence, states } from '../fixtures/balanced.ts'
import type { BalancerOptions, MemberOptions } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { authority } from '../fixtures/tls.ts'
import { requestBody } from '../fixtures/recorder.ts'
import { startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, event, until } from '../fixtures/wait.ts'

interface Failing {
  url: string
  /** Request heads that reached it. */
  heads: string[]
  tls?: { ca: string }
}

type Make = (t: TestContext) => Promise<Failing>

/** A member that does this with every request. */
function doing (script: (connection: Parameters<Parameters<typeof scripted>[1]>[0]) => unknown): Make {
  return async (t) => {
    const heads: string[] = []
    const { url } = await scripted(t, (connection, head) => {
      heads.push(head)
      return script(connection)
    })
    return { url: `${url}/`, heads }
  }
}

const noConnection: Record<string, Make> = {
  'refuses connections': async () => ({ url: await gone(), heads: [] }),
  'has a name that is not found': async () => ({ url: 'ws://no-such-host.invalid/', heads: [] }),
  'has a unix socket that is not there': async () => ({ url: 'unix:/nonexistent/backend.sock|ws://backend/', heads: [] }),
  'has a unix socket whose path is too long': async () => ({ url: `unix:/${'x'.repeat(200)}|ws://backend/`, heads: [] }),
  'has a certificate that nobody vouches for': async (t) => {
    const { url } = await startRawUpstream(t, undefined, { tls: authority().issue() })
    return { url: `${url}/`, heads: [] }
  },
  'speaks no TLS': async (t) => {
    const { url } = await startRawUpstream(t, (connection) => connection.end('220 hello\r\n'))
    return { url: `${url.replace('ws:', 'wss:')}/`, heads: [] }
  }
}

const noAnswer: Record<string, Make> = {
  'wants a certificate that it does not get': async (t) => { // TLS 1.3 says so after the handshake
    const ca = authority()
    const { url } = await startRawUpstream(t, undefined, { tls: { ...ca.issue(), ca: ca.cert, requestCert: true, rejectUnauthorized: true } })
    return { url: `${url}/`, heads: [], tls: { ca: ca.cert } }
  },
  'closes before the first byte': doing((connection) => connection.end()),
  'resets before the first byte': doing((connection) => connection.reset())
}

const silent = doing(() => {})

/** One that fails, then a; `byrequests`, so that the first is chosen first. */
async function before (
  t: TestContext, make: Make, options: Partial<BalancerOptions> = {}, own: Partial<MemberOptions> = {}
): Promise<{ proxy: Proxy, failing: Failing }> {
  const failing = await make(t)
  const a = await named(t, 'a')
  const proxy = await balanced(t, [{ url: failing.url, tls: failing.tls ?? {}, ...own }, { url: a.url }], { lbMethod: 'byrequests', ...options })
  return { proxy, failing }
}

const addresses = /127\.0\.0\.1|\.invalid|backend|:\d{4}|ECONN|ENOTFOUND/

for (const kind of kinds) {
  describe(`a member that fails, by ${kind}`, () => {
    for (const [what, make] of Object.entries({ ...noConnection, ...noAnswer })) {
      test(`${what}: the next one answers, and it is left out`, async (t) => {
        const { proxy, failing } = await before(t, make)
        assert.equal(await sequence(t, proxy, kind, 3), 'aaa')
        assert.deepEqual(states(proxy), ['error', 'up'])
        const { elected, failures, busy } = infoOf(proxy)
        assert.deepEqual([elected, failures, busy], [1, 1, 0])
        assert.ok(failing.heads.length <= 1)
      })

      test(`${what}, and so do all: its error, without an address, then 503 at once`, async (t) => {
        const failing = await make(t)
        const proxy = await balanced(t, [{ url: failing.url, tls: failing.tls ?? {} }], { retry: '42s', clock: () => 0 })
        const first = await ask(t, proxy, kind)
        assert.ok(first.status >= 502 && first.status <= 504, first.rawHead)
        const second = await ask(t, proxy, kind)
        assert.deepEqual([second.status, second.headers['retry-after']], [503, ['42']])
        assert.equal(JSON.parse(String(second.body)).code, 'FST_WSTUNNEL_NO_MEMBER')
        for (const response of [first, second]) assert.doesNotMatch(response.rawHead + String(response.body), addresses)
        assert.equal(infoOf(proxy).elected, 1)
      })
    }

    for (const failOnTimeout of [false, true]) {
      test(`is silent, with failOnTimeout ${failOnTimeout}: the next one answers, ${failOnTimeout ? 'and it is left out' : 'and it stays in'}`, async (t) => {
        const { proxy, failing } = await before(t, silent, { failOnTimeout }, { timeout: 100, handshakeTimeout: 100 })
        assert.equal(await sequence(t, proxy, kind, 1), 'a')
        assert.equal(failing.heads.length, 1)
        assert.deepEqual(states(proxy), [failOnTimeout ? 'error' : 'up', 'up'])
        assert.equal(infoOf(proxy).failures, 1)
      })
    }

    test('answers what is no HTTP: a 502, not sent again, and it stays in', async (t) => {
      const { proxy } = await before(t, doing((connection) => connection.end('220 smtp.example ESMTP\r\n\r\n')))
      assert.equal((await ask(t, proxy, kind)).status, 502)
      assert.deepEqual(states(proxy), ['up', 'up'])
      assert.equal(infoOf(proxy).failures, 1)
    })

    test('refuses with a response of its own: that is the answer, and no failure', async (t) => {
      const { proxy } = await before(t, doing((connection) => connection.end('HTTP/1.1 503 Busy\r\nX-Member: busy\r\nContent-Length: 0\r\n\r\n')))
      const { status, member } = await ask(t, proxy, kind)
      assert.deepEqual([status, member], [503, 'busy'])
      assert.deepEqual([infoOf(proxy).state, infoOf(proxy).failures], ['up', 0])
    })

    test('refuses with one of failOnStatus: that is the answer, and it is left out', async (t) => {
      const make = doing((connection) => connection.end('HTTP/1.1 503 Busy\r\nX-Member: busy\r\nContent-Length: 4\r\n\r\nfull'))
      const { proxy } = await before(t, make, { failOnStatus: [500, 503] })
      const { status, member, body } = await ask(t, proxy, kind)
      assert.deepEqual([status, member, String(body)], [503, 'busy', 'full'])
      assert.deepEqual([infoOf(proxy).state, infoOf(proxy).failures], ['error', 1])
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
    })

    test('+I: is never left out, and nobody else answers for it', async (t) => {
      const { proxy } = await before(t, noConnection['refuses connections'] as Make, {}, { status: 'I' })
      assert.equal(await sequence(t, proxy, kind, 4), '-a-a')
      assert.deepEqual([infoOf(proxy).state, infoOf(proxy).failures], ['up', 2])
    })

    for (const [maxAttempts, tried, answer] of [[0, 1, '-'], [1, 2, '-'], [2, 3, 'a']] as const) {
      test(`maxAttempts ${maxAttempts}: ${tried} members are tried for one exchange`, async (t) => {
        const a = await named(t, 'a')
        const proxy = await balanced(t, [{ url: await gone() }, { url: await gone() }, { url: a.url }], { lbMethod: 'byrequests', maxAttempts })
        assert.equal(await sequence(t, proxy, kind, 1), answer)
        assert.equal(proxy.app.wstunnel.balancer('app').members().reduce((sum, { elected }) => sum + elected, 0), tried)
      })
    }

    test('a set that fails leaves it to the next set, and a standby', async (t) => {
      const [a, b] = await members(t, 2)
      const proxy = await balanced(t, [{ url: await gone() }, { url: a!.url, status: 'H' }, { url: b!.url, lbSet: 1 }])
      assert.equal(await sequence(t, proxy, kind, 2), 'aa')
      proxy.app.wstunnel.balancer('app').disable(`${a!.url}/`)
      assert.equal(await sequence(t, proxy, kind, 1), 'b')
    })

    test('forceRecovery: all in error are tried at once, each time', async (t) => {
      const proxy = await balanced(t, [{ url: await gone() }, { url: await gone() }], { forceRecovery: true })
      for (let i = 1; i < 4; i++) {
        const { status, headers, body } = await ask(t, proxy, kind)
        assert.deepEqual([status, headers['retry-after'], JSON.parse(String(body)).code], [503, undefined, 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE'])
        assert.deepEqual([infoOf(proxy, 0).elected, infoOf(proxy, 1).elected], [i, i])
      }
    })

    test('a function that fails at the second choice: 500, and the server goes on', async (t) => {
      const a = await named(t, 'a')
      let broken = true
      const proxy = await balanced(t, [{ url: await gone() }, { url: a.url }], {
        lbMethod: ([first, ...rest]) => {
          if (broken && rest.length === 0) throw new Error('nobody left')
          return first as NonNullable<typeof first>
        }
      })
      assert.equal((await ask(t, proxy, kind)).status, 500)
      broken = false
      assert.equal(await sequence(t, proxy, kind, 1), 'a')
      assert.equal(proxy.app.wstunnel.balancer('app').members().reduce((sum, { busy }) => sum + busy, 0), kind === 'upgrade' ? 1 : 0)
    })

    test('comes back after retry, which doubles with each failure in a row up to eight times', async (t) => {
      const hand = handClock()
      const proxy = await balanced(t, [{ url: await gone() }], { retry: '10s', clock: hand.clock })
      const failures: number[] = []
      for (const seconds of [10, 20, 40, 80, 80]) {
        assert.equal((await ask(t, proxy, kind)).headers['retry-after'], undefined)
        const { headers } = await ask(t, proxy, kind)
        assert.deepEqual(headers['retry-after'], [String(seconds)])
        hand.now += seconds * 1000 - 1
        assert.deepEqual((await ask(t, proxy, kind)).headers['retry-after'], ['1'])
        assert.equal(infoOf(proxy).state, 'error')
        hand.now += 1
        assert.equal(infoOf(proxy).state, 'up')
        failures.push(infoOf(proxy).failures)
      }
      assert.deepEqual(failures, [1, 2, 3, 4, 5])
    })

    test('a success begins the growth anew', async (t) => {
      const hand = handClock()
      let well = false
      const make = doing((connection) => well
        ? connection.end('HTTP/1.1 200 OK\r\nX-Member: b\r\nContent-Length: 0\r\n\r\n')
        : connection.end())
      const { url } = await make(t)
      const proxy = await balanced(t, [{ url }], { retry: '10s', clock: hand.clock })
      const wait = async (): Promise<unknown> => (await ask(t, proxy, kind)).headers['retry-after']?.[0]
      assert.deepEqual([await wait(), await wait()], [undefined, '10'])
      hand.now += 10_000
      assert.deepEqual([await wait(), await wait()], [undefined, '20'])
      hand.now += 20_000
      well = true
      assert.equal(await sequence(t, proxy, kind, 1), 'b')
      well = false
      assert.deepEqual([await wait(), await wait()], [undefined, '10'])
    })

    test('many exchanges that fail together are one failure', async (t) => {
      const held: Array<() => void> = []
      const { url } = await scripted(t, (connection) => { held.push(() => connection.reset()) })
      const proxy = await balanced(t, [{ url }], { retry: '10s', clock: () => 0 })
      const all = [1, 2, 3, 4, 5].map(() => ask(t, proxy, kind))
      await until(() => held.length === 5, 'five exchanges at the member')
      for (const reset of held) reset()
      for (const { status } of await Promise.all(all)) assert.equal(status, 502)
      assert.equal(infoOf(proxy).failures, 5)
      assert.deepEqual((await ask(t, proxy, kind)).headers['retry-after'], ['10'])
    })

    test('Retry-After is that of the first to come back, of those that may', async (t) => {
      const hand = handClock()
      const proxy = await balanced(t, [{ url: await gone() }, { url: await gone() }], { retry: '10s', clock: hand.clock, maxAttempts: 0 })
      await ask(t, proxy, kind)
      hand.now += 2500
      await ask(t, proxy, kind)
      assert.deepEqual((await ask(t, proxy, kind)).headers['retry-after'], ['8'])
      const control = proxy.app.wstunnel.balancer('app')
      control.disable(infoOf(proxy).url) // it is in error still, but will not be tried when that is over
      assert.deepEqual((await ask(t, proxy, kind)).headers['retry-after'], ['10'])
    })

    test('a client that leaves is no failure of the member\'s', async (t) => {
      const reached = deferred()
      const { url } = await scripted(t, () => { reached.resolve() })
      const a = await named(t, 'a')
      const proxy = await balanced(t, [{ url }, { url: a.url }], { lbMethod: 'byrequests' })
      const client = await rawClient(t, proxy.port)
      client.write(kind === 'upgrade' ? upgradeHead('/') : requestHead('GET', '/'))
      await reached.promise
      client.destroy()
      await until(() => infoOf(proxy).busy === 0, 'the exchange to end')
      assert.deepEqual([infoOf(proxy).failures, infoOf(proxy).state, infoOf(proxy, 1).elected], [0, 'up', 0])
    })
  })
}

describe('what may be sent again', () => {
  const body = 'kept for whoever takes it'

  for (const [what, make] of Object.entries(noConnection)) {
    test(`a POST to one that ${what}: whole, once`, async (t) => {
      const bodies: string[] = []
      const b = await scripted(t, async (connection, head) => {
        const start = connection.received.length - connection.unread.length
        await requestBody(connection, head)
        bodies.push(connection.received.toString('latin1', start))
        connection.end('HTTP/1.1 200 OK\r\nX-Member: b\r\nContent-Length: 0\r\n\r\n')
      })
      const { url } = await make(t)
      const proxy = await balanced(t, [{ url }, { url: b.url }], { lbMethod: 'byrequests' })
      assert.equal(await sequence(t, proxy, 'request', 1, { method: 'POST', body }), 'b')
      assert.equal(bodies.length, 1)
      assert.ok(bodies[0]?.includes(body))
    })
  }

  for (const [method, again, its] of [
    ['GET', true, undefined], ['HEAD', true, undefined], ['OPTIONS', true, undefined], ['DELETE', true, undefined],
    ['PUT', false, body], ['POST', false, body], ['POST', false, undefined], ['PATCH', false, body], ['GET', false, body]
  ] as const) {
    test(`a ${method} ${its === undefined ? 'without' : 'with'} a body that the first one has got: ${again ? 'again' : 'never'}`, async (t) => {
      const { proxy, failing } = await before(t, noAnswer['closes before the first byte'] as Make)
      const { status, member } = await ask(t, proxy, 'request', { method, ...(its === undefined ? {} : { body: its }) })
      assert.deepEqual([status, member], again ? [200, 'a'] : [502, undefined])
      assert.equal(failing.heads.length, 1)
      assert.equal(infoOf(proxy, 1).elected, again ? 1 : 0)
      assert.deepEqual(states(proxy), ['error', 'up'])
    })
  }

  test('nothing once a response has begun, be it a hint', async (t) => {
    const { proxy } = await before(t, doing((connection) => connection.end('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n')))
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/'))
    assert.equal((await client.response()).status, 103)
    assert.equal((await client.response()).status, 502)
    assert.equal(infoOf(proxy, 1).elected, 0)
  })

  test('a GET whose hint was none that can be sent on: again', async (t) => {
    const { proxy } = await before(t, doing((connection) => connection.end('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; non sense\r\n\r\n')))
    const { status, member } = await ask(t, proxy, 'request')
    assert.deepEqual([status, member], [200, 'a'])
  })

  test('a GET over HTTP/2, for which Node sends no 102: again', async (t) => {
    const { url } = await doing((connection) => connection.end('HTTP/1.1 102 Processing\r\n\r\n'))(t)
    const a = await named(t, 'a')
    const proxy = await balanced(t, [{ url }, { url: a.url }], { lbMethod: 'byrequests' }, {}, { fastify: { http2: true } as object })
    const session = connectHttp2(proxy.url)
    cleanup(t, 'connections', () => session.destroy())
    const request = session.request({ ':path': '/' })
    const [headers] = await event<[IncomingHttpHeaders]>(request, 'response')
    assert.deepEqual([headers[':status'], headers['x-member']], [200, 'a'])
  })

  test('nothing once a response has begun: it is cut short', async (t) => {
    const { proxy } = await before(t, doing((connection) => connection.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')))
    const client = await rawClient(t, proxy.port)
    client.write(requestHead('GET', '/'))
    await over(client)
    assert.match(String(client.received), /half$/)
    assert.equal(infoOf(proxy, 1).elected, 0)
    assert.deepEqual(states(proxy), ['up', 'up'])
  })
})

describe('a connection kept alive', () => {
  /** Answers the first request of each connection, and ends at the second. */
  const aging = async (t: TestContext): Promise<Failing> => {
    const seen = new Map<unknown, number>()
    const heads: string[] = []
    const { url } = await scripted(t, (connection, head) => {
      heads.push(head)
      seen.set(connection, (seen.get(connection) ?? 0) + 1)
      if (seen.get(connection) === 2) connection.reset()
      else connection.write('HTTP/1.1 200 OK\r\nX-Member: b\r\nContent-Length: 0\r\n\r\n')
    })
    return { url: `${url}/`, heads }
  }

  // RFC 9112, 9.3.1: an idempotent request is sent once more to the same member, on a connection of its own.
  for (const [method, then, times, failures] of [['GET', 200, 3, 0], ['POST', 502, 2, 1]] as const) {
    test(`that ends under its second request: a ${method} is ${then}, and the member not blamed`, async (t) => {
      const { url, heads } = await aging(t)
      const a = await named(t, 'a')
      const proxy = await balanced(t, [{ url }, { url: a.url, lbSet: 1 }])
      assert.equal(await sequence(t, proxy, 'request', 1), 'b')
      assert.equal((await ask(t, proxy, 'request', { method })).status, then)
      assert.equal(heads.length, times)
      assert.deepEqual([infoOf(proxy).state, infoOf(proxy).failures], ['up', failures])
      assert.equal(await sequence(t, proxy, 'request', 1), 'b')
    })
  }
})

test('an upgrade keeps what its client has sent early for the member that takes it', async (t) => {
  const { url } = await scripted(t, (connection) => connection.end())
  const good = await startRawUpstream(t)
  const proxy = await balanced(t, [{ url }, { url: good.url }], { lbMethod: 'byrequests' })
  const client = await rawClient(t, proxy.port)
  client.write(`${upgradeHead('/')}early`)
  const connection = await good.next()
  const head = await connection.head()
  assert.equal(connection.unread.length, 0)
  connection.write(switching(head))
  assert.equal(String(await connection.read(5)), 'early')
})
