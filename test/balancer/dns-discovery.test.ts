import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { Discovery } from '../../lib/balancer/dns-discovery.ts'
import type { DnsSource, Endpoint } from '../../lib/balancer/dns-discovery.ts'
import type { WstunnelError } from '../../lib/errors.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startDns } from '../fixtures/dns.ts'
import type { DnsAnswer, DnsServer } from '../fixtures/dns.ts'
import { longTimers } from '../fixtures/timers.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

const name = 'backend.test'
const service = '_ws._tcp.backend.test'

interface Watched {
  discovery: Discovery
  /** Every set that was told. */
  sets: Array<readonly Endpoint[]>
  errors: Error[]
}

interface Stage extends Watched {
  dns: DnsServer
  first: Promise<void>
}

function watch (t: TestContext, dns: DnsServer, source: Partial<DnsSource> = {}): Watched {
  const sets: Array<readonly Endpoint[]> = []
  const errors: Error[] = []
  const discovery = new Discovery(
    { dns: source.type === 'SRV' ? service : name, type: 'A', refresh: 20, servers: [dns.address], ...source },
    (endpoints) => sets.push(endpoints),
    (error) => errors.push(error)
  )
  cleanup(t, 'proxies', () => discovery.stop())
  return { discovery, sets, errors }
}

async function stage (t: TestContext, records: Record<string, DnsAnswer | Promise<DnsAnswer>>, source: Partial<DnsSource> = {}): Promise<Stage> {
  const dns = await startDns(t)
  for (const [key, answer] of Object.entries(records)) set(dns, key, answer)
  const watched = watch(t, dns, source)
  return { ...watched, dns, first: watched.discovery.start() }
}

/** `set(dns, 'A backend.test', …)` */
function set (dns: DnsServer, key: string, answer: DnsAnswer | Promise<DnsAnswer>): void {
  const [type, host] = key.split(' ') as ['A', string]
  dns.set(host, type, answer)
}

/** Waits for `more` lookups of the name that begin from now on: the last but one of them is then over. */
async function lookUps ({ dns }: Pick<Stage, 'dns'>, more: number, question: string = `A ${name}`): Promise<void> {
  const count = (): number => dns.queries.filter((query) => query === question).length
  const wanted = count() + more
  await until(() => count() >= wanted, () => `${wanted} questions for ${question}, of which there were ${count()}`)
}

function codeOf (error: Error | undefined): unknown {
  const cause = error?.cause as { code?: unknown, cause?: { code?: unknown } } | undefined
  return cause?.code ?? cause?.cause?.code
}

const plain = (address: string): Endpoint => ({ address, port: undefined, name, priority: 0, weight: 1 })

describe('addresses', () => {
  test('of A are told once, in an order of their own, each once', async (t) => {
    const { first, sets, errors } = await stage(t, { [`A ${name}`]: ['10.0.0.2', '10.0.0.1', '10.0.0.2'] })
    await first
    assert.deepEqual(sets, [[plain('10.0.0.1'), plain('10.0.0.2')]])
    assert.deepEqual(errors, [])
  })

  test('of AAAA', async (t) => {
    const { first, sets, dns } = await stage(t, { [`AAAA ${name}`]: ['fd00::2', '::1'], [`A ${name}`]: ['10.0.0.1'] }, { type: 'AAAA' })
    await first
    assert.deepEqual(sets, [[plain('::1'), plain('fd00::2')]])
    assert.deepEqual(dns.queries, [`AAAA ${name}`])
  })

  test('are followed when they change, and not before', async (t) => {
    const all = await stage(t, { [`A ${name}`]: ['10.0.0.1', '10.0.0.2'] })
    const { first, dns, sets, errors } = all
    await first
    dns.set(name, 'A', ['10.0.0.2', '10.0.0.1'])
    await lookUps(all, 3)
    assert.equal(sets.length, 1)
    dns.set(name, 'A', ['10.0.0.3', '10.0.0.2'])
    await until(() => sets.length > 1, 'another set')
    dns.set(name, 'A', ['10.0.0.3'])
    await until(() => sets.length > 2, 'a third set')
    await lookUps(all, 2)
    assert.deepEqual(sets.slice(1), [[plain('10.0.0.2'), plain('10.0.0.3')], [plain('10.0.0.3')]])
    assert.deepEqual(errors, [])
  })

  test('carry the name in lower case, without its last dot', async (t) => {
    const { first, sets } = await stage(t, { [`A ${name}`]: ['10.0.0.1'] }, { dns: 'Backend.TEST.' })
    await first
    assert.deepEqual(sets, [[plain('10.0.0.1')]])
  })
})

