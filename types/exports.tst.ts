import * as successor from '@prometheus-io/client'
import fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { createClient, createCluster } from 'redis'
import { describe, expect, test } from 'tstyche'
import wstunnel from '../lib/index.ts'
import type { LeaseStore, TracedAttempt, Tracing } from '../lib/index.ts'
import { tracing } from '../lib/otel/index.ts'
import { collect } from '../lib/prometheus/index.ts'
import { redisLeases } from '../lib/redis/index.ts'
import status from '../lib/status/index.ts'

const app = fastify()
const upstream = 'ws://backend/'

describe('fastify-wstunnel/otel', () => {
  test('makes what the option takes, of a route and at the top', () => {
    expect(tracing()).type.toBe<Tracing>()
    expect(tracing).type.toBeCallableWith({ forwards: false })
    expect(tracing).type.not.toBeCallableWith({ forward: false })
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, tracing: tracing() })
    expect(app.register).type.toBeCallableWith(wstunnel, { routes: [{ path: '/', upstream, tracing: tracing() }] })
  })

  test('is one of many: what the option takes is a shape', () => {
    const attempt: TracedAttempt = {
      inject: (set) => set('x-trace', '1'),
      within: (dial) => dial(),
      end: ({ status, error }) => {
        expect(status).type.toBe<number | undefined>()
        expect(error).type.toBe<Error | undefined>()
      }
    }
    expect<Tracing>().type.toBeAssignableWith({
      fields: ['x-trace'],
      start (_request: { url: string }, { kind, url, resend }: Parameters<Tracing['start']>[1]) {
        expect(kind).type.toBe<'forward' | 'upgrade'>()
        expect(url).type.toBe<string>()
        expect(resend).type.toBe<number>()
        return attempt
      },
    })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { upstream, tracing: true })
  })
})

describe('fastify-wstunnel/redis', () => {
  test('takes the clients of both libraries as they are', () => {
    expect(redisLeases(new Redis())).type.toBe<LeaseStore>()
    expect(redisLeases(new Cluster([]))).type.toBe<LeaseStore>()
    expect(redisLeases(createClient())).type.toBe<LeaseStore>()
    expect(redisLeases(createCluster({ rootNodes: [] }))).type.toBe<LeaseStore>()
    expect(redisLeases).type.not.toBeCallableWith({})
    expect(redisLeases).type.toBeCallableWith(new Redis(), { prefix: 'app:', ttl: '10s' })
    expect(redisLeases).type.not.toBeCallableWith(new Redis(), { ttl: '10' })
  })

  test('makes what limits.store takes, at the top only', () => {
    const store = redisLeases(new Redis())
    expect(app.register).type.toBeCallableWith(wstunnel, { upstream, limits: { maxTunnelsPerClient: 3, store } })
    expect(app.register).type.not.toBeCallableWith(wstunnel, { routes: [{ path: '/', upstream, limits: { store } }] })
  })
})

describe('fastify-wstunnel/prometheus', () => {
  test('takes the registries of both libraries as they are', () => {
    expect(collect).type.toBeCallableWith(app, new Registry())
    expect(collect).type.toBeCallableWith(app, new Registry(), { prefix: 'app_' })
    expect(collect).type.toBeCallableWith(app, new successor.Registry())
    expect(collect).type.not.toBeCallableWith(app)
    expect(collect).type.not.toBeCallableWith(app, new Registry(), { labels: {} })
  })
})

describe('fastify-wstunnel/status', () => {
  test('is a plugin with a prefix, actions and hooks', () => {
    expect(app.register).type.toBeCallableWith(status)
    expect(app.register).type.toBeCallableWith(status, { prefix: '/wstunnel', actions: true, onRequest: async () => {} })
    expect(app.register).type.toBeCallableWith(status, { preHandler: [async () => {}] })
    expect(app.register).type.not.toBeCallableWith(status, { actions: 'all' })
    expect(app.register).type.not.toBeCallableWith(status, { onSend: async () => {} })
  })
})
