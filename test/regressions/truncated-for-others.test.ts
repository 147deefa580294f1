// A response that its upstream cuts off must fail for those who are there, too: a browser over HTTP/2, python3 over HTTP/1.1.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { openPage, startBrowser } from '../fixtures/browser.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const heads: Record<string, [head: string, rest: string]> = {
  chunked: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', '0\r\n\r\n'],
  'of a known length': ['HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc', 'def']
}

interface Cutting {
  upstream: RawUpstream
  /** Follows what the proxy has sent. */
  setup: (app: FastifyInstance) => void
}

/** Answers `/cut` with a beginning, and `/whole` with all of it: the rest, or the end, comes when the client has been sent the beginning. */
async function startCutting (t: TestContext, [head, rest]: [string, string]): Promise<Cutting> {
  const responses = new Map<string, FastifyReply['raw']>()
  const upstream = await startRawUpstream(t, async (connection) => {
    const [, path = ''] = (await connection.head()).split(' ')
    connection.write(head)
    await until(() => responses.get(path)?.headersSent === true, 'the beginning to be sent')
    if (path === '/whole') connection.end(rest)
    else connection.destroy()
  })
  return {
    upstream,
    setup (app) {
      app.addHook('onSend', async ({ url }, reply, payload) => {
        responses.set(url.replace('/app', ''), reply.raw)
        return payload
      })
    }
  }
}

for (const [framing, head] of Object.entries(heads)) {
  test(`a response ${framing} that is cut off fails in Chromium over HTTP/2`, async (t) => {
    const browser = await startBrowser(t)
    if (browser === undefined) return
    const { upstream, setup } = await startCutting(t, head)
    const proxy = await startProxy(t, { prefix: '/app', upstream: `${upstream.httpUrl}/` }, {
      fastify: { http2: true, https: selfSigned() },
      setup (app) {
        setup(app)
        app.get('/', (_request, reply) => { void reply.type('text/html').send('<title>page</title>') })
      }
    })
    const { page } = await openPage(browser, `${proxy.url}/`, { ignoreHTTPSErrors: true })
    const ask = async (path: string): Promise<string> =>
      await page.evaluate<string>(`fetch('${path}').then((response) => response.text()).then((text) => 'text ' + text, (error) => 'error ' + error.name)`)
    assert.equal(await page.evaluate('performance.getEntriesByType("navigation")[0].nextHopProtocol'), 'h2')
    assert.match(await ask('/app/whole'), /^text abc/)
    assert.equal(await ask('/app/cut'), 'error TypeError')
  })

  test(`a response ${framing} that is cut off fails for python3 over HTTP/1.1`, async (t) => {
    const python = findProgram('python3')
    if (python === undefined) return skipLoudly(t, 'python3')
    const { upstream, setup } = await startCutting(t, head)
    const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/` }, { setup })
    const ask = async (path: string): Promise<string> => {
      const script = `
import http.client as h
c = h.HTTPConnection('127.0.0.1', ${proxy.port})
c.request('GET', '${path}')
try: print('text', c.getresponse().read().decode())
except (h.IncompleteRead, ConnectionResetError) as e: print('error', type(e).__name__)`
      return (await promisify(execFile)(python, ['-c', script])).stdout
    }
    assert.match(await ask('/whole'), /^text abc/)
    assert.match(await ask('/cut'), /^error (?:IncompleteRead|ConnectionResetError)/)
  })
}
