/** The order of responses on one connection: which are pending, and when the next may begin. */
import type { EventEmitter } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isHttp2 } from '../http/version.ts'
import { restartReading } from '../net/socket.ts'

/**
 * The pending responses by connection, in arrays: every request comes through here, and a `Set` would keep some of its items alive (see
 * `net/dense-set`).
 */
const pending = new WeakMap<Duplex, ServerResponse[]>()

/** The callbacks of `whenIdle`. */
const idleCallbacks = new WeakMap<Duplex, Array<() => void>>()

/** Stores an ordinary response until it closes: see `whenIdle`. */
export function keepResponse (request: IncomingMessage, response: ServerResponse): void {
  const responses = pending.get(request.socket)
  if (responses?.at(-1) === response) return // stored by another event, or another instance
  if (responses === undefined) pending.set(request.socket, [response])
  else responses.push(response)
  response.on('close', forgetResponse)
}

function forgetResponse (this: ServerResponse): void {
  const { socket } = this.req
  const responses = pending.get(socket) ?? []
  const at = responses.indexOf(this) // nearly always the first item
  if (at !== -1) responses.splice(at, 1)
  responseLeft(socket)
}

/** The number of requests on each connection so far, for servers that limit it. */
const requests = new WeakMap<Duplex, number>()

/** Returns true if a request is the last that its connection may carry. Node's own count restarts when a connection is reinjected. */
export function isLastRequest (request: IncomingMessage, max: number | null | undefined): boolean {
  if (max === null || max === undefined || max <= 0 || isHttp2(request)) return false
  const count = (requests.get(request.socket) ?? 0) + 1
  requests.set(request.socket, count)
  return count >= max
}

/** Returns the ordinary responses on a connection that have not closed yet. */
export function pendingResponses (socket: Duplex): readonly ServerResponse[] {
  return pending.get(socket) ?? []
}

/** Called when a response has left its socket: one of Node's has emitted `'close'`, one of this plugin's was detached. */
export function responseLeft (socket: Duplex): void {
  for (const callback of idleCallbacks.get(socket) ?? []) setImmediate(callback)
}

/** The listener of the socket's `'drain'`: tells the pending responses to go on writing. Node stops doing so once it has seen an upgrade on the socket. */
function tellDrained (this: Duplex): void {
  for (const response of [...pendingResponses(this)]) if (response.socket === this) response.emit('drain')
}

/**
 * Calls back when no response is pending on the socket any more; never if the socket closes before. The signs are the `'close'` of the
 * responses that the server emitted, and the plugin's own `detachSocket`.
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

/** Returns true if no response is assigned to the socket. Node refuses a second one, and offers no other sign. */
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

/** The number of responses that wait for their turn on a connection; it is not read meanwhile. */
const waiters = new WeakMap<Socket, number>()

/**
 * Calls back when the response's turn on its connection has come (RFC 9112, 9.3.2): at once, if it is the first. While a response waits,
 * the connection is not read beyond the read that brought it, which bounds what a client can pipeline. Never calls back if the connection
 * closes before.
 */
export function whenTurn ({ socket }: IncomingMessage, response: ServerResponse, callback: () => void): void {
  if (response.socket !== null) return callback()
  const count = waiters.get(socket) ?? 0
  waiters.set(socket, count + 1)
  // pause() has no effect, since Node's parser reads from the handle. A 'readable' listener stops the parser.
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
  if (socket.listenerCount('data') > 0) socket.resume() // not on an upgrade's socket, which waits for its turn as well and has no reader yet
}

/** The listener of the socket's `'readable'`. A stream without a reader emits `'end'` only after a read. */
function noticeEnd (this: Socket): void {
  if (this.readableLength === 0) this.read()
}

const closing = new WeakMap<EventEmitter, Set<() => void>>()

/**
 * Calls back when the connection closes, for a response that waits for its turn: Node emits no event on it. One listener per connection
 * serves all responses that a client pipelines.
 * @returns a function that removes the callback
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
