import assert from 'node:assert/strict'
import { METHODS } from 'node:http'
import { describe, test } from 'node:test'
import type { Target } from '../../lib/config/target.ts'
import type { Address } from '../../lib/config/upstream-url.ts'
import { defaultRules, patternText } from '../../lib/http/path-pattern.ts'
import type { RouteOptions, WstunnelOptions } from '../../lib/plugin/options.ts'
import { type Resolved, resolveOptions } from '../../lib/plugin/resolve-options.ts'

const upstream = 'ws://up.example/'

function resolve (options: unknown, base = ''): Resolved {
  return resolveOptions(options as WstunnelOptions, base)
}

/** The one entry of a registration. */
function target (options: unknown, base = ''): Target {
  const { targets } = resolve(options, base)
  assert.equal(targets.length, 1)
  return targets[0] as Target
}

/** What is said of bad options, a finding each. */
function findings (options: unknown, base = ''): string[] {
  let message = ''
  assert.throws(() => resolve(options, base), (error: Error & { code?: string, statusCode?: number, source?: string }) => {
    assert.equal(error.code, 'FST_WSTUNNEL_INVALID_OPTIONS')
    assert.equal(error.source, 'internal')
    message = error.message
    return true
  })
  return message.split('; ')
}

/** What was found, and a hint of what may have been meant behind it. */
function begin (found: readonly string[], expected: readonly string[]): void {
  assert.deepEqual(found.map((finding, i) => finding.slice(0, expected[i]?.length)), expected)
}

function bad (option: string, value: unknown, expected: string, got: string): void {
  test(`${option}: ${got}`, () => {
    begin(findings({ upstream, [option]: value }), [`${option}: expected ${expected}, got ${got}`])
    begin(findings({ routes: [{ upstream }, { upstream, path: '/b', [option]: value }] }),
      [`routes[1].${option}: expected ${expected}, got ${got}`])
  })
}

describe('reverse', () => {
  const all = { location: true, cookiePath: true, cookieDomain: true }
  for (const [given, resolved] of [
    [true, all],
    [false, false],
    [{}, all],
    [{ location: undefined }, all],
    [{ location: false }, { ...all, location: false }],
    [{ location: 'absolute', cookiePath: false }, { location: 'absolute', cookiePath: false, cookieDomain: true }],
    [{ cookieDomain: false }, { ...all, cookieDomain: false }]
  ] as const) {
    test(`as ${JSON.stringify(given)}`, () => assert.deepEqual(target({ upstream, reverse: given }).reverse, resolved))
  }

  test('of an entry takes the place of the whole default', () => {
    const { targets } = resolve({ reverse: { cookiePath: false }, routes: [{ path: '/a', upstream }, { path: '/b', upstream, reverse: { location: false } }] })
    assert.deepEqual(targets.map((each) => each.reverse), [{ ...all, cookiePath: false }, { ...all, location: false }])
  })

  test('names what is wrong within it', () => {
    assert.deepEqual(findings({ routes: [{ upstream, reverse: { location: 'relative', cookiePath: 1, path: '/x' } }] }), [
      'routes[0].reverse.path: unknown option',
      "routes[0].reverse.location: expected true, false or 'absolute', got 'relative'",
      'routes[0].reverse.cookiePath: expected true or false, got 1'
    ])
    assert.deepEqual(findings({ upstream, reverse: 'on' }), ["reverse: expected true, false or an object of location, cookiePath and cookieDomain, got 'on'"])
    assert.deepEqual(
      findings({ upstream, reverse: [] }),
      ['reverse: expected true, false or an object of location, cookiePath and cookieDomain, got an empty array']
    )
  })
})

