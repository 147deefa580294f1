import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import wstunnel, { type WstunnelOptions } from '../../lib/index.ts'
import { recordLog } from '../fixtures/log.ts'

// The neighbours of the ten mistakes in newcomer-mistakes: what else goes wrong there, and what the one message says to do about it.

const upstream = 'ws://up.example/'
const url = 'ws://10.0.0.1:9080'

/** What registration rejects with, or '' and what it warns of. */
async function outcomeOf (registrations: readonly unknown[], before: (app: FastifyInstance) => void = () => {}): Promise<{ message: string, warned: string }> {
  const log = recordLog('warn')
  const app = Fastify({ logger: log.logger })
  before(app as unknown as FastifyInstance)
  let message = ''
  try {
    for (const options of registrations) app.register(wstunnel, options as WstunnelOptions)
    await app.ready()
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'FST_WSTUNNEL_INVALID_OPTIONS', (error as Error).stack)
    message = (error as Error).message
  }
  await app.close()
  return { message, warned: log.lines.map(({ msg = '' }) => msg).join('\n') }
}

function refused (title: string, options: unknown, ...parts: string[]): void {
  test(title, async () => {
    const { message } = await outcomeOf([options])
    for (const part of parts) assert.ok(message.includes(part), `'${part}' is not in: ${message}`)
  })
}

function warned (title: string, options: unknown, ...parts: string[]): void {
  test(title, async () => {
    const { message, warned } = await outcomeOf([options])
    assert.equal(message, '')
    for (const part of parts) assert.ok(warned.includes(part), `'${part}' is not in: ${warned}`)
    if (parts.length === 0) assert.equal(warned, '')
  })
}

describe('a path that is a URL', () => {
  test('is not taken for a path with a slash too few', async () => {
    const { message } = await outcomeOf([{ path: 'http://backend/a', upstream }])
    assert.match(message, /^path: expected a path prefix .*, got 'http:\/\/backend\/a'$/)
  })
})

describe('an upstream that is none', () => {
  const unset = 'is an environment variable unset?'
  for (const value of [null, '', ' ', 'undefined', Number.NaN]) {
    refused(`${JSON.stringify(value) ?? String(value)} is unset`, { upstream: value }, 'upstream: ', unset)
  }
  refused('a list is a balancer', { upstream: [upstream] }, 'for several upstreams, use a balancer')
  refused('a URL with a query', { upstream: new URL('http://backend/?x') }, "got 'http://backend/?x' (without a query")
  refused('a URL without a scheme', { upstream: new URL('backend:4000') }, "got 'backend:4000', did you mean 'ws://backend:4000'")
  refused('a URL with credentials', { upstream: new URL('http://user:secret@backend/') }, "got 'http://***@backend/' (without credentials")
  refused(
    'a URL with credentials of a member', { balancers: { a: { members: [{ url: new URL('http://user:secret@backend/') }] } } },
    'balancers.a.members[0].url: ', "got 'http://***@backend/' (without credentials"
  )
  refused('a URL of a balancer', { upstream: new URL('balancer://app/') }, "got 'balancer://app/' (there are none)")
  refused('a URL made with a variable', { upstream: new URL('ws://undefined:4000/') }, "got 'ws://undefined:4000/'", unset)
  refused('a port', { upstream: 4000 }, "did you mean 'ws://127.0.0.1:4000/'?")
  refused('a port as text', { upstream: ':4000' }, "did you mean 'ws://127.0.0.1:4000'")
  refused('a promise', { upstream: Promise.resolve(upstream) }, 'got a promise', 'await it')
  refused('a missing colon', { upstream: 'ws//backend:1' }, "did you mean 'ws://backend:1'")
  refused('a port that is too high', { upstream: 'ws://backend:99999/' }, 'a port is at most 65535')
  refused('no host', { upstream: 'ws://' }, 'the host is missing')
  refused('a scheme twice', { upstream: 'http://http://backend/' }, "did you mean 'http://backend/'?")
  for (const text of ['unix:/run/app.sock', 'unix:///run/app.sock', 'http+unix://%2Frun%2Fapp.sock', 'http://unix:/run/app.sock:/']) {
    refused(`the socket of ${text}`, { upstream: text }, "did you mean 'unix:/run/app.sock|")
  }
  refused('a variable that is unset within', { upstream: 'ws://backend/undefined/' }, unset)
  refused('of a member', { balancers: { a: { members: [{ url: undefined }] } } }, 'balancers.a.members[0].url: ', unset)
  refused('a URL where a member belongs', { balancers: { a: { members: [url] } } }, `did you mean { url: '${url}' }?`)
  refused('a list where a balancer belongs', { balancers: { a: [{ url }] } }, 'balancers.a: ', 'members: ')
})

describe('nothing to register', () => {
  warned('a table without entries', { routes: [] }, 'routes has no entries')
  warned('a table without entries beside an upstream', { routes: [], upstream }, 'routes has no entries', 'upstream')
  refused('routes that are undefined', { routes: undefined }, 'routes: expected an array of routes, got undefined')
  for (const options of [undefined, {}, { drainTimeout: '1s' }, { healthPath: '/health' }, { balancers: {} }]) {
    warned(`none is meant by ${JSON.stringify(options)}`, options)
  }
})

