/** Responses in their order on one connection: which are pending, and when the next may come. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isHttp2 } from '../http/version.ts'
import { isIdle } from './upgrade-response.ts'

/** Arrays: every request comes through here, and a `Set` would keep some of what was in it (see `net/dense-set`). */
const pending = new WeakMap<Duplex, ServerResponse[]>()

/** Remembers an ordinary response until it is over: see `whenIdle`. */
export function keepResponse (request: IncomingMessage, response: ServerResponse): void {
  if (isHttp2(request)) return
  const responses = pending.get(request.socket)
  if (responses === undefined) pending.set(request.socket, [response])
  else responses.push(response)
  response.on('close', forgetResponse)
}

function forgetResponse (this: ServerResponse): void {
  const responses = pending.get(this.req.socket) ?? []
  const at = responses.indexOf(this) // nearly always the first
  if (at !== -1) responses.splice(at, 1)
}

/** What Node does no more for a socket once an upgrade was seen on it: the response may go on writing. */
function tellDrained (this: Duplex): void {
  for (const response of [...pending.get(this) ?? []]) if (response.socket === this) response.emit('drain')
}

/**
 * Calls back once the response that is pending on the socket has been finished; not where the socket closes before that.
 * Node then takes the response's `close` listener off the socket, of which there is no other public sign. (Node 20 only
 * tells of that where another `close` listener is left: ours.)
 */
export function whenIdle (socket: Duplex, callback: () => void): void {
  const stop = (): void => {
    socket.off('removeListener', onRemoved)
    socket.off('drain', tellDrained)
    socket.off('close', stop)
  }
  let planned = false
  const onRemoved = (): void => {
    if (planned) return
    planned = true
    setImmediate(() => {
      if (socket.destroyed) return stop()
      const free = isIdle(socket) // which takes a listener off, too: not to be planned for again
      planned = false
      if (!free) return
      stop()
      callback()
    })
  }
  socket.on('close', stop)
  socket.on('drain', tellDrained)
  socket.on('removeListener', onRemoved)
}

const closing = new WeakMap<EventEmitter, Set<() => void>>()

/**
 * Calls back when the connection closes. For a response that waits for its turn behind another: Node does not tell it. One
 * listener serves all of them, however many a client pipelines.
 * @returns forgets it
 */
export function whenClosed (socket: EventEmitter, callback: () => void): () => void {
  let callbacks = closing.get(socket)
  if (callbacks === undefined) {
    closing.set(socket, callbacks = new Set())
    socket.once('close', onClosed)
  }
  callbacks.add(callback)
  return () => { closing.get(socket)?.delete(callback) }
}

function onClosed (this: EventEmitter): void {
  const callbacks = closing.get(this) ?? []
  closing.delete(this)
  for (const callback of callbacks) callback()
}
