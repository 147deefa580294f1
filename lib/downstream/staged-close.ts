/**
 * The staged close, for a response that precedes the end of its request. A close with unread bytes is a reset, which destroys the response
 * for a client that writes first and reads then. So the server reads and drops the client's bytes, for a bounded time (RFC 9112, 9.6;
 * nginx: lingering_close).
 */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { announcesBody } from '../http/header-list.ts'
import { isHttp2 } from '../http/version.ts'
import { monotonicNow } from '../net/clock.ts'
import { isHeadWritten } from './upgrade-response.ts'
import { pendingResponses } from './pipelining.ts'

/** The bounds on what a client may still send: the total time and the longest silence in milliseconds, and the bytes. */
const bounds = { time: 30_000, silence: 2_000, bytes: 67_108_864 }

/** The interval of the checks of these bounds, in milliseconds. */
const pace = 250

/** The bounds of one client whose bytes are read and dropped. One timer serves all clients. */
class Dropping {
  static readonly #all: Set<Dropping> = new Set()
  static #sweeper: NodeJS.Timeout | undefined = undefined
  readonly #over: () => void
  readonly #since: number = monotonicNow()
  /** The number of checks since the last byte. It does not measure time: a process that was blocked could not read. */
  #silent = 0
  #bytes = 0

  /** @param over called once, when a bound is reached */
  constructor (over: () => void) {
    this.#over = over
    Dropping.#all.add(this)
    Dropping.#sweeper ??= setInterval(() => Dropping.#sweep(), pace).unref()
  }

  static #sweep (): void {
    const now = monotonicNow()
    for (const dropping of Dropping.#all) {
      if (now - dropping.#since >= bounds.time || ++dropping.#silent * pace > bounds.silence) dropping.#end()
    }
    if (Dropping.#all.size > 0) return
    clearInterval(Dropping.#sweeper)
    Dropping.#sweeper = undefined
  }

  dropped (bytes: number): void {
    this.#bytes += bytes
    this.#silent = 0
    if (this.#bytes > bounds.bytes) this.#end()
  }

  #end (): void {
    if (this.stop()) this.#over()
  }

  stop (): boolean {
    return Dropping.#all.delete(this)
  }
}

/** The connections whose client is still sending after its response. */
const dropping = new WeakSet<Socket>()

/** Closes the connection of an upgrade that did not switch: sends FIN, then reads and drops further bytes, then destroys it. */
export function closeInStages (socket: Socket): void {
  if (socket.destroyed || dropping.has(socket)) return
  socket.end()
  if (socket.readableEnded) return socket.destroySoon()
  dropping.add(socket)
  const limit = new Dropping(() => socket.destroy())
  socket.on('data', (chunk: Buffer) => limit.dropped(chunk.length))
  socket.on('end', () => socket.destroySoon())
  socket.on('close', () => limit.stop())
  socket.resume()
}

/** Returns true if bytes of a request's body are still to come over an HTTP/1 connection; an inject() has no connection. */
export function isUnread (request: IncomingMessage): boolean {
  return !request.complete && announcesBody(request.headers) && !isHttp2(request) && request.socket instanceof Socket
}

/**
 * Reads and drops the rest of a request's body, also of one that another reader has begun and left.
 * @param done called once: with true if the body has come to its end
 */
export function dropBody (request: IncomingMessage, done: (whole: boolean) => void): void {
  if (request.complete) {
    request.resume()
    return done(true)
  }
  const { socket } = request
  const end = (): void => {
    if (!limit.stop()) return
    stop()
    done(request.complete)
  }
  const limit = new Dropping(() => {
    stop()
    done(false)
  })
  // resume() does not suffice: a 'readable' listener that a reader left there would prevent it.
  const read = (): void => {
    for (let chunk = request.read(); chunk !== null; chunk = request.read()) limit.dropped(chunk.length)
  }
  const stop = (): void => {
    dropping.delete(socket)
    request.off('readable', read)
    request.off('end', end)
    request.off('close', end)
    socket.off('close', end)
  }
  dropping.add(socket)
  request.on('readable', read)
  request.on('end', end)
  request.on('close', end)
  socket.on('close', end)
  request.unpipe()
  if (request.destroyed || socket.destroyed) end()
  else read()
}

/** Ends a connection after a response without `Connection: close`, once the request has been read. */
export function closeBehind (request: IncomingMessage): void {
  if (!(request.socket instanceof Socket)) return // an inject()
  if (request.complete) request.socket.destroySoon()
  else dropBody(request, () => request.socket.destroySoon())
}

/**
 * Keeps a connection open after a response that came before the request's body was read: the rest is dropped, and a body without end closes
 * the connection.
 */
export function keepOpen (request: IncomingMessage): void {
  if (!(request.socket instanceof Socket)) return // an inject()
  dropBody(request, (whole) => { if (!whole) request.socket.destroy() })
}

/**
 * Returns true if Node, or a listener of its `'clientError'`, would write into a response that has begun, or after one that was sent: Node
 * sends a 408 of its own for a request that does not arrive in time.
 */
export function isAnswered (socket: Socket): boolean {
  return dropping.has(socket) || pendingResponses(socket).some((response) => response.socket === socket && isHeadWritten(response))
}
