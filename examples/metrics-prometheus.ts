// The metrics in a Prometheus registry, beside those of your own. Here that of prom-client; one of @prometheus-io/client, or
// fastify-metrics' `app.metrics.client.register`, does as well. A dashboard and alerts for them are in prometheus/.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { collect } from 'fastify-wstunnel/prometheus'
import { Counter, Registry } from 'prom-client'
import { run } from './run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify()
  app.register(wstunnel, {
    balancers: { app: { members: [{ url: upstream }], healthCheck: { interval: '5s' } } },
    routes: [{ path: '/app/', upstream: 'balancer://app/' }]
  })

  const registry = new Registry()
  collect(app, registry)

  // One of your own.
  const greetings = new Counter({ name: 'greetings_total', help: 'How often hello was said.', registers: [registry] })
  app.get('/hello', () => {
    greetings.inc()
    return { hello: 'from Fastify itself' }
  })

  // In production this belongs behind authentication, or on another port.
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()))
  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/app/hello
    curl ${url}/metrics
`)
