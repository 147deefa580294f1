import { createServer } from 'node:http'
import fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect, test } from 'tstyche'
import wstunnel, { fastifyWstunnel, wstunnel as named } from '../lib/index.ts'
import type { TunnelInfo, TunnelOutcome, WstunnelOptions } from '../lib/index.ts'

const app = fastify()
const upstream = 'ws://backend/'

describe('the exports', () => {
  test('are one plugin, by default and by name', () => {
    expect(named).type.toBe<typeof wstunnel>()
    expect(fastifyWstunnel).type.toBe<typeof wstunnel>()
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
  })

  test('take the rest of a route', () => {
    expect(app.register).type.toBeCallableWith(wstunnel, {
      upstream,
      path: '/',
      fallbackToHttp: false,
      async: false,
      preserveHost: true,
      forwarded: false,
      via: 'full',
      tls: { ca: 'PEM', servername: 'backend.example', rejectUnauthorized: true },
      allowedOrigins: ['https://app.example'],
      limits: { maxTunnels: 10, maxTunnelsPerClient: 2, maxTunnelsPerUpstream: 5, earlyData: 1024, maxResponseHead: 4096 },
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
