import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BalancerConfig, MemberConfig } from '../../lib/balancer/config.ts'
import { joiningMember, parseStatus, reconfigured, statusLetters } from '../../lib/balancer/resolve-member.ts'
import type { WstunnelOptions } from '../../lib/plugin/options.ts'
import { resolveOptions } from '../../lib/plugin/resolve-options.ts'

const member = { url: 'ws://10.0.0.1:9080/' }
const other = { url: 'ws://10.0.0.2:9080/' }

function resolve (app: unknown, more: object = {}): BalancerConfig {
  const options = { balancers: { app }, routes: [{ upstream: 'balancer://app/' }], ...more }
  return resolveOptions(options as WstunnelOptions, '').balancers[0] as BalancerConfig
}

function findings (act: () => unknown): string[] {
  let message = ''
  assert.throws(act, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'FST_WSTUNNEL_INVALID_OPTIONS')
    message = error.message
    return true
  })
  return message.split('; ')
}

/** One finding, below `balancers.app`. */
function bad (what: string, app: object, ...expected: string[]): void {
  test(what, () => {
    assert.deepEqual(findings(() => resolve(app)), expected.map((line) => `balancers.app${line}`))
  })
}

const withMember = (own: object): object => ({ members: [member, { ...other, ...own }] })
const byDns = (own: object): object => ({ members: { dns: 'backend.test', ...own } })
const checked = (healthCheck: object): object => ({ members: [member], healthCheck })
const sticky = (own: object): object => ({ members: [member], stickySession: 'ROUTEID', ...own })

describe('defaults', () => {
  test('of a balancer and of a member', () => {
    const { policy, random, clock, members: [first], ...rest } = resolve({ members: [member] })
    assert.deepEqual(rest, {
      name: 'app',
      webSocket: true,
      lbMethod: 'bybusyness',
      byTraffic: false,
      hashBy: { kind: 'client', name: '' },
      stickiness: undefined,
      stickyCookie: undefined,
      dns: undefined,
      retry: 60_000,
      failOnStatus: [],
      failOnTimeout: false,
      maxAttempts: Infinity,
      noFailover: false,
      forceRecovery: false,
      healthCheck: undefined,
      slowStart: 0
    })
    assert.equal(random, Math.random)
    assert.ok(clock() > 0)
    const { address, ...own } = first as MemberConfig
    assert.equal(address.label, member.url)
    assert.deepEqual(own, {
      loadFactor: 1,
      lbSet: 0,
      max: Infinity,
      status: parseStatus(''),
      connection: {},
      route: undefined,
      redirect: undefined
    })
  })

  test('of a health check, and of members by DNS', () => {
    assert.deepEqual(resolve(checked({})).healthCheck, {
      method: 'TCP', uri: '/', interval: 30_000, timeout: 5000, passes: 1, fails: 1, status: [[200, 399]], body: undefined
    })
    const { dns, members } = resolve(byDns({}))
    assert.deepEqual(members, [])
    assert.deepEqual(dns?.source, { dns: 'backend.test', type: 'A', refresh: 30_000, servers: undefined })
    assert.deepEqual([dns?.template.scheme, dns?.template.port, dns?.template.path], ['ws', undefined, ''])
  })

  test('the options stay as they were', () => {
    const app = { members: [{ ...member, tls: {} }], stickySession: 'A|b', stickyCookie: {}, failOnStatus: [503] }
    const before = structuredClone(app)
    const config = resolve(app)
    assert.deepEqual(app, before)
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.members) && Object.isFrozen(config.members[0]) && Object.isFrozen(config.failOnStatus))
  })
})