describe('a lookup that fails', () => {
  for (const [answer, code] of [['NXDOMAIN', 'ENOTFOUND'], [[], 'ENODATA'], ['SERVFAIL', 'ESERVFAIL']] as const) {
    test(`with ${code} keeps the last set, is told once, and what comes back is no news`, async (t) => {
      const all = await stage(t, { [`A ${name}`]: ['10.0.0.1'] })
      const { first, dns, sets, errors } = all
      await first
      dns.set(name, 'A', answer)
      await lookUps(all, 4)
      assert.equal(errors.length, 1)
      dns.set(name, 'A', ['10.0.0.1'])
      await lookUps(all, 3)
      dns.set(name, 'A', answer)
      await lookUps(all, 4)
      assert.equal(errors.length, 2)
      assert.equal(codeOf(errors[0]), code)
      assert.equal((errors[0] as WstunnelError).code, 'FST_WSTUNNEL_UPSTREAM_NAME')
      assert.deepEqual(sets, [[plain('10.0.0.1')]])
      dns.set(name, 'A', ['10.0.0.2'])
      await until(() => sets.length > 1, 'the next set')
    })
  }

  test('as the first one settles start(), and the next ones go on', async (t) => {
    const { first, dns, sets, errors } = await stage(t, {})
    await within(first, 'the first lookup')
    assert.equal(codeOf(errors[0]), 'ENOTFOUND')
    dns.set(name, 'A', ['10.0.0.1'])
    await until(() => sets.length > 0, 'the first set')
    assert.deepEqual(sets, [[plain('10.0.0.1')]])
  })

  test('for want of any answer ends by itself', async (t) => {
    const { first, errors } = await stage(t, { [`A ${name}`]: 'silence' })
    await within(first, 'the first lookup')
    assert.equal(codeOf(errors[0]), 'ETIMEOUT')
  })

  test('for want of a server', async (t) => {
    const { first, errors } = await stage(t, {}, { servers: ['127.0.0.1:1'] })
    await within(first, 'the first lookup')
    assert.equal(codeOf(errors[0]), 'ECONNREFUSED')
  })
})

