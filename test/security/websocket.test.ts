// WebSocket: whose pages may open one, and what passes untouched.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { decodeFrames, encodeFrame } from '../fixtures/frames.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { shared } from '../fixtures/shared.ts'
import { over } from '../fixtures/stage.ts'
import { headersOf, switching } from '../fixtures/upstream.ts'
import { deferred } from '../fixtures/wait.ts'
import { everywhere, get, handshake, openScene, refused } from './scene.ts'
import type { Listener, Scene } from './scene.ts'
import type { RawClient } from '../fixtures/client.ts'

describe('WebSocket', () => {
  const suite = shared()
  let scene: Scene
  before(async () => {
    scene = await openScene(suite, {
      options: ({ ws }) => ({
        routes: [
          { path: '/ws/', upstream: `${ws}/ws/` },
          { path: '/guarded/', upstream: `${ws}/guarded/`, allowedOrigins: ['https://good.example', 'http://[::1]:8080'] },
          { path: '/raw/', upstream: `${ws}/raw/`, allowedOrigins: ['https://good.example'], fallbackToHttp: false },
          { path: '/none/', upstream: `${ws}/none/`, allowedOrigins: [] }
        ]
      })
    })
  })

  /** An open tunnel through one listener. */
  async function tunnel (t: Parameters<Scene['seen']>[0], on: Scene, listener: Listener): Promise<{ client: RawClient, upstream: RawConnection }> {
    const client = await listener.connect(t)
    const opened = deferred<RawConnection>()
    on.upstream.script = (connection, request) => {
      connection.write(switching(request))
      opened.resolve(connection)
    }
    client.write(get('/ws/', ...handshake))
    const upstream = await opened.promise
    on.upstream.script = undefined
    assert.equal((await client.response()).status, 101)
    return { client, upstream }
  }

  test('W1 an Origin that is not one of the list, to the letter, is a 403, and nobody is dialled', async (t) => {
    await everywhere(t, scene, {
      'a subdomain of evil': ['Origin: https://good.example.evil.com'],
      'a suffix': ['Origin: https://evilgood.example'],
      'a subdomain': ['Origin: https://sub.good.example'],
      null: ['Origin: null'],
      'another scheme': ['Origin: http://good.example'],
      'another port': ['Origin: https://good.example:8443'],
      'a trailing dot': ['Origin: https://good.example.'],
      'a path': ['Origin: https://good.example/'],
      userinfo: ['Origin: https://good.example@evil.com'],
      'a space in front of another': ['Origin: https://good.example https://evil.com'],
      'two of them': ['Origin: https://good.example', 'Origin: https://evil.com'],
      'two good ones': ['Origin: https://good.example', 'Origin: https://good.example'],
      'an empty one': ['Origin:'],
      none: [],
      'a wildcard': ['Origin: *'],
      'bytes that look like it': ['Origin: https://g\xf6od.example']
    }, async (t, listener, origins) => {
      for (const path of ['/guarded/', '/raw/']) await refused(t, scene, listener, get(path, ...handshake, ...origins), 403)
    })
    for (const listener of scene.listeners) await refused(t, scene, listener, get('/none/', ...handshake, 'Origin: https://good.example'), 403)
  })

  test('W2 an Origin of the list may, in whatever case; without a list any may', async (t) => {
    await everywhere(t, scene, {
      exact: ['/guarded/', 'https://good.example'],
      'upper case': ['/guarded/', 'HTTPS://GOOD.example'],
      'IPv6 with a port': ['/guarded/', 'http://[::1]:8080'],
      'without a list': ['/ws/', 'null']
    } as Record<string, [string, string]>, async (t, listener, [path, origin]) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(get(path, ...handshake, `Origin: ${origin}`))
        assert.equal((await client.response()).status, 101)
      })
      assert.deepEqual(headersOf(seen[0] as string, 'origin'), [origin])
    })
  })

  test('W3 an allowedOrigins that is no list of origins is no option', async (t) => {
    for (const origin of ['good.example', 'https://good.example/path', '*', 'null', 'https://*.example/x', '/https:/', 'https://u:p@good.example']) {
      await t.test(origin, async (t) => {
        await assert.rejects(openScene(t, { options: ({ ws }) => ({ upstream: ws, allowedOrigins: [origin] }) }), { code: 'FST_WSTUNNEL_INVALID_OPTIONS' })
      })
    }
  })

  test('W4 frames that are none pass to the byte both ways, and break nothing', async (t) => {
    await everywhere(t, scene, {
      'random bytes': randomBytes(100_000),
      'a length with its highest bit set': Buffer.from('81ffffffffffffffffff00000000', 'hex'),
      'a control frame of 64 KiB': Buffer.from('88fe ffff 0000 0000'.replaceAll(' ', ''), 'hex'),
      'reserved bits and opcodes': Buffer.from('ffffffffffffffffffffffff', 'hex'),
      'an unmasked frame': encodeFrame(1, 'unmasked'),
      'half a header': Buffer.from([0x81])
    }, async (t, listener, bytes) => {
      const { client, upstream } = await tunnel(t, scene, listener)
      client.write(bytes)
      upstream.write(bytes)
      assert.deepEqual(await upstream.read(bytes.length), bytes)
      assert.deepEqual(await client.read(bytes.length), bytes)
      client.end()
      await upstream.ended
      upstream.end()
      await over(client)
    })
  })

  test('W5 on a drain a Close stands between frames, masked towards the upstream, and never in what is no WebSocket', async (t) => {
    const own = await openScene(t, { options: ({ ws }) => ({ routes: [{ path: '/ws/', upstream: `${ws}/ws/` }] }) })
    const [listener] = own.listeners as [Listener]
    const half = encodeFrame(2, 'whole frame', { masked: true })
    const good = await tunnel(t, own, listener)
    const broken = await tunnel(t, own, listener)
    const garbage = Buffer.from('ffffffffffffffffffffffffffffffff', 'hex')
    good.client.write(half.subarray(0, 7))
    await good.upstream.read(7)
    broken.client.write(garbage)
    broken.upstream.write(garbage)
    await Promise.all([broken.upstream.read(garbage.length), broken.client.read(garbage.length)])
    const draining = listener.proxy.app.wstunnel.drain({ timeout: '1s' })
    await good.client.waitFor((bytes) => decodeFrames(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)).some(({ opcode }) => opcode === 8))
    assert.equal(good.upstream.unread.length, 0, 'a Close in the middle of a frame')
    good.client.write(half.subarray(7))
    const rest = await good.upstream.waitFor((bytes) => bytes.indexOf('\r\n\r\n') + 4 + half.length + 8 <= bytes.length)
    const frames = decodeFrames(rest.subarray(rest.indexOf('\r\n\r\n') + 4))
    assert.deepEqual(
      frames.map(({ opcode, masked, payload }) => [opcode, masked, opcode === 8 ? payload.readUInt16BE(0) : String(payload)]),
      [[2, true, 'whole frame'], [8, true, 1001]]
    )
    await draining
    assert.deepEqual([broken.upstream.unread.length, broken.client.unread.length], [0, 0])
  })

  test('W6 subprotocols and extensions pass as they were offered and chosen', async (t) => {
    for (const listener of scene.listeners) {
      const client = await listener.connect(t)
      scene.upstream.script = (connection, request) => {
        connection.write(switching(request, { 'Sec-WebSocket-Protocol': 'v2', 'Sec-WebSocket-Extensions': 'permessage-deflate; x="y"' }))
      }
      let response
      const seen = await scene.seen(t, async () => {
        client.write(get(
          '/ws/',
          ...handshake,
          'Sec-WebSocket-Protocol: v1, token.abc',
          'Sec-WebSocket-Protocol: v2',
          'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-own'
        ))
        response = await client.response()
      })
      scene.upstream.script = undefined
      assert.deepEqual(
        [headersOf(seen[0] as string, 'sec-websocket-protocol'), headersOf(seen[0] as string, 'sec-websocket-extensions')],
        [['v1, token.abc', 'v2'], ['permessage-deflate; client_max_window_bits, x-own']]
      )
      const { headers } = response as unknown as { headers: Record<string, string[]> }
      assert.deepEqual([headers['sec-websocket-protocol'], headers['sec-websocket-extensions']], [['v2'], ['permessage-deflate; x="y"']])
    }
  })
})