describe('a bad balancer', () => {
  const name = "'client', 'header:name', 'cookie:name' or 'query:name'"
  const methods = "one of 'byrequests', 'bytraffic', 'bybusyness', 'random', 'p2c', 'hash', or a function"
  const session = "a cookie's name, or 'COOKIE|parameter', and a separator of one character or 'Off'"
  bad('without members', {}, ".members: expected an array of members, or { dns: 'name' }, got undefined")
  bad('with no members', { members: [] }, '.members: expected at least one member, got an empty array')
  bad('with a text for members', { members: 'a' }, ".members: expected an array of members, or { dns: 'name' }, got 'a'")
  bad('with null for members', { members: null }, ".members: expected an array of members, or { dns: 'name' }, got null")
  bad('with an unknown option', { members: [member], lbmethod: 'hash' }, '.lbmethod: unknown option, did you mean lbMethod?')
  bad('lbMethod', { members: [member], lbMethod: 'heartbeat' }, `.lbMethod: expected ${methods}, got 'heartbeat'`)
  bad('hashBy', { members: [member], hashBy: 'cookie:' }, `.hashBy: expected ${name}, got 'cookie:'`)
  bad('retry', { members: [member], retry: '60' }, ".retry: expected a duration such as '30s', got '60', did you mean '60s', or '60ms'?")
  bad('slowStart', { members: [member], slowStart: -1 }, ".slowStart: expected a duration such as '30s', got -1")
  bad('failOnStatus', { members: [member], failOnStatus: [503, 101] }, '.failOnStatus[1]: expected a status from 200 to 599, got 101')
  bad('maxAttempts', { members: [member], maxAttempts: -1 }, '.maxAttempts: expected a whole number of at least 0, got -1')
  bad('stickySession', { members: [member], stickySession: 'A|b|c' }, `.stickySession: expected ${session}, got 'A|b|c'`)
  bad('stickySessionSep', sticky({ stickySessionSep: '..' }), `.stickySession: expected ${session}, got 'ROUTEID'`)
  bad(
    'stickyCookie without a name',
    { members: [member], stickyCookie: {} },
    '.stickyCookie: expected stickySession beside it, which names the cookie, got an object'
  )
  bad('stickyCookie with a path that ends it', sticky({ stickyCookie: { path: '/;x' } }), '.stickyCookie: expected valid cookie attributes, got an object')
  bad('stickyCookie with a line break', sticky({ stickyCookie: { domain: 'a\r\nb' } }), '.stickyCookie: expected valid cookie attributes, got an object')
  bad(
    'stickyCookie.sameSite',
    sticky({ stickyCookie: { sameSite: 'Lax' } }),
    ".stickyCookie.sameSite: expected one of 'lax', 'strict', 'none', got 'Lax', did you mean 'lax'?"
  )
  test('several at once, whatever is wrong with each', () => {
    const app = { members: [{ ...member, url: 'a' }, { url: 5, loadFactor: 0, status: 'Q' }], retry: 'x', noFailover: 1 }
    assert.deepEqual(findings(() => resolveOptions({ balancers: { app } } as never, '')).map((finding) => finding.split(': ')[0]).sort(), [
      'balancers.app.members[0].url', 'balancers.app.members[1].loadFactor', 'balancers.app.members[1].status', 'balancers.app.members[1].url',
      'balancers.app.noFailover', 'balancers.app.retry'
    ])
  })

  test('a name that a URL cannot hold', () => {
    const options = { balancers: { 'a b': { members: [member] } } }
    assert.deepEqual(findings(() => resolveOptions(options, '')), ["balancers.a b: expected a name of letters, digits and . _ -, got 'a b'"])
  })

  test('that a route misses', () => {
    const options = { routes: [{ upstream: 'balancer://nope/' }] }
    assert.deepEqual(
      findings(() => resolveOptions(options, '')),
      ["routes[0].upstream: expected one of the balancers, got 'balancer://nope/' (there are none)"]
    )
  })

  test('whose name another registration has', () => {
    const before = new Map([['app', { config: resolve({ members: [member] }) }]])
    const options = { balancers: { app: { members: [member] } } }
    assert.deepEqual(
      findings(() => resolveOptions(options, '', before)),
      ['balancers.app: expected a name of its own on this server: an earlier registration has a balancer of this name']
    )
  })
})

