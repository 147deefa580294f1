import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import status from '../../lib/status/index.ts'
import { named } from '../fixtures/balanced.ts'
import { wsClient } from '../fixtures/client.ts'
import { recordLog } from '../fixtures/log.ts'
import type { LogRecord } from '../fixtures/log.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy, ProxyOptions } from '../fixtures/proxy.ts'
import { recordTunnels } from '../fixtures/tunnel.ts'
import type { TunnelRecord } from '../fixtures/tunnel.ts'

interface Scene {
  proxy: Proxy
  log: LogRecord
  record: TunnelRecord
  nonce: string
  members: string[]
  /** What our page would send, and what is changed of it. */
  post: (body: unknown, headers?: Record<string, string | undefined>, payload?: string) => Promise<{ status: number, message: string | undefined }>
}

const credentials = { authorization: 'Bearer open-sesame' }

async function scene (t: TestContext, options: Partial<ProxyOptions> = {}): Promise<Scene> {
  const [a, b] = await Promise.all([named(t, 'a'), named(t, 'b')])
  const log = recordLog()
  const record = recordTunnels()
  const members = [`${a.url}/`, `${b.url}/`]
  const proxy = await startProxy(t, {
    balancers: { app: { members: members.map((url) => ({ url })) } },
    path: '/app/',
    upstream: 'balancer://app/',
    ...record.hooks,
    ...options
  }, {
    fastify: { logger: log.logger },
    after: (app) => {
      app.register(status, {
        prefix: '/wstunnel',
        actions: true,
        onRequest: async (request, reply) => {
          if (request.headers.authorization !== credentials.authorization) return reply.code(401).send({ message: 'who are you?' })
        }
      })
    }
  })
  const page = await (await fetch(`${proxy.url}/wstunnel/`, { headers: credentials })).text()
  const nonce = /<meta name="wstunnel-nonce" content="([\w-]{24})">/.exec(page)?.[1] ?? ''
  assert.notEqual(nonce, '')
  const post: Scene['post'] = async (body, headers = {}, payload = JSON.stringify(body)) => {
    const all: Record<string, string | undefined> = {
      ...credentials,
      origin: proxy.url,
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/json',
      'x-wstunnel-nonce': nonce,
      ...headers
    }
    const sent = Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined))
    const response = await proxy.app.inject({ method: 'POST', url: '/wstunnel/actions', headers: { host: new URL(proxy.url).host, ...sent }, payload })
    return { status: response.statusCode, message: (response.json() as { message?: string }).message }
  }
  return { proxy, log, record, nonce, members, post }
}

describe('an action of the page', () => {
  test('drains, disables and enables a member, and changes its weight, each with a line in the log', async (t) => {
    const { proxy, log, members: [member], post } = await scene(t)
    const state = (): [string, number] => {
      const { state, loadFactor } = proxy.app.wstunnel.balancer('app').members()[0]!
      return [state, loadFactor]
    }
    for (const [action, wanted] of [['drain', 'draining'], ['enable', 'up'], ['disable', 'disabled']] as const) {
      assert.equal((await post({ action, balancer: 'app', member })).status, 200)
      assert.deepEqual(state(), [wanted, 1])
      const line = await log.line((line) => line.msg === 'status page: action' && line.action === action, action)
      assert.deepEqual([line.level, line.balancer, line.member, line.client], [30, 'app', member, '127.0.0.1'])
      assert.equal(typeof line.reqId, 'string')
    }
    assert.equal((await post({ action: 'weight', balancer: 'app', member, loadFactor: 2.5 })).status, 200)
    assert.deepEqual(state(), ['disabled', 2.5])
    assert.equal((await log.line((line) => line.action === 'weight', 'the weight')).loadFactor, 2.5)
  })

  test('closes a tunnel, and no other', async (t) => {
    const { proxy, record, post } = await scene(t)
    await wsClient(t, `${proxy.wsUrl}/app/`)
    await wsClient(t, `${proxy.wsUrl}/app/`)
    const [first, second] = [...proxy.app.wstunnel.tunnels()].map(({ id }) => id)
    assert.equal((await post({ action: 'close', tunnel: first })).status, 200)
    const { reason, detail } = await record.nextOutcome()
    assert.deepEqual([reason, detail], ['killed', 'closed on the status page'])
    assert.deepEqual([...proxy.app.wstunnel.tunnels()].map(({ id }) => id), [second])
    assert.equal((await post({ action: 'close', tunnel: first })).status, 404)
  })

  test('is seen by all viewers at once', async (t) => {
    const { proxy, members: [member], post } = await scene(t)
    const look = async (): Promise<string> => {
      const response = await fetch(`${proxy.url}/wstunnel/status.json`, { headers: credentials })
      const { balancers } = await response.json() as { balancers: Array<{ members: Array<{ state: string }> }> }
      return balancers[0]!.members[0]!.state
    }
    assert.equal(await look(), 'up')
    await post({ action: 'disable', balancer: 'app', member })
    assert.equal(await look(), 'disabled')
  })

  test('that is none, or on what is not there, changes nothing', async (t) => {
    const { proxy, log, members: [member], post } = await scene(t)
    const before = JSON.stringify(proxy.app.wstunnel.balancer('app').members())
    const bad: Array<[body: unknown, status: number]> = [
      [null, 400], [[], 400], ['drain', 400], [{}, 400], [{ action: 'remove', balancer: 'app', member }, 400], [{ action: 'toString' }, 400],
      [{ action: 'drain', balancer: 'app' }, 400], [{ action: 'drain', balancer: 'app', member: { url: member } }, 400],
      [{ action: 'drain', balancer: 'none', member }, 404], [{ action: 'drain', balancer: '__proto__', member }, 404],
      [{ action: 'drain', balancer: 'app', member: 'ws://elsewhere/' }, 404], [{ action: 'close', tunnel: 'zzz' }, 404], [{ action: 'close', tunnel: 1 }, 400],
      ...[0, 0.5, 101, -1, null, '2', undefined].map((loadFactor): [unknown, number] => [{ action: 'weight', balancer: 'app', member, loadFactor }, 400])
    ]
    for (const [body, status] of bad) assert.equal((await post(body)).status, status, JSON.stringify(body))
    assert.equal(JSON.stringify(proxy.app.wstunnel.balancer('app').members()), before)
    assert.ok(!log.lines.some(({ msg }) => msg === 'status page: action'))
  })
})

