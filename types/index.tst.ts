import { createServer } from 'node:http'
import fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect, test } from 'tstyche'
import wstunnel, { fastifyWstunnel, wstunnel as named } from '../lib/index.ts'
import type {
  BalancerControl, BalancerOptions, DnsMembers, Duration, MemberInfo, MemberOptions, TunnelInfo, TunnelOutcome, WstunnelOptions
} from '../lib/index.ts'

const app = fastify()
const upstream = 'ws://backend/'

describe('the exports', () => {
  test('are one plugin, by default and by name', () => {
    expect(named).type.toBe<typeof wstunnel>()
    expect(fastifyWstunnel).type.toBe<typeof wstunnel>()
    expect(wstunnel.wstunnel).type.toBe<typeof wstunnel>()
    expect(wstunnel.default).type.toBe<typeof wstunnel>()
    expect(wstunnel.fastifyWstunnel).type.toBe<typeof wstunnel>()
  })

  test('register on any kind of server', () => {
    expect(fastify({ https: {} }).register).type.toBeCallableWith(wstunnel, { upstream })
    expect(fastify({ http2: true, https: { allowHTTP1: true } }).register).type.toBeCallableWith(wstunnel, { upstream })
    expect(fastify({ serverFactory: (handler) => createServer(handler) }).register).type.toBeCallableWith(wstunnel, { upstream })
  })
})

describe('the options', () => {
  test('may be left out', () => {
    expect(app.register).type.toBeCallableWith(wstunnel)
    expect(app.register).type.toBeCallableWith(wstunnel, {})
  })

  test('are one route below a prefix', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, { prefix: '/ws2', upstream: 'ws://echo.example/' })
  })

  test('are a table of routes with defaults', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, {
      idleTimeout: '5m',
      routes: [
        { path: '/ws2/', upstream: 'ws://echo.example/' },
        { path: '/static/', upstream: false },
        { path: '/', upstream, fallbackToHttp: false, idleTimeout: 0 },
        { path: '/', upstream: 'http://backend:9080/' },
      ],
    })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { routes: { path: '/', upstream } })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { routes: [{ path: '/', upstraem: upstream }] })
  })

  test('may be made elsewhere', () => {
    const options: WstunnelOptions = { upstream, idleTimeout: '5m' }
    expect(app.register).type.toBeCallableWith(wstunnel, options)
    expect(app.register).type.toBeCallableWith(wstunnel, { ...options, prefix: '/ws2' })
  })

  test('refuse a name that is none', () => {
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, idleTimout: '5m' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, limits: { maxTunnel: 1 } })
  })

  test('take reverse as a boolean or as parts of it', () => {
    expect<WstunnelOptions>().type.toBeAssignableWith({ upstream, reverse: false })
    expect<WstunnelOptions>().type.toBeAssignableWith({ upstream, reverse: { location: 'absolute' as const } })
    expect<WstunnelOptions>().type.not.toBeAssignableWith({ upstream, reverse: { location: 'relative' } })
    expect<WstunnelOptions>().type.not.toBeAssignableWith({ upstream, reverse: { relative: true } })
  })

  test('take an upstream as a URL, a function or false', () => {
    expect<WstunnelOptions>().type.toBeAssignableWith({ upstream })
    expect<WstunnelOptions>().type.toBeAssignableWith({ upstream: false } as const)
    expect<WstunnelOptions>().type.toBeAssignableWith({ upstream: () => upstream })
    expect<WstunnelOptions>().type.toBeAssignableWith({
      upstream: async (request: FastifyRequest, signal: AbortSignal) => signal.aborted ? request.host : upstream,
    })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream: true })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream: 80 })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream: () => 80 })
  })

  test('give an upstream function its parameters', () => {
    app.register(wstunnel, {
      upstream: (request, signal) => {
        expect(request).type.toBeAssignableTo<FastifyRequest>()
        expect(signal).type.toBe<AbortSignal>()
        return upstream
      },
    })
  })

  test('take one token, or several, to upgrade', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, upgrade: 'websocket' })
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, upgrade: ['websocket', 'tcp'] })
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, upgrade: 'ANY' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, upgrade: true })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, upgrade: /websocket/ })
  })

  test('take every duration as milliseconds or with its unit', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, {
      upstream,
      asyncDelay: '500ms',
      idleTimeout: '5m',
      connectTimeout: 10_000,
      timeout: '60s',
      handshakeTimeout: '10s',
      halfCloseTimeout: '30s',
      maxLifetime: '1h',
      stallTimeout: '60s',
      keepAlive: 0,
      drainTimeout: '10s',
    })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, idleTimeout: true })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, idleTimeout: new Date() })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, drainTimeout: null })
    expect<Duration>().type.toBeAssignableWith('1.5s' as const)
    for (const bad of ['30', '3 s', 's', '3sec', '1.5', '1.5 s'] as const) expect<Duration>().type.not.toBeAssignableWith(bad)
  })

  test('take the rest of a route', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, {
      upstream,
      path: '/',
      fallbackToHttp: false,
      async: false,
      preserveHost: true,
      reverse: { location: 'absolute', cookiePath: true, cookieDomain: false },
      forwarded: false,
      via: 'full',
      tls: { ca: 'PEM', servername: 'backend.example', rejectUnauthorized: true },
      allowedOrigins: ['https://app.example'],
      limits: {
        maxTunnels: 10,
        maxTunnelsPerClient: 2,
        maxTunnelsPerUpstream: 5,
        maxForwards: 100,
        maxConnectionsPerUpstream: 10,
        earlyData: 1024,
        maxResponseHead: 4096
      },
      disableReuse: true,
      constraints: { host: 'app.example' },
      config: { anything: true },
      logLevel: 'warn',
      onRequest: async () => {},
      preValidation: [async () => {}],
      preHandler: async () => {},
    })
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, forwarded: 'both' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, forwarded: true })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, via: 'all' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, fallbackToHttp: 'no' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, allowedOrigins: [/app/] })
  })

  test('give the functions their parameters', () => {
    app.register(wstunnel, {
      upstream,
      rewriteRequestHeaders: (request, headers) => {
        expect(request).type.toBeAssignableTo<FastifyRequest>()
        return headers
      },
      rewriteHeaders: (headers, request) => {
        expect(request).type.toBeAssignableTo<FastifyRequest>()
        return headers
      },
      onTunnelOpen: (tunnel, request) => {
        expect(tunnel).type.toBe<TunnelInfo>()
        expect(request).type.toBeAssignableTo<FastifyRequest>()
      },
      onTunnelClose: (tunnel, outcome) => {
        expect(tunnel).type.toBe<TunnelInfo>()
        expect(outcome).type.toBe<TunnelOutcome>()
      },
    })
  })
})