describe('a bad member', () => {
  const url = 'a ws:, wss:, http: or https: URL without credentials, query and fragment, or unix:/path|URL'
  const letters = "letters of D, S, I, R, H and N, such as '+H' or 'D-N'"
  bad('twice', withMember({ url: member.url }), ".members[1].url: expected each member once, got 'ws://10.0.0.1:9080/' again")
  bad('twice, written differently', withMember({ url: 'WS://10.0.0.1:9080' }), ".members[1].url: expected each member once, got 'ws://10.0.0.1:9080/' again")
  bad('of another kind', withMember({ url: 'http://10.0.0.2/' }), '.members[1].url: expected ws and wss members only, or http and https members only')
  bad('without a URL', { members: [{}] }, `.members[0].url: expected ${url}, got undefined (is an environment variable unset?)`)
  bad('url', withMember({ url: 'ftp://10.0.0.2/' }), `.members[1].url: expected ${url}, got 'ftp://10.0.0.2/'`)
  bad(
    'that is no object',
    { members: ['ws://10.0.0.1/'] },
    ".members[0]: expected a member such as { url: 'ws://10.0.0.1:9080' }, got 'ws://10.0.0.1/', did you mean { url: 'ws://10.0.0.1/' }?"
  )
  bad('with an unknown option', withMember({ loadfactor: 1 }), '.members[1].loadfactor: unknown option, did you mean loadFactor?')
  for (const loadFactor of [0, 0.5, 101, '2', NaN]) {
    const got = typeof loadFactor === 'string' ? `'${loadFactor}', did you mean ${loadFactor}?` : loadFactor
    bad(`loadFactor ${loadFactor}`, withMember({ loadFactor }), `.members[1].loadFactor: expected a number from 1 to 100, got ${got}`)
  }
  bad('lbSet', withMember({ lbSet: 100 }), '.members[1].lbSet: expected a whole number from 0 to 99, got 100')
  bad('max', withMember({ max: 0 }), '.members[1].max: expected a whole number of at least 1, got 0')
  for (const status of ['X', 'E', '+', 'D,N', 'H R']) {
    bad(`status ${status}`, withMember({ status }), `.members[1].status: expected ${letters}, got '${status}'`)
  }
  bad('route', withMember({ route: 'a;b' }), ".members[1].route: expected a name of letters, digits and . _ ~ -, got 'a;b'")
  bad('route twice', { members: [{ ...member, route: 'a' }, { ...other, route: 'a' }] }, ".members[1].route: expected each route once, got 'a' again")
  bad('redirect to nobody', withMember({ redirect: 'z' }), ".members[1].redirect: expected the route of another member, got 'z'")
  bad('redirect to itself', withMember({ route: 'b', redirect: 'b' }), ".members[1].redirect: expected the route of another member, got 'b'")
  bad('timeout', withMember({ timeout: '3' }), ".members[1].timeout: expected a duration such as '30s', got '3', did you mean '3s', or '3ms'?")
  bad('tls with an unknown option', withMember({ tls: { cafile: 'x' } }), '.members[1].tls.cafile: unknown option')

  test('tls that Node cannot use', () => {
    const [only = '', ...more] = findings(() => resolve(withMember({ tls: { cert: '-----BEGIN CERTIFICATE-----' } })))
    assert.deepEqual(more, [])
    assert.match(only, /^balancers\.app\.members\[1\]\.tls: expected usable TLS options: /)
  })
})

