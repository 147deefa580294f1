// One path of this server belongs to one upstream; everything else is an ordinary Fastify application.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from './run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify({ logger: { level: process.env.LOG_LEVEL || 'warn' } })

  // ws://this/ws2/room?x=1 → ws://upstream/room?x=1, and http://this/ws2/… → http://upstream/… besides.
  app.register(wstunnel, {
    prefix: '/ws2',
    upstream,
    connectTimeout: '3s',
    idleTimeout: '5m', // default: none
    maxLifetime: '12h', // default: none
    limits: { maxTunnels: 1000, maxTunnelsPerClient: 20 },
    rewriteHeaders: (headers) => ({ ...headers, 'x-served-by': 'fastify-wstunnel' }), // sees a 101 as well
    onTunnelOpen: (tunnel) => app.log.info({ tunnel: tunnel.id, client: tunnel.client }, 'tunnel open'),
    onTunnelClose: (tunnel, outcome) => app.log.info({ tunnel: tunnel.id, reason: outcome.reason }, 'tunnel closed')
  })

  app.get('/', () => ({ hello: 'from Fastify itself' }))

  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/
    curl -i ${url}/ws2/echo?x=1
    npx wscat -c ${url.replace('http', 'ws')}/ws2/echo
`)
