// Paths and targets: nobody gets out of a prefix, and nobody but the configuration says whom we dial.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { shared } from '../fixtures/shared.ts'
import { within } from '../fixtures/wait.ts'
import { answersTo, assertOurs, everywhere, get, handshake, head, headerOf, openScene, refused } from './scene.ts'
import type { Listener, Scene } from './scene.ts'

const choice = { upstream: '' as unknown }

describe('paths and targets', () => {
  const suite = shared()
  let scene: Scene
  before(async () => {
    scene = await openScene(suite, {
      options: ({ ws, http }) => ({
        routes: [
          { path: '/ws/', upstream: `${ws}/app/` },
          { path: '/bare', upstream: ws },
          { path: '/http/', upstream: `${http}/app/` },
          { path: '/raw/', upstream: `${ws}/app/`, fallbackToHttp: false },
          { path: '/chosen/', upstream: () => choice.upstream as string }
        ]
      }),
      setup: (app) => {
        app.get('/admin', async () => 'admin')
        app.get('/%61dmin2', async () => 'admin')
      }
    })
  })

  const offers = { forward: [] as string[], upgrade: handshake }

  /** The request line that the upstream saw of a GET, or the status of who refused it. */
  async function mapped (t: TestContext, listener: Listener, target: string, offer: string[]): Promise<string | number> {
    let status = 0
    const client = await listener.connect(t)
    const seen = await scene.seen(t, async () => {
      client.write(get(target, ...offer))
      const response = await client.response()
      status = response.status
    })
    client.destroy()
    assert.ok(seen.length <= 1)
    return seen.length === 0 ? status : (seen[0] as string).slice(0, (seen[0] as string).indexOf('\r\n'))
  }

  const escapes = [
    '/ws/../admin', '/ws/%2e%2e/admin', '/ws/%2E%2E%2Fadmin', '/ws/..%2fadmin', '/ws/..%5cadmin',
    '/ws/..;/admin', '/ws/..;x=1/admin', '/ws/.%2e/admin', '/ws/%2e./admin', '/ws//..//admin', '/ws/a/../../admin',
    '/ws/./admin', '/ws/%2e/admin', '/ws/..', '/ws/%2e%2e', '/ws/a/..', '/ws\\..\\admin', '/ws/..\\admin',
    '/ws/%5c..%5cadmin', '/ws/%5C%2e%2e%5Cadmin', '/ws/%00', '/ws/a%00/../b', '/ws/%zz', '/ws/%', '/ws/%2', '/ws/#x', '/ws/a#/../x'
  ]

  test('P1 a path that could leave its prefix is a 400, forward and upgrade alike, and the connection ends', async (t) => {
    await everywhere(t, scene, Object.fromEntries(escapes.map((path) => [path, path])), async (t, listener, path) => {
      // Fastify's router answers what it cannot decode, and what has not our prefix, before we are asked.
      const byRouter = /%(?![0-9a-f]{2})/i.test(path) ? 400 : path.startsWith('/ws/') ? undefined : 404
      for (const [prefix, offer] of [['/ws', []], ['/http', []], ['/ws', handshake], ['/raw', handshake]] as const) {
        if (listener.name === 'TLS' && prefix !== '/ws') continue
        const target = path.replace('/ws', prefix)
        if (byRouter === undefined && offer.length === 0) {
          await refused(t, scene, listener, get(target), 400)
          continue
        }
        const seen = await scene.seen(t, async () => {
          const { responses } = await answersTo(
            t,
            listener,
            get(target, offer.length === 0 ? 'Connection: close' : 'Connection: close, Upgrade', ...offer.slice(1))
          )
          assert.deepEqual(responses.map(({ status }) => status), [byRouter ?? 400])
        })
        assert.deepEqual(seen, [])
      }
    })
  })

  test('P2 what is no escape goes on to the byte', async (t) => {
    const verbatim: Record<string, string> = {
      '/ws/%252e%252e/admin': '/app/%252e%252e/admin',
      '/ws/...': '/app/...',
      '/ws/..a': '/app/..a',
      '/ws/a..': '/app/a..',
      '/ws/[...slug]': '/app/[...slug]',
      '/ws/a//b': '/app/a//b',
      '/ws/a%2fb': '/app/a%2fb',
      '/ws/%41?x=%2e%2e/': '/app/%41?x=%2e%2e/',
      '/ws/?/../admin': '/app/?/../admin',
      '/ws/?a\\b': '/app/?a\\b',
      '/ws/a;x=1': '/app/a;x=1',
      '/ws/~!$&\'()*+,;=:@': '/app/~!$&\'()*+,;=:@'
    }
    await everywhere(t, scene, offers, async (t, listener, offer) => {
      for (const [path, expected] of Object.entries(verbatim)) assert.equal(await mapped(t, listener, path, offer), `GET ${expected} HTTP/1.1`)
    })
  })

  test('P3 the prefix is matched as the router matches it, and what goes on is the same string', async (t) => {
    await everywhere(t, scene, offers, async (t, listener, offer) => {
      for (const path of ['/WS/a', '/wsx/a', '/ws', '/ws%2fa', '/Bare', '/barex']) assert.equal(await mapped(t, listener, path, offer), 404, path)
      assert.equal(await mapped(t, listener, '/%77s/a', offer), 'GET /app/a HTTP/1.1')
      assert.equal(await mapped(t, listener, '/%77%73/%61', offer), 'GET /app/%61 HTTP/1.1')
    })
  })

  test('P4 nothing in a target reaches the authority that is dialled, or begins a second one', async (t) => {
    await everywhere(t, scene, offers, async (t, listener, offer) => {
      for (const target of ['//evil.example/ws/a', '/\\evil.example/ws/a', '///evil/ws/a', '@evil.example/', ':80/ws/a']) {
        const got = await mapped(t, listener, target, offer)
        assert.ok(got === 400 || got === 404, `${target}: ${got}`)
      }
      for (const [target, expected] of [
        ['/bare//evil.example/x', '/evil.example/x'], ['/bare/@evil.example', '/@evil.example'],
        ['/bare/http://evil.example/', '/http://evil.example/'], ['/ws//evil.example/', '/app//evil.example/'], ['/bare?@evil', '/?@evil']
      ] as const) {
        assert.equal(await mapped(t, listener, target, offer), `GET ${expected} HTTP/1.1`)
      }
    })
    await everywhere(t, scene, {
      'absolute-form': 'http://169.254.169.254/ws/latest',
      'absolute-form of https': 'https://evil.example:8443/ws/latest'
    }, async (t, listener, target) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(get(target))
        await client.response()
      })
      // Node's router has no absolute form; where it is ours, its authority is dropped.
      for (const bytes of seen) {
        assert.deepEqual([bytes.split('\r\n')[0], headerOf(bytes, 'host')], ['GET /app/latest HTTP/1.1', `127.0.0.1:${scene.upstream.port}`])
      }
    })
  })

  test('P5 a target beyond what Node reads is a 431, and a long one passes whole', async (t) => {
    await everywhere(t, scene, offers, async (t, listener, offer) => {
      const long = `/ws/${'a'.repeat(12_000)}`
      assert.equal(await mapped(t, listener, long, offer), `GET /app/${'a'.repeat(12_000)} HTTP/1.1`)
      const seen = await scene.seen(t, async () => {
        const { responses } = await answersTo(t, listener, get(`/ws/${'a'.repeat(20_000)}`, ...offer))
        assert.deepEqual(responses.map(({ status }) => status), [431])
      })
      assert.deepEqual(seen, [])
    })
  })

  test('P6 CONNECT opens nothing, and TRACE shows nothing', async (t) => {
    await everywhere(t, scene, {
      CONNECT: head('CONNECT evil.example:443 HTTP/1.1', 'Host: evil.example:443'),
      'CONNECT to a route': head('CONNECT /ws/ HTTP/1.1', 'Host: h', ...handshake)
    }, async (t, listener, bytes) => {
      const seen = await scene.seen(t, async () => {
        const { responses } = await answersTo(t, listener, bytes)
        assert.ok(responses.every(({ status }) => status >= 400))
      })
      assert.deepEqual(seen, [])
    })
    for (const { proxy } of scene.listeners) {
      const seen = await scene.seen(t, async () => {
        const { statusCode } = await within(proxy.app.inject({ method: 'CONNECT' as 'GET', url: '/http/' }), 'an answer')
        assert.equal(statusCode, 404)
      })
      assert.deepEqual(seen, [])
    }
    await everywhere(t, scene, { TRACE: [] as string[], 'TRACE with an offer': handshake }, async (t, listener, offer) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(head('TRACE /ws/ HTTP/1.1', 'Host: h', ...offer, 'Cookie: secret=1'))
        const response = await client.response()
        assert.ok(response.status >= 400)
        assert.ok(!String(response.body).includes('secret'))
      })
      assert.deepEqual(seen, [])
    })
  })

  test('P7 an upstream function that returns what is none, or what would break a head, is a 500', async (t) => {
    await everywhere(t, scene, {
      'a path': '/etc/passwd',
      nothing: undefined,
      'an object': { toString: (): string => 'ws://evil.example/' },
      'another scheme': 'file:///etc/passwd',
      'a script': 'javascript:alert(1)',
      credentials: 'ws://user:secret@evil.example/',
      'a query': 'ws://evil.example/?x=',
      'a fragment': 'ws://evil.example/#x',
      'no host': 'ws://',
      'a space': 'ws://evil example/',
      'a unix socket with a line': 'unix:/tmp/a\r\nb|ws://x/',
      'a unix socket without a URL': 'unix:/tmp/a'
    }, async (t, listener, upstream) => {
      for (const offer of [[], handshake]) {
        choice.upstream = upstream
        const client = await listener.connect(t)
        const seen = await scene.seen(t, async () => {
          client.write(get('/chosen/', ...offer))
          assertOurs(await client.response(), 500, scene)
        })
        assert.deepEqual(seen, [])
      }
    })
    // A line in it is not a line any more once it is a URL.
    await everywhere(t, scene, { forward: [], upgrade: handshake } as Record<string, string[]>, async (t, listener, offer) => {
      choice.upstream = `ws://127.0.0.1:${scene.upstream.port}/a\r\nX-Evil: 1`
      const got = await mapped(t, listener, '/chosen/b', offer)
      assert.equal(got, 'GET /aX-Evil:%201b HTTP/1.1')
    })
  })

  test('P8 two upstreams whose parts are alike when written together are two', async (t) => {
    await everywhere(t, scene, offers, async (t, listener, offer) => {
      const base = `ws://127.0.0.1:${scene.upstream.port}`
      for (const [upstream, path, expected] of [[`${base}/a/`, 'b/x', '/a/b/x'], [`${base}/a/b/`, 'x', '/a/b/x'], [`${base}/ab/`, '/x', '/ab//x']] as const) {
        choice.upstream = upstream
        assert.equal(await mapped(t, listener, `/chosen/${path}`, offer), `GET ${expected} HTTP/1.1`)
      }
    })
  })

  test('P9 no input makes a check slow', async (t) => {
    const hostile: Record<string, string> = {
      'dot segments': get(`/ws/${'a/../'.repeat(2500)}`),
      escapes: get(`/ws/${'%2e'.repeat(4000)}`),
      semicolons: get(`/ws/${'..;'.repeat(4000)}`),
      slashes: get(`/ws/${'/'.repeat(12_000)}`),
      commas: get('/ws/', `Connection: Upgrade${','.repeat(12_000)}`, ...handshake.slice(1)),
      spaces: get('/ws/', `Upgrade: websocket${' ,'.repeat(6000)}`, 'Connection: Upgrade'),
      'a Host of colons': get('/ws/').replace('front.example', ':'.repeat(12_000)),
      'a Host of brackets': get('/ws/').replace('front.example', '[::'.repeat(4000)),
      'a key of letters': get('/ws/', 'Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Key: ${'A'.repeat(12_000)}`, 'Sec-WebSocket-Version: 13'),
      names: get('/ws/', `Connection: ${Array.from({ length: 2000 }, (_, i) => `n${i}`).join(',')}`, ...Array.from({ length: 400 }, (_, i) => `n${i}:`)),
      'a chain of proxies': get('/ws/', `X-Forwarded-For: ${'1.1.1.1,'.repeat(1500)}`)
    }
    await everywhere(t, scene, hostile, async (t, listener, bytes) => {
      const client = await listener.connect(t)
      const startedAt = process.cpuUsage()
      client.write(bytes)
      await within(client.response(), 'an answer', 10_000)
      const { user } = process.cpuUsage(startedAt)
      client.destroy()
      assert.ok(user < 2_000_000, `${user} µs`) // some ten thousand times what a request takes
    })
  })

  test('P10 where the root is proxied, a target that begins with two slashes is a 400', async (t) => {
    const rooted = await openScene(t, { options: ({ ws }) => ({ upstream: ws }) })
    await everywhere(t, rooted, {
      'an authority': '//evil.example/x',
      'two slashes alone': '//',
      'an escape behind them': '//%2e%2e/x',
      'a backslash': '/\\evil.example/x'
    }, async (t, listener, target) => {
      for (const offer of [[], handshake]) {
        await refused(t, rooted, listener, get(target, ...(offer.length === 0 ? [] : ['Connection: close, Upgrade', ...offer.slice(1)])), 400)
      }
    })
  })
})
