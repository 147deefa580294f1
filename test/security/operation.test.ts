// What is told, and to whom: hooks before anything is done, errors for clients, lines for the log, series for metrics.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FastifyReply, FastifyRequest } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { recordLog } from '../fixtures/log.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { shared } from '../fixtures/shared.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { closedPort, startRawUpstream } from '../fixtures/upstream.ts'
import { answersTo, assertOurs, everywhere, get, handshake, openScene } from './scene.ts'
import type { Scene } from './scene.ts'

const later = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))
const secrets = ['s3cret-authorization', 's3cret-cookie', 's3cret-protocol', 's3cret-proxy', 's3cret-query', 's3cret-answer']

describe('operation', () => {
  const suite = shared()
  const log = recordLog('trace')
  let scene: Scene
  before(async () => {
    const broken = await closedPort()
    const impostor = await startRawUpstream(suite, undefined, { tls: selfSigned() })
    let recorder = ''
    const table = ({ ws, http }: { ws: string, http: string }): ProxyOptions => {
      recorder = ws
      return {
        routes: [
          { path: '/ws/', upstream: `${ws}/ws/` },
          { path: '/raw/', upstream: `${ws}/raw/`, fallbackToHttp: false },
          { path: '/http/', upstream: `${http}/http/` },
          { path: '/closed/', upstream: `ws://127.0.0.1:${broken}/` },
          { path: '/nowhere/', upstream: 'ws://nowhere.invalid/' },
          { path: '/tls/', upstream: `${impostor.url}/` },
          { path: '/unix/', upstream: 'unix:/nowhere/secret.sock|ws://x/' },
          { path: '/throws/', upstream: () => { throw Object.assign(new Error('no'), { statusCode: 503 }) } },
          ...['onRequest', 'preValidation', 'preHandler'].flatMap((hook) => [
            { path: `/${hook}/`, upstream: `${ws}/`, [hook]: (_request: FastifyRequest, reply: FastifyReply) => { reply.code(401).send({ statusCode: 401 }) } },
            {
              path: `/${hook}-async/`,
              upstream: `${ws}/`,
              [hook]: async (_request: FastifyRequest, reply: FastifyReply) => {
                await later()
                return reply.code(401).send({ statusCode: 401 })
              }
            },
            {
              path: `/${hook}-raw/`,
              upstream: `${ws}/`,
              fallbackToHttp: false,
              [hook]: async () => {
                throw Object.assign(new Error('no'), { statusCode: 401 })
              }
            }
          ])
        ] as NonNullable<ProxyOptions['routes']>
      }
    }
    scene = await openScene(suite, {
      fastify: { logger: log.logger } as object,
      options: table,
      after: async (app) => {
        await app.register(async (scoped) => {
          scoped.addHook('onRequest', async (_request, reply) => await reply.code(401).send({ statusCode: 401 }))
          await scoped.register(wstunnel, { prefix: '/scoped', upstream: recorder })
        })
      }
    })
  })

  test('O1 a hook that refuses, refuses an upgrade as it does a request, and nobody is dialled', async (t) => {
    const paths = [
      ...['onRequest', 'preValidation', 'preHandler'].flatMap((hook) => [`/${hook}/`, `/${hook}-async/`, `/${hook}-raw/`]),
      '/scoped/', '/%73coped/', '/scoped'
    ]
    await everywhere(t, scene, Object.fromEntries(paths.map((path) => [path, path])), async (t, listener, path) => {
      for (const offer of [handshake, ['Connection: Upgrade', 'Upgrade: foo'], []]) {
        if (path.includes('raw') && offer !== handshake) continue
        const client = await listener.connect(t)
        const seen = await scene.seen(t, async () => {
          client.write(get(path, ...offer))
          assert.equal((await client.response()).status, 401)
        })
        assert.deepEqual(seen, [])
      }
    })
  })

  test('O2 every fault of an upstream is a complete answer that names no address, no path and no stack', async (t) => {
    const faults: Record<string, number> = { '/closed/': 503, '/nowhere/': 502, '/tls/': 502, '/unix/': 503, '/throws/': 503 }
    await everywhere(t, scene, faults, async (t, listener, status, path) => {
      for (const offer of [handshake, []]) {
        const client = await listener.connect(t)
        client.write(get(`${path}s3cret-path`, ...offer))
        const response = await client.response()
        assertOurs(response, status, scene)
        assert.doesNotMatch(response.rawHead + String(response.body), /invalid|secret|s3cret|ECONN|ENOENT|certificate/)
        if (offer === handshake) {
          await client.ended
          continue
        }
        client.write(get('/alive'))
        assert.equal(String((await client.response()).body), 'alive')
      }
    })
  })

  test('O3 a line of the log is one line whatever a client says, and holds no credentials', async (t) => {
    log.lines.length = 0 // each has been parsed as JSON when it came
    for (const listener of scene.listeners) {
      for (const path of ['/ws/', '/raw/', '/http/', '/closed/', '/tls/', '/ws/../']) {
        const client = await listener.connect(t)
        scene.upstream.script = path === '/http/'
          ? (connection) => { connection.write('HTTP/1.1 200 OK\r\nSet-Cookie: s3cret-answer\r\nX: a\0b\r\n\r\n') }
          : undefined
        client.write(get(
          `${path}?token=s3cret-query","level":60,"x":"`,
          ...(path === '/http/' ? [] : handshake),
          'User-Agent: x","level":60,"msg":"forged',
          'Authorization: Bearer s3cret-authorization',
          'Cookie: a=s3cret-cookie',
          'Sec-WebSocket-Protocol: s3cret-protocol',
          'Proxy-Authorization: Basic s3cret-proxy',
          'X-Forwarded-For: ","level":60'
        ))
        await client.response()
        client.destroy()
      }
    }
    scene.upstream.script = undefined
    await log.line(({ msg }) => msg === 'tunnel closed', 'the end of a tunnel')
    assert.ok(log.lines.length > 20)
    for (const line of log.lines) {
      const text = JSON.stringify(line)
      assert.ok(line.level < 60 && line.msg !== 'forged', text)
      // The URL of a request is Fastify's to log: its serializer is the user's.
      const own = JSON.stringify({ ...line, req: undefined })
      for (const secret of secrets) assert.ok(!own.includes(secret), text)
      for (const secret of secrets.filter((secret) => secret !== 's3cret-query')) assert.ok(!text.includes(secret), text)
    }
  })

  test('O4 what a client sends makes no series of metrics', async (t) => {
    const [listener] = scene.listeners
    assert.ok(listener !== undefined)
    const shape = (): string => JSON.stringify(listener.proxy.app.wstunnel.metrics(), (_key, value: unknown) => typeof value === 'number' ? 0 : value)
    const before = shape()
    const client = await listener.connect(t)
    const paths = Array.from({ length: 100 }, (_, i) =>
      get(`/ws/path-${i}?q=${i}`, `Host-${i}: x`, ...(i % 3 === 0 ? ['Connection: Upgrade', `Upgrade: token-${i}`] : [])))
    for (const path of paths) {
      client.write(path)
      await client.response()
    }
    assert.equal(shape(), before)
    assert.doesNotMatch(shape(), /path-|token-|127\.0\.0\.1:\d+\/path/)
  })

  test("O5 what Node's parser refuses is answered by Fastify, complete, and the connection is closed", async (t) => {
    await everywhere(t, scene, {
      malformed: ['GET /ws/ HTTP/1.1\r\nHost : h\r\n\r\n', 400],
      'too large': [get('/ws/', `X: ${'x'.repeat(20_000)}`), 431]
    } as Record<string, [string, number]>, async (t, listener, [bytes, status]) => {
      const { client, responses } = await answersTo(t, listener, bytes)
      assert.deepEqual(responses.map((response) => [response.status, response.headers['content-length']?.length]), [[status, 1]])
      assert.equal(client.unread.length, 0)
    })
  })

  test('O6 the clientErrorHandler of SECURITY.md says that it closes, too', async (t) => {
    const text = readFileSync(fileURLToPath(new URL('../../SECURITY.md', import.meta.url)), 'utf8')
    const source = /^ {2}(clientErrorHandler \(error, socket\) \{[^]*?^ {2}\})/m.exec(text)?.[1]
    assert.ok(source !== undefined, 'SECURITY.md has no clientErrorHandler')
    // eslint-disable-next-line no-new-func
    const handlerFor = new Function('STATUS_CODES', `return { ${source} }.clientErrorHandler`) as (codes: object) => () => void
    const handler = handlerFor((await import('node:http')).STATUS_CODES)
    const own = await openScene(t, { fastify: { clientErrorHandler: handler } as object })
    await everywhere(t, own, {
      malformed: ['GET /ws/ HTTP/1.1\r\nHost : h\r\n\r\n', 400],
      'too large': [get('/ws/', `X: ${'x'.repeat(20_000)}`), 431]
    } as Record<string, [string, number]>, async (t, listener, [bytes, status]) => {
      let responses: RawResponse[] = []
      const seen = await own.seen(t, async () => { ({ responses } = await answersTo(t, listener, bytes)) })
      assert.deepEqual([responses.map((response) => [response.status, response.headers['connection']]), seen], [[[status, ['close']]], []])
    })
  })
})
