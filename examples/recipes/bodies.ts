// A hook that reads a request's body before it goes on, and one that changes a response. Both cost what streaming spares: memory.
import fastify, { type FastifyInstance, type preParsingHookHandler } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { run } from '../run.ts'

const longest = 64 * 1024

/** Refuses what is no JSON, or has no `user`. What it returns goes upstream. */
const checkBody: preParsingHookHandler = async (request, _reply, payload) => {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) return payload
  if (!(Number(request.headers['content-length']) <= longest)) throw Object.assign(new Error('too large, or of no length'), { statusCode: 413 })
  const body = await text(payload)
  if (typeof parse(body)?.user !== 'string') throw Object.assign(new Error('expected a user'), { statusCode: 400 })
  return Readable.from([body])
}

function parse (body: string): { user?: unknown } | undefined {
  try {
    return JSON.parse(body) as { user?: unknown }
  } catch {
    return undefined
  }
}

export function build (upstream: string): FastifyInstance {
  const app = fastify()

  app.register(async (scope) => {
    scope.addHook('preParsing', checkBody)
    scope.addHook('onSend', async (_request, reply, payload) => {
      if (!/^application\/json\b/.test(String(reply.getHeader('content-type')))) return payload
      const whole = payload instanceof Readable ? await text(payload) : String(payload)
      reply.removeHeader('content-length')
      return JSON.stringify({ from: 'the upstream', answer: JSON.parse(whole) as unknown })
    })
    scope.register(wstunnel, { prefix: '/app', upstream })
  })

  return app
}

await run(import.meta.url, build, (url) => `
    curl ${url}/app/x -H 'content-type: application/json' -d '{"user":"ann"}'
    curl -i ${url}/app/x -H 'content-type: application/json' -d '{}'
`)
