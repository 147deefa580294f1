// What a closing server has still open when its drain is over is closed: silent TCP, half a head, idle sessions of HTTP/2, responses of other routes.

import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { describe, test, type TestContext } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy, type Proxy, type ProxySetup } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

const drainTimeout = 400

const kinds: Record<string, NonNullable<ProxySetup['fastify']>> = {
  HTTP: {},
  HTTPS: { https: selfSigned() },
  'HTTP/2': { http2: true },
  'HTTP/2 over TLS, with HTTP/1.1': { http2: true, https: { ...selfSigned(), allowHTTP1: true } }
}

async function start (
  t: TestContext, fastify: NonNullable<ProxySetup['fastify']>
): Promise<Proxy & { upstream: Awaited<ReturnType<typeof startRawUpstream>> }> {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, drainTimeout }, {
    fastify, setup: (app) => { app.get('/slow', (_, reply) => { reply.hijack(); reply.raw.writeHead(200); reply.raw.write('begun') }) }
  })
  return { ...proxy, upstream }
}

/** Within the drain and what a busy machine takes: minutes, where it is not so. */
async function closes ({ app }: Proxy): Promise<void> {
  await within(app.close(), 'close()', drainTimeout + 3000)
}

describe('close() ends', () => {
  for (const [kind, fastify] of Object.entries(kinds)) {
    test(`with a silent TCP connection to a server of ${kind}`, async (t) => {
      const proxy = await start(t, fastify)
      const accepted = event(proxy.app.server, 'connection')
      await rawClient(t, proxy.port)
      await accepted
      await closes(proxy)
    })

    if (kind.startsWith('HTTP/2')) {
      test(`with an idle session on a server of ${kind}, which is told at once`, async (t) => {
        const proxy = await start(t, fastify)
        const session = connect(proxy.url, { rejectUnauthorized: false })
        session.on('error', () => {})
        cleanup(t, 'connections', () => session.destroy())
        await event(session, 'remoteSettings')
        const told = event(session, 'goaway')
        await closes(proxy)
        await told
      })

      test(`with a session on which a stream is under way on a server of ${kind}, and that stream may end before`, async (t) => {
        const proxy = await start(t, fastify)
        const session = connect(proxy.url, { rejectUnauthorized: false })
        session.on('error', () => {})
        cleanup(t, 'connections', () => session.destroy())
        const stream = session.request({ ':path': '/x' })
        const connection = await proxy.upstream.next()
        await connection.head()
        const told = event(session, 'goaway')
        const closed = closes(proxy)
        await told
        connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        assert.equal(String((await event(stream, 'data'))[0]), 'ok')
        await closed
      })
    } else {
      const tls = 'https' in fastify ? { tls: { rejectUnauthorized: false } } : {}

      test(`with half a head on a server of ${kind}`, async (t) => {
        const proxy = await start(t, fastify)
        const client = await rawClient(t, proxy.port, tls)
        client.write('GET /x HTTP/1.1\r\nHost: a\r\nX-Ha')
        await closes(proxy)
      })

      test(`with a response of another route that does not end, on a server of ${kind}, but not before the drain does`, async (t) => {
        const proxy = await start(t, fastify)
        const client = await rawClient(t, proxy.port, tls)
        client.write(requestHead('GET', '/slow'))
        await client.waitFor('begun')
        const since = performance.now()
        await closes(proxy)
        assert.ok(performance.now() - since > drainTimeout - 50)
      })
    }
  }
})
