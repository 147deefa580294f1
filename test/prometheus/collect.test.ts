import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import * as successor from '@prometheus-io/client'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import type { IMetricsPluginOptions } from 'fastify-metrics'
import * as promClient from 'prom-client'
import wstunnel from '../../lib/index.ts'
import { collect } from '../../lib/prometheus/index.ts'
import { named } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { wsClient } from '../fixtures/client.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { promtool } from '../fixtures/prometheus.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { startHttpUpstream, startWsUpstream } from '../fixtures/upstream.ts'

// The two libraries by the same hand, whose types differ in nothing that is needed here.
const libraries: Array<[name: string, library: typeof promClient]> = [
  ['prom-client', promClient], ['@prometheus-io/client', successor as unknown as typeof promClient]
]

/** A route, a balancer, a tunnel and a request of each. */
async function busyProxy (t: TestContext): Promise<Proxy> {
  const a = await named(t, 'a')
  const direct = await startWsUpstream(t, { http: (_request, response) => response.end('hello') })
  const proxy = await startProxy(t, {
    balancers: { app: { members: [{ url: `${a.url}/` }, { url: 'ws://127.0.0.1:9/', status: '+D' }] } },
    routes: [{ path: '/app/', upstream: 'balancer://app/' }, { path: '/direct/', upstream: `${direct.url}/` }]
  })
  for (const path of ['/app/', '/direct/']) {
    await wsClient(t, proxy.wsUrl + path)
    assert.equal((await fetch(proxy.url + path)).status, 200)
  }
  return proxy
}

/** The samples of an exposition, by name and labels. */
function read (text: string): Map<string, number> {
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(/ (?=[^ ]+$)/) as [string, string])
  const map = new Map(samples.map(([name, value]) => [name, Number(value)]))
  assert.equal(map.size, samples.length, 'a sample twice')
  return map
}

