// Functions of the options that misbehave cost their own exchange and not the process: an async rewrite function that rejected ended it, and
// so did what a thrown object's getters threw. A test fails of itself where something is thrown that nobody catches.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { runInNewContext } from 'node:vm'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions, ProxySetup } from '../fixtures/proxy.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { closedPort, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { deferred, within } from '../fixtures/wait.ts'

const requests = { 'a forward': requestHead('GET', '/x'), 'an upgrade': upgradeHead('/x') }

async function answer (t: TestContext, head: string, options: Partial<ProxyOptions>, setup: ProxySetup = {}): Promise<RawResponse> {
  const upstream = await startRawUpstream(t, async (connection) => {
    const seen = await connection.head()
    connection.write(/^upgrade:/im.test(seen) ? switching(seen) : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const proxy = await startProxy(t, { upstream: `${upstream.url}/`, ...options }, setup)
  const client = await rawClient(t, proxy.port)
  client.write(head)
  const response = await within(client.response(), 'an answer', 4000)
  await new Promise((resolve) => setTimeout(resolve, 20)) // for a rejection that nobody has heard
  return response
}

function codeOf ({ body }: RawResponse): string {
  return JSON.parse(String(body)).code
}

const fail = (): never => { throw new Error('no') }
const throwing = { get message (): string { return fail() }, get statusCode (): number { return fail() } }
const hostile: Record<string, () => unknown> = {
  'an object with throwing getters': () => throwing,
  'an Error with a throwing getter': () => Object.defineProperty(new Error('x'), 'statusCode', { get: fail, enumerable: true }),
  'an Error whose code cannot be read': () => Object.defineProperty(new Error('x'), 'code', { get: fail }),
  'an Error whose cause cannot be read': () => new Error('x', { cause: throwing }),
  'a Proxy that throws': () => new Proxy({}, { get: fail, getPrototypeOf: fail, has: fail, ownKeys: fail }),
  'a function': () => fail
}
const promises: Record<string, () => unknown> = {
  'an async function that rejects': async () => fail(),
  'an async function': async () => ({}),
  'a rejection of another realm': () => runInNewContext('Promise.reject(new Error("no"))'),
  'a thenable that rejects': () => ({ then: (_: unknown, reject: (error: unknown) => void) => reject(new Error('no')) }),
  'a thenable whose then throws': () => ({ then: fail }),
  'an object whose then cannot be read': () => Object.defineProperty({}, 'then', { get: fail })
}

for (const [request, head] of Object.entries(requests)) {
  for (const [what, make] of Object.entries(promises)) {
    test(`${what} as a rewrite function of ${request} is a 500 with a code`, async (t) => {
      for (const name of ['rewriteRequestHeaders', 'rewriteHeaders']) {
        const response = await answer(t, head, { [name]: make })
        assert.deepEqual([response.status, codeOf(response)], [500, 'FST_WSTUNNEL_FUNCTION'], name)
      }
    })
  }

  for (const [what, make] of Object.entries(hostile)) {
    const bad = (): never => { throw make() }
    test(`${what} that a function of the options of ${request} throws is a 500`, async (t) => {
      assert.equal((await answer(t, head, { rewriteRequestHeaders: bad })).status, 500)
      assert.equal((await answer(t, head, { rewriteHeaders: bad })).status, 500)
      assert.equal((await answer(t, head, { upstream: bad })).status, 500)
      assert.equal((await answer(t, head, { upstream: async () => bad() })).status, 500)
      const { status } = await answer(t, head, { upstream: 'balancer://b/', balancers: { b: { lbMethod: bad, members: [{ url: 'ws://127.0.0.1:1/' }] } } })
      assert.equal(status, 500)
    })
  }

  test(`an upstream function of ${request} that never settles is a 504 after connectTimeout, and hears of it`, async (t) => {
    const aborted = deferred()
    const begun = performance.now()
    const response = await answer(t, head, {
      upstream: (_, signal) => {
        signal.addEventListener('abort', () => aborted.resolve())
        return new Promise<string>(() => {})
      },
      connectTimeout: '300ms'
    })
    assert.deepEqual([response.status, codeOf(response)], [504, 'FST_WSTUNNEL_UPSTREAM_TIMEOUT'])
    assert.ok(performance.now() - begun < 3000)
    await within(aborted.promise, 'the signal')
  })

  test(`an upstream function of ${request} that rejects when it is too late disturbs nobody`, async (t) => {
    const settled = deferred()
    const response = await answer(t, head, {
      upstream: async (_, signal) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        settled.resolve()
        return fail()
      },
      connectTimeout: '100ms'
    })
    await within(settled.promise, 'the signal')
    assert.equal(response.status, 504)
  })

  test(`a logger that throws does not keep ${request} from its answer`, async (t) => {
    let begun = false
    const write = (): void => { if (begun) fail() }
    const logger: Record<string, unknown> = {
      level: 'info', child: () => logger, fatal: write, error: write, warn: write, info: write, debug: write, trace: write
    }
    const balancers = { b: { members: [{ url: `ws://127.0.0.1:${await closedPort()}/` }] } }
    const response = await answer(t, head, { upstream: 'balancer://b/', balancers }, {
      fastify: { loggerInstance: logger as never, disableRequestLogging: true },
      after: (app) => app.addHook('onListen', async () => { begun = true })
    })
    assert.ok(response.status === 503 || response.status === 500, String(response.status))
  })

  test(`an onSend hook that throws at once is a 500 for ${request}`, async (t) => {
    let failed = false
    const response = await answer(t, head.replace(/upgrade: websocket/i, 'Upgrade: other'), {}, {
      setup: (app) => app.addHook('onSend', (_request, _reply, payload, done) => {
        if (failed) return done(null, payload)
        failed = true
        fail()
      })
    })
    assert.equal(response.status, 500)
  })
}

test('a rejection of another realm that onTunnelOpen and onTunnelClose return is logged', async (t) => {
  const record = recordTunnels()
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, {
    upstream: upstream.url,
    onTunnelOpen: () => runInNewContext('Promise.reject(new Error("no"))'),
    onTunnelClose: (tunnel, outcome) => {
      record.hooks.onTunnelClose?.(tunnel, outcome)
      return { then: (_: unknown, reject: (error: unknown) => void) => reject(throwing) } as never
    }
  })
  const client = await rawClient(t, proxy.port)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  connection.write(switching(await connection.head()))
  await client.response()
  await roundTrip({ client, upstream: connection })
  client.end()
  connection.end()
  await record.nextOutcome()
  await new Promise((resolve) => setTimeout(resolve, 20))
})
