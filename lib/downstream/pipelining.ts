/** Responses in their order on one connection: which are pending, and when the next may come. */
import type { EventEmitter } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isHttp2 } from '../http/version.ts'
import { restartReading } from '../net/socket.ts'

/** Arrays: every request comes through here, and a `Set` would keep some of what was in it (see `net/dense-set`). */
const pending = new WeakMap<Duplex, ServerResponse[]>()

/** Callbacks of `whenIdle`. */
const idleCallbacks = new WeakMap<Duplex, Array<() => void>>()

/** Remembers an ordinary response until it closes: see `whenIdle`. */
export function keepResponse (request: IncomingMessage, response: ServerResponse): void {
  const responses = pending.get(request.socket)
  if (responses?.at(-1) === response) return // by another event, or another instance
  if (responses === undefined) pending.set(request.socket, [response])
  else responses.push(response)
  response.on('close', forgetResponse)
}

function forgetResponse (this: ServerResponse): void {
  const { socket } = this.req
  const responses = pending.get(socket) ?? []
  const at = responses.indexOf(this) // nearly always the first
  if (at !== -1) responses.splice(at, 1)
  responseLeft(socket)
}

/** Requests of each connection so far, where a server bounds them. */
const requests = new WeakMap<Duplex, number>()

/** Whether a request is the last that its connection may have. Node's own count begins anew when a connection is given back to it. */
export function isLastRequest (request: IncomingMessage, max: number | null | undefined): boolean {
  if (max === null || max === undefined || max <= 0 || isHttp2(request)) return false
  const count = (requests.get(request.socket) ?? 0) + 1
  requests.set(request.socket, count)
  return count >= max
}

/** The ordinary responses on a connection that have not closed yet. */
export function pendingResponses (socket: Duplex): readonly ServerResponse[] {
  return pending.get(socket) ?? []
}

/** Called when a response has left its socket: Node's emit `'close'` then, and one of ours is detached by us. */
export function responseLeft (socket: Duplex): void {
  for (const callback of idleCallbacks.get(socket) ?? []) setImmediate(callback)
}

/** What Node does no more for a socket once an upgrade was seen on it: the response may go on writing. */
function tellDrained (this: Duplex): void {
  for (const response of [...pendingResponses(this)]) if (response.socket === this) response.emit('drain')
}

/**
 * Calls back when no response is pending on the socket any more; never if the socket closes before. The signs are the `'close'` of the responses that
 * came by an event of the server's, and our own `detachSocket`.
 */
export function whenIdle (socket: Duplex, callback: () => void): void {
  const callbacks = idleCallbacks.get(socket) ?? []
  const stop = (): void => {
    const at = callbacks.indexOf(look)
    if (at !== -1) callbacks.splice(at, 1)
    socket.off('drain', tellDrained)
    socket.off('close', stop)
  }
  const look = (): void => {
    if (!callbacks.includes(look) || socket.destroyed || !isIdle(socket)) return
    stop()
    callback()
  }
  callbacks.push(look)
  idleCallbacks.set(socket, callbacks)
  socket.on('close', stop)
  socket.on('drain', tellDrained)
}

/** Whether no response is assigned to the socket: Node refuses a second one, and tells so in no other way. */
export function isIdle (socket: Duplex): boolean {
  const trial = new ServerResponse(new IncomingMessage(socket as Socket))
  try {
    trial.assignSocket(socket as Socket)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_HTTP_SOCKET_ASSIGNED') return false
    throw error
  }
  trial.detachSocket(socket as Socket)
  return true
}

/** How many responses wait for their turn on a connection that is not read meanwhile. */
const waiters = new WeakMap<Socket, number>()

/**
 * Calls back when it is the response's turn on its connection (RFC 9112, 9.3.2): at once, if it is the first. While a response waits, the connection is
 * not read beyond the read that brought it, so that what a client pipelines is bounded. Never calls back if the connection closes before.
 */
export function whenTurn ({ socket }: IncomingMessage, response: ServerResponse, callback: () => void): void {
  if (response.socket !== null) return callback()
  const count = waiters.get(socket) ?? 0
  waiters.set(socket, count + 1)
  // pause() would not do: Node's parser reads from the handle. A 'readable' listener takes that from it.
  if (count === 0) {
    socket.on('readable', noticeEnd)
    restartReading(socket)
  }
  response.once('socket', () => {
    const left = (waiters.get(socket) ?? 1) - 1
    waiters.set(socket, left)
    if (left === 0) readOn(socket)
    callback()
  })
}

function readOn (socket: Socket): void {
  socket.off('readable', noticeEnd)
  if (socket.listenerCount('data') > 0) socket.resume() // not of an upgrade, which waits for its turn as well, and has no reader yet
}

/** A stream that nobody reads tells of its end only when it is asked for more. */
function noticeEnd (this: Socket): void {
  if (this.readableLength === 0) this.read()
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