for (const [name, { Registry }] of libraries) {
  describe(`a registry of ${name}`, () => {
    test('has the numbers of metrics(), with help for every family', async (t) => {
      const { app } = await busyProxy(t)
      const registry = new Registry()
      collect(app, registry)
      const text = await registry.metrics()
      const samples = read(text)
      const [member] = app.wstunnel.balancer('app').members()
      assert.equal(samples.get('wstunnel_tunnels{route="/app/",state="suspended"}'), 1)
      assert.equal(samples.get('wstunnel_tunnels_opened_total{route="/direct/"}'), 1)
      assert.equal(samples.get('wstunnel_forwards_total{route="/direct/",status="2xx"}'), 1)
      assert.equal(samples.get('wstunnel_forward_bytes_total{route="/direct/",from="upstream"}'), 5)
      assert.equal(samples.get('wstunnel_handshake_duration_seconds_count{route="/app/"}'), 1)
      assert.equal(
        samples.get('wstunnel_handshake_duration_seconds_bucket{route="/app/",le="+Inf"}') ??
          samples.get('wstunnel_handshake_duration_seconds_bucket{le="+Inf",route="/app/"}'),
        1
      )
      assert.equal(samples.get(`wstunnel_member_state{balancer="app",member="${member!.url}",state="up"}`), 1)
      assert.equal(samples.get('wstunnel_member_state{balancer="app",member="ws://127.0.0.1:9/",state="disabled"}'), 1)
      assert.equal(samples.get('wstunnel_member_state{balancer="app",member="ws://127.0.0.1:9/",state="up"}'), 0)
      assert.equal(samples.get(`wstunnel_member_elected_total{balancer="app",member="${member!.url}"}`), 2)
      assert.equal(samples.get('wstunnel_draining'), 0)
      assert.ok(samples.get('wstunnel_uptime_seconds')! > 0)
      const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
      assert.equal(types.length, 23)
      for (const [, family] of types) assert.match(text, new RegExp(`^# HELP ${family} .{8,}\\.$`, 'm'))
    })

    test('writes OpenMetrics, with one _total and an end', async (t) => {
      const { app } = await busyProxy(t)
      const registry = new Registry<promClient.OpenMetricsContentType>()
      collect(app, registry)
      const plain = read(await registry.metrics())
      registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      const text = await registry.metrics()
      assert.match(text, /^# TYPE wstunnel_tunnels_opened counter$/m)
      assert.match(text, /# EOF\n$/)
      assert.doesNotMatch(text, /_total_total|# TYPE \w+_total/)
      assert.deepEqual([...read(text).keys()].sort(), [...plain.keys()].sort(), 'the samples have the same names')
    })

    test('takes one snapshot for a scrape, and a new one for the next', async (t) => {
      const { app } = await busyProxy(t)
      const registry = new Registry()
      collect(app, registry)
      const sampleMetrics = t.mock.method(app.wstunnel, 'sampleMetrics')
      for (const scrapes of [1, 2, 3]) {
        await registry.metrics()
        assert.equal(sampleMetrics.mock.callCount(), scrapes)
      }
      await Promise.all([registry.metrics(), registry.metrics()])
      assert.equal(sampleMetrics.mock.callCount(), 5)
      await registry.getSingleMetricAsString('wstunnel_draining')
      await registry.getSingleMetricAsString('wstunnel_draining')
      assert.equal(sampleMetrics.mock.callCount(), 7)
    })
  })
}

test('the registry of fastify-metrics shows them on its own route', async (t) => {
  const app = Fastify()
  cleanup(t, 'proxies', () => app.close())
  const register = new promClient.Registry()
  await app.register(
    fastifyMetrics as unknown as FastifyPluginAsync<Partial<IMetricsPluginOptions>>,
    { endpoint: '/metrics', promClient, defaultMetrics: { enabled: false, register } }
  )
  await app.register(wstunnel, { prefix: '/app', upstream: 'ws://127.0.0.1:9/' })
  collect(app, app.metrics.client.register)
  const { body } = await app.inject('/metrics')
  assert.match(body, /^wstunnel_tunnels\{route="\/app",state="active"\} 0$/m)
})

test('promtool has no complaint', async (t) => {
  const program = findProgram('promtool')
  if (program === undefined) return skipLoudly(t, 'promtool (Debian: prometheus)')
  const { app } = await busyProxy(t)
  const registry = new promClient.Registry()
  collect(app, registry)
  promtool(program, ['check', 'metrics'], await registry.metrics())
})

test('what an upstream function returns is no label', async (t) => {
  const upstream = await startHttpUpstream(t, (_request, response) => response.end())
  const proxy = await startProxy(t, { upstream: (request) => `${upstream.url}/tenant-${String((request.query as { tenant: string }).tenant)}/` })
  assert.equal((await fetch(`${proxy.url}/?tenant=secret`)).status, 200)
  const registry = new promClient.Registry()
  collect(proxy.app, registry)
  const text = await registry.metrics()
  assert.match(text, /^wstunnel_forwards_total\{route="\/",status="2xx"\} 1$/m)
  assert.doesNotMatch(text, /secret|tenant/)
})

test('labels are escaped', async (t) => {
  const proxy = await startProxy(t, { prefix: '/a"b', upstream: 'ws://127.0.0.1:9/' })
  const registry = new promClient.Registry()
  collect(proxy.app, registry)
  const text = await registry.metrics()
  const route = proxy.app.wstunnel.metrics().routes[0]!.route
  assert.ok(text.includes(`route="${route.replace(/[\\"]/g, '\\$&')}"`), text)
})

test('two servers are told apart by their prefixes, and a name that is taken leaves nothing behind', async (t) => {
  const one = await startProxy(t, {})
  const two = await startProxy(t, {})
  const registry = new promClient.Registry()
  registry.registerMetric(new promClient.Gauge({ name: 'three_draining', help: 'h', registers: [] }))
  collect(one.app, registry, { prefix: 'one_' })
  collect(two.app, registry, { prefix: 'two_' })
  assert.throws(() => collect(two.app, registry, { prefix: 'three_' }), /three_draining has already been registered/)
  const names = registry.getMetricsAsArray().map(({ name }) => name)
  assert.equal(names.filter((name) => name.startsWith('three_')).length, 1)
  assert.equal(names.filter((name) => name.startsWith('one_')).length, names.filter((name) => name.startsWith('two_')).length)
  for (const prefix of ['1st_', 'a-b', 'a b']) assert.throws(() => collect(one.app, registry, { prefix }), { code: 'FST_WSTUNNEL_INVALID_OPTIONS' })
})

test('the metrics leave the registry when the server closes, whose counters they never change', async (t) => {
  const app = Fastify()
  cleanup(t, 'proxies', () => app.close())
  const registry = new promClient.Registry()
  collect(app, registry) // before the plugin is there
  app.register(wstunnel, { upstream: 'ws://127.0.0.1:9/' })
  await app.ready()
  registry.resetMetrics()
  assert.notEqual(await registry.metrics(), '\n')
  await app.close()
  assert.deepEqual(registry.getMetricsAsArray(), [])
})

test('an instance without the plugin is not ready, and says what is missing', async (t) => {
  const app: FastifyInstance = Fastify()
  cleanup(t, 'proxies', () => app.close())
  collect(app, new promClient.Registry())
  app.register(async (scope) => { scope.register(wstunnel, {}) })
  await assert.rejects(async () => { await app.ready() }, { code: 'FST_WSTUNNEL_INVALID_OPTIONS', message: /no `app\.wstunnel`: register fastify-wstunnel/ })
})
