// An upstream behind TLS whose certificate comes from an authority of your own:
//
//   UPSTREAM=wss://backend.internal/ CA=ca.pem node --import tsx examples/tls.ts
//
// Verification is on and stays on. With `cert` and `key` beside `ca` the proxy shows a certificate itself.
import { readFile } from 'node:fs/promises'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from './run.ts'

export async function build (upstream: string, caFile = process.env.CA): Promise<FastifyInstance> {
  const app = fastify()

  app.register(wstunnel, {
    prefix: '/wss2',
    upstream,
    tls: caFile ? { ca: await readFile(caFile, 'utf8') } : {} // without `ca`: the authorities Node knows
  })

  return app
}

await run(import.meta.url, build, (url) => `
    curl -i ${url}/wss2/echo
    npx wscat -c ${url.replace('http', 'ws')}/wss2/echo
`)
