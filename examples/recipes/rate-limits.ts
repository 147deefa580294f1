// How often, and how many: @fastify/rate-limit counts requests and handshakes, `limits` the tunnels that live.
import rateLimit from '@fastify/rate-limit'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify()

  app.register(async (scope) => {
    await scope.register(rateLimit, { max: 5, timeWindow: '1 minute' }) // of each client, tunnels and requests together
    scope.register(wstunnel, { prefix: '/app', upstream, limits: { maxTunnelsPerClient: 2 } })
  })

  return app
}

await run(import.meta.url, build, (url) => `
    for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{http_code}\\n' ${url}/app/; done
`)
