/** What an upstream says of its content, where a hook or an error handler puts another response in its place. */
import type { FastifyReply } from 'fastify'

/** The property of a reply, which is decorated with it: a `WeakMap` would cost each collection of garbage more than the rest of this. */
export const kUpstreamContent: unique symbol = Symbol('fastify-wstunnel.upstream-content')

interface UpstreamContent {
  readonly status: number
  readonly fields: ReadonlyMap<string, string | string[]>
}

type Described = FastifyReply & { [kUpstreamContent]?: UpstreamContent | null }

/** Fields that speak of the upstream's content, and of no other. */
const ofContent = ['content-encoding', 'cache-control', 'etag'] as const

/** Remembers what an upstream's response has given to the reply. */
export function keepContentFields (reply: Described, status: number, fields: ReadonlyMap<string, string | string[]>): void {
  if (ofContent.some((name) => fields.has(name))) reply[kUpstreamContent] = { status, fields }
}

/**
 * Leaves them out of a response whose status has become another one since.
 * @param payload a `Response` brings its own status
 */
export function dropOfReplaced (reply: Described, payload: unknown): void {
  const content = reply[kUpstreamContent]
  if (content === null || content === undefined) return
  const status = payload instanceof Response ? payload.status : reply.statusCode
  if (status !== content.status) dropContentFields(reply)
}

/** Leaves them out, unless somebody has given them another value. */
export function dropContentFields (reply: Described): void {
  const content = reply[kUpstreamContent]
  if (content === null || content === undefined) return
  reply[kUpstreamContent] = null
  for (const name of ofContent) if (content.fields.has(name) && reply.getHeader(name) === content.fields.get(name)) reply.removeHeader(name)
}
