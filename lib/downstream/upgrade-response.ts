/**
 * The client's connection around an upgrade: what arrived with it, whether it is free, and how it becomes an ordinary
 * HTTP connection again.
 */
import { randomBytes } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import { IncomingMessage, OutgoingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Stands for `upgrade` in the Connection field of a request that was handed back: Node must not see an upgrade in it
 * again, but our own decision must see what was offered. Random, so that no client can say it.
 */
export const handedBack: string = `upgrade-${randomBytes(12).toString('hex')}`

/** An upgrade's socket, and what the client sent on it after the request's head. */
export interface Offered {
  readonly socket: Duplex
  /** Bytes after the head, read by Node's parser. */
  readonly head: Buffer
  /**
   * Whether the client has sent more without waiting for an answer. That may be of a protocol that is not spoken now: after
   * an ordinary response the connection ends.
   */
  eager: boolean
}

const kOffer: unique symbol = Symbol('fastify-wstunnel.offer')

type WithOffer = IncomingMessage & { [kOffer]?: Offered | undefined }

/** Keeps the socket of an upgrade until the request has come through the router. */
export function keepOffer (request: WithOffer, offered: Offered): void {
  request[kOffer] = offered
}

export function offerOf (request: WithOffer): Offered | undefined {
  return request[kOffer]
}

export function dropOffer (request: WithOffer): void {
  request[kOffer] = undefined
}

const kGuard: unique symbol = Symbol.for('fastify-wstunnel.guard') as never

/** Marks a listener as one that makes nothing its own. Copies of this package know each other's. */
export function guard<T extends object> (listener: T): T {
  return Object.defineProperty(listener, kGuard, { value: true })
}

export function isGuard (listener: object): boolean {
  return kGuard in listener
}

/** Whether the head of a response has been written. @fastify/express puts an answer of its own in the place of `headersSent`. */
export function isHeadWritten (response: { readonly headersSent: boolean }): boolean {
  return response instanceof OutgoingMessage ? Reflect.get(OutgoingMessage.prototype, 'headersSent', response) as boolean : response.headersSent
}

/** The response of an upgrade that is answered as an ordinary request. */
export class UpgradeResponse extends ServerResponse {
  /** Whether its head said `Connection: close`. */
  closes = false

  constructor (request: IncomingMessage) {
    super(request)
    // Express gives a response another prototype: what is overridden here must be its own.
    for (const name of ['assignSocket', 'detachSocket', 'writeHead'] as const) {
      Object.defineProperty(this, name, { value: this[name], writable: true, configurable: true })
    }
  }

  /** Whether a response is one of these, whatever its prototype is by now. */
  static is (response: object): response is UpgradeResponse {
    return #onDrain in response
  }

  /** Node's server tells its own responses that they may go on writing; nobody else tells this one. */
  override assignSocket (socket: IncomingMessage['socket']): void {
    super.assignSocket(socket)
    socket.on('drain', this.#onDrain)
  }

  override detachSocket (socket: IncomingMessage['socket']): void {
    socket.off('drain', this.#onDrain)
    super.detachSocket(socket)
  }

  readonly #onDrain = (): void => { this.emit('drain') }

  override writeHead (...args: unknown[]): this {
    const headers = args.at(-1)
    const connection = typeof headers === 'object' && headers !== null && 'connection' in headers
      ? headers.connection
      : this.getHeader('connection')
    this.closes = /\bclose\b/i.test(String(connection))
    return super.writeHead(...args as Parameters<ServerResponse['writeHead']>)
  }
}

/** A response on an upgrade's socket; `undefined` where another one is still to be finished there. */
export function respondOn (request: IncomingMessage, socket: Duplex): UpgradeResponse | undefined {
  const response = new UpgradeResponse(request)
  try {
    response.assignSocket(socket as IncomingMessage['socket'])
    return response
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_HTTP_SOCKET_ASSIGNED') return undefined
    throw error
  }
}

/** Whether no response is pending on the socket. */
export function isFree (socket: Duplex): boolean {
  const response = respondOn(new IncomingMessage(socket as IncomingMessage['socket']), socket)
  response?.detachSocket(socket as IncomingMessage['socket'])
  return response !== undefined
}

/** Arrays: every request comes through here, and a `Set` would keep some of what was in it (see `roster`). */
const pending = new WeakMap<Duplex, ServerResponse[]>()

/** Remembers an ordinary response until it is over: see `whenFree`. */
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
export function whenFree (socket: Duplex, callback: () => void): void {
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
      const free = isFree(socket) // which takes a listener off, too: not to be planned for again
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

/** By its stream: of HTTP/1 Node's parser takes any version that a client writes, such as 0.9 and 2.0. */
export function isHttp2 (request: object): boolean {
  return 'stream' in request && request.stream !== undefined
}

const over = new WeakSet<EventEmitter>()

/** Marks a connection of HTTP/1 as one that ends with the answer to this request: where it ends cannot be trusted. */
export function keepOver (request: IncomingMessage): void {
  if (!isHttp2(request)) over.add(request.socket)
}

export function isOver (request: IncomingMessage): boolean {
  return over.has(request.socket)
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

/**
 * Gives a connection to Node's HTTP server, as if it had just been accepted, with `bytes` as the first to be parsed.
 * Never while a response is pending on it: the request would not be answered.
 */
export function handBack (server: EventEmitter, socket: Duplex, bytes: Buffer): void {
  if (socket.destroyed) return
  if (bytes.length > 0) socket.unshift(bytes)
  // Node documents that 'connection' may be emitted by users; https and http2 servers parse from 'secureConnection'.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  socket.resume() // it may have been paused while it waited for an upstream
}

/** Node 26 reads the body of an upgrade into the request. Older ones leave it on the socket, behind the head. */
const readsBodies = Number.parseInt(process.versions.node, 10) >= 26

/**
 * A request again, as far as Node has read it: where the body is left on the socket, its head.
 * @param connection changes the value of `Connection`; then `Proxy-Connection`, in which Node's parser finds an upgrade as
 *   well, is left out
 */
export function rebuild (request: IncomingMessage, connection?: (value: string) => string): Buffer {
  const { rawHeaders } = request
  let head = `${request.method} ${request.url} HTTP/${request.httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const key = name.toLowerCase()
    if (connection !== undefined && key === 'proxy-connection') continue
    head += `${name}: ${connection !== undefined && key === 'connection' ? connection(value) : value}\r\n`
  }
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), ...readsBodies ? rebuildBody(request) : []])
}

function rebuildBody (request: IncomingMessage): Buffer[] {
  const pieces: Buffer[] = []
  // Node 26 gives a body of several chunks piece by piece.
  for (let piece: Buffer | null = request.read(); piece !== null; piece = request.read()) pieces.push(piece)
  const body = Buffer.concat(pieces)
  if (request.headers['transfer-encoding'] === undefined) return [body]
  const { rawTrailers } = request
  let trailers = ''
  for (let i = 0; i < rawTrailers.length; i += 2) trailers += `${rawTrailers[i]}: ${rawTrailers[i + 1]}\r\n`
  const chunk = body.length === 0 ? [] : [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]
  return [...chunk, Buffer.from(`0\r\n${trailers}\r\n`, 'latin1')]
}
