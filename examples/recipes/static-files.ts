// A single-page application: its files, its API and its WebSocket on one server, and its page for every other path.
import files from '@fastify/static'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (upstream: string, root = new URL('.', import.meta.url).pathname, index = 'static-files.html'): FastifyInstance {
  const app = fastify()

  app.register(wstunnel, {
    routes: [
      { path: '/ws/', upstream, fallbackToHttp: false },
      { path: '/api/', upstream: upstream.replace(/^ws/, 'http') }
    ]
  })

  app.register(files, { root, prefix: '/assets/' })
  app.get('/*', async (_request, reply) => await reply.sendFile(index, root)) // history routing: the page finds its own way

  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/some/page
    curl ${url}/api/hello
    npx wscat -c ${url.replace('http', 'ws')}/ws/echo
`)
