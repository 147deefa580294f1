// A limit over all instances: three tunnels for each client, however many instances there are. Needs a Redis: `REDIS=redis://…`.
// Run it twice, with PORT=3000 and PORT=3001 in front of one UPSTREAM, and open four tunnels.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { redisLeases } from 'fastify-wstunnel/redis'
import { Redis } from 'ioredis'
import { run } from './run.ts'

export function build (upstream: string, redis: string = process.env.REDIS || 'redis://127.0.0.1:6379'): FastifyInstance {
  const app = fastify({ logger: { level: process.env.LOG_LEVEL || 'warn' } })
  const client = new Redis(redis)
  client.on('error', () => {}) // the plugin warns of it, once; the limit is then each instance's own

  app.register(wstunnel, {
    prefix: '/app',
    upstream,
    limits: { maxTunnelsPerClient: 3, store: redisLeases(client, { ttl: '30s' }) }
  })

  // The last tunnels give their places back while the server closes; then the connection can go.
  app.addHook('onClose', async () => client.quit().catch(() => client.disconnect()))
  return app
}

await run(import.meta.url, build, (url) => `
    npx wscat -c ${url.replace('http', 'ws')}/app/echo   three times; the fourth is a 429, here and at every other instance
`)
