// Vite's development server below a path, hot updates included. It knows its path: `base: '/app/'` there, the same path on both sides here.
//
//   npx vite --base /app/        then   UPSTREAM=http://localhost:5173 node --import tsx examples/recipes/vite.ts
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (upstream: string): FastifyInstance {
  const app = fastify()

  app.get('/api/hello', () => ({ hello: 'from Fastify itself' }))
  app.register(wstunnel, { path: '/app/', upstream: `${upstream.replace(/\/$/, '')}/app/`, upgrade: 'websocket' })

  return app
}

await run(import.meta.url, build, (url) => `
    ${url}/app/
`)