describe('the decorator', () => {
  test('is on every instance', () => {
    expect<FastifyInstance>().type.toHaveProperty('wstunnel')
    app.register(async (scope) => {
      expect(scope.wstunnel).type.toBe<FastifyInstance['wstunnel']>()
    })
  })

  test('gives a snapshot of the metrics', () => {
    expect(app.wstunnel.metrics).type.toBeCallableWith()
    expect(app.wstunnel.metrics()).type.toHaveProperty('tunnels')
    expect(app.wstunnel.metrics()).type.toHaveProperty('routes')
  })

  test('gives the live tunnels, each with close(reason)', () => {
    for (const tunnel of app.wstunnel.tunnels()) {
      expect(tunnel).type.toBe<TunnelInfo>()
      expect(tunnel.close).type.toBeCallableWith()
      expect(tunnel.close).type.toBeCallableWith('logged out')
      expect(tunnel.close).type.not.toBeCallableWith(1001)
    }
  })

  test('drains in bounded time', () => {
    expect(app.wstunnel.drain).type.toBeCallableWith()
    expect(app.wstunnel.drain).type.toBeCallableWith({ timeout: '30s' })
    expect(app.wstunnel.drain).type.toBeCallableWith({ timeout: 30_000 })
    expect(app.wstunnel.drain).type.not.toBeCallableWith({ timeout: true })
    expect(app.wstunnel.drain).type.not.toBeCallableWith('30s')
    expect(app.wstunnel.drain()).type.toBe<Promise<void>>()
  })
})

