// A page that shows what the server carries, and lets those who have the password drain members and close tunnels.
import { createHash, timingSafeEqual } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import status from 'fastify-wstunnel/status'
import { run } from './run.ts'

const password = process.env.PASSWORD || 'open-sesame'

/** HTTP Basic, since every browser knows how to ask for it. Over TLS only, but for a machine of your own. */
async function onlyOperators (request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const wanted = `Basic ${Buffer.from(`operator:${password}`).toString('base64')}`
  if (equals(request.headers.authorization ?? '', wanted)) return undefined
  return await reply.code(401).header('www-authenticate', 'Basic realm="status"').send({ error: 'a password is needed' })
}

/** In constant time. */
function equals (a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash('sha256').update(text).digest())
  return timingSafeEqual(left!, right!)
}

export function build (upstream: string): FastifyInstance {
  const app = fastify()
  app.register(wstunnel, {
    balancers: { app: { members: [{ url: upstream }], healthCheck: { interval: '5s' } } },
    routes: [{ path: '/app/', upstream: 'balancer://app/' }]
  })
  app.register(status, { prefix: '/wstunnel', actions: true, onRequest: onlyOperators })
  return app
}

await run(import.meta.url, build, (url) => `
    ${url}/wstunnel      operator, ${password}

    curl -u operator:${password} '${url}/wstunnel/status.json?sort=bytes&limit=10'
    curl ${url}/app/hello
`)
