/**
 * A response that is sent before its client has sent everything. A close with bytes unread is a reset, and that takes the response from a client which
 * writes first and reads then. So what still comes is read and dropped, for a bounded time (RFC 9112, 9.6; nginx: lingering_close).
 */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { announcesBody } from '../http/header-list.ts'
import { isHttp2 } from '../http/version.ts'
import { monotonicNow } from '../net/clock.ts'
import { isHeadWritten } from './upgrade-response.ts'
import { pendingResponses } from './pipelining.ts'

/** What a client may still send, in all, and how long it may be silent; milliseconds and bytes. */
const bounds = { time: 30_000, silence: 2_000, bytes: 67_108_864 }

/** How often these are looked at, in milliseconds. */
const pace = 250

/** Bounds what is read and dropped of one client. One timer serves all of them. */
class Dropping {
  static readonly #all: Set<Dropping> = new Set()
  static #sweeper: NodeJS.Timeout | undefined = undefined
  readonly #over: () => void
  readonly #since: number = monotonicNow()
  /** Looks since the last byte. Not the time: in a process that was held up nobody could read. */
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

/** Connections whose client is still sending behind its response. */
const dropping = new WeakSet<Socket>()

/** Ends the connection of an upgrade that became none: FIN, then read and drop what still comes, then destroy. */
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

/** Whether some of a request's body is still to come over a connection of HTTP/1; that of an inject() comes over none. */
export function isUnread (request: IncomingMessage): boolean {
  return !request.complete && announcesBody(request.headers) && !isHttp2(request) && request.socket instanceof Socket
}

/**
 * Reads and drops the rest of a request's body, also of one that somebody has begun to read and left.
 * @param done called once: whether the body has come to its end
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
  // Not resume(): a 'readable' listener that somebody has left there would prevent it.
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

/** Ends a connection behind a response that has not said so, once the request has been read. */
export function closeBehind (request: IncomingMessage): void {
  if (!(request.socket instanceof Socket)) return // of an inject()
  if (request.complete) request.socket.destroySoon()
  else dropBody(request, () => request.socket.destroySoon())
}

/** A connection goes on behind a response that came before the request's body was read: the rest is dropped, and one without end ends it. */
export function keepBehind (request: IncomingMessage): void {
  if (!(request.socket instanceof Socket)) return // of an inject()
  dropBody(request, (whole) => { if (!whole) request.socket.destroy() })
}

/**
 * Whether Node, or a listener of its `'clientError'`, would write into a response that has begun, or behind one that was sent: Node has its own 408 for a
 * request that is not read in time.
 */
export function isAnswered (socket: Socket): boolean {
  return dropping.has(socket) || pendingResponses(socket).some((response) => response.socket === socket && isHeadWritten(response))
}
