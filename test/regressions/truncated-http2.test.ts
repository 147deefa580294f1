// Node resets an HTTP/2 response that is destroyed without an error with NO_ERROR: browsers, curl and undici took what had come for the whole response.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { connect, constants } from 'node:http2'
import { describe, test, type TestContext } from 'node:test'
import { Agent } from 'undici'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy, type Proxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { deferred, event, until, within } from '../fixtures/wait.ts'

const heads = {
  chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  'of a known length': 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc'
}

/** A proxy over HTTP/2, and what cuts its upstream's response off. */
async function start (t: TestContext, head: string): Promise<{ proxy: Proxy, cut: () => void }> {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: `${upstream.httpUrl}/`, drainTimeout: '100ms' }, { fastify: { http2: true, https: selfSigned() } })
  const begun = upstream.next().then(async (connection) => {
    await connection.head()
    connection.write(head)
    return connection
  })
  return { proxy, cut: () => { void begun.then((connection) => connection.destroy()) } }
}

describe('a response that breaks off over HTTP/2', () => {
  for (const [framing, head] of Object.entries(heads)) {
    for (const end of ['its upstream leaves', 'a drain ends'] as const) {
      test(`ends with INTERNAL_ERROR when it is ${framing} and ${end}`, async (t) => {
        const { proxy, cut } = await start(t, head)
        const session = connect(proxy.url, { rejectUnauthorized: false })
        session.on('error', () => {})
        cleanup(t, 'connections', () => session.destroy())
        const stream = session.request({ ':path': '/x' })
        const failed = deferred<Error>()
        stream.on('error', failed.resolve)
        const [chunk] = await event(stream, 'data')
        assert.equal(String(chunk), 'abc')
        let ended = false
        stream.on('end', () => { ended = true })
        stream.resume()
        if (end === 'a drain ends') void proxy.app.close()
        else cut()
        await within(failed.promise, 'an error')
        assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
        assert.equal(ended, false)
        await until(() => proxy.app.wstunnel.metrics().forwards.inFlight === 0, 'the forward to be over')
      })
    }

    test(`is an error to undici when it is ${framing}`, async (t) => {
      const { proxy, cut } = await start(t, head)
      const agent = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } })
      cleanup(t, 'connections', async () => { await agent.destroy() })
      const response = await agent.request({ origin: proxy.url, path: '/x', method: 'GET' })
      response.body.once('data', cut)
      await assert.rejects(within(response.body.text(), 'the end of the body'), (error: Error) => !error.message.startsWith('waited'))
    })

    test(`is an error to curl when it is ${framing}`, async (t) => {
      const { proxy, cut } = await start(t, head)
      const done = deferred<[number | string | null | undefined, string]>()
      const curl = execFile('curl', ['-sNk', '--http2', `${proxy.url}/x`], (error, stdout) => done.resolve([error === null ? 0 : error.code, stdout]))
      cleanup(t, 'connections', () => curl.kill())
      curl.stdout?.once('data', cut)
      const [code, body] = await within(done.promise, 'curl to end')
      assert.equal(body, 'abc')
      assert.equal(code, 92) // CURLE_HTTP2_STREAM
    })
  }
})
