// Headless Chromium and Firefox, which open every WebSocket of an origin by extended CONNECT once a session has announced it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import { openPage, startBrowser } from '../fixtures/browser.ts'
import { startFirefox } from '../fixtures/firefox.ts'
import { startProxy, type Proxy, type ProxyOptions } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { recordTunnels, type TunnelRecord } from '../fixtures/tunnel.ts'
import { startRawUpstream, startWsUpstream, type WsUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

interface Page {
  /** What a function, which sees nothing but its argument, returns in the page. */
  evaluate: <R, A = undefined>(run: (argument: A) => R | Promise<R>, argument?: A) => Promise<R>
}

const browsers: Record<string, (t: TestContext) => Promise<{ open: (url: string) => Promise<Page> } | undefined>> = {
  async Chromium (t) {
    const browser = await startBrowser(t)
    if (browser === undefined) return undefined
    return { open: async (url) => (await openPage(browser, url, { ignoreHTTPSErrors: true })).page as Page }
  },
  Firefox: startFirefox
}

interface Scene {
  proxy: Proxy
  page: Page
  upstream: WsUpstream
  record: TunnelRecord
  /** HTTP versions of the tunnels that were opened. */
  versions: () => string[]
}

async function scene (
  t: TestContext, name: string, options: Partial<ProxyOptions> = {}, besides: (app: Proxy['app']) => unknown = () => {}
): Promise<Scene | undefined> {
  const browser = await browsers[name]?.(t)
  if (browser === undefined) return undefined
  const upstream = await startWsUpstream(t, { maxPayload: 8 << 20 })
  const reset = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.reset()
  })
  const record = recordTunnels()
  const proxy = await startProxy(t, {
    prefix: '/ws',
    routes: [
      { path: '/reset', upstream: `${reset.url}/` },
      { path: '/', upstream: `${upstream.url}/` }
    ],
    http2: { webSockets: true },
    drainTimeout: '1s',
    ...record.hooks,
    ...options
  }, {
    fastify: { https: { ...selfSigned(), allowHTTP1: true }, http2: true },
    setup: besides,
    after: (app) => {
      app.get('/page', (_, reply) => reply.type('text/html').send('<!doctype html><title>page</title>'))
      app.get('/version', (request) => request.raw.httpVersion)
    }
  })
  const page = await browser.open(`${proxy.url}/page`)
  return { proxy, page, upstream, record, versions: () => record.opened.map(({ httpVersion }) => httpVersion) }
}

/** What a WebSocket of the page lives through: `code` as its messages come, and how it closes. */
async function live (
  page: Page, url: string, { sends = [] as string[], bytes = 0, closeWith = undefined as number | undefined } = {}
): Promise<{ opened: boolean, texts: string[], received: number, code: number, wasClean: boolean }> {
  return await page.evaluate(async ({ url, sends, bytes, closeWith }) => await new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.binaryType = 'arraybuffer'
    const seen = { opened: false, texts: [] as string[], received: 0 }
    socket.onopen = () => {
      seen.opened = true
      for (const text of sends) socket.send(text)
      if (bytes > 0) socket.send(new Uint8Array(bytes))
      if (closeWith !== undefined && seen.texts.length === sends.length && seen.received === bytes) socket.close(closeWith, 'done')
    }
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') seen.texts.push(data)
      else seen.received += data.byteLength
      if (closeWith !== undefined && seen.texts.length === sends.length && seen.received === bytes) socket.close(closeWith, 'done')
    }
    socket.onclose = ({ code, wasClean }) => resolve({ ...seen, code, wasClean })
  }), { url, sends, bytes, closeWith })
}

