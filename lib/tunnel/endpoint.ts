/**
 * One end of a tunnel: its state, and the listeners on its stream. The listeners are functions of this module that find their side through
 * a symbol on the stream: a closure would keep its scope alive, and with it the request, for as long as the tunnel lives.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { releaseOnceWritten, type Written } from '../net/buffer-release.ts'
import { isStreamReset } from '../net/socket.ts'
import { nobody, onReadReaderOf, type Reader } from '../net/onread-reader.ts'

export type EndpointName = 'client' | 'upstream'

/** Follows one direction and finds places where it may be interrupted: see `tunnel/websocket-frames`. */
export interface Tracker {
  readonly atBoundary: boolean
  readonly closing: boolean
  push (bytes: Buffer, stop?: boolean): number
}

/** The callbacks of a side to its tunnel. */
export interface EndpointOwner {
  /** Called for every chunk that this side's stream yields. */
  endpointRead (side: TunnelEndpoint, chunk: Buffer, written?: Written): void
  /** Called when this side announces its end, such as with a Close frame. */
  endpointCloses (side: TunnelEndpoint): void
  /** Called when an injected Close has been written. */
  closeInjected (): void
  /** Called when this side half-closes (FIN). */
  endpointEnded (side: TunnelEndpoint): void
  /** Called when this side's stream emits `'error'`. */
  endpointFailed (side: TunnelEndpoint, error: NodeJS.ErrnoException): void
  /** Called once, when this side's stream is closed. */
  endpointClosed (side: TunnelEndpoint): void
}

const kEndpoint: unique symbol = Symbol('fastify-wstunnel.endpoint')
type Stream = Duplex & { [kEndpoint]?: TunnelEndpoint | undefined }

/** One end of a tunnel, and the count of the bytes read from it. */
export class TunnelEndpoint implements Reader {
  readonly name: EndpointName
  readonly stream: Stream
  /** The connection to keep alive and to reset. It differs from `stream` for TLS over a socket that this server dialled, and for a stream of HTTP/2. */
  readonly transport: Duplex
  readonly tunnel: EndpointOwner
  readonly tracker: Tracker | undefined
  peer!: TunnelEndpoint
  /** The number of bytes read from this side. Each of them was passed to the other side's `write`. */
  bytes = 0
  /** True if the bytes come from the kernel and go to the kernel, and no other reader had begun before the tunnel did. */
  alone = false
  ended = false
  closed = false
  /** Whether the tunnel has destroyed it, or reset it. */
  brokenOff = false
  paused = false
  /** True if this side's bytes are dropped, since a last frame has been injected. */
  discarding = false
  /** The last frame to write to the other side at the next boundary of this side's stream. */
  closeFrame: Buffer | undefined = undefined
  /** How this side closes once its pending writes are flushed. */
  pendingClose: 'reset' | 'destroy' | undefined = undefined
  /**
   * The number of bytes that this side had drained at the last sweep, -1 before the first. `waitsSince` is the time, in milliseconds of the
   * sweep's clock, since when bytes have waited and this number has not changed.
   */
  drained = -1
  waitsSince: number | undefined = undefined

  constructor (name: EndpointName, stream: Duplex, transport: Duplex, tunnel: EndpointOwner, tracker: Tracker | undefined) {
    this.name = name
    this.stream = stream
    this.transport = transport
    this.tunnel = tunnel
    this.tracker = tracker
  }

  /** @internal Called by an `OnReadReader`. */
  take (bytes: Buffer): boolean {
    this.tunnel.endpointRead(this, bytes)
    return isKept(this.peer.stream)
  }
}

/** Adds the listeners to the stream of a side. */
export function attach (side: TunnelEndpoint): void {
  const { stream } = side
  stream[kEndpoint] = side
  const intake = onReadReaderOf(stream)
  side.alone = stream instanceof Socket && side.peer.stream instanceof Socket && stream.listenerCount('data') === 0
  if (intake === undefined) stream.on('data', onData)
  else intake.reader = side
  stream.on('end', onEnd)
  stream.on('drain', onDrain)
  stream.on('error', onError)
  stream.on('close', onClose)
  // A stream that failed, or a stream of HTTP/2 that ended without a byte, before this call emits no further event.
  if (stream.destroyed) process.nextTick(closedBefore, stream)
  else if (stream.readableEnded) process.nextTick(endedBefore, stream)
}

