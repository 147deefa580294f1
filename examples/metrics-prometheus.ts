// metrics() is a plain snapshot, for whatever you measure with. This is Prometheus, without a library.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from './run.ts'

type Snapshot = ReturnType<FastifyInstance['wstunnel']['metrics']>
type Histogram = Snapshot['tunnels']['lifetime']

export function render (snapshot: Snapshot): string {
  const families = new Map<string, string[]>()
  function add (name: string, type: string, labels: Record<string, string | number>, value: number, suffix = ''): void {
    let lines = families.get(name)
    if (lines === undefined) families.set(name, lines = [`# TYPE wstunnel_${name} ${type}`])
    const text = Object.entries(labels).map(([key, label]) => `${key}="${escape(String(label))}"`).join()
    lines.push(`wstunnel_${name}${suffix}{${text}} ${value}`)
  }
  function addHistogram (name: string, labels: Record<string, string>, { buckets, count, sum }: Histogram): void {
    for (const bucket of buckets) add(name, 'histogram', { ...labels, le: bucket.le / 1000 }, bucket.count, '_bucket')
    add(name, 'histogram', { ...labels, le: '+Inf' }, count, '_bucket')
    add(name, 'histogram', labels, sum / 1000, '_sum')
    add(name, 'histogram', labels, count, '_count')
  }

  for (const { route, tunnels, upstreams } of snapshot.routes) {
    // By route: some are refused before an upstream was chosen.
    for (const [stage, n] of Object.entries(tunnels.refused)) add('tunnels_refused_total', 'counter', { route, stage }, n)
    for (const { upstream, tunnels, forwards } of upstreams) {
      const at = { route, upstream }
      add('tunnels', 'gauge', { ...at, state: 'active' }, tunnels.active)
      add('tunnels', 'gauge', { ...at, state: 'suspended' }, tunnels.suspended)
      add('tunnels_opened_total', 'counter', at, tunnels.opened)
      for (const [reason, n] of Object.entries(tunnels.closed)) add('tunnels_closed_total', 'counter', { ...at, reason }, n)
      add('bytes_total', 'counter', { ...at, from: 'client' }, tunnels.bytesFromClient)
      add('bytes_total', 'counter', { ...at, from: 'upstream' }, tunnels.bytesFromUpstream)
      addHistogram('handshake_seconds', at, tunnels.handshake)
      addHistogram('tunnel_lifetime_seconds', at, tunnels.lifetime)
      for (const [status, n] of Object.entries(forwards.status)) add('forwards_total', 'counter', { ...at, status }, n)
      addHistogram('forward_seconds', at, forwards.duration)
    }
  }
  return [...families.values()].flat().join('\n') + '\n'
}

function escape (label: string): string {
  return label.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')
}

export function build (upstream: string): FastifyInstance {
  const app = fastify()
  app.register(wstunnel, { prefix: '/app', upstream })
  app.get('/metrics', (_request, reply) => reply.type('text/plain; version=0.0.4').send(render(app.wstunnel.metrics())))
  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/app/hello
    curl ${url}/metrics
`)
