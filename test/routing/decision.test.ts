import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Target } from '../../lib/config/target.ts'
import { reinjectedToken } from '../../lib/http/hop-by-hop.ts'
import { defaultRules, prefixLength } from '../../lib/http/path-pattern.ts'
import type { RouteOptions, WstunnelOptions } from '../../lib/plugin/options.ts'
import { resolveOptions } from '../../lib/plugin/resolve-options.ts'
import { decide, type Decision } from '../../lib/routing/decision.ts'
import { PathIndex } from '../../lib/routing/path-index.ts'
import { type RawRequest, readFacts, type RequestFacts } from '../../lib/routing/request-facts.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='

/** What a test says of a request; the rest is that of a right WebSocket handshake or of a plain GET. */
interface Asked {
  method?: string
  url?: string
  version?: string
  /** Field lines, in order. */
  fields?: ReadonlyArray<readonly [string, string]>
}

/** A request as Node's parser gives it: repeated fields joined, but of Host and Content-Length the first one kept. */
function request ({ method = 'GET', url = '/', version = '1.1', fields = [] }: Asked): RawRequest {
  const headers: Record<string, string> = {}
  for (const [name, value] of fields) {
    const lower = name.toLowerCase()
    const known = headers[lower]
    if (known === undefined) headers[lower] = value
    else if (lower !== 'host' && lower !== 'content-length') headers[lower] = `${known}, ${value}`
  }
  return { method, url, httpVersion: version, headers, rawHeaders: fields.flat() }
}

const host = ['Host', 'front.example'] as const
const webSocketFields = [
  host, ['Connection', 'Upgrade'], ['Upgrade', 'websocket'], ['Sec-WebSocket-Key', key], ['Sec-WebSocket-Version', '13']
] as const

/** A right WebSocket handshake, with some fields replaced (by lower-case name) or left out (by an empty list). */
function handshake (asked: Omit<Asked, 'fields'> = {}, replaced: Record<string, readonly string[]> = {}): RawRequest {
  const fields: Array<readonly [string, string]> = webSocketFields.filter(([name]) => !Object.hasOwn(replaced, name.toLowerCase()))
  for (const [name, values] of Object.entries(replaced)) for (const value of values) fields.push([name, value])
  return request({ ...asked, fields })
}

function offering (token: string, asked: Omit<Asked, 'fields'> = {}): RawRequest {
  return handshake(asked, { upgrade: [token] })
}

function plain (asked: Asked = {}): RawRequest {
  return request({ fields: [host], ...asked })
}

function targetsOf (options: WstunnelOptions, base = ''): readonly Target[] {
  return resolveOptions(options, base).targets
}

/** Decides as the router and the decision do together: by the entries that have the path, in the table's order. */
function decideBy (targets: readonly Target[], facts: RequestFacts, caseSensitive = true): Decision {
  const index = new PathIndex<undefined>({ ...defaultRules, caseSensitive })
  index.add(undefined, targets)
  return decide(facts.path === undefined ? targets : index.having(facts.path).map(({ target }) => target), facts)
}

/** A decision in a word: `none`, `forward`, `upgrade websocket`, `tunnel tcp`, `400`, `426 tcp`. */
function inAWord (targets: readonly Target[], asked: RawRequest, caseSensitive?: boolean): string {
  const decision = decideBy(targets, readFacts(asked), caseSensitive)
  switch (decision.kind) {
    case 'none':
    case 'forward':
      return decision.kind
    case 'upgrade-raw':
    case 'upgrade':
      return `${decision.kind} ${decision.token}`
    case 'refuse':
      return `${decision.error.statusCode}${decision.upgrade === undefined ? '' : ` ${decision.upgrade}`}`
  }
}

/** Which entry of the table has the request, and how much of the path its prefix takes up. */
function whose (targets: readonly Target[], asked: RawRequest, caseSensitive?: boolean): string {
  const decision = decideBy(targets, readFacts(asked), caseSensitive)
  if (decision.kind === 'none') return 'none'
  const at = targets.indexOf(decision.target)
  const matched = prefixLength(decision.target.prefix, readFacts(asked).path ?? '', defaultRules)
  return decision.kind === 'refuse' ? `${at}: ${decision.error.statusCode}` : `${at}: ${decision.kind} ${matched}`
}

