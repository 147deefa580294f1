// Who may open a tunnel: by a JWT in a header, by a cookie, and by a ticket in the query for clients that can send neither.
import { randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import jwt from '@fastify/jwt'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

declare module 'fastify' {
  interface FastifyRequest { ticketOf?: string }
}

export function build (upstream: string, origin = 'http://localhost:3000'): FastifyInstance {
  const app = fastify()
  app.register(jwt, { secret: process.env.SECRET || 'a secret of at least thirty-two letters' })
  app.register(cookie, { secret: process.env.SECRET || 'a secret of at least thirty-two letters' })

  // For programs: they can send a header with a WebSocket. Browsers cannot.
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request) => { await request.jwtVerify() })
    scope.register(wstunnel, {
      prefix: '/jwt',
      upstream,
      // The upstream learns who it is, and not the token.
      rewriteRequestHeaders: (request, headers) => ({ ...headers, authorization: undefined, 'x-user': (request.user as { sub: string }).sub })
    })
  })

  // For pages: a browser sends its cookies with a WebSocket, also where another site's page opens it. So the origin is checked.
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      const { valid } = request.unsignCookie(request.cookies.session ?? '')
      if (!valid) return await reply.code(401).send({ error: 'log in first' })
    })
    scope.register(wstunnel, { prefix: '/cookie', upstream, allowedOrigins: [origin] })
  })
  app.post('/login', async (_request, reply) =>
    await reply.setCookie('session', 'ann', { signed: true, httpOnly: true, sameSite: 'lax', path: '/' }).send({ ok: true }))

  // For pages of another site: they ask for a ticket with their token, and open the WebSocket with it. It is good for 30 seconds, once.
  const tickets = new Map<string, { user: string, until: number }>()
  app.post('/tickets', async (request) => {
    const { sub } = await request.jwtVerify<{ sub: string }>()
    for (const [ticket, { until }] of tickets) if (until < Date.now()) tickets.delete(ticket)
    const ticket = randomBytes(24).toString('base64url')
    tickets.set(ticket, { user: sub, until: Date.now() + 30_000 })
    return { ticket }
  })
  app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      const { ticket = '' } = request.query as { ticket?: string }
      const found = tickets.get(ticket)
      tickets.delete(ticket)
      if (found === undefined || found.until < Date.now()) return await reply.code(401).send({ error: 'a new ticket is needed' })
      request.ticketOf = found.user
    })
    scope.register(wstunnel, {
      prefix: '/ticket',
      upstream,
      rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-user': request.ticketOf })
    })
  })

  return app
}

await run(import.meta.url, build, (url) => `
    curl -i ${url}/jwt/
    curl -i -X POST ${url}/login
    npx wscat -c ${url.replace('http', 'ws')}/ticket/echo?ticket=none
`)