/** Removes the listeners and the side. A closed socket lives on for a while, and would take its whole tunnel into V8's old generation. */
export function detach ({ stream }: TunnelEndpoint): void {
  stream[kEndpoint] = undefined
  const intake = onReadReaderOf(stream)
  if (intake !== undefined) intake.reader = nobody
}

function closedBefore (stream: Stream): void {
  const side = stream[kEndpoint]
  if (side !== undefined && !side.closed) side.tunnel.endpointClosed(side)
}

function endedBefore (stream: Stream): void {
  if (stream[kEndpoint]?.ended === false) onEnd.call(stream)
}

function onData (this: Stream, chunk: Buffer): void {
  const side = this[kEndpoint]
  if (side === undefined) return
  side.tunnel.endpointRead(side, chunk, side.alone && this.listenerCount('data') === 1 ? releaseOnceWritten(chunk) : undefined)
}

/** Stops reading. From now on the caller reads what is left in the stream. */
export function stopReading ({ stream }: TunnelEndpoint): void {
  stream.off('data', onData)
}

/**
 * Writes to the other side, and pauses this side if the other cannot take more. By the return value of `write`, a chunk as large as a
 * high-water mark is too much even if the kernel took all of it at once; a pause then would cost more than the copy.
 */
export function pass (side: TunnelEndpoint, chunk: Buffer, written?: Written): void {
  const { stream } = side.peer
  if (stream.write(chunk, written) || stream.writableLength === 0) return
  side.paused = true
  side.stream.pause()
}

/** Returns true if a stream may still refer to the bytes written to it. A socket that has handed all of them to the kernel does not. */
function isKept (stream: Duplex): boolean {
  return !(stream instanceof Socket) || stream.writableLength > 0
}

function onDrain (this: Stream): void {
  const peer = this[kEndpoint]?.peer
  if (peer?.paused !== true) return
  peer.paused = false
  peer.stream.resume()
}

function onEnd (this: Stream): void {
  const side = this[kEndpoint]
  if (side === undefined) return
  if (!isStreamReset(this)) side.tunnel.endpointEnded(side)
  else if (!side.brokenOff) side.tunnel.endpointFailed(side, new StreamResetError('the stream was reset'))
}

function onError (this: Stream, error: Error): void {
  const side = this[kEndpoint]
  if (side === undefined || (side.brokenOff && error.name === 'AbortError')) return // our own, of a stream of HTTP/2
  side.tunnel.endpointFailed(side, error)
}

function onClose (this: Stream): void {
  const side = this[kEndpoint]
  if (side?.closed !== false) return
  if (!side.brokenOff && isStreamReset(this)) side.tunnel.endpointFailed(side, new StreamResetError('the stream was reset'))
  side.tunnel.endpointClosed(side)
}

class StreamResetError extends Error {
  readonly code = 'ECONNRESET'
}

/**
 * Returns true if bytes have waited for this side for `stall` milliseconds, and none of them was drained. It takes a sample at each call and knows
 * nothing of the time between two calls.
 */
export function isStalled (side: TunnelEndpoint, stall: number, now: number): boolean {
  // No bytes waited at the last sweep, and the tunnel has written none since: for most tunnels the sweep need not look at the streams.
  if (side.drained === side.peer.bytes && !side.peer.discarding) return false
  const waiting = side.stream.writableLength
  const drained = side.peer.bytes - waiting
  if (waiting === 0) side.waitsSince = undefined
  else if (side.waitsSince === undefined || drained !== side.drained) side.waitsSince = now
  side.drained = drained
  return side.waitsSince !== undefined && now - side.waitsSince >= stall
}