describe('a name that is another here, or elsewhere', () => {
  for (const [options, ...parts] of [
    [{ upstream, maxTunnels: 5 }, 'maxTunnels: unknown option, it belongs in limits'],
    [{ upstream, rejectUnauthorized: false }, 'rejectUnauthorized: unknown option, it belongs in tls'],
    [{ upstream, members: [] }, 'members: unknown option, it belongs in balancers'],
    [{ routes: [{ url: '/a', upstream }] }, 'routes[0].url: unknown option, did you mean path?'],
    [{ routes: [{ prefix: '/a', upstream }] }, 'routes[0].prefix: unknown option, did you mean path?'],
    [{ routes: [{ path: '/', target: upstream }] }, 'routes[0].target: unknown option, did you mean upstream?'],
    [{ routes: [{ path: '/', upstream, limits: { store: {} } }] }, 'routes[0].limits.store: unknown option, it belongs in limits at the top'],
    [{ balancers: { a: { members: [{ upstream: url }] } } }, 'members[0].upstream: unknown option, did you mean url?'],
    [{ balancers: { a: { members: [{ url, weight: 2 }] } } }, 'members[0].weight: unknown option, did you mean loadFactor?'],
    [{ balancers: { a: { member: [{ url }] } } }, 'balancers.a.member: unknown option, did you mean members?'],
    [{ balancers: { a: { members: [{ url }], sticky: true } } }, 'sticky: unknown option, did you mean stickySession?'],
    [{ balancers: { a: { members: [{ url }], healthcheck: {} } } }, 'did you mean healthCheck?'],
    [
      { balancers: { a: { members: [{ url }], healthCheck: { path: '/h', intervall: '5s' } } } },
      'path: unknown option, did you mean uri?',
      'did you mean interval?'
    ],
    [
      { balancers: { a: { members: [{ url }], healthCheck: '/h' } } },
      "healthCheck: expected a health check such as { method: 'GET', uri: '/health' }, got '/h'"
    ],
    [{ balancers: { a: { members: [{ url }], lbMethod: 'roundrobin' } } }, "did you mean 'byrequests'?"],
    [{ balancers: { a: { members: [{ url }], healthCheck: { method: 'get' } } } }, "did you mean 'GET'?"],
    [{ upstream, via: 'On' }, "did you mean 'on'?"],
    [{ upstream, forwarded: 'xforwarded' }, "did you mean 'x-forwarded'?"],
    [{ upstream, limits: { maxTunnel: 1 } }, 'limits.maxTunnel: unknown option, did you mean maxTunnels?'],
    [{ upstream, logLevel: 'verbose' }, "logLevel: expected one of the logger's levels", "got 'verbose'"],
    [{ upstream, logLevel: 'wran' }, "did you mean 'warn'?"],
    [{ upstream, constraints: { hots: 'a.example' } }, 'constraints.hots: ', 'did you mean host?']
  ] as Array<[unknown, ...string[]]>) refused(parts.join(' '), options, ...parts)
  test('a constraint of a strategy of one\'s own is none', async () => {
    const { message } = await outcomeOf([{ upstream, constraints: { tenant: 'a' } }], (app) => {
      app.addConstraintStrategy({ name: 'tenant', storage: () => ({ get: () => null, set: () => {} }), deriveConstraint: () => 'a' })
    })
    assert.equal(message, '')
  })
})