describe('balancers', () => {
  const members = [{ url: 'ws://10.0.0.1/' }]

  test('are options of a registration', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, {
      balancers: {
        app: {
          lbMethod: 'bybusyness',
          stickySession: 'ROUTEID|routeid',
          stickyCookie: { path: '/', httpOnly: true, sameSite: 'lax' },
          members: [{ url: 'ws://10.0.0.1:9080', loadFactor: 2, route: 'a' }, { url: 'ws://10.0.0.9:9080', status: '+H' }],
          retry: '60s',
          failOnStatus: [503],
          healthCheck: { method: 'GET', uri: '/health', interval: '5s', status: [200, '300-399'], body: /ok/ },
        },
      },
      routes: [{ path: '/', upstream: 'balancer://app/' }],
    })
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream: 'balancer://app/', healthPath: '/healthz' })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { balancers: { app: {} } })
    expect(app.register).type.toBeCallableWith(wstunnel, {
      http2: { webSockets: true, maxConcurrentStreams: 100, streamWindow: 65_536, sessionWindow: 1_048_576 }
    })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { http2: { webSockets: 'on' } })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { routes: [{ upstream: 'ws://a/', http2: {} }] })
  })

  test('have members by URL or by DNS', () => {
    expect<BalancerOptions>().type.toBeAssignableWith({ members })
    expect<BalancerOptions>().type.toBeAssignableWith({
      members: { dns: 'backend.internal', type: 'SRV' as const, refresh: '10s' as const, servers: ['127.0.0.1:53'] }
    })
    expect<BalancerOptions>().type.not.toBeAssignableWith({ members: 'backend.internal' })
    expect<MemberOptions>().type.not.toBeAssignableWith({ loadFactor: 1 })
    expect<MemberOptions>().type.not.toBeAssignableWith({ url: 'ws://a/', loadfactor: 1 })
    expect<DnsMembers>().type.not.toBeAssignableWith({ dns: 'a', route: 'b' })
    expect<DnsMembers>().type.not.toBeAssignableWith({ dns: 'a', type: 'MX' })
  })

  test('choose by a name or by a function', () => {
    for (const lbMethod of ['bybusyness', 'byrequests', 'bytraffic', 'random', 'p2c', 'hash'] as const) {
      expect<BalancerOptions>().type.toBeAssignableWith({ members, lbMethod })
    }
    expect<BalancerOptions>().type.not.toBeAssignableWith({ members, lbMethod: 'heartbeat' })
    app.register(wstunnel, {
      balancers: {
        app: {
          members,
          lbMethod: (candidates, context) => {
            expect(context.key()).type.toBe<string>()
            expect(context.random()).type.toBe<number>()
            expect(candidates[0]?.busy).type.toBe<number | undefined>()
            return candidates[0] as NonNullable<typeof candidates[0]>
          },
        },
      },
    })
    expect<BalancerOptions>().type.not.toBeAssignableWith({ members, lbMethod: () => undefined })
  })

  test('are changed while they run', () => {
    const control = app.wstunnel.balancer('app')
    expect(control).type.toBe<BalancerControl>()
    expect(control.members()).type.toBe<MemberInfo[]>()
    expect(control.members()[0]?.state).type.toBe<'up' | 'error' | 'unhealthy' | 'draining' | 'disabled' | 'stopped' | undefined>()
    expect(control.add).type.toBeCallableWith({ url: 'ws://10.0.0.3/', loadFactor: 2 })
    expect(control.add).type.not.toBeCallableWith('ws://10.0.0.3/')
    expect(control.remove('ws://10.0.0.1/', { closeTunnels: '30s' })).type.toBe<Promise<void>>()
    expect(control.drain('ws://10.0.0.1/')).type.toBe<Promise<void>>()
    expect(control.set).type.toBeCallableWith('ws://10.0.0.1/', { loadFactor: 3, status: '-H' })
    expect(control.set).type.not.toBeCallableWith('ws://10.0.0.1/', { url: 'ws://10.0.0.2/' })
    expect(control.disable('ws://10.0.0.1/')).type.toBe<void>()
    expect(app.wstunnel.balancer).type.not.toBeCallableWith()
  })

  test('show in the metrics', () => {
    expect(app.wstunnel.metrics().balancers[0]?.members).type.toBe<MemberInfo[] | undefined>()
  })
})
