/** The upstream's fields about its content, if a hook or an error handler replaces the response. */
import type { FastifyReply } from 'fastify'

/** The property of a reply, which is decorated with it: a `WeakMap` would cost each garbage collection more than the rest of this file. */
export const kUpstreamContent: unique symbol = Symbol('fastify-wstunnel.upstream-content')

interface UpstreamContent {
  readonly status: number
  readonly fields: ReadonlyMap<string, string | string[]>
}

type Described = FastifyReply & { [kUpstreamContent]?: UpstreamContent | null }

/** The fields that describe the upstream's content, and no other content. */
const ofContent = ['content-encoding', 'cache-control', 'etag'] as const

/** Remembers the fields that an upstream's response has set on the reply. */
export function keepContentFields (reply: Described, status: number, fields: ReadonlyMap<string, string | string[]>): void {
  if (ofContent.some((name) => fields.has(name))) reply[kUpstreamContent] = { status, fields }
}

/**
 * Removes the fields from a response whose status has changed since.
 * @param payload a `Response` has its own status
 */
export function dropOfReplaced (reply: Described, payload: unknown): void {
  const content = reply[kUpstreamContent]
  if (content === null || content === undefined) return
  const status = payload instanceof Response ? payload.status : reply.statusCode
  if (status !== content.status) dropContentFields(reply)
}

/** Removes the fields, unless other code has changed their value. */
export function dropContentFields (reply: Described): void {
  const content = reply[kUpstreamContent]
  if (content === null || content === undefined) return
  reply[kUpstreamContent] = null
  for (const name of ofContent) if (content.fields.has(name) && reply.getHeader(name) === content.fields.get(name)) reply.removeHeader(name)
}
