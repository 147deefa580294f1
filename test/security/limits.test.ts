// Limits and timers: nothing without a bound, and nothing kept of those who have left.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { TunnelLimits } from '../../lib/lifecycle/tunnel-limits.ts'
import type { RawClient } from '../fixtures/client.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import type { RawConnection, RawResponse } from '../fixtures/raw.ts'
import { shared } from '../fixtures/shared.ts'
import { over } from '../fixtures/stage.ts'
import { recordTunnels } from '../fixtures/tunnel.ts'
import { switching } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'
import { answersTo, assertOurs, everywhere, get, handshake, head, headerOf, openScene } from './scene.ts'
import type { Listener, Scene } from './scene.ts'

const limited = (ws: string, path: string, limits: object): object => ({ path, upstream: `${ws}${path}`, limits })

describe('limits', () => {
  const suite = shared()
  const gates = new Set<TunnelLimits>()
  const { acquire } = TunnelLimits.prototype
  TunnelLimits.prototype.acquire = function (this: TunnelLimits, ...args) {
    gates.add(this)
    return acquire.apply(this, args)
  }
  after(() => { TunnelLimits.prototype.acquire = acquire })

  const record = recordTunnels()
  let scene: Scene
  let trusting: Scene
  const early = { socket: undefined as Socket | undefined }
  before(async () => {
    scene = await openScene(suite, {
      setup: (app) => {
        app.addHook('onRequest', (request, _reply, done) => {
          if (request.url === '/early/') early.socket = request.raw.socket
          done()
        })
      },
      fastify: { http: { headersTimeout: 400, requestTimeout: 400, connectionsCheckingInterval: 50 } } as object,
      options: ({ ws, http }) => ({
        ...record.hooks,
        routes: [
          limited(ws, '/all/', { maxTunnels: 2 }),
          limited(ws, '/client/', { maxTunnelsPerClient: 2 }),
          limited(ws, '/upstream/', { maxTunnelsPerUpstream: 2 }),
          { ...limited(ws, '/none/', { maxTunnels: 0 }), fallbackToHttp: false },
          limited(ws, '/early/', { earlyData: 1000 }),
          limited(ws, '/head/', { maxResponseHead: 500 }),
          { path: '/ws/', upstream: `${ws}/ws/` },
          { path: '/shake/', upstream: `${ws}/shake/`, handshakeTimeout: '300ms' },
          { path: '/rawshake/', upstream: `${ws}/shake/`, handshakeTimeout: '300ms', fallbackToHttp: false },
          { path: '/connect/', upstream: `${ws.replace('ws:', 'wss:')}/`, connectTimeout: '300ms' },
          { path: '/answer/', upstream: `${http}/answer/`, timeout: '300ms' },
          { path: '/refuse/', upstream: `${ws}/refuse/`, timeout: '300ms' },
          { path: '/half/', upstream: `${ws}/half/`, halfCloseTimeout: '300ms' },
          { path: '/idle/', upstream: `${ws}/idle/`, idleTimeout: '300ms' },
          { path: '/life/', upstream: `${ws}/life/`, maxLifetime: '300ms' },
          { path: '/stall/', upstream: `${ws}/stall/`, stallTimeout: '500ms' }
        ] as NonNullable<ProxyOptions['routes']>
      })
    })
    trusting = await openScene(suite, {
      fastify: { trustProxy: '127.0.0.1' },
      options: ({ ws }) => ({ routes: [limited(ws, '/client/', { maxTunnelsPerClient: 1 })] as NonNullable<ProxyOptions['routes']> })
    })
  })

  /** Asks for a tunnel; `client` has read the response. */
  async function ask (t: TestContext, listener: Listener, path: string, ...fields: string[]): Promise<{ client: RawClient, response: RawResponse }> {
    const client = await listener.connect(t)
    client.write(get(path, ...handshake, ...fields))
    return { client, response: await client.response() }
  }

  /** Asks, and gives the far end, too. */
  async function open (t: TestContext, listener: Listener, path: string): Promise<{ client: RawClient, upstream: RawConnection }> {
    const opened = deferred<RawConnection>()
    scene.upstream.script = (connection, request) => {
      connection.write(switching(request))
      opened.resolve(connection)
    }
    const { client, response } = await ask(t, listener, path)
    assert.equal(response.status, 101)
    const upstream = await opened.promise
    scene.upstream.script = undefined
    return { client, upstream }
  }

  async function empty (on: Scene): Promise<void> {
    await until(() => on.listeners.every(({ proxy }) => [...proxy.app.wstunnel.tunnels()].length === 0), 'all tunnels to end')
  }

  function assertLimit (response: RawResponse, status: number, on: Scene): void {
    assertOurs(response, status, on)
    assert.deepEqual(response.headers['retry-after'], ['5'])
  }

  test('L1 one tunnel too many is refused with Retry-After before anybody is dialled, and there is room again when one ends', async (t) => {
    await everywhere(t, scene, {
      'of the server': ['/all/', 503],
      'of a client': ['/client/', 429],
      'of an upstream': ['/upstream/', 503]
    } as Record<string, [string, number]>, async (t, listener, [path, status]) => {
      await empty(scene)
      const first = await ask(t, listener, path)
      const second = await ask(t, listener, path)
      assert.deepEqual([first.response.status, second.response.status], [101, 101])
      const dials = scene.upstream.connections.length
      const third = await ask(t, listener, path)
      assertLimit(third.response, status, scene)
      assert.equal(scene.upstream.connections.length, dials)
      first.client.destroy()
      await until(() => [...listener.proxy.app.wstunnel.tunnels()].length === 1, 'a tunnel to end')
      assert.equal((await ask(t, listener, path)).response.status, 101)
      assertLimit((await ask(t, listener, path)).response, status, scene)
    })
    await empty(scene)
    for (const listener of scene.listeners) assertLimit((await ask(t, listener, '/none/')).response, 503, scene)
  })

  test('L2 a handshake under way counts', async (t) => {
    for (const listener of scene.listeners) {
      await empty(scene)
      scene.upstream.script = () => {}
      const waiting = await Promise.all([listener.connect(t), listener.connect(t)])
      const before = scene.upstream.connections.length
      for (const client of waiting) client.write(get('/client/', ...handshake))
      await until(() => scene.upstream.connections.length === before + 2, 'two dials')
      assertLimit((await ask(t, listener, '/client/')).response, 429, scene)
      assert.equal(scene.upstream.connections.length, before + 2)
      scene.upstream.script = undefined
      for (const client of waiting) client.reset()
      await until(() => [...gates].every(({ counted }) => counted === 0), 'the places to be given back')
    }
  })

  test('L3 a client is what Fastify says that it is: of IPv6 its /64, and never what it says itself', async (t) => {
    await everywhere(t, trusting, {
      'one /64': ['2001:db8:1:2::1', '2001:DB8:1:2:ffff::9', 429],
      'another /64': ['2001:db8:1:2::1', '2001:db8:1:3::1', 101],
      'an IPv4 address in IPv6': ['::ffff:192.0.2.1', '192.0.2.1', 429],
      'two addresses': ['192.0.2.1', '192.0.2.2', 101],
      'a chain whose left is spoofed': ['192.0.2.1', '6.6.6.6, 192.0.2.1', 429],
      garbage: ['garbage', 'garbage', 429]
    } as Record<string, [string, string, number]>, async (t, listener, [first, second, status]) => {
      const one = await ask(t, listener, '/client/', `X-Forwarded-For: ${first}`)
      assert.equal(one.response.status, 101)
      const two = await ask(t, listener, '/client/', `X-Forwarded-For: ${second}`)
      if (status === 101) assert.equal(two.response.status, 101)
      else assertLimit(two.response, status, trusting)
      one.client.destroy()
      two.client.destroy()
      await empty(trusting)
    })
    for (const listener of scene.listeners) {
      await empty(scene)
      for (const [i, status] of [101, 101, 429].entries()) {
        const asked = await ask(t, listener, '/client/', `X-Forwarded-For: 192.0.2.${i}`, `Forwarded: for=192.0.2.${i}`, `X-Real-IP: 192.0.2.${i}`)
        assert.equal(asked.response.status, status)
        t.after(() => asked.client.destroy())
      }
      for (const tunnel of listener.proxy.app.wstunnel.tunnels()) tunnel.close()
    }
  })

  test('L4 a place is given back once, however the exchange ends, and nothing is kept of who had it', async (t) => {
    await everywhere(t, scene, {
      'the client ends': 'end',
      'the client resets': 'reset',
      'the upstream resets': 'upstream',
      'both at once': 'both',
      'it is killed': 'kill',
      'the client leaves before the answer': 'before',
      'the upstream refuses': 'refuse',
      'the upstream breaks': 'break'
    }, async (t, listener, how) => {
      await empty(scene)
      for (let i = 0; i < 3; i++) {
        if (['before', 'refuse', 'break'].includes(how)) {
          const asked = deferred<RawConnection>()
          scene.upstream.script = (connection) => asked.resolve(connection)
          const client = await listener.connect(t)
          client.write(get('/client/', ...handshake))
          const upstream = await asked.promise
          scene.upstream.script = undefined
          if (how === 'before') client.reset()
          else if (how === 'break') upstream.reset()
          else upstream.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
          if (how !== 'before') await client.response()
          await over(upstream)
        } else {
          const { client, upstream } = await open(t, listener, '/client/')
          if (how === 'end' || how === 'both') client.end()
          if (how === 'reset') client.reset()
          if (how === 'upstream') upstream.reset()
          if (how === 'both') upstream.end()
          if (how === 'kill') for (const tunnel of listener.proxy.app.wstunnel.tunnels()) { tunnel.close(); tunnel.close() }
          if (how === 'end') {
            await upstream.ended
            upstream.end()
          }
        }
        await empty(scene)
      }
      await until(() => [...gates].every(({ counted }) => counted === 0), 'the table to be empty')
      const two = [await ask(t, listener, '/client/'), await ask(t, listener, '/client/')]
      assert.deepEqual(two.map(({ response }) => response.status), [101, 101])
      assertLimit((await ask(t, listener, '/client/')).response, 429, scene)
    })
  })

  test('L5 of a hundred clients that came and went nothing is kept', async (t) => {
    const [listener] = trusting.listeners as [Listener]
    trusting.upstream.script = (connection) => { connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n') }
    for (let i = 0; i < 100; i++) {
      const client = await listener.connect(t)
      client.write(get('/client/', ...handshake, `X-Forwarded-For: 10.0.0.${i}`))
      assert.equal((await client.response()).status, 403)
    }
    trusting.upstream.script = undefined
    assert.ok(gates.size > 0)
    await until(() => [...gates].every(({ counted }) => counted === 0), 'the table to be empty')
  })

  test('L6 early bytes beyond earlyData are not read before the 101, and not lost', async (t) => {
    await everywhere(t, scene, { 'with the head': true, 'after it': false }, async (t, listener, together) => {
      const flood = Buffer.alloc(16 * 1024 * 1024)
      const first = Buffer.concat([Buffer.from(get('/early/', ...handshake)), together ? flood : Buffer.alloc(0)]) // made before the server waits for it
      const asked = deferred<{ connection: RawConnection, head: string }>()
      scene.upstream.script = (connection, head) => asked.resolve({ connection, head })
      const client = await listener.connect(t)
      client.write(first)
      const { connection, head } = await within(asked.promise, 'the upstream to be asked')
      scene.upstream.script = undefined
      if (!together) client.write(flood)
      const socket = early.socket as Socket
      await until(() => socket.isPaused(), 'the proxy to read no more')
      assert.ok(socket.bytesRead < 1024 * 1024, `${socket.bytesRead} bytes were read`)
      assert.deepEqual([client.socket.writableNeedDrain, connection.received.length], [true, head.length])
      let count = 0
      const stream = connection.takeOver()
      const done = deferred()
      stream.on('data', (chunk: Buffer) => {
        count += chunk.length
        if (count === flood.length) done.resolve()
      })
      connection.write(switching(head))
      assert.equal((await client.response()).status, 101)
      stream.resume()
      await within(done.promise, 'every early byte')
      client.destroy()
    })
  })

  test('L7 maxResponseHead bounds what an upstream may say before its body', async (t) => {
    await everywhere(t, scene, { upgrade: handshake, forward: [] }, async (t, listener, offer) => {
      scene.upstream.script = (connection, request) => {
        const answer = offer.length > 0 ? switching(request) : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
        connection.write(answer.replace('\r\n', `\r\nX: ${'x'.repeat(500)}\r\n`))
      }
      const client = await listener.connect(t)
      client.write(get('/head/', ...offer))
      assertOurs(await client.response(), 502, scene)
      scene.upstream.script = undefined
    })
  })

  test('L8 an upstream that is silent, or that trickles, is a 504 in time, and is left', async (t) => {
    await Promise.all(scene.listeners.flatMap((listener) => [
      ['/shake/', handshake, ''], ['/rawshake/', handshake, ''], ['/shake/', handshake, 'HTTP/1.1 101 Sw'],
      ['/answer/', [], ''], ['/answer/', [], 'HTTP/1.1 200 OK\r\nX: '], ['/connect/', handshake, ''], ['/connect/', [], '']
    ].map(async ([path, offer, said]) => {
      scene.upstream.script = async (connection, request) => {
        const word = headerOf(request, 'x-said') === undefined ? '' : Buffer.from(headerOf(request, 'x-said') as string, 'hex').toString()
        for (const byte of word) await new Promise((resolve) => connection.socket.write(byte, resolve))
      }
      const client = await listener.connect(t)
      client.write(get(path as string, ...offer as string[], ...(said === '' ? [] : [`X-Said: ${Buffer.from(said as string).toString('hex')}`])))
      assertOurs(await client.response(), 504, scene)
      if (offer !== handshake) {
        client.write(get('/alive'))
        assert.equal(String((await client.response()).body), 'alive')
      } else await client.ended
    })))
    scene.upstream.script = undefined
    await until(() => scene.upstream.connections.every(({ socket }) => socket.destroyed || socket.readableEnded), 'the upstream to be left')
  })

  test('L9 a refusal that stops in the middle is cut off in time', async (t) => {
    scene.upstream.script = (connection) => { connection.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno') }
    await Promise.all(scene.listeners.map(async (listener) => {
      const client = await listener.connect(t)
      client.write(get('/refuse/', ...handshake))
      await over(client)
      assert.match(String(client.received), /^HTTP\/1\.1 403 [^]*\r\n\r\nno$/)
    }))
    scene.upstream.script = undefined
  })

  test('L10 a tunnel in which nothing moves, that is half closed, or that is old, ends in time on both sides', async (t) => {
    await empty(scene)
    const seen = record.closed.length
    for (const path of ['/half/', '/idle/', '/life/']) {
      for (const listener of scene.listeners) {
        const { client, upstream } = await open(t, listener, path)
        if (path === '/half/') upstream.end()
        void Promise.all([over(client), over(upstream)])
      }
    }
    await empty(scene)
    assert.deepEqual(record.closed.slice(seen).map(({ reason }) => reason).sort(), [
      'half_close_timeout', 'half_close_timeout', 'idle_timeout', 'idle_timeout', 'max_lifetime', 'max_lifetime'
    ])
  })

  test('L11 a side that does not read is not read for, and is left after stallTimeout, though the other side goes on talking', async (t) => {
    await everywhere(t, scene, { 'the client is deaf': 'client', 'the upstream is deaf': 'upstream' }, async (t, listener, deaf) => {
      await empty(scene)
      const seen = record.closed.length
      const ends = await open(t, listener, '/stall/')
      const [silent, busy] = deaf === 'client' ? [ends.client, ends.upstream] : [ends.upstream, ends.client]
      silent.socket.pause()
      const chunk = Buffer.alloc(64 * 1024)
      const pour = (): void => {
        while (!busy.socket.destroyed && busy.socket.write(chunk)) { /* until it is full */ }
      }
      busy.socket.on('drain', pour)
      pour()
      const chatter = setInterval(() => { if (!silent.socket.destroyed) silent.write('still here') }, 20)
      await until(() => record.closed.length > seen, 'the tunnel to end')
      clearInterval(chatter)
      const outcome = record.closed.at(-1)
      assert.equal(outcome?.reason, 'stalled')
      const read = deaf === 'client' ? outcome.bytesFromUpstream : outcome.bytesFromClient
      assert.ok(read < 32 * 1024 * 1024, `${read} bytes were read`) // what the kernel takes, and little more
      ends.client.destroy()
      ends.upstream.destroy()
    })
  })

  test('L12 a request that does not come to its end is a 408, also on a connection that was given back', async (t) => {
    await everywhere(t, scene, { 'a new connection': false, 'one that was given back': true }, async (t, listener, given) => {
      const client = await listener.connect(t)
      if (given) {
        client.write(get('/alive', 'Connection: Upgrade', 'Upgrade: foo'))
        assert.equal((await client.response()).status, 200)
      }
      client.write('GET /ws/ HTTP/1.1\r\nHost: h\r\nX: ')
      assert.equal((await client.response()).status, 408)
      await over(client)
    })
  })

  test('L13 while the server drains an upgrade is a 503 with Retry-After, and nobody is dialled', async (t) => {
    const own = await openScene(t, {})
    for (const listener of own.listeners) {
      await listener.proxy.app.wstunnel.drain({ timeout: '1s' })
      const before = own.upstream.connections.length
      for (const path of ['/ws/', '/raw/']) {
        const { response } = await ask(t, listener, path)
        assertLimit(response, 503, own)
      }
      assert.equal(own.upstream.connections.length, before)
    }
  })

  test('L14 a limit that is no whole number, and a duration that is none, are no options', async (t) => {
    for (const options of [
      { limits: { maxTunnels: -1 } }, { limits: { maxTunnels: '5' } }, { limits: { earlyData: 1.5 } },
      { limits: { maxTunnel: 5 } }, { limits: { maxResponseHead: Infinity } }, { handshakeTimeout: '10' },
      { handshakeTimeout: -1 }, { idleTimeout: '1y' }, { connectTimeout: 1e12 }
    ]) {
      await t.test(JSON.stringify(options), async (t) => {
        await assert.rejects(openScene(t, { options: ({ ws }) => ({ upstream: ws, ...options } as ProxyOptions) }), { code: 'FST_WSTUNNEL_INVALID_OPTIONS' })
      })
    }
  })

  test('L15 a connection that floods requests behind a handshake gets one answer', async (t) => {
    for (const listener of scene.listeners) {
      const { responses } = await answersTo(t, listener, head('GET /none/ HTTP/1.1', 'Host: h', ...handshake) + get('/alive').repeat(1000))
      assert.deepEqual(responses.map(({ status }) => status), [503])
    }
  })
})
