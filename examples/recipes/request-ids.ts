// One id in the logs of both: that of a client or a proxy in front is kept, another is made, and the upstream gets it.
import { randomUUID } from 'node:crypto'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify({
    logger: { level: process.env.LOG_LEVEL || 'warn' },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id']
      return typeof given === 'string' && /^[\w-]{8,64}$/.test(given) ? given : randomUUID()
    }
  })

  app.register(wstunnel, {
    prefix: '/app',
    upstream,
    rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-request-id': request.id }),
    rewriteHeaders: (headers, request) => ({ ...headers, 'x-request-id': request.id }) // on a 101, too
  })

  return app
}

await run(import.meta.url, build, (url) => `
    curl -i ${url}/app/ -H 'x-request-id: 0123456789'
`)