for (const name of Object.keys(browsers)) {
  test(`${name}: echo, 3 MiB, and a close of its own, by HTTP/2`, async (t) => {
    const all = await scene(t, name)
    if (all === undefined) return
    const { page, proxy, record, versions } = all
    const seen = await live(page, `${proxy.wsUrl}/ws/a`, { sends: ['hello', 'you'], bytes: 3 << 20, closeWith: 4001 })
    assert.deepEqual(seen, { opened: true, texts: ['hello', 'you'], received: 3 << 20, code: 4001, wasClean: true })
    const outcome = await record.nextOutcome()
    assert.deepEqual([outcome.reason, outcome.closeCode, versions()], ['client_close', 4001, ['2.0']])
  })

  test(`${name}: a close by the upstream, a refusal, a reset, and nothing is left`, async (t) => {
    const all = await scene(t, name, { onRequest: async (request, reply) => { if (request.url.includes('refused')) await reply.code(401).send('no') } })
    if (all === undefined) return
    const { page, proxy, upstream, record, versions } = all
    const closing = live(page, `${proxy.wsUrl}/ws/a`)
    const { socket } = await upstream.next()
    socket.close(4002, 'go')
    const { code, wasClean } = await closing
    assert.deepEqual([code, wasClean, (await record.nextOutcome()).reason], [4002, true, 'upstream_close'])
    for (const path of ['/ws/refused', '/ws/reset']) {
      const { opened, code } = await live(page, `${proxy.wsUrl}${path}`)
      assert.deepEqual([path, opened, code], [path, false, 1006])
    }
    const cut = live(page, `${proxy.wsUrl}/ws/b`)
    const far = await upstream.next()
    await until(() => proxy.app.wstunnel.metrics().tunnels.open === 1, 'the tunnel to be open')
    ;(far.socket as unknown as { _socket: { resetAndDestroy (): void } })._socket.resetAndDestroy()
    assert.deepEqual([(await cut).code, (await cut).wasClean, (await record.nextOutcome()).reason], [1006, false, 'upstream_reset'])
    await until(() => proxy.app.wstunnel.metrics().tunnels.open === 0, 'no tunnel to be left')
    assert.deepEqual(versions(), ['2.0', '2.0'])
    assert.equal(await page.evaluate(async () => await (await fetch('/version')).text()), '2.0')
  })

  test(`${name}: 200 WebSockets are open, and the page still fetches; close() tells them 1001`, async (t) => {
    const all = await scene(t, name)
    if (all === undefined) return
    const { page, proxy, versions } = all
    await page.evaluate(async (url) => {
      const sockets = Array.from({ length: 200 }, () => new WebSocket(url))
      const closed = Promise.all(sockets.map(async (socket) => await new Promise((resolve) => { socket.onclose = ({ code }) => resolve(code) })))
      Object.assign(globalThis, { closeCodes: closed })
      await Promise.all(sockets.map(async (socket) => await new Promise((resolve) => { socket.onopen = resolve })))
    }, `${proxy.wsUrl}/ws/a`)
    const times = await page.evaluate(async () => {
      const took: number[] = []
      for (let i = 0; i < 5; i++) {
        const start = performance.now()
        await (await fetch(`/version?${i}`)).text()
        took.push(performance.now() - start)
      }
      return took
    })
    t.diagnostic(`a fetch while 200 WebSockets are open: ${times.map((ms) => ms.toFixed(1)).join(', ')} ms`)
    assert.ok(Math.min(...times) < 50, String(times))
    assert.deepEqual(new Set(versions()), new Set(['2.0']))
    await proxy.app.close()
    const codes = await page.evaluate(async () => await (globalThis as unknown as { closeCodes: Promise<number[]> }).closeCodes)
    assert.deepEqual([codes.length, new Set(codes)], [200, new Set([1001])])
  })
}

test('Chromium: a path of @fastify/websocket is reached by HTTP/1.1', async (t) => {
  const all = await scene(t, 'Chromium', {}, async (app) => {
    await app.register(fastifyWebsocket)
    app.get('/theirs', { websocket: true }, (socket) => { socket.on('message', (data: Buffer) => socket.send(`theirs: ${data}`)) })
  })
  if (all === undefined) return
  const { page, proxy } = all
  const seen = await live(page, `${proxy.wsUrl}/theirs`, { sends: ['a'], closeWith: 1000 })
  assert.deepEqual([seen.opened, seen.texts, seen.code], [true, ['theirs: a'], 1000])
})
