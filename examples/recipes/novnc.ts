// noVNC in a page, and a VNC server behind websockify (or one that speaks WebSocket itself, as QEMU and TigerVNC's helper do).
//
//   websockify 6080 localhost:5900        then   UPSTREAM=ws://127.0.0.1:6080/ node --import tsx examples/recipes/novnc.ts
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import files from '@fastify/static'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

const novnc = dirname(dirname(fileURLToPath(import.meta.resolve('@novnc/novnc'))))

export function build (upstream: string): FastifyInstance {
  const app = fastify()

  app.register(files, { root: novnc, prefix: '/novnc/' })
  app.get('/', async (_request, reply) => await reply.sendFile('novnc.html', fileURLToPath(new URL('.', import.meta.url))))

  // A screen that does not change is quiet: no idleTimeout. One that the viewer cannot keep up with waits, and is cut after stallTimeout.
  app.register(wstunnel, { prefix: '/vnc', upstream, fallbackToHttp: false, stallTimeout: '5m' })

  return app
}

await run(import.meta.url, build, (url) => `
    ${url}/
`)