describe('the table: a request, a target, and what is done', () => {
  const ws = 'ws://up.example/'
  const http = 'http://up.example/'
  const targets: Record<string, RouteOptions> = {
    'ws, no fallback': { upstream: ws, fallbackToHttp: false },
    'wss, no fallback, tcp': { upstream: 'wss://up.example/', fallbackToHttp: false, upgrade: 'tcp' },
    'ws, no fallback, ANY': { upstream: ws, fallbackToHttp: false, upgrade: 'ANY' },
    'ws, no fallback, NONE': { upstream: ws, fallbackToHttp: false, upgrade: 'NONE' },
    ws: { upstream: ws },
    'wss, tcp': { upstream: 'wss://up.example/', upgrade: 'tcp' },
    'ws, ANY': { upstream: ws, upgrade: 'ANY' },
    'ws, NONE': { upstream: ws, upgrade: 'NONE' },
    http: { upstream: http },
    'http, no fallback': { upstream: http, fallbackToHttp: false },
    'https, websocket': { upstream: 'https://up.example/', upgrade: 'websocket' },
    'http, websocket and tcp': { upstream: http, upgrade: ['WebSocket', 'tcp'] },
    'http, ANY': { upstream: http, upgrade: 'ANY' },
    'http, NONE': { upstream: http, upgrade: 'NONE' },
    function: { upstream: () => ws },
    'function, no fallback': { upstream: () => ws, fallbackToHttp: false },
    false: { upstream: false }
  }
  const names = Object.keys(targets)

  const forward = 'forward'
  const up = 'upgrade websocket'
  const tun = 'upgrade-raw websocket'
  const must = '426 websocket'
  const rows: Array<[what: string, asked: RawRequest, ...expected: string[]]> = [
    // in the order of `targets`: ws without fallback (websocket, tcp, ANY, NONE); ws (the same); http (none, none, websocket,
    // both, ANY, NONE); function; function without fallback; excluded
    ['no Upgrade', plain(),
      'none', 'none', 'none', must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, 'none', 'none'],
    ['no Upgrade, but Connection names one', handshake({}, { upgrade: [] }),
      'none', 'none', 'none', must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, 'none', 'none'],
    ['no Upgrade, POST with a body', plain({ method: 'POST', fields: [host, ['Content-Length', '5']] }),
      'none', 'none', 'none', must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, 'none', 'none'],
    ['websocket', handshake(),
      tun, '426 tcp', tun, tun, up, forward, up, up,
      forward, forward, up, up, up, up, up, tun, 'none'],
    ['WebSocket, in its own case', offering('WebSocket'),
      tun, '426 tcp', tun, tun, up, forward, up, up,
      forward, forward, up, up, up, up, up, tun, 'none'],
    ['websocket, of which Connection says nothing', handshake({}, { connection: ['keep-alive'] }),
      must, '426 tcp', must, must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, must, 'none'],
    ['websocket, without any Connection', handshake({}, { connection: [] }),
      must, '426 tcp', must, must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, must, 'none'],
    ['websocket, and Connection names something like it', handshake({}, { connection: ['upgrades, xupgrade'] }),
      must, '426 tcp', must, must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, must, 'none'],
    ['websocket in HTTP/1.0', handshake({ version: '1.0' }),
      must, '426 tcp', must, must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, must, 'none'],
    ['websocket in HTTP/2.0, said on a TCP connection', handshake({ version: '2.0' }),
      '400', '400', '400', '400', '400', '400', '400', '400',
      '400', '400', '400', '400', '400', '400', '400', '400', 'none'],
    ['no Upgrade, in HTTP/0.9', plain({ version: '0.9' }),
      '400', '400', '400', '400', '400', '400', '400', '400',
      '400', '400', '400', '400', '400', '400', '400', '400', 'none'],
    ['tcp', offering('tcp'),
      must, 'upgrade-raw tcp', 'upgrade-raw tcp', tun, forward, 'upgrade tcp', 'upgrade tcp', up,
      forward, forward, forward, 'upgrade tcp', 'upgrade tcp', up, forward, must, 'none'],
    ['a prefix of a token', offering('tc'),
      must, '426 tcp', 'upgrade-raw tc', tun, forward, forward, 'upgrade tc', up,
      forward, forward, forward, forward, 'upgrade tc', up, forward, must, 'none'],
    ['a token that a token is a prefix of', offering('tcpx'),
      must, '426 tcp', 'upgrade-raw tcpx', tun, forward, forward, 'upgrade tcpx', up,
      forward, forward, forward, forward, 'upgrade tcpx', up, forward, must, 'none'],
    ['websocketEVIL', offering('websocketEVIL'),
      must, '426 tcp', 'upgrade-raw websocketevil', tun, forward, forward, 'upgrade websocketevil', up,
      forward, forward, forward, forward, 'upgrade websocketevil', up, forward, must, 'none'],
    ['a version of a listed token', offering('websocket/13'),
      must, '426 tcp', 'upgrade-raw websocket/13', tun, forward, forward, 'upgrade websocket/13', up,
      forward, forward, forward, forward, 'upgrade websocket/13', up, forward, must, 'none'],
    ['two tokens, the first of them tcp', offering('tcp, websocket'),
      tun, 'upgrade-raw tcp', 'upgrade-raw tcp', tun, up, 'upgrade tcp', 'upgrade tcp', up,
      forward, forward, up, 'upgrade tcp', 'upgrade tcp', up, up, tun, 'none'],
    ['two lines', handshake({}, { upgrade: ['foo', 'WEBSOCKET'] }),
      tun, '426 tcp', 'upgrade-raw foo', tun, up, forward, 'upgrade foo', up,
      forward, forward, up, up, 'upgrade foo', up, up, tun, 'none'],
    ['h2c', offering('h2c'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['h2c in another case, and h2', offering('H2C, h2'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['TLS/1.2', offering('TLS/1.2'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['h2c and websocket', offering('h2c, websocket'),
      tun, '426 tcp', tun, tun, up, forward, up, up,
      forward, forward, up, up, up, up, up, tun, 'none'],
    ['an empty Upgrade', offering(''),
      must, '426 tcp', must, must, forward, forward, forward, must,
      forward, forward, forward, forward, forward, must, forward, must, 'none'],
    ['nothing but commas', offering(' ,, ,'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['empty members around a token', offering(',,websocket,'),
      tun, '426 tcp', tun, tun, up, forward, up, up,
      forward, forward, up, up, up, up, up, tun, 'none'],
    ['no token: bytes', offering('\x80\xff'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['no token: a quoted string, spaces, two slashes', offering('"websocket", web socket, a/b/c, /1, a/'),
      must, '426 tcp', must, tun, forward, forward, forward, up,
      forward, forward, forward, forward, forward, up, forward, must, 'none'],
    ['the word ANY', offering('ANY'),
      must, '426 tcp', 'upgrade-raw any', tun, forward, forward, 'upgrade any', up,
      forward, forward, forward, forward, 'upgrade any', up, forward, must, 'none'],
    ['the word *', offering('*'),
      must, '426 tcp', 'upgrade-raw *', tun, forward, forward, 'upgrade *', up,
      forward, forward, forward, forward, 'upgrade *', up, forward, must, 'none'],
  ]

  names.forEach((name, i) => {
    const resolved = targetsOf({ routes: [targets[name] as RouteOptions] })
    test(name, () => {
      const found = Object.fromEntries(rows.map(([what, asked]) => [what, inAWord(resolved, asked)]))
      const expected = Object.fromEntries(rows.map(([what, , ...results]) => [what, results[i]]))
      assert.deepEqual(found, expected)
    })
  })

  test('every row has an expectation for every target', () => {
    for (const [what, , ...results] of rows) assert.equal(results.length, names.length, what)
  })

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE', 'FROB', 'get']) {
    test(`${method} is no WebSocket handshake, but may ask for another protocol`, () => {
      const any = targetsOf({ upstream: ws, upgrade: 'ANY' })
      assert.equal(inAWord(any, handshake({ method })), '400')
      assert.equal(inAWord(any, offering('tcp', { method })), 'upgrade tcp')
      assert.equal(inAWord(targetsOf({ upstream: ws, upgrade: 'tcp' }), handshake({ method })), 'forward')
      assert.equal(inAWord(targetsOf({ upstream: ws, upgrade: 'NONE' }), offering('tcp', { method })), '400')
    })
  }
})

describe('Connection', () => {
  const targets = targetsOf({ upstream: 'ws://up.example/' })
  for (const [what, values, expected] of [
    ['in any case', ['uPgRaDe'], 'upgrade websocket'],
    ['among others', ['keep-alive, Upgrade'], 'upgrade websocket'],
    ['without spaces', ['close,upgrade,te'], 'upgrade websocket'],
    ['with tabs', ['te,\tUpgrade\t,'], 'upgrade websocket'],
    ['on the second of two lines', ['close', 'Upgrade'], 'upgrade websocket'],
    ['with a parameter', ['upgrade;q=1'], 'forward'],
    ['in quotes', ['"upgrade"'], 'forward'],
    ['as the mark of a request that was handed back', [reinjectedToken], 'upgrade websocket'],
    ['as something like that mark', [`${reinjectedToken}0`, 'upgrade-'], 'forward'],
  ] as const) {
    test(`names upgrade ${what}: ${expected}`, () => {
      assert.equal(inAWord(targets, handshake({}, { connection: values })), expected)
    })
  }
})

describe('the 426 says what would be accepted', () => {
  const refused = (options: RouteOptions): string =>
    inAWord(targetsOf({ upstream: 'ws://up.example/', fallbackToHttp: false, ...options }), offering('h2c'))
  test('one token', () => assert.equal(refused({ upgrade: 'tcp' }), '426 tcp'))
  test('all of a list', () => assert.equal(refused({ upgrade: ['tcp', 'MQTT/3'] }), '426 tcp, mqtt/3'))
  test('websocket by default', () => assert.equal(refused({}), '426 websocket'))
  test('websocket for ANY, whose word is no protocol', () => assert.equal(refused({ upgrade: 'ANY' }), '426 websocket'))
  test('websocket for NONE', () => {
    assert.equal(inAWord(targetsOf({ upstream: 'http://up.example/', upgrade: 'NONE' }), plain()), '426 websocket')
  })
  test('has a code of its own', () => {
    const decision = decide(targetsOf({ upstream: 'ws://up.example/', fallbackToHttp: false }), readFacts(offering('h2c')))
    assert.ok(decision.kind === 'refuse')
    assert.equal(decision.error.code, 'FST_WSTUNNEL_UPGRADE_REQUIRED')
  })
})

describe('the chosen token', () => {
  const targets = targetsOf({ upstream: 'ws://up.example/', upgrade: ['tcp', 'websocket'] })
  test('is the first accepted one in the client\'s order', () => {
    assert.equal(inAWord(targets, offering('foo, WebSocket, TCP')), 'upgrade websocket')
    assert.equal(inAWord(targets, offering('TCP, WebSocket')), 'upgrade tcp')
  })
  test('is one token, whatever else was offered', () => {
    const decision = decide(targets, readFacts(offering('tcp, websocket')))
    assert.ok(decision.kind === 'upgrade')
    assert.equal(decision.token, 'tcp')
  })
  test('of a listed version is that version only', () => {
    const versioned = targetsOf({ upstream: 'ws://up.example/', upgrade: 'mqtt/3' })
    assert.equal(inAWord(versioned, offering('MQTT/3')), 'upgrade mqtt/3')
    assert.equal(inAWord(versioned, offering('mqtt')), 'forward')
    assert.equal(inAWord(versioned, offering('mqtt/30')), 'forward')
  })
})

describe('order of the table', () => {
  const upgrades = { upstream: 'ws://up.example/', fallbackToHttp: false } as const
  const http = { upstream: 'http://up.example/' } as const

  test('upgrades first, then http: each gets its own', () => {
    const targets = targetsOf({ routes: [upgrades, http] })
    assert.equal(whose(targets, handshake({ url: '/a' })), '0: upgrade-raw 0')
    assert.equal(whose(targets, plain({ url: '/a' })), '1: forward 0')
  })
  test('upgrades first, then http: an offer that is not accepted is refused by the first', () => {
    assert.equal(whose(targetsOf({ routes: [upgrades, http] }), offering('h2c')), '0: 426')
  })
  test('under the default, the ws target serves both', () => {
    const targets = targetsOf({ routes: [{ upstream: 'ws://up.example/' }, http] })
    assert.equal(whose(targets, handshake()), '0: upgrade 0')
    assert.equal(whose(targets, plain()), '0: forward 0')
    assert.equal(whose(targets, offering('h2c')), '0: forward 0')
  })
  test('http first has everything', () => {
    const targets = targetsOf({ routes: [http, upgrades] })
    assert.equal(whose(targets, handshake()), '0: forward 0')
    assert.equal(whose(targets, plain()), '0: forward 0')
  })
  test('two that only serve upgrades: the first decides about an offer, nobody has a plain request', () => {
    const targets = targetsOf({ routes: [{ ...upgrades, upgrade: 'tcp' }, upgrades] })
    assert.equal(whose(targets, handshake()), '0: 426')
    assert.equal(whose(targets, plain()), 'none')
  })
  test('the longer path first, then the shorter one', () => {
    const targets = targetsOf({ routes: [{ path: '/ws/', ...upgrades }, { path: '/', ...http }] })
    assert.equal(whose(targets, handshake({ url: '/ws/x' })), '0: upgrade-raw 4')
    assert.equal(whose(targets, plain({ url: '/ws/x' })), '1: forward 0')
    assert.equal(whose(targets, plain({ url: '/other' })), '1: forward 0')
    assert.equal(whose(targets, handshake({ url: '/ws' })), '1: forward 0')
    assert.equal(whose(targets, handshake({ url: '/wsx/a' })), '1: forward 0')
  })
  test('the shorter path first hides the longer one: it is the order that decides, not the length', () => {
    const targets = targetsOf({ routes: [{ path: '/', ...http }, { path: '/ws/', ...upgrades }] })
    assert.equal(whose(targets, handshake({ url: '/ws/x' })), '0: forward 0')
  })
  test('three nested paths', () => {
    const targets = targetsOf({
      routes: [{ path: '/a/b/c', ...upgrades }, { path: '/a/b', ...http }, { path: '/a', ...upgrades, fallbackToHttp: true }]
    })
    assert.equal(whose(targets, handshake({ url: '/a/b/c/d' })), '0: upgrade-raw 6')
    assert.equal(whose(targets, plain({ url: '/a/b/c/d' })), '1: forward 4')
    assert.equal(whose(targets, handshake({ url: '/a/b/cd' })), '1: forward 4')
    assert.equal(whose(targets, handshake({ url: '/a/bc' })), '2: upgrade 2')
    assert.equal(whose(targets, plain({ url: '/a' })), '2: forward 2')
    assert.equal(whose(targets, plain({ url: '/' })), 'none')
  })
  test('an exclusion ends the search', () => {
    const targets = targetsOf({ routes: [{ path: '/static/', upstream: false }, { path: '/', ...http, upgrade: 'websocket' }] })
    assert.equal(whose(targets, plain({ url: '/static/a' })), 'none')
    assert.equal(whose(targets, handshake({ url: '/static/a' })), 'none')
    assert.equal(whose(targets, plain({ url: '/statics/a' })), '1: forward 0')
    assert.equal(whose(targets, handshake({ url: '/static' })), '1: upgrade 0')
  })
  test('an exclusion after what serves everything excludes nothing', () => {
    const targets = targetsOf({ routes: [{ path: '/', ...http }, { path: '/static/', upstream: false }] })
    assert.equal(whose(targets, plain({ url: '/static/a' })), '0: forward 0')
  })
  test('an exclusion leaves a request alone that no proxy could take', () => {
    const targets = targetsOf({ routes: [{ path: '/static/', upstream: false }] })
    assert.equal(whose(targets, plain({ url: '/static/a', fields: [host, host] })), 'none')
  })
  test('below Fastify\'s prefix', () => {
    const targets = targetsOf({ routes: [{ path: '/ws/', ...upgrades }, { path: '/', ...http }] }, '/app')
    assert.equal(whose(targets, handshake({ url: '/app/ws/x' })), '0: upgrade-raw 8')
    assert.equal(whose(targets, plain({ url: '/app/ws/x' })), '1: forward 4')
    assert.equal(whose(targets, plain({ url: '/app' })), '1: forward 4')
    assert.equal(whose(targets, handshake({ url: '/ws/x' })), 'none')
    assert.equal(whose(targets, plain({ url: '/application' })), 'none')
  })
  test('as case matters to the router', () => {
    const targets = targetsOf({ routes: [{ path: '/ws/', ...http }] })
    assert.equal(whose(targets, plain({ url: '/WS/x' })), 'none')
    assert.equal(whose(targets, plain({ url: '/WS/x' }), true), 'none')
    assert.equal(whose(targets, plain({ url: '/WS/x' }), false), '0: forward 4')
  })
  test('without a target, nothing is ours', () => {
    assert.equal(whose([], handshake()), 'none')
    assert.equal(whose([], plain({ url: '*' })), 'none')
  })
})

describe('400 before anything is dialled', () => {
  const both = [
    targetsOf({ upstream: 'ws://up.example/' }),
    targetsOf({ upstream: 'ws://up.example/', fallbackToHttp: false }),
    targetsOf({ upstream: 'http://up.example/', upgrade: 'NONE' })
  ]
  const refused = (asked: RawRequest, code: string): void => {
    for (const targets of both) {
      const decision = decide(targets, readFacts(asked))
      assert.ok(decision.kind === 'refuse', decision.kind)
      assert.equal(decision.error.statusCode, 400)
      assert.equal(decision.error.code, code)
      assert.equal(decision.upgrade, undefined)
      assert.equal(decision.target, targets[0])
    }
  }
  const badRequest = (asked: RawRequest): void => refused(asked, 'FST_WSTUNNEL_BAD_REQUEST')
  const badPath = (asked: RawRequest): void => refused(asked, 'FST_WSTUNNEL_BAD_PATH')
  const passes = (asked: RawRequest, expected = 'upgrade websocket'): void => {
    assert.equal(inAWord(both[0] as readonly Target[], asked), expected)
  }

  describe('Host', () => {
    test('none', () => badRequest(handshake({}, { host: [] })))
    test('two', () => badRequest(handshake({}, { host: ['a.example', 'b.example'] })))
    test('two that are equal', () => badRequest(handshake({}, { host: ['a.example', 'a.example'] })))
    test('two, of a plain request', () => badRequest(plain({ fields: [host, ['hOsT', 'b.example']] })))
    for (const value of ['user@a.example', 'a.example/x', 'a b', 'a.example:80:80', 'a.example:port', 'a?b', 'a#b', 'a\\b',
      '[::1', '::1', '[::1]x', 'a.example, b.example', 'a.example:123456', '\xe9.example']) {
      test(`that is none: ${value}`, () => {
        badRequest(handshake({}, { host: [value] }))
        badRequest(plain({ fields: [['Host', value]] }))
      })
    }
    for (const value of ['a.example', 'A.Example:9080', '10.0.0.1', '[::1]', '[::1]:8080', 'xn--e1afmkfd.example', 'a_b', 'a.example:', '']) {
      test(`that is one: '${value}'`, () => {
        passes(handshake({}, { host: [value] }))
        passes(plain({ fields: [['Host', value]] }), 'forward')
      })
    }
    test('of a plain request may be missing: that is for Node to say', () => passes(plain({ version: '1.0', fields: [] }), 'forward'))
  })

  describe('the request target', () => {
    for (const url of ['*', '', 'a', '/ws/../admin', '/ws/%2e%2e/admin', '//evil/x', '/a\\..\\b', '/a#b', '/%zz', '/%00', 'ftp://h/']) {
      test(`'${url}'`, () => {
        badPath(handshake({ url }))
        badPath(plain({ url }))
      })
    }
    test('with no URL at all', () => {
      badPath({ httpVersion: '1.1', headers: { host: 'a' }, rawHeaders: ['Host', 'a'] })
    })
    test('in absolute-form: an upgrade is refused, a plain request is not', () => {
      const url = 'http://front.example/latest'
      badPath(handshake({ url }))
      passes(plain({ url }), 'forward')
      passes(handshake({ url, version: '1.0' }), 'forward')
    })
    for (const [url, hosts, expected] of [
      ['http://front.example/', ['FRONT.example:80'], 'forward'],
      ['https://front.example:443/', ['front.example'], 'forward'],
      ['http://front.example:443/', ['front.example'], '400'],
      ['https://front.example:80/', ['front.example'], '400'],
      ['http://admin.example/', ['front.example'], '400'],
      ['http://front.example/', [''], '400'],
      ['http://front.example/', [], '400'],
      ['http://a:99999/', ['a:99999'], '400']
    ] as const) {
      test(`in absolute-form: ${url} beside Host ${hosts[0] ?? '(none)'} is ${expected}`, () => {
        assert.equal(inAWord(targetsOf({ upstream: 'http://up.example/' }), plain({ url, fields: hosts.map((value) => ['Host', value]) })), expected)
      })
    }
    test('is looked at even where no path matches', () => {
      const targets = targetsOf({ path: '/ws/', upstream: 'ws://up.example/' })
      assert.equal(inAWord(targets, plain({ url: '/ws/../admin' })), '400')
      assert.equal(inAWord(targets, handshake({ url: '*' })), '400')
    })
  })

  describe('a body', () => {
    const withFields = (...extra: Array<readonly [string, string]>): RawRequest => request({ fields: [...webSocketFields, ...extra] })
    test('with a length', () => badRequest(withFields(['Content-Length', '5'])))
    test('with a length written oddly', () => badRequest(withFields(['Content-Length', '00'])))
    test('in chunks', () => badRequest(withFields(['Transfer-Encoding', 'chunked'])))
    test('with both', () => badRequest(withFields(['Content-Length', '0'], ['Transfer-Encoding', 'chunked'])))
    test('of another protocol passes with one length of at most earlyData', () => {
      const targets = targetsOf({ upstream: 'ws://up.example/', upgrade: 'tcp', limits: { earlyData: 10 } })
      const asked = (...fields: Array<readonly [string, string]>): string =>
        inAWord(targets, request({ method: 'POST', fields: [host, ['Connection', 'upgrade'], ['Upgrade', 'tcp'], ...fields] }))
      for (const length of ['1', '2', '10']) assert.equal(asked(['Content-Length', length]), 'upgrade tcp', length)
      for (const length of ['11', '00', '01', '+1', '-1', '1, 1', '0x1', '1e0', '', '9'.repeat(20)]) {
        assert.equal(asked(['Content-Length', length]), '400', length)
      }
      assert.equal(asked(['Transfer-Encoding', 'chunked']), '400')
      assert.equal(asked(['Content-Length', '1'], ['Transfer-Encoding', 'chunked']), '400')
      assert.equal(asked(['Content-Length', '1'], ['content-length', '1']), '400')
    })
    test('of length 0 is none', () => passes(withFields(['Content-Length', '0'])))
    test('of an offer that is not accepted goes along', () => {
      passes(request({ method: 'POST', fields: [host, ['Connection', 'upgrade'], ['Upgrade', 'h2c'], ['Content-Length', '5']] }), 'forward')
    })
  })

  describe('the WebSocket handshake', () => {
    const keyField = 'sec-websocket-key'
    const versionField = 'sec-websocket-version'
    test('without a key', () => badRequest(handshake({}, { [keyField]: [] })))
    test('with two keys', () => badRequest(handshake({}, { [keyField]: [key, key] })))
    for (const value of [
      '', 'AAAA', key.slice(0, -1), `${key}=`, ` ${key}`, `${key}, ${key}`,
      'dGhlIHNhbXBsZSBub25j-Q==', `A${key}`, key.slice(1), 'dGhlIHNhbXBsZSBub25jZQAA'
    ]) {
      test(`with the key '${value}'`, () => badRequest(handshake({}, { [keyField]: [value] })))
    }
    for (const odd of ['AQIDBAUGBwgJCgsMDQ4PEC==', 'dGhlIHNhbXBsZSBub25jZR==', 'zzzzzzzzzzzzzzzzzzzzzz==', '//////////////////////==']) {
      test(`with the key ${odd}, whose last bits are not zero`, () => passes(handshake({}, { [keyField]: [odd] })))
    }
    test('with a key of zeros', () => passes(handshake({}, { [keyField]: ['AAAAAAAAAAAAAAAAAAAAAA=='] })))
    test('without a version', () => badRequest(handshake({}, { [versionField]: [] })))
    test('with two versions', () => badRequest(handshake({}, { [versionField]: ['13', '8'] })))
    test('with a version that the upstream may refuse', () => passes(handshake({}, { [versionField]: ['1337'] })))
    test('fields in any case', () => {
      passes(request({
        fields: [['HOST', 'a'], ['CONNECTION', 'UPGRADE'], ['UPGRADE', 'WEBSOCKET'], ['SEC-WEBSOCKET-KEY', key], ['sec-websocket-version', '13']]
      }))
    })
    test('is asked of NONE, whatever the client offered', () => {
      const targets = both[2] as readonly Target[]
      assert.equal(inAWord(targets, handshake({}, { upgrade: ['foo'], [keyField]: [] })), '400')
      assert.equal(inAWord(targets, offering('foo')), 'upgrade websocket')
    })
    test('is not asked of another protocol', () => {
      const targets = targetsOf({ upstream: 'ws://up.example/', upgrade: 'tcp' })
      assert.equal(inAWord(targets, request({ fields: [host, ['Connection', 'upgrade'], ['Upgrade', 'tcp']] })), 'upgrade tcp')
    })
  })

  describe('an offer without end', () => {
    const offers = (count: number): string => [...Array.from({ length: count - 1 }, (_, i) => `p${i}`), 'websocket'].join(', ')
    test('of 33 tokens', () => badRequest(offering(offers(33))))
    test('of 200 tokens', () => badRequest(offering(offers(200))))
    test('of 32 is read', () => passes(offering(offers(32))))
    test('is nobody\'s business where Connection does not name it', () => {
      passes(handshake({}, { connection: [], upgrade: [offers(200)] }), 'forward')
    })
  })
})

describe('403: the origin of a WebSocket', () => {
  const targets = targetsOf({ upstream: 'ws://up.example/', allowedOrigins: ['https://good.example', 'http://Local.example:8080'] })
  const from = (...origins: string[]): string => inAWord(targets, handshake({}, { origin: origins }))

  for (const origin of ['https://good.example', 'HTTPS://Good.Example', 'http://local.example:8080']) {
    test(`${origin} may`, () => assert.equal(from(origin), 'upgrade websocket'))
  }
  for (const origin of ['https://good.example.evil.com', 'https://evilgood.example', 'http://good.example', 'https://good.example:443',
    'https://good.example:8443', 'https://good.example.', 'https://good.example/', ' https://good.example', 'https://sub.good.example',
    'null', '', 'good.example', 'https://good.example, https://good.example', 'http://local.example']) {
    test(`'${origin}' may not`, () => assert.equal(from(origin), '403'))
  }
  test('none may not', () => assert.equal(from(), '403'))
  test('two may not, even equal ones', () => {
    assert.equal(from('https://good.example', 'https://good.example'), '403')
    assert.equal(from('https://good.example', 'https://evil.example'), '403')
  })
  test('a code of its own, and nothing of the list in it', () => {
    const decision = decide(targets, readFacts(handshake({}, { origin: ['https://evil.example'] })))
    assert.ok(decision.kind === 'refuse')
    assert.equal(decision.error.code, 'FST_WSTUNNEL_ORIGIN_REFUSED')
    assert.doesNotMatch(decision.error.message, /good|evil/)
  })
  test('an empty list allows nobody', () => {
    const nobody = targetsOf({ upstream: 'ws://up.example/', allowedOrigins: [] })
    assert.equal(inAWord(nobody, handshake({}, { origin: ['https://good.example'] })), '403')
  })
  test('without a list, anybody may', () => {
    const anybody = targetsOf({ upstream: 'ws://up.example/' })
    assert.equal(inAWord(anybody, handshake({}, { origin: ['null'] })), 'upgrade websocket')
    assert.equal(inAWord(anybody, handshake()), 'upgrade websocket')
  })
  test('is not asked of a plain request', () => {
    assert.equal(inAWord(targets, plain({ fields: [host, ['Origin', 'https://evil.example']] })), 'forward')
  })
  test('is not asked of another protocol', () => {
    const tcp = targetsOf({ upstream: 'ws://up.example/', upgrade: ['tcp', 'websocket'], allowedOrigins: ['https://good.example'] })
    assert.equal(inAWord(tcp, offering('tcp')), 'upgrade tcp')
    assert.equal(inAWord(tcp, offering('websocket')), '403')
  })
  test('is asked without fallback and of NONE', () => {
    const origins = ['https://good.example']
    const legacy = targetsOf({ upstream: 'ws://up.example/', fallbackToHttp: false, allowedOrigins: origins })
    assert.equal(inAWord(legacy, handshake({}, { origin: ['null'] })), '403')
    assert.equal(inAWord(legacy, handshake({}, { origin: origins })), 'upgrade-raw websocket')
    const none = targetsOf({ upstream: 'http://up.example/', upgrade: 'NONE', allowedOrigins: origins })
    assert.equal(inAWord(none, handshake({}, { origin: ['null'], upgrade: ['foo'] })), '403')
  })
})

describe('the facts', () => {
  test('of a handshake', () => {
    assert.deepEqual(readFacts(handshake({ url: '/a/b?c=d' }, { origin: ['https://a.example'] })), {
      method: 'GET',
      version: '1.1',
      path: '/a/b',
      absolute: false,
      authority: undefined,
      scheme: undefined,
      upgrade: 'websocket',
      extended: false,
      connectionNamesUpgrade: true,
      body: false,
      bodyLength: undefined,
      hasUnsupportedCoding: false,
      hasHttp10TransferEncoding: false,
      hosts: ['front.example'],
      keys: [key],
      versions: ['13'],
      origins: ['https://a.example']
    })
  })
  test('a query decides nothing', () => {
    const targets = targetsOf({ path: '/ws/', upstream: 'ws://up.example/' })
    assert.equal(whose(targets, plain({ url: '/?x=/ws/a' })), 'none')
    assert.equal(whose(targets, plain({ url: '/ws/?/../admin' })), '0: forward 4')
  })
  test('are not changed by the decision, which is the same each time', () => {
    const facts = Object.freeze(readFacts(handshake({ url: '/a' })))
    for (const list of [facts.hosts, facts.keys, facts.versions, facts.origins]) Object.freeze(list)
    const targets = targetsOf({ upstream: 'ws://up.example/' })
    assert.deepEqual(decide(targets, facts), decide(targets, facts))
  })
  test('of fields whose names are like others\'', () => {
    const facts = readFacts(request({
      fields: [...webSocketFields, ['Hose', 'x'], ['Orbits', 'x'], ['Xonnection', 'x'], ['Sec-WebSocket-Kez', 'x'], ['Sec-WebSocket-Versiom', 'x']]
    }))
    assert.deepEqual([facts.hosts, facts.keys, facts.versions, facts.origins], [['front.example'], [key], ['13'], []])
  })
})
