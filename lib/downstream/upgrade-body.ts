/**
 * The body of an upgrade's request, which precedes the other protocol: small, and of a known length. Up to Node 24 its bytes are left on
 * the socket, after the head. Node 26 reads it into the request; if the body does not arrive with the head, it yields the bytes after the
 * body as a separate stream.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { BodyConsumedError, ClientGoneError, ClientTimeoutError, RequestBodyError } from '../errors.ts'
import { readsBodies } from './reinject.ts'

export interface BodySource {
  readonly socket: Duplex
  /** The bytes after the request's head, read by Node's parser. */
  readonly head: Buffer
  /** On Node 26: the stream of the bytes after a body that did not arrive with the head. */
  readonly behind: Duplex | undefined
}

export interface ExpectedBody {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The length of the body in bytes. */
  readonly length: number
  /** The milliseconds that the whole body may take; 0 is no limit. */
  readonly timeout: number
}

/** Called once: with the body and the bytes after it, or with the reason why there is no body. */
export type BodyCallback = (error: Error | null, body?: Buffer, behind?: Buffer) => void

/**
 * Reads the body, and pauses the socket after it.
 * @returns a function that stops reading; no callback follows
 */
export function readUpgradeBody (given: BodySource, { request, response, length, timeout }: ExpectedBody, done: BodyCallback): () => void {
  const { socket } = given
  const source = readsBodies ? request : socket
  const pieces = readsBodies ? [] : [given.head]
  let size = readsBodies ? 0 : given.head.length
  let over = false
  const stop = (): void => {
    over = true
    clearTimeout(timer)
    source.off('data', onData)
    source.off('end', onEnd)
    socket.off('end', onSocketEnd)
    socket.off('close', onClose)
    socket.pause()
  }
  const finish: BodyCallback = (...result) => {
    if (over) return
    stop()
    done(...result)
  }
  const onData = (chunk: Buffer): void => {
    pieces.push(chunk)
    size += chunk.length
    if (!readsBodies && size >= length) take()
  }
  const take = (): void => {
    const all = Buffer.concat(pieces)
    finish(null, all.subarray(0, length), readsBodies ? bytesBehind(given) : all.subarray(length))
  }
  const onEnd = (): void => {
    if (readsBodies && request.complete && size === length) take()
    else finish(new RequestBodyError())
  }
  const onSocketEnd = (): void => { if (!request.complete) finish(new RequestBodyError()) }
  const onClose = (): void => finish(new ClientGoneError())
  const timer = timeout > 0 ? setTimeout(() => finish(new ClientTimeoutError()), timeout) : undefined
  if (socket.destroyed) onClose()
  else if (readsBodies && request.readableDidRead) finish(new BodyConsumedError())
  else if (!readsBodies && size >= length) take()
  else {
    source.on('data', onData)
    source.on('end', onEnd)
    // Before Node's own listener, which on Node 26 ends the connection without a response.
    if (source !== socket) socket.prependListener('end', onSocketEnd)
    socket.on('close', onClose)
    if (/^100-continue$/i.test(request.headers.expect ?? '')) response.writeContinue() // for an upgrade, Node leaves this to its listeners
    source.resume()
  }
  return stop
}

/** The listeners of sockets before Node 26 put such a stream over them. */
const before = new WeakMap<Duplex, readonly unknown[]>()

/** Records the listeners of a socket below a stream of Node 26's that yields the bytes after a body. */
export function recordListeners (stream: Duplex, socket: Duplex): void {
  if (stream !== socket && !before.has(stream)) before.set(stream, socket.listeners('data'))
}

/** Returns the bytes after a body. From now on the socket is read directly, as without such a stream. */
function bytesBehind ({ socket, head, behind }: BodySource): Buffer {
  if (behind === undefined) return head
  for (const listener of socket.listeners('data')) {
    if (before.get(behind)?.includes(listener) !== true) socket.off('data', listener as () => void)
  }
  return (behind.read() as Buffer | null) ?? head
}
