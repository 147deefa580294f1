/** Connections that must end with the response to a request. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { isHttp2 } from '../http/version.ts'

const marked = new WeakSet<EventEmitter>()

/** Marks a connection of HTTP/1 as one that ends with the answer to this request: where it ends cannot be trusted. */
export function markMustClose (request: IncomingMessage): void {
  if (!isHttp2(request)) marked.add(request.socket)
}

export function mustClose (request: IncomingMessage): boolean {
  return marked.has(request.socket)
}
