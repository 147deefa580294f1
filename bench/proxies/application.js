// The Fastify application in which both plugins are measured: the same three hooks in front of every route.
import Fastify from 'fastify'
import { ready, setting } from './serve.js'

const known = new Set(['bench=1'])
const seen = new Map()

/** Starts an application with `plugin` and `options` registered in a scope behind three hooks. */
export async function serveApplication (plugin, options) {
  const { tls, address } = setting
  const app = Fastify({ logger: false, ...(tls === undefined ? {} : { https: { key: tls.key, cert: tls.cert } }) })
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      if (!known.has(request.headers.cookie)) return reply.code(401).send({ error: 'who are you' })
    })
    scope.addHook('preValidation', async (request) => {
      seen.set(request.ip, (seen.get(request.ip) ?? 0) + 1)
    })
    scope.addHook('preHandler', async (request, reply) => {
      reply.header('x-request-id', request.id)
    })
    scope.register(plugin, options)
  })
  await app.listen({ host: address, port: 0, backlog: 4096 })
  return app.server.address().port
}

/** The same, by itself in this process. */
export async function run (plugin, options) {
  ready(await serveApplication(plugin, options))
}
