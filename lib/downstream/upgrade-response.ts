/** The response of an upgrade: this plugin makes it and assigns it to the socket. */
import { IncomingMessage, OutgoingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { withClose } from './must-close.ts'
import { responseLeft } from './pipelining.ts'

const kGuard: unique symbol = Symbol.for('fastify-wstunnel.guard') as never

/** Marks a listener that does not claim its stream. All copies of this package share the mark. */
export function guard<T extends object> (listener: T): T {
  return Object.defineProperty(listener, kGuard, { value: true })
}

export function isGuard (listener: object): boolean {
  return kGuard in listener
}

/** Returns true if the head of a response has been written. @fastify/express overrides `headersSent`. */
export function isHeadWritten (response: { readonly headersSent: boolean }): boolean {
  return response instanceof OutgoingMessage ? Reflect.get(OutgoingMessage.prototype, 'headersSent', response) as boolean : response.headersSent
}

const kResponse: unique symbol = Symbol('fastify-wstunnel.response')

type Stream = Duplex & { [kResponse]?: ServerResponse | undefined }

/** Passes a socket's `'drain'` and `'timeout'` on to a response. Node's server does so for its own responses, until it has seen an upgrade on the socket. */
export function tellResponse (socket: Stream, response: ServerResponse): void {
  socket[kResponse] = response
  socket.on('drain', onDrain)
  socket.on('timeout', onTimeout)
}

export function stopTelling (socket: Stream): void {
  socket[kResponse] = undefined
  socket.off('drain', onDrain)
  socket.off('timeout', onTimeout)
}

const onDrain = guard(function onUpgradeSocketDrain (this: Stream): void { this[kResponse]?.emit('drain') })
const onTimeout = guard(function onUpgradeSocketTimeout (this: Stream): void { this[kResponse]?.emit('timeout', this) })

/** The response of an upgrade that is answered as an ordinary request. It is the last one on its connection, and its head says so. */
export class UpgradeResponse extends ServerResponse {
  readonly #brand = true

  constructor (request: IncomingMessage) {
    super(request)
    // Express changes the prototype of a response, so the overrides must be own properties.
    const { assignSocket, detachSocket, writeHead } = this
    this.assignSocket = assignSocket
    this.detachSocket = detachSocket
    this.writeHead = writeHead
  }

  /** Returns true if a response is an UpgradeResponse, whatever its prototype is by now. */
  static is (response: object): response is UpgradeResponse {
    return #brand in response
  }

  override assignSocket (socket: IncomingMessage['socket']): void {
    super.assignSocket(socket)
    tellResponse(socket, this)
  }

  override detachSocket (socket: IncomingMessage['socket']): void {
    stopTelling(socket)
    super.detachSocket(socket)
    responseLeft(socket)
  }

  override writeHead (...args: unknown[]): this {
    const headers = args.at(-1)
    let given: unknown
    if (Array.isArray(headers)) {
      const kept: unknown[] = []
      for (let i = 0; i < headers.length; i += 2) {
        if (/^connection$/i.test(String(headers[i]))) given = headers[i + 1]
        else kept.push(headers[i], headers[i + 1])
      }
      args[args.length - 1] = kept
    } else if (typeof headers === 'object' && headers !== null) {
      const kept = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'connection')
      given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'connection')?.[1]
      args[args.length - 1] = Object.fromEntries(kept)
    }
    this.setHeader('connection', withClose(given ?? this.getHeader('connection')))
    return super.writeHead(...args as Parameters<ServerResponse['writeHead']>)
  }
}

/** Assigns a response to an upgrade's socket; returns `undefined` if another response is still unfinished there. */
export function assignUpgradeResponse (request: IncomingMessage, socket: Duplex): UpgradeResponse | undefined {
  const response = new UpgradeResponse(request)
  try {
    response.assignSocket(socket as IncomingMessage['socket'])
    return response
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_HTTP_SOCKET_ASSIGNED') return undefined
    throw error
  }
}
