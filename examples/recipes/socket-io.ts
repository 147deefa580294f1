// Several Socket.IO servers behind one path. A session begins with polls, all of which have to reach the server that knows it: so it sticks.
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

export function build (...servers: string[]): FastifyInstance {
  const app = fastify()

  app.register(wstunnel, {
    balancers: {
      chat: {
        members: servers.map((url, i) => ({ url: url.replace(/^ws/, 'http'), route: `chat${i}` })),
        stickySession: 'CHATID',
        stickyCookie: { path: '/socket.io/', httpOnly: true, sameSite: 'lax' },
        healthCheck: { interval: '5s' }
      }
    },
    routes: [{ path: '/socket.io/', upstream: 'balancer://chat/socket.io/', upgrade: 'websocket' }]
  })

  return app
}

await run(import.meta.url, build, (url) => `
    curl '${url}/socket.io/?EIO=4&transport=polling'
`)
