// Behind nginx or HAProxy: who the client is, they say; and they are asked to send nothing here while this server drains.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify({
    trustProxy: '127.0.0.1', // the proxies' own addresses, and no wider
    keepAliveTimeout: 75_000 // longer than theirs (60 s), so that they close idle connections and not we
  })
  app.register(wstunnel, { prefix: '/app', upstream, idleTimeout: '50m', limits: { maxTunnelsPerClient: 20 } })
  app.register(wstunnel, { healthPath: '/healthz' })
  return app
}

await run(import.meta.url, build, (url) => `
    nginx -p /tmp -c $PWD/examples/recipes/behind-nginx.conf
    curl -i ${url}/healthz
`)
