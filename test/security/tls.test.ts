// TLS towards upstreams: nothing is said to whom has not been verified, and nothing is believed of what it says before.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import tls from 'node:tls'
import { rawClient } from '../fixtures/client.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { startRecorder } from '../fixtures/recorder.ts'
import type { Recorder } from '../fixtures/recorder.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { shared } from '../fixtures/shared.ts'
import { over } from '../fixtures/stage.ts'
import { authority, selfSigned } from '../fixtures/tls.ts'
import { event, until } from '../fixtures/wait.ts'
import { assertOurs, get, handshake } from './scene.ts'
import type { Scene } from './scene.ts'

const ca = authority('The Right Authority')
const otherCa = authority('Another Authority')
const good = ca.issue()

const requests = { '/ws/': handshake, '/raw/': handshake, '/http/': [] as string[] }

describe('TLS', () => {
  const suite = shared()
  let upstream: Recorder
  before(async () => { upstream = await startRecorder(suite, { tls: good }) })

  /** A proxy before an upstream, with one route for each kind. */
  function routes (url: string, options: Partial<ProxyOptions> = {}): ProxyOptions {
    return {
      ...options,
      routes: [
        { path: '/ws/', upstream: `${url}/` },
        { path: '/raw/', upstream: `${url}/`, fallbackToHttp: false },
        { path: '/http/', upstream: `${url.replace('wss:', 'https:')}/` }
      ]
    }
  }

  /** What each kind of exchange is answered by a proxy with these options. */
  async function answers (t: TestContext, options: ProxyOptions, ...fields: string[]): Promise<RawResponse[]> {
    const proxy = await startProxy(t, options)
    const responses: RawResponse[] = []
    for (const [path, offer] of Object.entries(requests)) {
      const client = await rawClient(t, proxy.port)
      client.write(get(path, ...offer, ...fields))
      responses.push(await client.response())
      client.destroy()
    }
    return responses
  }

  /** That whoever this is was dialled, is answered for with a 502 each time, and heard nothing. */
  async function assertNotTrusted (t: TestContext, on: Recorder, options: ProxyOptions): Promise<void> {
    const dials: unknown[] = []
    const onDial = (socket: unknown): void => { dials.push(socket) }
    on.server.on('connection', onDial)
    on.mark()
    for (const response of await answers(t, options)) assertOurs(response, 502, { upstream: on } as unknown as Scene)
    on.server.off('connection', onDial)
    assert.equal(dials.length, 3)
    await until(() => on.connections.every(({ socket }) => socket.destroyed || socket.readableEnded), 'the upstream to be left')
    assert.deepEqual(on.since(), [])
  }

  test('T1 an upstream with a certificate that is not right hears no byte of a request, and the client gets a 502', async (t) => {
    const day = 86_400_000
    const certificates: Record<string, [tls.TlsOptions, string]> = {
      'it vouches for itself': [selfSigned(), '127.0.0.1'],
      'of another authority': [otherCa.issue(), '127.0.0.1'],
      'for another name': [ca.issue({ names: ['other.example'] }), 'localhost'],
      'for a name alone, where it is dialled by address': [ca.issue({ names: ['localhost'] }), '127.0.0.1'],
      'for another address': [ca.issue({ names: ['127.0.0.2'] }), '127.0.0.1'],
      'with the name only as its common name': [ca.issue({ commonName: 'localhost', names: ['other.example'] }), 'localhost'],
      'for a wildcard over it': [ca.issue({ names: ['*.localhost'] }), 'localhost'],
      'that is not valid any more': [ca.issue({ notBefore: new Date(Date.now() - 9 * day), notAfter: new Date(Date.now() - day) }), '127.0.0.1'],
      'that is not valid yet': [ca.issue({ notBefore: new Date(Date.now() + day), notAfter: new Date(Date.now() + 9 * day) }), '127.0.0.1']
    }
    for (const [what, [credentials, name]] of Object.entries(certificates)) {
      await t.test(what, async (t) => {
        const impostor = await startRecorder(t, { tls: credentials })
        await assertNotTrusted(t, impostor, routes(`wss://${name}:${impostor.port}`, { tls: { ca: ca.cert } }))
      })
    }
  })

  test('T2 a right certificate is taken, by name and by address', async (t) => {
    for (const name of ['localhost', '127.0.0.1']) {
      const responses = await answers(t, routes(`wss://${name}:${upstream.port}`, { tls: { ca: ca.cert } }))
      assert.deepEqual(responses.map(({ status }) => status), [101, 101, 200])
    }
  })

  test('T3 verification is on, whatever the environment says; only the option turns it off', async (t) => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    cleanup(t, 'servers', () => {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
    })
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    const impostor = await startRecorder(t, { tls: selfSigned() })
    const url = `wss://127.0.0.1:${impostor.port}`
    await assertNotTrusted(t, impostor, routes(url))
    await assertNotTrusted(t, impostor, routes(url, { tls: { rejectUnauthorized: true } }))
    assert.deepEqual((await answers(t, routes(url, { tls: { rejectUnauthorized: false } }))).map(({ status }) => status), [101, 101, 200])
  })

  test("T4 the name that is asked for and checked is the upstream's, not the client's Host", async (t) => {
    const asked: string[] = []
    const named = await startRecorder(t, { tls: { ...good, SNICallback: (name, done) => { asked.push(name); done(null) } } })
    for (const preserveHost of [false, true]) {
      const responses = await answers(t, routes(`wss://localhost:${named.port}`, { tls: { ca: ca.cert }, preserveHost }), 'X-Forwarded-Host: evil.example')
      assert.deepEqual(responses.map(({ status }) => status), [101, 101, 200])
    }
    assert.deepEqual(asked, ['localhost', 'localhost', 'localhost', 'localhost', 'localhost', 'localhost'])
    // An address is not asked for by name (RFC 6066, 3).
    assert.deepEqual((await answers(t, routes(`wss://127.0.0.1:${named.port}`, { tls: { ca: ca.cert } }))).map(({ status }) => status), [101, 101, 200])
    assert.equal(asked.length, 6)
  })

  test('T5 nothing older than TLS 1.2 is spoken, also where the process would', async (t) => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const ancient = await startRecorder(t, { tls: { ...good, ...old } })
    const url = `wss://127.0.0.1:${ancient.port}`
    // It does speak it with those who want to.
    const willing = tls.connect({ port: ancient.port, host: '127.0.0.1', ca: ca.cert, minVersion: 'TLSv1', ciphers: old.ciphers })
    cleanup(t, 'connections', () => willing.destroy())
    await event(willing, 'secureConnect')
    assert.equal(willing.getProtocol(), 'TLSv1.1')
    willing.destroy()
    const before = tls.DEFAULT_MIN_VERSION
    cleanup(t, 'servers', () => { tls.DEFAULT_MIN_VERSION = before })
    tls.DEFAULT_MIN_VERSION = 'TLSv1'
    await assertNotTrusted(t, ancient, routes(url, { tls: { ca: ca.cert, ciphers: old.ciphers } }))
    assert.deepEqual(
      (await answers(t, routes(url, { tls: { ca: ca.cert, ciphers: old.ciphers, minVersion: 'TLSv1' } }))).map(({ status }) => status),
      [101, 101, 200]
    )
  })

  test('T6 each target shows its own client certificate, and no session of another', async (t) => {
    const seen: Array<[name: string, reused: boolean]> = []
    const strict = await startRecorder(t, { tls: { ...good, ca: ca.cert, requestCert: true, rejectUnauthorized: true } })
    strict.server.on('secureConnection', (socket: tls.TLSSocket) => {
      seen.push([socket.getPeerCertificate().subject?.CN as string, socket.isSessionReused()])
    })
    const url = `wss://127.0.0.1:${strict.port}`
    for (const name of ['first', 'second', 'first']) {
      const own = ca.issue({ commonName: name, names: [] })
      assert.deepEqual((await answers(t, routes(url, { tls: { ca: ca.cert, ...own } }))).map(({ status }) => status), [101, 101, 200])
    }
    assert.deepEqual(seen, ['first', 'second', 'first'].flatMap((name) => [[name, false], [name, false], [name, false]]))
    for (const bad of [{}, otherCa.issue({ commonName: 'first', names: [] })]) {
      strict.mark()
      const responses = await answers(t, routes(url, { tls: { ca: ca.cert, ...bad } }))
      assert.ok(responses.every(({ status }) => status === 502))
      assert.deepEqual(strict.since(), [])
    }
  })

  test('T7 what comes in clear on a port for TLS is no answer, and hears no request', async (t) => {
    const lie = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen'
    for (const when of ['at once', 'after the hello']) {
      await t.test(when, async (t) => {
        const liar = await startRecorder(t)
        liar.server.on('connection', (socket) => {
          if (when === 'at once') socket.write(lie)
          else socket.once('data', () => socket.write(lie))
        })
        for (const response of await answers(t, routes(`wss://127.0.0.1:${liar.port}`))) assertOurs(response, 502, { upstream: liar } as unknown as Scene)
        await Promise.all(liar.connections.map(over))
        for (const { bytes } of liar.since()) {
          assert.equal(bytes.charCodeAt(0), 0x16, 'no TLS hello')
          assert.doesNotMatch(bytes, /HTTP|front\.example|websocket/i)
        }
      })
    }
  })
})