describe('bad members by DNS', () => {
  const path = "a path such as '/app'"
  const servers = "addresses such as '127.0.0.1:53'"
  for (const dns of ['a b', 'a/b', 'a:1', 'user@a', '10.0.0.1', '[::1]']) {
    bad(`dns ${dns}`, byDns({ dns }), `.members.dns: expected a name, got '${dns.replace('user@', '***@')}'`)
  }
  bad('no name', byDns({ dns: '' }), ".members.dns: expected a name, got ''")
  bad('type', byDns({ type: 'MX' }), ".members.type: expected one of 'A', 'AAAA', 'SRV', got 'MX'")
  for (const refresh of [0, '0s']) {
    const got = typeof refresh === 'string' ? `'${refresh}'` : refresh
    bad(`refresh ${refresh}`, byDns({ refresh }), `.members.refresh: expected a duration above 0, got ${got}`)
  }
  bad('scheme', byDns({ scheme: 'tcp' }), ".members.scheme: expected one of 'ws', 'wss', 'http', 'https', got 'tcp'")
  bad('port', byDns({ port: 65_536 }), '.members.port: expected a port, got 65536')
  bad('port of SRV', byDns({ type: 'SRV', port: 80 }), '.members.port: expected none: SRV records contain it')
  for (const value of ['app', '/a?b', '/../a', '/a b', 'http://x/', '//x']) {
    bad(`path ${value}`, byDns({ path: value }), `.members.path: expected ${path}, got '${value}'`)
  }
  bad('no servers', byDns({ servers: [] }), ".members.servers: expected an array of servers such as '127.0.0.1:53', got an empty array")
  // Of these Node says nothing before the first lookup, and of port 0 then ends the process.
  for (const server of ['dns.test', '999.1.1.1:53', '1.2:53', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:99999', '[::1', '[zz]:53', '']) {
    bad(
      `server ${server}`,
      byDns({ servers: ['127.0.0.1', server] }),
      `.members.servers[1]: expected ${servers.replace('addresses', 'an address')}, got '${server}'`
    )
  }
  bad('routes', byDns({ route: 'a' }), '.members.route: unknown option')

  for (const server of ['127.0.0.1', '127.0.0.1:5353', '[::1]:53', '[::1]', '::1']) {
    test(`a good server: ${server}`, () => assert.deepEqual(resolve(byDns({ servers: [server] })).dns?.source.servers, [server]))
  }
})

describe('a bad health check', () => {
  bad('method', checked({ method: 'POST' }), ".healthCheck.method: expected one of 'TCP', 'GET', 'HEAD', 'WS', got 'POST'")
  for (const uri of ['health', 'http://x/health', '/a b', '/a\r\nX: y']) {
    bad(`uri ${JSON.stringify(uri)}`, checked({ method: 'GET', uri }), `.healthCheck.uri: expected a path such as '/health', got '${uri}'`)
  }
  bad('interval', checked({ interval: 0 }), '.healthCheck.interval: expected a duration above 0, got 0')
  bad('timeout', checked({ timeout: '0ms' }), ".healthCheck.timeout: expected a duration above 0, got '0ms'")
  bad('passes', checked({ passes: 0 }), '.healthCheck.passes: expected a whole number of at least 1, got 0')
  bad('fails', checked({ fails: 1.5 }), '.healthCheck.fails: expected a whole number of at least 0, got 1.5')
  for (const item of ['2xx', '20', '399-200', 1000]) {
    const got = typeof item === 'string' ? `'${item}'` : item
    bad(`status ${item}`, checked({ status: [200, item] }), `.healthCheck.status: expected statuses and ranges such as [200, '300-399'], got ${got}`)
  }
  bad('body of a HEAD', checked({ method: 'HEAD', body: 'x' }), ".healthCheck.body: expected the method 'GET' beside it, got 'x'")
  bad('body that is neither', checked({ method: 'GET', body: 1 }), '.healthCheck.body: expected a string or a RegExp, got 1')
})

describe('status letters', () => {
  for (const [text, shown] of [['', ''], ['+H', 'H'], ['d', 'D'], ['DSIRHN', 'DSIRHN'], ['+D-D', ''], ['-H', ''], ['I+N', 'IN']] as const) {
    test(`'${text}' is '${shown}'`, () => assert.equal(statusLetters(parseStatus(text) ?? assert.fail()), shown))
  }

  test('add to those before, and take away', () => {
    assert.equal(statusLetters(parseStatus('-D+H', parseStatus('DN')) ?? assert.fail()), 'HN')
  })
})

describe('while it runs', () => {
  const config = resolve({ members: [{ ...member, route: 'a' }, { ...other, route: 'b' }], stickySession: 'R', stickyCookie: {} })
  const join = (options: unknown): unknown => joiningMember(options as typeof member, config, config.members)

  for (const [what, options, finding] of [
    ['no URL', {}, /^url: expected a ws:/],
    ['nothing', undefined, /^expected a member such as .*, got undefined$/],
    ['a member that is there', { url: 'ws://10.0.0.1:9080' }, /^url: expected each member once/],
    ['a scheme that the others do not have', { url: 'http://10.0.0.3/' }, /^url: expected ws and wss members only/],
    ['a route that is taken', { url: 'ws://10.0.0.3/', route: 'a' }, /^route: expected each route once/],
    ['an unknown letter', { url: 'ws://10.0.0.3/', status: 'Z' }, /^status: expected letters/],
    ['a load factor of 0', { url: 'ws://10.0.0.3/', loadFactor: 0 }, /^loadFactor: expected a number from 1 to 100/],
    ['an unknown option', { url: 'ws://10.0.0.3/', weight: 2 }, /^weight: unknown option, did you mean loadFactor\?$/]
  ] as const) {
    test(`nobody joins with ${what}`, () => {
      const [first = '', ...more] = findings(() => join(options))
      assert.match(first, finding)
      assert.deepEqual(more, [])
    })
  }

  test('one that joins an empty balancer has its scheme, too', () => {
    assert.deepEqual(findings(() => joiningMember({ url: 'http://10.0.0.3/' }, config, [])), ['url: expected a ws or wss URL, as the others'])
  })

  for (const [what, changes, finding] of [
    ['nothing', undefined, /^expected changes, got undefined$/],
    ['an unknown letter', { status: '+Z' }, /^status: expected letters/],
    ['a load factor of 0', { loadFactor: 0 }, /^loadFactor: /],
    ['a max of 0', { max: 0 }, /^max: /],
    ['what cannot change', { url: 'ws://x/' }, /^url: unknown option$/],
    ['a redirect that is no name', { redirect: 'a b' }, /^redirect: expected a name/]
  ] as const) {
    test(`no change to ${what}`, () => {
      const [first = ''] = findings(() => reconfigured(config.members[0] as MemberConfig, changes as object))
      assert.match(first, finding)
    })
  }
})