describe('defaults', () => {
  test('of every option', () => {
    const { prefix, path, upstream: address, rules, allMethods, ...rest } = target({ upstream })
    assert.deepEqual([path.text, rules], ['/', defaultRules])
    assert.deepEqual(allMethods, METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE'))
    assert.equal((address as Address).label, 'ws://up.example/')
    assert.equal(prefix.text, '')
    assert.deepEqual(rest, {
      route: '/',
      methods: undefined,
      constraints: undefined,
      webSocket: true,
      atRoot: true,
      upgrade: ['websocket'],
      fallbackToHttp: true,
      async: true,
      asyncDelay: 0,
      connectTimeout: 10_000,
      timeout: 60_000,
      handshakeTimeout: 10_000,
      store: undefined,
      tracing: undefined,
      keepAlive: 30_000,
      preserveHost: false,
      disableReuse: false,
      reverse: { location: true, cookiePath: true, cookieDomain: true },
      forwarded: 'x-forwarded',
      via: 'off',
      rewriteRequestHeaders: undefined,
      rewriteHeaders: undefined,
      tls: {},
      allowedOrigins: undefined,
      limits: {
        maxTunnels: 10_000,
        maxTunnelsPerClient: Infinity,
        maxTunnelsPerUpstream: Infinity,
        maxForwards: 10_000,
        maxConnectionsPerUpstream: 1024,
        earlyData: 16_384,
        maxResponseHead: 16_384
      },
      timers: { idle: 0, halfClose: 30_000, lifetime: 0, stall: 60_000 },
      settings: {},
      onTunnelOpen: undefined,
      onTunnelClose: undefined
    })
  })
  test('of the registration', () => {
    const config = resolve({ upstream })
    assert.equal(config.drainTimeout, 10_000)
    assert.deepEqual(config.warnings, [])
  })
  for (const [url, expected] of [
    ['ws://up.example/', ['websocket']], ['wss://up.example/', ['websocket']], ['http://up.example/', []], ['https://up.example/', []],
    ['unix:/run/app.sock|ws://up.example/', ['websocket']], ['unix:/run/app.sock|http://up.example/', []]
  ] as const) {
    test(`of upgrade for ${url}`, () => {
      assert.deepEqual(target({ upstream: url }).upgrade, expected)
      assert.equal(target({ upstream: url }).webSocket, expected.length === 1)
    })
  }
  test('of upgrade for a function, and for what is not proxied', () => {
    const choose = (): string => upstream
    assert.deepEqual(target({ upstream: choose }).upgrade, ['websocket'])
    assert.equal(target({ upstream: choose }).upstream, choose)
    assert.deepEqual(target({ upstream: false }).upgrade, [])
    assert.equal(target({ upstream: false }).upstream, false)
  })
  test('no option at all is no route at all', () => {
    assert.deepEqual(resolve({}).targets, [])
    assert.deepEqual(resolve({ drainTimeout: '5s' }).targets, [])
    assert.deepEqual(resolve({ routes: [] }).targets, [])
    assert.deepEqual(resolve({ routes: [], upstream }).targets, [])
  })
})

describe('every option arrives', () => {
  test('with a value of its own', () => {
    const functions = {
      rewriteRequestHeaders: () => ({}), rewriteHeaders: () => ({}), onTunnelOpen: () => {}, onTunnelClose: () => {}
    }
    const constraints = { host: 'a.example' }
    const settings = {
      config: { a: 1 },
      logLevel: 'warn',
      logSerializers: { req: () => 'x' },
      onRequest: async () => {},
      preValidation: [async () => {}],
      preHandler: [async () => {}, async () => {}]
    }
    const found = target({
      ...functions,
      ...settings,
      constraints,
      methods: ['GET', 'POST'],
      prefix: '/app',
      path: '/a',
      upstream: 'wss://up.example:9/b',
      upgrade: ['TCP', 'WebSocket'],
      fallbackToHttp: false,
      async: false,
      asyncDelay: 1,
      idleTimeout: '2ms',
      connectTimeout: '3s',
      timeout: '4m',
      handshakeTimeout: '5h',
      halfCloseTimeout: 6.5,
      maxLifetime: '7.5s',
      stallTimeout: 0,
      keepAlive: '0s',
      preserveHost: true,
      disableReuse: true,
      reverse: { location: 'absolute', cookieDomain: false },
      forwarded: false,
      via: 'full',
      tls: { rejectUnauthorized: false, servername: 'x' },
      allowedOrigins: ['https://A.example:443/', 'http://b.example:81'],
      limits: {
        maxTunnels: 1,
        maxTunnelsPerClient: 2,
        maxTunnelsPerUpstream: 3,
        maxForwards: 6,
        maxConnectionsPerUpstream: 7,
        earlyData: 0,
        maxResponseHead: 5
      }
    }, '/app')
    const { prefix, path, upstream: address, rules, ...rest } = found
    assert.deepEqual([path.text, rules], ['/a', defaultRules])
    assert.equal((address as Address).label, 'wss://up.example:9/b')
    assert.equal(prefix.text, '/app/a')
    assert.deepEqual(rest, {
      ...functions,
      settings,
      route: '/app/a',
      methods: ['GET', 'POST'],
      allMethods: ['GET', 'POST'],
      constraints,
      webSocket: true,
      atRoot: false,
      upgrade: ['tcp', 'websocket'],
      fallbackToHttp: false,
      async: false,
      asyncDelay: 1,
      connectTimeout: 3000,
      timeout: 240_000,
      handshakeTimeout: 18_000_000,
      store: undefined,
      tracing: undefined,
      keepAlive: 0,
      preserveHost: true,
      disableReuse: true,
      reverse: { location: 'absolute', cookiePath: true, cookieDomain: false },
      forwarded: false,
      via: 'full',
      tls: { rejectUnauthorized: false, servername: 'x' },
      allowedOrigins: ['https://a.example', 'http://b.example:81'],
      limits: {
        maxTunnels: 1,
        maxTunnelsPerClient: 2,
        maxTunnelsPerUpstream: 3,
        maxForwards: 6,
        maxConnectionsPerUpstream: 7,
        earlyData: 0,
        maxResponseHead: 5
      },
      timers: { idle: 2, halfClose: 6.5, lifetime: 7500, stall: 0 }
    })
  })
  test('drainTimeout', () => {
    assert.equal(resolve({ drainTimeout: '1m' }).drainTimeout, 60_000)
    assert.equal(resolve({ drainTimeout: 0 }).drainTimeout, 0)
  })
  for (const value of ['ANY', 'NONE']) test(`upgrade: ${value}`, () => assert.equal(target({ upstream, upgrade: value }).upgrade, value))
  for (const value of ['x-forwarded', 'forwarded', 'both', false]) {
    test(`forwarded: ${value}`, () => assert.equal(target({ upstream, forwarded: value }).forwarded, value))
  }
  for (const value of ['off', 'on', 'full', 'block']) test(`via: ${value}`, () => assert.equal(target({ upstream, via: value }).via, value))
})

describe('the top is the default of the routes', () => {
  const options = {
    upstream: 'ws://default.example/',
    idleTimeout: '5m',
    via: 'on',
    limits: { earlyData: 1, maxTunnels: 2 },
    routes: [{ path: '/a' }, { path: '/b', upstream: 'http://own.example/', idleTimeout: 0, via: 'off', limits: { earlyData: 3 } }]
  }
  test('which override it one by one, limits too', () => {
    const [a, b] = resolve(options).targets as [Target, Target]
    assert.deepEqual([(a.upstream as Address).hostname, a.timers.idle, a.via, a.limits.earlyData, a.limits.maxTunnels],
      ['default.example', 300_000, 'on', 1, 2])
    assert.deepEqual([(b.upstream as Address).hostname, b.timers.idle, b.via, b.limits.earlyData, b.limits.maxTunnels],
      ['own.example', 0, 'off', 3, 2])
    assert.deepEqual([a.upgrade, b.upgrade], [['websocket'], []])
  })
  test('in the order that they were written', () => {
    assert.deepEqual(resolve(options).targets.map(({ route }) => route), ['/a', '/b'])
  })
  test('a bad default is named where it stands, and once', () => {
    assert.deepEqual(findings({ ...options, idleTimeout: '5' }), ["idleTimeout: expected a duration such as '30s', got '5', did you mean '5s', or '5ms'?"])
    assert.deepEqual(findings({ stallTimeout: '5 s', routes: [{ upstream, path: '/a' }, { upstream, path: '/b' }] }),
      ["stallTimeout: expected a duration such as '30s', got '5 s', did you mean '5s'?"])
  })
})

describe('paths', () => {
  for (const [path, base, route, texts, text] of [
    ['/', '', '/', ['/*', '/'], ''],
    ['/', '/', '/', ['/*', '/'], ''],
    ['/', '/app', '/app', ['/*', '/', '/'], '/app'],
    ['/', '/app/', '/app', ['/*', '/'], '/app'],
    ['/ws', '', '/ws', ['/ws/*', '/ws'], '/ws'],
    ['/ws/', '', '/ws/', ['/ws/*'], '/ws/'],
    ['/ws/', '/app', '/app/ws/', ['/ws/*'], '/app/ws/'],
    ['/:room/ws', '', '/:room/ws', ['/:room/ws/*', '/:room/ws'], '/:room/ws'],
    ['/café/', '', '/café/', ['/café/*'], '/café/'],
    ["/a-b_c.d~e!$&'+,;=@", '', "/a-b_c.d~e!$&'+,;=@", ["/a-b_c.d~e!$&'+,;=@/*", "/a-b_c.d~e!$&'+,;=@"], "/a-b_c.d~e!$&'+,;=@"],
    ['/...', '', '/...', ['/.../*', '/...'], '/...'],
  ] as const) {
    test(`${path} below '${base}'`, () => {
      const { targets: [found], placements } = resolve({ path, upstream }, base)
      assert.deepEqual(
        [found?.route, placements.map(({ pattern }) => patternText(pattern)), found?.prefix.text, found?.atRoot],
        [route, texts, text, path === '/']
      )
    })
  }
  for (const path of ['', 'ws', 'ws/', '*', '/*', '/a/*', '/a?b', '/a#b', '/a\\b', '/a b', '/\x7f', '/a%20b', '/a//b', '//', '/./a', '/a/.',
    '/a/..', '/../a', '/a/../b', '/a(b)', '/a\n']) {
    test(`${JSON.stringify(path)} is none`, () => {
      begin(findings({ path, upstream }),
        [`path: expected a path prefix such as '/ws/', without wildcards, query or dot segments, got '${path}'`])
    })
  }
})

describe('upstreams', () => {
  const expected = 'a ws:, wss:, http: or https: URL without credentials, query and fragment, or unix:/path|URL, or balancer://name/path, a function, or false'
  for (const value of ['', 'up.example', 'up.example:80', '//up.example/', 'ftp://up.example/', 'ws://', 'ws://u:p@up.example/', 'ws://up.example/?a',
    'ws://up.example/#a', 'balancer:', 'unix:/run/a.sock', 'ws://up.example:99999/', 'javascript:alert(1)', ' ']) {
    bad('upstream', value, expected, `'${value.replace('u:p@', '***@')}'`)
  }
  bad('upstream', true, expected, 'true')
  bad('upstream', 80, expected, '80')
  bad('upstream', null, expected, 'null')
  bad('upstream', { host: 'up.example' }, expected, 'an object')
  bad('upstream', ['ws://up.example/'], expected, 'an array')
  test('none', () => {
    begin(findings({ routes: [{ path: '/a' }] }), [`routes[0].upstream: expected ${expected}, got undefined`])
  })
})

describe('durations', () => {
  const names = ['asyncDelay', 'idleTimeout', 'connectTimeout', 'timeout', 'handshakeTimeout', 'halfCloseTimeout', 'maxLifetime',
    'stallTimeout', 'keepAlive']
  for (const name of names) bad(name, '30', "a duration such as '30s'", "'30'")
  for (const [value, got] of [
    ['', "''"], ['1d', "'1d'"], ['s', "'s'"], ['-1s', "'-1s'"], ['1 s', "'1 s'"], ['1S', "'1S'"], ['Infinity', "'Infinity'"], ['25d', "'25d'"],
    ['1000h', "'1000h'"], [-1, '-1'], [NaN, 'NaN'], [Infinity, 'Infinity'], [2 ** 31, '2147483648'], [null, 'null'], [true, 'true'],
    [['1s'], 'an array'], [{}, 'an object'], [() => 1, 'a function']
  ] as const) {
    bad('idleTimeout', value, "a duration such as '30s'", got)
  }
  test('the words of the documentation', () => {
    assert.throws(() => resolve({ routes: [{ upstream }, { upstream, path: '/b', idleTimeout: '30' }] }), {
      code: 'FST_WSTUNNEL_INVALID_OPTIONS',
      message: "routes[1].idleTimeout: expected a duration such as '30s', got '30', did you mean '30s', or '30ms'?"
    })
  })
  test('drainTimeout, which is the registration\'s', () => {
    assert.deepEqual(findings({ upstream, drainTimeout: '10' }), ["drainTimeout: expected a duration such as '30s', got '10', did you mean '10s', or '10ms'?"])
    assert.deepEqual(findings({ drainTimeout: -1 }), ["drainTimeout: expected a duration such as '30s', got -1"])
    assert.deepEqual(findings({ routes: [{ upstream, drainTimeout: '10s' }] }), ['routes[0].drainTimeout: unknown option, it belongs at the top'])
  })
})

describe('other values', () => {
  const upgrade = "a protocol token, a list of them, 'ANY' or 'NONE'"
  const notTunnelled = `${upgrade} (HTTP in any version, h2c, h2, h3 and TLS are never tunnelled)`
  for (const value of [
    '', ' ', 'web socket', 'websocket,tcp', '"websocket"', 'a/b/c', 'a/',
    '/a', 'h2c', 'H2C', 'h2', 'TLS/1.2', 'tls', 'any', 'none', 'Any', '\r\n'
  ]) {
    bad('upgrade', value, notTunnelled, `'${value}'`)
  }
  bad('upgrade', [], notTunnelled, 'an empty array')
  bad('upgrade', ['websocket', 'h2c'], notTunnelled, 'an array')
  bad('upgrade', ['websocket', 'ANY'], notTunnelled, 'an array')
  bad('upgrade', true, upgrade, 'true')
  for (const name of ['fallbackToHttp', 'async', 'preserveHost', 'disableReuse']) {
    bad(name, 'false', 'true or false', "'false'")
    bad(name, 0, 'true or false', '0')
    bad(name, null, 'true or false', 'null')
  }
  bad('forwarded', 'x-forwarded-for', "one of 'x-forwarded', 'forwarded', 'both', false", "'x-forwarded-for'")
  bad('forwarded', true, "one of 'x-forwarded', 'forwarded', 'both', false", 'true')
  bad('via', 'Off', "one of 'off', 'on', 'full', 'block'", "'Off'")
  bad('via', false, "one of 'off', 'on', 'full', 'block'", 'false')
  for (const name of ['rewriteRequestHeaders', 'rewriteHeaders', 'onTunnelOpen', 'onTunnelClose']) bad(name, {}, 'a function', 'an object')
  for (const name of ['onRequest', 'preValidation', 'preHandler']) bad(name, 'authenticate', 'a hook function or an array of them', "'authenticate'")
  bad('tls', true, 'an object of TLS options', 'true')
  bad('limits', 5, 'an object of limits', '5')
  bad('constraints', 'a.example', 'an object of route constraints', "'a.example'")
  bad('config', 1, 'an object', '1')
  bad('logLevel', 1, 'a log level', '1')
  bad('logSerializers', 1, 'an object of serializers', '1')
  bad('path', 1, "a path prefix such as '/ws/'", '1')
  bad('allowedOrigins', 'https://a.example', "an array of origins such as 'https://app.example'", "'https://a.example'")
  for (const origin of [
    'a.example', 'null', '*', '', 'https://*.a.example/x', 'https://a.example/x', 'https://a.example?x', 'https://u@a.example', 'file:///'
  ]) {
    test(`allowedOrigins: '${origin}'`, () => {
      begin(
        findings({ upstream, allowedOrigins: ['https://a.example', origin] }),
        [`allowedOrigins[1]: expected an origin such as 'https://app.example', got '${origin.replace('u@', '***@')}'`]
      )
    })
  }
  for (const name of [
    'maxTunnels', 'maxTunnelsPerClient', 'maxTunnelsPerUpstream', 'maxForwards', 'maxConnectionsPerUpstream', 'earlyData', 'maxResponseHead'
  ]) {
    const least = name === 'maxResponseHead' ? 1 : 0 // with 0, undici would throw at the first forward
    for (const [value, got] of [
      [least - 1, String(least - 1)], [-1, '-1'], [1.5, '1.5'], ['10', "'10'"], [null, 'null'], [NaN, 'NaN'], [Infinity, 'Infinity']
    ] as const) {
      const hint = value === '10' ? ', did you mean 10?' : ''
      test(`limits.${name}: ${got}`, () => {
        assert.deepEqual(findings({ upstream, limits: { [name]: value } }), [`limits.${name}: expected a whole number of at least ${least}, got ${got}${hint}`])
        assert.deepEqual(findings({ routes: [{ upstream, limits: { [name]: value } }] }),
          [`routes[0].limits.${name}: expected a whole number of at least ${least}, got ${got}${hint}`])
      })
    }
  }
  test('a long text is cut, not repeated', () => {
    const [finding] = findings({ upstream: 'x'.repeat(10_000) })
    assert.ok((finding as string).length < 400)
  })
  for (const value of [null, 'ws://up.example/', 5, []]) {
    test(`${JSON.stringify(value)} instead of options`, () => assert.match(findings(value).join(), /expected an object/))
  }
  test('routes that are none', () => {
    assert.deepEqual(findings({ routes: {} }), ['routes: expected an array of routes, got an object'])
    assert.deepEqual(findings({ routes: ['/ws'] }), ["routes[0]: expected an object, got '/ws'"])
    assert.deepEqual(findings({ routes: [{ upstream }, null] }), ['routes[1]: expected an object, got null'])
  })
})

describe('several bad values are named in one error', () => {
  test('of the wrong type', () => {
    assert.deepEqual(findings({ upstream: 1, via: 'yes', routes: [{ async: 'no' }, { idleTimeuot: 1 }] }).sort(), [
      "routes[0].async: expected true or false, got 'no'",
      'routes[1].idleTimeuot: unknown option, did you mean idleTimeout?',
      'upstream: expected a ws:, wss:, http: or https: URL without credentials, query and fragment, ' +
        "or unix:/path|URL, or balancer://name/path, a function, or false, got 1, did you mean 'ws://127.0.0.1:1/'?",
      "via: expected one of 'off', 'on', 'full', 'block', got 'yes'"
    ])
  })
  test('of the right type', () => {
    assert.deepEqual(findings({
      drainTimeout: '1',
      routes: [{ upstream, path: 'a' }, { upstream, path: '/b', timeout: '1', keepAlive: '2' }, { upstream, path: '/c', upgrade: 'h2c' }]
    }).sort(), [
      "drainTimeout: expected a duration such as '30s', got '1', did you mean '1s', or '1ms'?",
      "routes[0].path: expected a path prefix such as '/ws/', without wildcards, query or dot segments, got 'a', did you mean '/a'?",
      "routes[1].keepAlive: expected a duration such as '30s', got '2', did you mean '2s', or '2ms'?",
      "routes[1].timeout: expected a duration such as '30s', got '1', did you mean '1s', or '1ms'?",
      "routes[2].upgrade: expected a protocol token, a list of them, 'ANY' or 'NONE' (HTTP in any version, h2c, h2, h3 and TLS are never tunnelled), got 'h2c'"
    ])
  })
})

describe('all bad values are named in one error', () => {
  test('whatever kind each is: a type, an unknown option, a URL, a duration, a path, a balancer, an origin', () => {
    const found = findings({
      drainTimeout: '1',
      idleTimeout: '30',
      via: 'yes',
      limits: { maxTunnels: '5' },
      routes: [
        { upstream: 'localhost:4000', async: 'no', timeout: '5' },
        'ws://x/',
        { upstream: 'balancer://ap/', path: 'b', upgraed: 'any', allowedOrigins: ['x', 5] },
        { upstream: 5, methods: ['get', 7] }
      ],
      balancers: { app: { members: [{ url: 'ws://a/' }, { url: 'b:1' }], retry: 'x', sticky: true } }
    })
    assert.deepEqual(found.map((finding) => finding.split(': ')[0]).sort(), [
      'balancers.app.members[1].url', 'balancers.app.retry', 'balancers.app.sticky', 'drainTimeout', 'idleTimeout', 'limits.maxTunnels',
      'routes[0].async', 'routes[0].timeout', 'routes[0].upstream', 'routes[1]', 'routes[2].allowedOrigins[0]', 'routes[2].allowedOrigins[1]',
      'routes[2].path', 'routes[2].upgraed', 'routes[2].upstream', 'routes[3].methods', 'routes[3].methods[1]', 'routes[3].upstream', 'via'
    ])
  })
  test('what every route overrides is looked at, too', () => {
    assert.deepEqual(
      findings({ idleTimeout: '30', routes: [{ upstream, idleTimeout: '30s' }] }),
      ["idleTimeout: expected a duration such as '30s', got '30', did you mean '30s', or '30ms'?"]
    )
  })
  test('what is wrong once is named once', () => {
    assert.deepEqual(findings({ upstream: 'localhost', routes: [{ path: '/a' }, { path: '/b' }] }).map((finding) => finding.split(': ')[0]),
      ['routes[0].upstream', 'routes[1].upstream'])
    assert.deepEqual(findings({ upstream: 5, routes: [{ path: '/a' }, { path: '/b' }] }).length, 1)
  })
})

describe('an upstream that is missing', () => {
  for (const options of [
    { upstream: undefined }, { prefix: '/ws', upstream: undefined }, { upstream: undefined, routes: undefined },
    { path: '/ws' }, { prefix: '/ws' }, { idleTimeout: '5m', limits: {} }
  ]) {
    test(`${Object.keys(options).join(', ')}: said, with a thought of the environment`, () => {
      const [finding = '', ...others] = findings(options)
      assert.deepEqual(others, [])
      assert.match(finding, /^upstream: .*is an environment variable unset\?/)
    })
  }
  test('of one route', () => {
    assert.match(
      findings({ upstream, routes: [{ path: '/a' }, { path: '/b', upstream: undefined }] }).join(),
      /^routes\[1\]\.upstream: .*got undefined \(is an environment variable unset\?\)$/
    )
    assert.match(findings({ routes: [{ path: '/a' }] }).join(), /^routes\[0\]\.upstream: .*unset/)
  })
  for (const options of [
    {}, { drainTimeout: '5s' }, { healthPath: '/health' }, { prefix: '/p', healthPath: '/health' },
    { balancers: { app: { members: [{ url: 'ws://a/' }] } } }, { idleTimeout: undefined }, { upstream, routes: undefined }
  ]) {
    test(`is none of: ${Object.keys(options).join(', ') || 'nothing'}`, () => { resolve(options) })
  }
})

test('a URL object is taken as its text', () => {
  assert.equal((target({ upstream: new URL('ws://up.example:9080/app') }).upstream as Address).label, 'ws://up.example:9080/app')
  assert.match(findings({ upstream: { href: 'ws://a/' } }).join(), /^upstream: expected .*got an object$/)
  assert.match(findings({ upstream: new URL('ftp://a/') }).join(), /^upstream: expected /)
})

test('a prefix that the path repeats is an error, which says what was meant', () => {
  assert.match(findings({ upstream, prefix: '/ws', path: '/ws' }, '/ws').join(), /^path: .*served at \/ws\/ws, did you mean '\/'\?$/)
  assert.match(
    findings({ upstream, prefix: '/ws/', routes: [{ path: '/ws/a/' }] }, '/ws').join(),
    /^routes\[0\]\.path: .*served at \/ws\/ws\/a\/, did you mean '\/a\/'\?$/
  )
  for (const [prefix, path] of [['/ws', '/wsx'], ['/ws/a', '/ws'], ['/', '/ws'], ['/ws', '/']]) resolve({ upstream, prefix, path }, prefix)
})

describe('unknown options', () => {
  test('at the top', () => assert.deepEqual(findings({ upstream, idletimeout: '5m' }), ['idletimeout: unknown option, did you mean idleTimeout?']))
  test('of a route', () => assert.deepEqual(findings({ routes: [{ upstream, target: 'x' }] }), ['routes[0].target: unknown option, did you mean upstream?']))
  test('of a route: those of the registration', () => {
    assert.deepEqual(findings({ routes: [{ upstream, prefix: '/a' }, { upstream, routes: [] }] }),
      ['routes[0].prefix: unknown option, did you mean path?', 'routes[1].routes: unknown option, it belongs at the top'])
  })
  test('of limits', () => assert.deepEqual(findings({ upstream, limits: { maxTunnel: 1 } }), ['limits.maxTunnel: unknown option, did you mean maxTunnels?']))
  test('of tls', () =>
    assert.deepEqual(findings({ upstream, tls: { rejectUnauthorised: false } }), ['tls.rejectUnauthorised: unknown option, did you mean rejectUnauthorized?']))
  test('but config, constraints and serializers are the user\'s own', () => {
    assert.deepEqual(target({ upstream, config: { anything: { at: 'all' } } }).settings, { config: { anything: { at: 'all' } } })
  })
  for (const key of ['__proto__', 'constructor', 'prototype']) {
    test(`${key}, as JSON.parse makes it`, () => {
      assert.deepEqual(findings(JSON.parse(`{"upstream":"${upstream}","${key}":{"polluted":true}}`)), [`${key}: unknown option`])
      assert.deepEqual(findings(JSON.parse(`{"routes":[{"upstream":"${upstream}","${key}":{"upstream":"ws://evil/"}}]}`)),
        [`routes[0].${key}: unknown option`])
      assert.deepEqual(findings(JSON.parse(`{"upstream":"${upstream}","limits":{"${key}":{"maxTunnels":1}}}`)), [`limits.${key}: unknown option`])
      assert.deepEqual(findings(JSON.parse(`{"upstream":"${upstream}","tls":{"${key}":{"rejectUnauthorized":false}}}`)), [`tls.${key}: unknown option`])
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
    })
  }
})

describe('a copy', () => {
  function freeze (value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value
    for (const inner of Object.values(value)) freeze(inner)
    return Object.freeze(value)
  }
  const options = (): WstunnelOptions => ({
    idleTimeout: '5m',
    limits: { earlyData: 1 },
    allowedOrigins: ['https://a.example'],
    tls: { servername: 'a' },
    routes: [{ path: '/a', upstream, upgrade: ['tcp'], config: { a: 1 } }, { path: '/b', upstream: 'http://up.example/' }]
  })

  test('the input may be frozen, and is as it was', () => {
    const input = freeze(options())
    resolve(input)
    assert.deepEqual(input, options())
  })
  test('later changes of the input change nothing', () => {
    const input = options() as { limits: { earlyData: number }, tls: { servername: string }, allowedOrigins: string[], routes: Array<{ upgrade: string[] }> }
    const found = resolve(input).targets[0] as Target
    input.limits.earlyData = 2
    input.tls.servername = 'b'
    input.allowedOrigins.push('https://evil.example')
    input.routes[0]?.upgrade.push('h2c')
    assert.deepEqual([found.limits.earlyData, found.tls.servername, found.allowedOrigins, found.upgrade], [1, 'a', ['https://a.example'], ['tcp']])
  })
  test('is frozen', () => {
    const config = resolve(options())
    const [found] = config.targets as [Target]
    for (const value of [config, config.targets, found, found.limits, found.timers, found.tls, found.settings, found.upgrade, found.upstream]) {
      assert.ok(Object.isFrozen(value), JSON.stringify(value))
    }
  })
})

describe('entries that share a path', () => {
  const first: RouteOptions = { path: '/a', upstream, fallbackToHttp: false }
  const second: RouteOptions = { path: '/a', upstream: 'http://up.example/' }
  for (const [name, value] of Object.entries({
    constraints: { host: 'a.example' }, config: { a: 1 }, logLevel: 'warn', logSerializers: {}, onRequest: () => {}, preValidation: [], preHandler: () => {}
  })) {
    test(`may differ in ${name}`, () => {
      assert.equal(resolve({ routes: [first, { ...second, [name]: value }] }).targets.length, 2)
      assert.equal(resolve({ routes: [{ ...first, [name]: value }, second] }).targets.length, 2)
    })
  }
})

describe('methods', () => {
  const expected = 'methods that Node parses, in upper case, but not CONNECT and TRACE'
  for (const value of ['get', 'CONNECT', 'TRACE', 'FROB', '']) {
    test(`${JSON.stringify(value)} is none`, () =>
      begin(findings({ upstream, methods: ['GET', value] }), [`methods: expected ${expected}, got 'GET, ${value}'`]))
  }
  test('none at all is an error', () => assert.deepEqual(findings({ upstream, methods: [] }), [`methods: expected ${expected}, got an empty array`]))
  test('of an entry for WebSockets only are GET, which alone can ask for one', () => {
    assert.deepEqual(target({ upstream, fallbackToHttp: false }).allMethods, ['GET'])
    assert.ok(target({ upstream, fallbackToHttp: false, upgrade: ['websocket', 'tcp'] }).allMethods.includes('POST'))
    assert.ok(target({ upstream }).allMethods.includes('POST'))
  })
})

describe('warnings', () => {
  const warnings = (...routes: RouteOptions[]): readonly string[] => resolve({ routes }).warnings
  const http = 'http://up.example/'

  test('an entry that an earlier one hides', () => {
    const found = warnings({ upstream }, { upstream: http })
    assert.equal(found.length, 1)
    assert.match(found[0] as string, /^route \/ \(entry 1\) is never reached: the entry for \/ before it takes every request$/)
  })
  test('a longer path after a shorter one', () => {
    assert.match(warnings({ path: '/a', upstream: http }, { path: '/a/b', upstream }).join(), /route \/a\/b \(entry 1\).*\/a before it/)
    assert.match(warnings({ path: '/a', upstream: false }, { path: '/a/b', upstream }).join(), /entry 1/)
  })
  test('what follows http, which has no fallback to give up', () => {
    assert.match(warnings({ upstream: http, fallbackToHttp: false }, { upstream }).join(), /entry 1/)
  })
  test('what follows a NONE, which takes every request', () => {
    assert.match(warnings({ upstream, upgrade: 'NONE', fallbackToHttp: false }, { upstream: http }).join(), /entry 1/)
  })
  test('none for upgrades first and http second', () => {
    assert.deepEqual(warnings({ upstream, fallbackToHttp: false }, { upstream: http }), [])
  })
  test('none for a longer path first', () => assert.deepEqual(warnings({ path: '/a/', upstream }, { upstream: http }), []))
  test('none for neighbours', () => {
    assert.deepEqual(warnings({ path: '/a', upstream }, { path: '/ab', upstream: http }, { path: '/b', upstream }), [])
    assert.deepEqual(warnings({ path: '/a/', upstream }, { path: '/a', upstream: http }), [])
  })
  test('a slash at the end of one path and not of the other', () => {
    assert.deepEqual(warnings({ path: '/mix/', upstream: 'ws://up.example/mix' }),
      ['route /mix/: as in httpd, /mix/ is replaced by /mix literally; end both with a slash, or neither'])
    assert.equal(warnings({ path: '/mix', upstream: 'ws://up.example/mix/' }).length, 1)
  })
  test('none where both end alike, for the root of a prefix, and for the root of the upstream', () => {
    assert.deepEqual(warnings({ path: '/a/', upstream: 'ws://up.example/b/' }), [])
    assert.deepEqual(warnings({ path: '/a', upstream: 'ws://up.example/b' }), [])
    assert.deepEqual(warnings({ path: '/', upstream: 'ws://up.example/b' }), [])
    assert.deepEqual(warnings({ path: '/', upstream: 'ws://up.example/b/' }), [])
    assert.deepEqual(warnings({ path: '/a', upstream: 'ws://up.example/' }), [])
  })
})

describe('an error shows no credentials of a URL', () => {
  for (const options of [
    { 'http://u:secret@up.example/': 1 },
    { upstream: 'balancer://b/', balancers: { 'http://u:secret@up.example/': { members: [{ url: 'http://a/' }] } } }
  ]) {
    test(`that stands in the place of a name: ${Object.keys(options).join()}`, () => {
      const found = findings(options as never)
      assert.ok(found.length > 0)
      for (const finding of found) assert.doesNotMatch(finding, /secret/)
    })
  }
  for (const url of [
    'http://user:secret@up.example/', 'ws://user:sec/ret@up.example', 'http:user:secret@up.example', 'http://user:sec@ret@up.example/', 'ftp://u:secret@h/',
    `http://user:${'secret'.repeat(40)}@up.example/`, 'unix:/run/a.sock|http://user:secret@up.example/',
    'user:secret@up.example', 'http://secret@up.example/?q#h'
  ]) {
    test(url.slice(0, 60), () => {
      const found = [
        ...findings({ upstream: url }), ...findings({ routes: [{ upstream: url }] }),
        ...findings({ upstream: 'balancer://b/', balancers: { b: { members: [{ url }] } } } as never)
      ]
      assert.equal(found.length, 3)
      for (const finding of found) {
        assert.doesNotMatch(finding, /sec|ret|user:/)
        assert.match(finding, /got '.*\*\*\*@/)
      }
    })
  }
})