describe('a value of the wrong type', () => {
  for (const [options, part] of [
    [{ upstream, methods: 'GET' }, "did you mean ['GET']?"],
    [{ upstream, methods: ['GTE'] }, 'did you mean GET?'],
    [{ upstream, allowedOrigins: 'https://app.example' }, "did you mean ['https://app.example']?"],
    [
      { upstream, allowedOrigins: ['app.example'] },
      "allowedOrigins[0]: expected an origin such as 'https://app.example', got 'app.example', did you mean 'https://app.example'?"
    ],
    [{ upstream, allowedOrigins: ['*'] }, 'leave allowedOrigins out to take any'],
    [{ upstream, allowedOrigins: [/a/] }, "allowedOrigins[0]: expected an origin such as 'https://app.example', got an object"],
    [{ upstream, limits: { maxTunnels: '100' } }, 'did you mean 100?'],
    [{ upstream, async: 'false' }, 'did you mean false?'],
    [{ upstream, upgrade: true }, "did you mean 'websocket'?"],
    [{ upstream: 'http://a/', upgrade: false }, 'leave it out: an http: or https: upstream takes none by default'],
    [{ upstream, upgrade: 'websocket, chat' }, "did you mean ['websocket', 'chat']?"],
    [{ upstream, upgrade: [] }, 'got an empty array'],
    [{ upstream, limits: { store: null } }, 'limits.store: expected a lease store'],
    [{ prefix: 5, upstream }, "prefix: expected a path prefix such as '/ws'"],
    [{ prefix: '/ws/*', upstream }, "did you mean '/ws/'?"],
    [{ upstream: 'wss://a/', tls: { ca: '/etc/ssl/ca.pem' } }, "tls.ca: expected PEM text, got '/etc/ssl/ca.pem': read the file first"],
    [{ upstream: 'wss://a/', tls: { ca: ['ca.pem'] } }, "tls.ca: expected PEM text, got 'ca.pem': read the file first"],
    [{ balancers: { a: { members: [{ url: 'wss://a/', tls: { key: 'key.pem' } }] } } }, "balancers.a.members[0].tls.key: expected PEM text, got 'key.pem'"]
  ] as Array<[unknown, string]>) refused(part, options, part)
  test('the text of a private key is not told', async () => {
    const { message } = await outcomeOf([{ upstream: 'wss://a/', tls: { key: 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC' } }])
    assert.match(message, /tls\.key: expected PEM text, got text without -----BEGIN/)
    assert.doesNotMatch(message, /MIIE/)
  })
})

describe('a duration in the wrong unit', () => {
  for (const [value, meant] of [
    ['30', "did you mean '30s', or '30ms'?"], ['30 s', "did you mean '30s'?"], ['30sec', "did you mean '30s'?"], ['30S', "did you mean '30s'?"],
    ['1 minute', "did you mean '1m'?"], ['5min', "did you mean '5m'?"],
    ['2 hrs', "did you mean '2h'?"], ['100 msec', "did you mean '100ms'?"], ['1d', "did you mean '24h'?"],
    ['999h', 'at most 596h'], [1e12, 'at most 596h'], [-1, ''], ['soon', '']
  ] as Array<[unknown, string]>) {
    refused(
      `${String(value)}: ${meant}`,
      { upstream, idleTimeout: value },
      `idleTimeout: expected a duration such as '30s', got ${typeof value === 'number' ? value : `'${String(value)}'`}`,
      meant
    )
  }
  refused('of a health check', { balancers: { a: { members: [{ url }], healthCheck: { interval: '5' } } } }, "did you mean '5s'")
  warned(
    'a small number is most likely seconds',
    { upstream, timeout: 60, connectTimeout: '60ms', asyncDelay: 5 },
    "timeout is 60 ms: a number is milliseconds, 60 seconds are '60s'"
  )
  warned('of an entry', { routes: [{ path: '/', upstream, idleTimeout: 30 }] }, 'routes[0].idleTimeout is 30 ms')
  warned('of the drain', { upstream, drainTimeout: 10 }, 'drainTimeout is 10 ms')
  warned(
    'of a balancer',
    { balancers: { a: { members: [{ url }], healthCheck: { interval: 5 } } }, upstream: 'balancer://a/' },
    'balancers.a.healthCheck.interval is 5 ms'
  )
  warned('none, and what says its unit, are meant', { upstream, timeout: '60ms', idleTimeout: 0, connectTimeout: 100 })
  test('a default is told once', async () => {
    const { warned } = await outcomeOf([{ timeout: 60, routes: [{ path: '/a', upstream }, { path: '/b', upstream }] }])
    assert.equal(warned.split('\n').length, 1)
  })
})

describe('a token that is not that of WebSocket', () => {
  for (const token of ['ws', 'WSS', 'websockets', 'web-socket']) {
    warned(token, { upstream: 'http://a/', upgrade: token }, `'${token.toLowerCase()}'`, "'websocket'")
  }
  warned('others are', { upstream: 'http://a/', upgrade: ['websocket', 'tcp'] })
})

describe('the same prefix twice', () => {
  const twice = async (register: (app: FastifyInstance) => void): Promise<{ message: string, warned: string }> => await outcomeOf([], register)
  const scoped = (app: FastifyInstance, prefix: string, options: WstunnelOptions): void => {
    app.register(async (scope) => { scope.register(wstunnel, options) }, { prefix })
  }
  for (const [first, second] of [['/ws', '/ws/'], ['/ws/', '/ws'], ['ws', '/ws']] as const) {
    test(`${first} and ${second}`, async () => {
      assert.match((await outcomeOf([{ prefix: first, upstream }, { prefix: second, upstream }])).message, /registered twice/)
    })
  }
  test('one of them in a scope', async () => {
    assert.match((await twice((app) => {
      scoped(app, '/ws', { upstream })
      app.register(wstunnel, { prefix: '/ws', upstream })
    })).message, /registered twice/)
  })
  test('the scope\'s own, by prefix and by path', async () => {
    for (const options of [{ prefix: '/ws', upstream }, { path: '/ws/', upstream }, { routes: [{ path: '/ws/', upstream }] }]) {
      const { message, warned } = await twice((app) => scoped(app, '/ws', options))
      assert.equal(message, '')
      assert.match(warned, /\/ws\/ws\/?: the prefix of the scope around it, \/ws, is repeated in it/)
    }
  })
  test('a prefix that only begins alike is another', async () => {
    const { message, warned } = await twice((app) => {
      scoped(app, '/w', { prefix: '/ws', upstream })
      scoped(app, '/a', { prefix: '/b/a', upstream })
      scoped(app, '/c', { path: '/', upstream })
    })
    assert.deepEqual([message, warned], ['', ''])
  })
})
