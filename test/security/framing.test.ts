// Where a message ends: two readers that disagree about it can be made to see requests, or responses, that nobody sent.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { RawConnection, RawResponse } from '../fixtures/raw.ts'
import { requestBody } from '../fixtures/recorder.ts'
import { shared } from '../fixtures/shared.ts'
import { over } from '../fixtures/stage.ts'
import { headersOf } from '../fixtures/upstream.ts'
import { deferred } from '../fixtures/wait.ts'
import { answersTo, assertOurs, assertRefused, everywhere, get, handshake, head, openScene } from './scene.ts'
import type { Listener, Scene } from './scene.ts'

const smuggled = get('/http/smuggled')

describe('framing', () => {
  const suite = shared()
  let scene: Scene
  before(async () => {
    scene = await openScene(suite, {
      setup: (app) => {
        app.addHook('onRequest', async (request, reply) => {
          if (request.headers.authorization === 'none') return await reply.code(401).send({ statusCode: 401 })
        })
      }
    })
  })

  /** A request that Node's parser refuses: one answer, complete, and the connection is closed. */
  async function unparsed (t: TestContext, listener: Listener, bytes: string, status = 400): Promise<void> {
    const seen = await scene.seen(t, async () => {
      const { responses } = await answersTo(t, listener, bytes)
      assert.deepEqual(responses.map((response) => response.status), [status])
    })
    assert.deepEqual(seen, [])
  }

  const post = (fields: string[], body: string, path = '/http/'): string => head(`POST ${path} HTTP/1.1`, 'Host: h', ...fields) + body

  test('M1 a request with two framings, or with one that is ambiguous, is refused with all that follows it', async (t) => {
    await everywhere(t, scene, {
      'length and chunks': post(['Content-Length: 6', 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`),
      'chunks and length': post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `1e\r\n${smuggled}\r\n0\r\n\r\n`),
      'two lengths': post(['Content-Length: 5', `Content-Length: ${5 + smuggled.length}`], `hello${smuggled}`),
      'two equal lengths': post(['Content-Length: 5', 'Content-Length: 5'], `hello${smuggled}`),
      'two lengths on a line': post(['Content-Length: 5, 5'], `hello${smuggled}`),
      'a length with a sign': post(['Content-Length: +5'], `hello${smuggled}`),
      'a negative length': post(['Content-Length: -5'], `hello${smuggled}`),
      'a hexadecimal length': post(['Content-Length: 0x5'], `hello${smuggled}`),
      'an empty length': post(['Content-Length:'], smuggled),
      'a length beyond all numbers': post(['Content-Length: 99999999999999999999999'], smuggled),
      'two codings, chunked first': post(['Transfer-Encoding: chunked, identity'], `0\r\n\r\n${smuggled}`),
      'two lines of codings': post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `0\r\n\r\n${smuggled}`),
      'a coding that is none': post(['Transfer-Encoding: xchunked'], `0\r\n\r\n${smuggled}`),
      'a vertical tab': post(['Transfer-Encoding: \x0bchunked'], `0\r\n\r\n${smuggled}`),
      'a space before the colon': post(['Transfer-Encoding : chunked'], `0\r\n\r\n${smuggled}`)
    }, async (t, listener, bytes) => await unparsed(t, listener, bytes))
  })

  test('M2 what a lenient parser would repair is refused', async (t) => {
    await everywhere(t, scene, {
      'a bare line feed': get('/http/').replaceAll('\r\n', '\n'),
      'a bare line feed in a field': get('/http/', 'X: a\nY: b'),
      'a bare carriage return': get('/http/', 'X: a\rY: b'),
      'a NUL': get('/http/', 'X: a\0b'),
      folding: get('/http/', 'X: a\r\n b'),
      'a space before the colon': get('/http/', 'X : a'),
      'an empty name': get('/http/', ': a'),
      'a line without a colon': get('/http/', 'nonsense'),
      'a name with a space': get('/http/', 'X Y: a'),
      'a space before the first field': head('GET /http/ HTTP/1.1', ' Host: h'),
      'http in lower case': get('/http/').replace('HTTP/1.1', 'http/1.1'),
      'HTTP/1.2': get('/http/').replace('HTTP/1.1', 'HTTP/1.2'),
      'no version': 'GET /http/\r\nHost: h\r\n\r\n',
      'a control character in the target': get('/http/\x01'),
      'bytes in the target': get('/http/\xe9'),
      'a space in the target': get('/http/ x'),
      'an unknown method': get('/http/').replace('GET', 'EVIL'),
      "HTTP/2's preface": 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'a TLS hello': '\x16\x03\x01\x02\x00\x01\x00'
    }, async (t, listener, bytes) => {
      await unparsed(t, listener, bytes)
      if (bytes.startsWith('GET /http/ HTTP/1.1')) {
        await unparsed(t, listener, bytes.replace('GET /http/', 'GET /ws/').replace('\r\n\r\n', `\r\n${handshake.join('\r\n')}\r\n\r\n`))
      }
    })
  })

  test('M3 chunks that are malformed end the exchange on both sides, and nothing behind them is a request', async (t) => {
    const bodies: Record<string, string> = {
      'a size that is none': `x\r\n${smuggled}`,
      'a negative size': `-1\r\n${smuggled}`,
      'a size with 0x': `0x5\r\nhello\r\n0\r\n\r\n${smuggled}`,
      'a size beyond all numbers': `fffffffffffffffff\r\n${smuggled}`,
      'data longer than its size': `2\r\nhello\r\n0\r\n\r\n${smuggled}`,
      'a bare line feed after a size': `5\nhello\r\n0\r\n\r\n${smuggled}`,
      'a bare line feed in an extension': `5;a\nb\r\nhello\r\n0\r\n\r\n${smuggled}`,
      'extensions without end': `5;${'a'.repeat(70_000)}`
    }
    await everywhere(t, scene, bodies, async (t, listener, body) => {
      const arrived = deferred<RawConnection>()
      scene.upstream.script = (connection) => arrived.resolve(connection)
      const seen = await scene.seen(t, async () => {
        const client = await listener.connect(t)
        client.write(post(['Transfer-Encoding: chunked'], `3\r\nabc\r\n${body}`))
        await over(client)
      })
      scene.upstream.script = undefined
      // The request may have been on its way already: then it was cut off, and not ended.
      if (seen.length > 0) await over(await arrived.promise)
      for (const bytes of seen) {
        assert.ok(!bytes.includes('smuggled'))
        assert.ok(!bytes.endsWith('0\r\n\r\n'), 'a request that was cut off looks whole')
      }
    })
  })

  test('M4 behind an answer that came before the end of the request body the rest is not a request', async (t) => {
    await everywhere(t, scene, {
      'a hook refuses it': post(['Authorization: none', 'Content-Length: 500'], 'some'),
      'a hook refuses chunks': post(['Authorization: none', 'Transfer-Encoding: chunked'], '5\r\nhello\r\n'),
      'the path is refused': post(['Content-Length: 500'], 'some', '/http/../x'),
      'the Host is refused': post(['Content-Length: 500'], 'some').replace('Host: h', 'Host: a@b')
    }, async (t, listener, bytes) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(bytes)
        const response = await client.response()
        assert.ok(response.status === 400 || response.status === 401)
        client.write(smuggled)
        if (response.status === 401) client.destroy()
        else {
          assert.deepEqual(response.headers['connection'], ['close'])
          await over(client)
          assert.equal(client.unread.length, 0)
        }
      })
      assert.deepEqual(seen, [])
    })
    await everywhere(t, scene, {
      'the upstream answers early': 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno',
      'the upstream breaks': ''
    }, async (t, listener, answer) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        scene.upstream.script = (connection) => { answer === '' ? connection.destroy() : connection.write(answer) }
        client.write(post(['Content-Length: 500'], 'some'))
        const { status, headers } = await client.response()
        assert.deepEqual([status, headers['connection']], [answer === '' ? 502 : 413, ['keep-alive']])
        client.write(smuggled) // of the body
        await client.ended // after two seconds of silence
        assert.equal(client.unread.length, 0)
      })
      scene.upstream.script = undefined
      assert.equal(seen.length, 1)
      assert.ok(!seen[0]?.includes('GET '))
    })
  })

  test('M5 a body that the client does not finish is never finished at the upstream', async (t) => {
    await everywhere(t, scene, {
      'of a length': post(['Content-Length: 100'], 'some'),
      'in chunks': post(['Transfer-Encoding: chunked'], '4\r\nsome\r\n')
    }, async (t, listener, bytes) => {
      const arrived = deferred<RawConnection>()
      scene.upstream.script = (connection) => arrived.resolve(connection)
      const client = await listener.connect(t)
      client.write(bytes)
      const upstream = await arrived.promise
      scene.upstream.script = undefined
      await upstream.waitFor('some')
      client.destroy()
      await over(upstream)
      assert.ok(!String(upstream.received).endsWith('0\r\n\r\n'))
    })
  })

  test('M6 Expect is answered here, and never goes on, however it is written', async (t) => {
    await everywhere(t, scene, { plain: 'Expect: 100-continue', case: 'Expect: 100-Continue' }, async (t, listener, field) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(post([field, 'Content-Length: 4'], ''))
        assert.equal((await client.response()).status, 100)
        client.write('some')
        assert.equal((await client.response()).status, 200)
      })
      assert.equal(seen.length, 1)
      assert.deepEqual(headersOf(seen[0] as string, 'expect'), [])
    })
    await everywhere(t, scene, {
      'something before it': 'Expect: y 100-continue',
      'something else': 'Expect: 200-ok',
      'a list': 'Expect: 100-continue, 100-continue'
    }, async (t, listener, field) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(post([field, 'Content-Length: 4'], 'some'))
        let response = await client.response()
        while (response.status < 200) response = await client.response()
        assert.ok([200, 417].includes(response.status), response.rawHead)
      })
      assert.ok(seen.length < 2)
      assert.doesNotMatch(seen.join(''), /expect/i)
    })
  })

  test('M7 chunk extensions and trailers are read over: the upstream gets the body in its own chunks', async (t) => {
    await everywhere(t, scene, {
      'an extension': '5;a=b\r\nhello\r\n0\r\n\r\n',
      'a quoted extension': '5;a="x;y"\r\nhello\r\n0\r\n\r\n',
      trailers: '5\r\nhello\r\n0\r\nHost: evil\r\nAuthorization: Bearer evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n'
    }, async (t, listener, body) => {
      const client = await listener.connect(t)
      const seen = await scene.seen(t, async () => {
        client.write(post(['Transfer-Encoding: chunked', 'Trailer: Host'], body))
        assert.equal((await client.response()).status, 200)
      })
      assert.equal(seen.length, 1)
      const [fields = '', sent = ''] = (seen[0] as string).split(/\r\n\r\n([^]*)/)
      assert.equal(sent, '5\r\nhello\r\n0\r\n\r\n')
      assert.doesNotMatch(fields, /evil|6\.6\.6\.6|trailer/i)
    })
  })

  test('M8 a body of any method arrives in exactly one framing', async (t) => {
    for (const listener of scene.listeners) {
      for (const method of ['GET', 'DELETE', 'OPTIONS', 'POST']) {
        for (const [fields, body] of [
          [['Content-Length: 5'], 'hello'], [['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n'],
          [['Content-Length: 0'], ''], [[], '']
        ] as const) {
          const client = await listener.connect(t)
          const seen = await scene.seen(t, async () => {
            client.write(head(`${method} /http/ HTTP/1.1`, 'Host: h', ...fields) + body)
            assert.equal((await client.response()).status, 200)
          })
          assert.equal(seen.length, 1)
          const sent = seen[0] as string
          const framings = [...headersOf(sent, 'content-length'), ...headersOf(sent, 'transfer-encoding')]
          assert.ok(framings.length <= 1, sent)
          if (body !== '') assert.equal(framings.length, 1, sent)
          assert.ok(sent.endsWith(body === '' ? '\r\n\r\n' : `\r\n\r\n${body}`), sent)
        }
      }
    }
  })

  test('M9 a coding other than chunked is a 501, and one of HTTP/1.0 a 400: the connection ends', async (t) => {
    await everywhere(t, scene, {
      'gzip, chunked': [post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'), 501],
      'gzip on a line of its own': [post(['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 501],
      'chunked of HTTP/1.0': [post(['Transfer-Encoding: chunked'], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'), 400],
      'chunked of HTTP/1.0 that would be kept': [
        post(['Transfer-Encoding: chunked', 'Connection: keep-alive'], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'),
        400
      ]
    } as Record<string, [string, number]>, async (t, listener, [bytes, status]) => {
      let answers: { responses: RawResponse[] } = { responses: [] }
      const seen = await scene.seen(t, async () => { answers = await answersTo(t, listener, bytes) })
      assertRefused(answers, status, scene)
      assert.deepEqual(seen, [])
    })
  })

  test("M10 an upstream's response with two framings is a 502, and its connection is not used again", async (t) => {
    const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen'
    await everywhere(t, scene, {
      'length and chunks': `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${evil}`,
      'two lengths': `HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nno!${evil}`,
      'a length with a sign': `HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nno${evil}`,
      'a bare line feed': `HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nno${evil}`.replace('X: a\n', 'X : a\n'),
      folding: `HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nno${evil}`,
      'a NUL': `HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nno${evil}`,
      'a status of 000': `HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nno${evil}`,
      'no HTTP': 'SSH-2.0-OpenSSH_9.9\r\n\r\n'
    }, async (t, listener, answer) => {
      const client = await listener.connect(t)
      const asked = deferred<RawConnection>()
      scene.upstream.script = (connection) => {
        connection.write(answer)
        asked.resolve(connection)
      }
      client.write(get('/http/'))
      const response = await client.response()
      scene.upstream.script = undefined
      assertOurs(response, 502, scene)
      await over(await asked.promise)
      client.write(get('/http/'))
      assert.equal(String((await client.response()).body), 'ok')
    })
  })

  test("M11 what an upstream sends after its response answers nobody's request", async (t) => {
    await everywhere(t, scene, {
      'behind a length': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      'behind chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      'behind no body': 'HTTP/1.1 204 No Content\r\n\r\n'
    }, async (t, listener, answer) => {
      const client = await listener.connect(t)
      const asked = deferred<RawConnection>()
      scene.upstream.script = (connection) => {
        connection.write(`${answer}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`)
        asked.resolve(connection)
      }
      client.write(get('/http/'))
      const first = await client.response()
      scene.upstream.script = undefined
      assert.ok(first.status === 502 || String(first.body) !== 'stolen')
      for (let i = 0; i < 3; i++) {
        client.write(get('/http/'))
        assert.equal(String((await client.response()).body), 'ok')
      }
      await over(await asked.promise)
    })
  })

  test('M12 as many requests arrive as were sent, in order, also where they come in one piece or byte by byte', async (t) => {
    const bytes = post(['Content-Length: 5'], 'hello', '/http/1') +
      get('/http/2') +
      post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n', '/http/3') +
      get('/http/4')
    await everywhere(t, scene, { 'in one piece': false, 'byte by byte': true }, async (t, listener, slowly) => {
      const client = await listener.connect(t)
      scene.upstream.script = async (connection, head) => {
        await requestBody(connection, head)
        connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${head.charAt(head.indexOf('/http/') + 6)}`)
      }
      const seen = await scene.seen(t, async () => {
        if (slowly) for (const byte of bytes) await new Promise((resolve) => client.socket.write(byte, resolve))
        else client.write(bytes)
        for (const body of ['1', '2', '3', '4']) assert.equal(String((await client.response()).body), body)
      })
      scene.upstream.script = undefined
      const all = seen.join('')
      assert.deepEqual(
        [...all.matchAll(/(GET|POST) \/http\/(\d) HTTP\/1\.1\r\n/g)].map(([, method, n]) => `${method as string} ${n as string}`).sort(),
        ['GET 2', 'GET 4', 'POST 1', 'POST 3']
      )
    })
  })

  test('M13 a request in a version that is none is the last of its connection, also where it asks to keep it', async (t) => {
    await everywhere(t, scene, Object.fromEntries(['HTTP/0.9', 'HTTP/2.0', ''].flatMap((version) => ['GET', 'POST'].map((method) => [
      `${method}, ${version === '' ? 'no version' : version}`,
      head(`${method} /http/ ${version}`.trimEnd(), 'Host: h', 'Connection: keep-alive', 'Content-Length: 0') + smuggled
    ]))), async (t, listener, bytes) => {
      let answers: { responses: RawResponse[] } = { responses: [] }
      const seen = await scene.seen(t, async () => { answers = await answersTo(t, listener, bytes) })
      assertRefused(answers, 400, scene)
      assert.deepEqual(seen, [])
    })
  })
})