describe('services', () => {
  const records = {
    [`SRV ${service}`]: [
      { target: 'spare.test', port: 9002, priority: 20, weight: 5 },
      { target: 'B.test', port: 9001, priority: 10, weight: 0 },
      { target: 'a.test', port: 9000, priority: 10, weight: 60 }
    ],
    'A a.test': ['10.0.0.1', '10.0.0.2'],
    'AAAA a.test': ['fd00::1'],
    'A b.test': ['10.0.0.3'],
    'AAAA spare.test': ['fd00::9']
  }
  const told: Endpoint[] = [
    { address: '10.0.0.1', port: 9000, name: 'a.test', priority: 10, weight: 60 },
    { address: '10.0.0.2', port: 9000, name: 'a.test', priority: 10, weight: 60 },
    { address: 'fd00::1', port: 9000, name: 'a.test', priority: 10, weight: 60 },
    { address: '10.0.0.3', port: 9001, name: 'b.test', priority: 10, weight: 0 },
    { address: 'fd00::9', port: 9002, name: 'spare.test', priority: 20, weight: 5 }
  ]

  test('have a port, a priority and a weight; every address of a target is an endpoint', async (t) => {
    const { first, sets, errors } = await stage(t, records, { type: 'SRV' })
    await first
    assert.deepEqual(sets, [told])
    assert.deepEqual(errors, [])
  })

  test('are followed in their weights, and in the addresses of their targets', async (t) => {
    const { first, sets, dns } = await stage(t, records, { type: 'SRV' })
    await first
    dns.set('a.test', 'A', ['10.0.0.1'])
    await until(() => sets.length > 1, 'a set without an address')
    assert.deepEqual(sets[1], told.filter(({ address }) => address !== '10.0.0.2'))
    dns.set(service, 'SRV', [{ target: 'b.test', port: 9001, priority: 10, weight: 7 }])
    await until(() => sets.length > 2, 'a set with another weight')
    assert.deepEqual(sets[2], [{ address: '10.0.0.3', port: 9001, name: 'b.test', priority: 10, weight: 7 }])
  })

  test('that stand there twice are one, with the better of their ranks', async (t) => {
    const { first, sets } = await stage(t, {
      ...records,
      [`SRV ${service}`]: [
        { target: 'b.test', port: 9001, priority: 10, weight: 1 },
        { target: 'b.test', port: 9001, priority: 10, weight: 9 },
        { target: 'b.test', port: 9001, priority: 20, weight: 20 },
        { target: 'alias.test', port: 9001, priority: 30, weight: 30 },
        { target: 'b.test', port: 9002, priority: 20, weight: 2 }
      ],
      'A alias.test': ['10.0.0.3']
    }, { type: 'SRV' })
    await first
    assert.deepEqual(sets, [[
      { address: '10.0.0.3', port: 9001, name: 'b.test', priority: 10, weight: 9 },
      { address: '10.0.0.3', port: 9002, name: 'b.test', priority: 20, weight: 2 }
    ]])
  })

  test('that are declared not to exist are the empty set', async (t) => {
    const { first, sets, errors, dns } = await stage(t, records, { type: 'SRV' })
    await first
    dns.set(service, 'SRV', [{ target: '.', port: 0 }])
    await until(() => sets.length > 1, 'the empty set')
    assert.deepEqual(sets[1], [])
    assert.deepEqual(errors, [])
  })

  test('that never existed are the empty set, too', async (t) => {
    const { first, sets } = await stage(t, { [`SRV ${service}`]: [{ target: '.', port: 0 }] }, { type: 'SRV' })
    await first
    assert.deepEqual(sets, [[]])
  })

  test('lose a target that does not exist any more, and only that', async (t) => {
    const { first, sets, dns } = await stage(t, records, { type: 'SRV' })
    await first
    dns.set('a.test', 'A', 'NXDOMAIN')
    dns.set('a.test', 'AAAA', 'NXDOMAIN')
    await until(() => sets.at(-1)?.length === 2, 'a set without the target')
    assert.deepEqual(sets.at(-1), told.slice(3))
  })

  test('fail as a whole where a target goes unanswered', async (t) => {
    const { first, sets, errors, dns } = await stage(t, records, { type: 'SRV' })
    await first
    dns.set('a.test', 'AAAA', 'SERVFAIL')
    dns.set('a.test', 'A', 'SERVFAIL')
    await until(() => errors.length > 0, 'a failure')
    assert.equal(codeOf(errors[0]), 'ESERVFAIL')
    assert.deepEqual(sets[0], told)
    assert.deepEqual(sets.slice(1), [])
  })

  test('keep the known addresses of a family that goes unanswered, and follow the other', async (t) => {
    const { first, sets, errors, dns } = await stage(t, records, { type: 'SRV' })
    await first
    dns.set('a.test', 'AAAA', 'SERVFAIL')
    dns.set('a.test', 'A', ['10.0.0.1', '10.0.0.7'])
    await until(() => sets.length > 1, 'another set')
    assert.deepEqual(sets[1]?.map(({ address }) => address), ['10.0.0.1', '10.0.0.7', 'fd00::1', '10.0.0.3', 'fd00::9'])
    assert.deepEqual(errors, [])
  })

  test('fail where no target has an address', async (t) => {
    const { first, sets, errors } = await stage(t, { [`SRV ${service}`]: [{ target: 'nowhere.test', port: 1 }] }, { type: 'SRV' })
    await first
    assert.deepEqual(sets, [])
    assert.match((errors[0]?.cause as Error).message, /no address/)
  })
})

