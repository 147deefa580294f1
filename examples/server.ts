// The example to start with: `npm start`, then open the page it prints.
//
// One Fastify server with three things of its own (the page, the numbers, the status page), and one path, /tunnel, that
// belongs to an upstream: WebSocket and plain HTTP alike.
//
//   npm start                                      in front of the embedded upstream (upstream.ts)
//   UPSTREAM=ws://backend:9080/ npm start          in front of yours: ws, wss, http or https
//   HOST=0.0.0.0 PORT=8080 npm start               elsewhere than 127.0.0.1:3000
//   LOG_LEVEL=info npm start                       with a line for every exchange
import { readFile } from 'node:fs/promises'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import status from 'fastify-wstunnel/status'
import { run } from './run.ts'

export async function build (upstream: string): Promise<FastifyInstance> {
  const app = fastify({ logger: { level: process.env.LOG_LEVEL || 'warn' } })

  app.register(wstunnel, {
    prefix: '/tunnel',
    upstream,
    upgrade: 'websocket', // the default for ws:// and wss://; said here so that UPSTREAM may be http:// as well
    asyncDelay: '3s', // a tunnel that was quiet for so long is suspended: it keeps its sockets, and little else
    idleTimeout: '30m',
    drainTimeout: '2s' // the default, 10s, is a long time after Ctrl-C
  })

  const page = await readFile(new URL('page.html', import.meta.url))
  app.get('/', { logLevel: 'warn' }, (_request, reply) => reply.type('text/html; charset=utf-8').send(page))

  // In production these belong behind authentication, or on another port.
  app.get('/metrics', { logLevel: 'warn' }, () => app.wstunnel.metrics())
  app.register(status, { prefix: '/status' })

  return app
}

await run(import.meta.url, build, (url) => `
  fastify-wstunnel is listening. Open the page in two windows and chat through the tunnel:

    ${url}/

  Or stay here, in a second terminal:

    curl -d 'hello' ${url}/tunnel/echo
    curl -s ${url}/metrics
    npx wscat -c ${url.replace('http', 'ws')}/tunnel

  Ctrl-C ends it, tunnels first.
`)
