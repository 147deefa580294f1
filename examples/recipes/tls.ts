// TLS on both legs, and certificates both ways: clients show theirs here, this server shows its own to the upstream.
//
//   CERTS=folder UPSTREAM=wss://backend.internal/ node --import tsx examples/recipes/tls.ts
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export async function build (upstream: string, folder = process.env.CERTS || '.'): Promise<FastifyInstance> {
  const pem = async (name: string): Promise<string> => await readFile(join(folder, name), 'utf8')
  const [key, cert, clients, clientKey, clientCert, upstreams] = await Promise.all(
    ['server-key.pem', 'server.pem', 'clients-ca.pem', 'client-key.pem', 'client.pem', 'upstreams-ca.pem'].map(pem))

  const app = fastify({ https: { key, cert, ca: clients, requestCert: true, rejectUnauthorized: false } })

  app.addHook('onRequest', async (request, reply) => {
    const { authorized } = request.raw.socket as TLSSocket
    if (!authorized) return await reply.code(403).send({ error: 'a certificate of ours is needed' })
  })

  app.register(wstunnel, {
    prefix: '/app',
    upstream,
    tls: { ca: upstreams as string, key: clientKey as string, cert: clientCert as string },
    rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-client-name': (request.raw.socket as TLSSocket).getPeerCertificate().subject.CN as string })
  })

  return app as unknown as FastifyInstance
}

await run(import.meta.url, build, (url) => `
    curl -k --cert client.pem --key client-key.pem ${url.replace('http', 'https')}/app/
`)