describe('a POST that did not come from the page', () => {
  const body = (member: string | undefined): object => ({ action: 'disable', balancer: 'app', member })
  const foreign: Array<[what: string, headers: Record<string, string | undefined>, why: RegExp]> = [
    ['without a nonce', { 'x-wstunnel-nonce': undefined }, /nonce is missing or old/],
    ['with another nonce', { 'x-wstunnel-nonce': 'A'.repeat(24) }, /nonce is missing or old/],
    ['without Origin', { origin: undefined }, /Origin/],
    ['from another origin', { origin: 'https://elsewhere.example' }, /Origin/],
    ['from an opaque origin', { origin: 'null' }, /Origin/],
    ['from another port', { origin: 'http://127.0.0.1:1' }, /Origin/],
    ['from an origin that only begins like ours', { origin: 'http://127.0.0.1.elsewhere.example' }, /Origin/],
    ['from another site, as the browser says', { 'sec-fetch-site': 'cross-site' }, /Sec-Fetch-Site/],
    ['from a sibling of our host', { 'sec-fetch-site': 'same-site' }, /Sec-Fetch-Site/],
    ['typed into the address bar', { 'sec-fetch-site': 'none' }, /Sec-Fetch-Site/]
  ]
  for (const [what, headers, why] of foreign) {
    test(`${what} is refused, and logged`, async (t) => {
      const { proxy, log, members: [member], post } = await scene(t)
      const { status, message } = await post(body(member), headers)
      assert.equal(status, 403)
      assert.match(message ?? '', why)
      assert.equal(proxy.app.wstunnel.balancer('app').members()[0]!.state, 'up')
      const line = await log.line(({ msg = '' }) => msg.startsWith('status page: action refused'), 'the refusal')
      assert.equal(line.level, 40)
      assert.equal(JSON.stringify(line).includes('A'.repeat(24)), false, 'no nonce in the log')
    })
  }

  test('of a user who may not is theirs to hear first', async (t) => {
    const { proxy, members: [member], post } = await scene(t)
    assert.deepEqual(await post(body(member), { authorization: undefined }), { status: 401, message: 'who are you?' })
    assert.equal(proxy.app.wstunnel.balancer('app').members()[0]!.state, 'up')
  })

  test('as a form can send it is not even read', async (t) => {
    const { proxy, members: [member], post } = await scene(t)
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      assert.equal((await post(body(member), { 'content-type': type })).status, 415, type)
    }
    assert.equal((await post(undefined, {}, '{"action":"disable","__proto__":{"x":1}}')).status, 400)
    assert.equal((await post(undefined, {}, `{"action":"${'x'.repeat(10_000)}"}`)).status, 413)
    assert.equal(proxy.app.wstunnel.balancer('app').members()[0]!.state, 'up')
  })

  test('by another method is not there', async (t) => {
    const { proxy } = await scene(t)
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      assert.equal((await proxy.app.inject({ method, url: '/wstunnel/actions?action=disable', headers: credentials })).statusCode, 404)
    }
  })

  test('behind a proxy that is trusted goes by the host that the browser sees', async (t) => {
    const { post, members: [member] } = await scene(t)
    assert.equal((await post(body(member), { origin: 'https://front.example', 'x-forwarded-host': 'front.example' })).status, 403, 'which is not trusted here')
  })
})
