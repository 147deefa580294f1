// An upstream for each tenant: the first label of the host says whose it is.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

/** Where the tenants' servers are; most likely from a database. */
export type Directory = (tenant: string, signal: AbortSignal) => Promise<string | undefined>

export function build (upstream: string, find: Directory = async (tenant) => tenant === 'ann' ? upstream : undefined): FastifyInstance {
  const app = fastify()

  app.register(async (scope) => {
    // Only names that the directory knows lead anywhere: nothing that a client sends becomes part of an address.
    scope.addHook('onRequest', async (request, reply) => {
      const [tenant = ''] = request.hostname.split('.')
      const url = await find(tenant, AbortSignal.timeout(2000))
      if (url === undefined) return await reply.code(404).send({ error: 'no such tenant' })
      request.tenantUrl = url
    })
    scope.register(wstunnel, { upstream: (request) => request.tenantUrl, preserveHost: true })
  })

  return app
}

declare module 'fastify' {
  interface FastifyRequest { tenantUrl: string }
}

await run(import.meta.url, build, (url) => `
    curl -i ${url}/hello -H 'host: ann.example'
    curl -i ${url}/hello -H 'host: bob.example'
`)