describe('one lookup at a time', () => {
  test('also where an answer takes longer than the refresh', async (t) => {
    const answer = deferred<DnsAnswer>()
    const slow = await stage(t, { [`A ${name}`]: answer.promise, 'A other.test': ['10.0.0.9'] })
    const other = watch(t, slow.dns, { dns: 'other.test' })
    await other.discovery.start()
    await lookUps(slow, 3, 'A other.test')
    assert.equal(slow.dns.queries.filter((query) => query === `A ${name}`).length, 1)
    answer.resolve(['10.0.0.1'])
    await slow.first
    assert.deepEqual(slow.sets, [[plain('10.0.0.1')]])
    await lookUps(slow, 2)
  })

  test('and one start', async (t) => {
    const { discovery, first, dns } = await stage(t, { [`A ${name}`]: ['10.0.0.1'] }, { refresh: 60_000 })
    assert.equal(discovery.start(), first)
    await first
    assert.deepEqual(dns.queries, [`A ${name}`])
  })
})

describe('stop()', () => {
  for (const [type, question] of [['A', `A ${name}`], ['SRV', `SRV ${service}`], ['SRV', 'A a.test']] as const) {
    test(`ends a lookup of ${type} that waits for ${question}, and nothing is told`, async (t) => {
      const { discovery, first, dns, sets, errors } = await stage(t, {
        [`SRV ${service}`]: [{ target: 'a.test', port: 9000 }], [question]: 'silence'
      }, { type })
      await until(() => dns.queries.includes(question), 'the question')
      discovery.stop()
      await within(first, 'start() to settle', 4000) // by itself it would take 6 s
      assert.deepEqual([sets, errors], [[], []])
    })
  }

  test('leaves no timer: nothing is asked after it', async (t) => {
    const { discovery, first, dns, sets } = await stage(t, { [`A ${name}`]: ['10.0.0.1'], 'A other.test': ['10.0.0.9'] })
    await first
    discovery.stop()
    const asked = dns.queries.length
    const other = watch(t, dns, { dns: 'other.test' })
    await other.discovery.start()
    await lookUps({ dns }, 5, 'A other.test')
    assert.equal(dns.queries.filter((query) => query === `A ${name}`).length, asked)
    assert.equal(sets.length, 1)
  })

  test('by who is told of a set, is the end too', async (t) => {
    const dns = await startDns(t)
    dns.set(name, 'A', ['10.0.0.1'])
    const timers = longTimers(t)
    const discovery = new Discovery({ dns: name, type: 'A', refresh: 100_000, servers: [dns.address] }, () => discovery.stop(), assert.fail)
    await discovery.start()
    assert.deepEqual(timers.set, [])
  })

  test('lets the timer go, which held no process up', async (t) => {
    const timers = longTimers(t)
    const { discovery, first } = await stage(t, { [`A ${name}`]: ['10.0.0.1'] }, { refresh: 100_000 })
    await first
    assert.deepEqual(timers.set.map((timer) => [timer.ms, timer.held]), [[100_000, false]])
    discovery.stop()
    assert.deepEqual(timers.set.map((timer) => timer.cleared), [true])
  })
})

test('a server that is no address is refused at once', () => {
  assert.throws(() => new Discovery({ dns: name, type: 'A', refresh: 20, servers: ['not an address'] }, () => {}, () => {}), { code: 'ERR_INVALID_IP_ADDRESS' })
})
