// Authentication is a hook, and a hook guards its own scope: /private and its tunnels ask for a token,
// /public does not. A WebSocket without one gets the hook's 401, before anything is dialled.
import { createHash, timingSafeEqual } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from './run.ts'

const expected = digest(`Bearer ${process.env.TOKEN || 'open-sesame'}`)

async function authenticate (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  // Digests have one length, and comparing them in constant time tells nothing about the token.
  if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return
  return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'a token is needed' })
}

function digest (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

export function build (upstream: string): FastifyInstance {
  const app = fastify()

  app.register(async (scope) => {
    scope.addHook('onRequest', authenticate)
    scope.register(wstunnel, { prefix: '/private', upstream })
  })

  app.register(wstunnel, { prefix: '/public', upstream })

  return app
}

await run(import.meta.url, build, (url) => `
    curl -i ${url}/private/
    curl -i ${url}/private/ -H 'authorization: Bearer open-sesame'
    npx wscat -c ${url.replace('http', 'ws')}/private/echo -H 'authorization: Bearer open-sesame'
    npx wscat -c ${url.replace('http', 'ws')}/public/echo
`)
