import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import type { OpenMetricsContentType } from 'prom-client'
import wstunnel from '../../lib/index.ts'
import { collect } from '../../lib/prometheus/index.ts'
import { named } from '../fixtures/balanced.ts'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { promtool, startPrometheus } from '../fixtures/prometheus.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { event } from '../fixtures/wait.ts'

const examples = fileURLToPath(new URL('../../examples/prometheus/', import.meta.url))
const package_ = 'Prometheus (Debian: prometheus)'

/** Two routes to a balancer, and the metrics in both formats. */
async function measuredProxy (t: TestContext): Promise<Proxy> {
  const member = await named(t, 'a')
  return await startProxy(t, undefined, {
    setup (app) {
      app.register(wstunnel, {
        balancers: { app: { members: [{ url: `${member.url}/` }] } },
        routes: [{ path: '/app/', upstream: 'balancer://app/' }, { path: '/none/', upstream: 'ws://127.0.0.1:9/' }]
      })
      const plain = new Registry()
      const open = new Registry<OpenMetricsContentType>()
      open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      collect(app, plain)
      collect(app, open)
      // As a server would that knows both: Prometheus asks for OpenMetrics first.
      app.get('/metrics', async (request, reply) => {
        if (request.headers.accept?.includes('openmetrics') === true) return await reply.type(open.contentType).send(await open.metrics())
        return await reply.type(plain.contentType).send(await plain.metrics())
      })
      app.get('/plain/metrics', async (_request, reply) => await reply.type(plain.contentType).send(await plain.metrics()))
    }
  })
}

/** Something in every counter that the dashboard shows, again and again until it is stopped. */
function traffic (t: TestContext, proxy: Proxy): () => Promise<void> {
  const stopped = new AbortController()
  async function run (): Promise<void> {
    while (!stopped.signal.aborted) {
      const socket = await wsClient(t, `${proxy.wsUrl}/app/`)
      socket.send('hello')
      await event(socket, 'message')
      socket.close()
      await event(socket, 'close')
      await (await fetch(`${proxy.url}/app/`, { method: 'POST', body: 'hello' })).text()
      await (await fetch(`${proxy.url}/none/`)).text()
      const refused = await rawClient(t, proxy.port)
      refused.write(upgradeHead('/none/'))
      await refused.response()
      refused.destroy()
    }
  }
  const running = run()
  running.catch(() => {}) // whoever stops it hears of it
  return async () => {
    stopped.abort()
    await running
  }
}

describe('a real Prometheus', () => {
  test('scrapes the metrics, and every query of the dashboard finds something', async (t) => {
    const program = findProgram('prometheus')
    if (program === undefined) return skipLoudly(t, package_)
    const proxy = await measuredProxy(t)
    await wsClient(t, `${proxy.wsUrl}/app/`)
    const stop = traffic(t, proxy)
    const prometheus = await startPrometheus(t, program, [`127.0.0.1:${proxy.port}`])

    assert.equal((await prometheus.find('up == 1')).length, 1)
    assert.equal((await prometheus.find('sum(wstunnel_tunnels{route="/app/"}) >= 1')).length, 1)
    const [state] = await prometheus.find('wstunnel_member_state{state="up"} == 1')
    assert.equal(state?.metric.balancer, 'app')
    const targets = await (await fetch(`${prometheus.url}/api/v1/targets`)).json() as { data: { activeTargets: Array<{ health: string, lastError: string }> } }
    assert.deepEqual(targets.data.activeTargets.map(({ health, lastError }) => ({ health, lastError })), [{ health: 'up', lastError: '' }])

    const { panels, templating } = JSON.parse(readFileSync(`${examples}grafana-dashboard.json`, 'utf8')) as {
      panels: Array<{ title: string, targets: Array<{ expr: string }> }>
      templating: { list: Array<{ name: string, definition?: string }> }
    }
    const variables = templating.list.flatMap(({ name, definition }) => definition === undefined ? [] : [{ name, definition }])
    const plain = (text: string): string => variables.reduce((all, { name }) => all.replaceAll(`$${name}`, '.+'), text).replaceAll('$__rate_interval', '10s')
    const queries = panels.flatMap(({ title, targets: each }) => each.map(({ expr }) => ({ title, expr: plain(expr) })))
    assert.ok(queries.length > 25)
    for (const { title, expr } of queries) {
      assert.doesNotMatch(expr, /\$/, title)
      // `> 0` hides what has not happened: failures of a member that never fails.
      const always = expr.includes('failures') ? expr.replace(/ > 0$/, '') : expr
      assert.notDeepEqual(await prometheus.find(always), [], title)
    }
    for (const { name, definition } of variables) {
      const [, selector] = /^label_values\((.+), \w+\)$/.exec(definition) ?? []
      assert.notDeepEqual(await prometheus.find(plain(selector ?? '')), [], name)
    }
    for (const { expr } of alerts()) await prometheus.query(expr)
    await stop()
  })

  test('reads the text format as well', async (t) => {
    const program = findProgram('prometheus')
    if (program === undefined) return skipLoudly(t, package_)
    const proxy = await measuredProxy(t)
    const accept = { accept: 'application/openmetrics-text' }
    assert.match(await (await fetch(`${proxy.url}/metrics`, { headers: accept })).text(), /# EOF\n$/, 'the other test has had OpenMetrics')
    const prometheus = await startPrometheus(t, program, [`127.0.0.1:${proxy.port}`], '/plain/metrics')
    assert.equal((await prometheus.find('up == 1')).length, 1)
    assert.equal((await prometheus.find('wstunnel_tunnels_opened_total{route="/app/"} == 0')).length, 1)
    assert.equal((await prometheus.find('wstunnel_handshake_duration_seconds_bucket{route="/app/",le="0.001"} == 0')).length, 1)
  })
})

/** The expressions of the alerts, from their YAML: one line, or a block. */
function alerts (): Array<{ expr: string }> {
  const text = readFileSync(`${examples}alerts.yml`, 'utf8')
  const found = [...text.matchAll(/^ {8}expr: (?:\|\n((?: {10}.*\n)+)|(.+)\n)/gm)].map(([, block, line]) => ({ expr: (block ?? line ?? '').trim() }))
  assert.equal(found.length, text.match(/- alert:/g)?.length)
  return found
}

describe('the alert rules', () => {
  test('are what promtool takes', (t) => {
    const program = findProgram('promtool')
    if (program === undefined) return skipLoudly(t, package_)
    assert.match(promtool(program, ['check', 'config', `${examples}prometheus.yml`]), /8 rules found/)
  })

  test('fire for what they are for, and stay quiet otherwise', (t) => {
    const program = findProgram('promtool')
    if (program === undefined) return skipLoudly(t, package_)
    assert.match(promtool(program, ['test', 'rules', fileURLToPath(new URL('alerts.test.yml', import.meta.url))]), /SUCCESS/)
  })
})
