/**
 * One end of a tunnel: its state, and the listeners on its stream.
 *
 * Listeners are functions of this module that find their side through a symbol on the stream: a closure would keep
 * the scope that it was made in alive, and with it the request, for as long as the tunnel lives.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { releaseOnceWritten, type Written } from '../net/buffer-release.ts'
import { isStreamReset } from '../net/socket.ts'
import { nobody, onReadReaderOf, type Reader } from '../net/onread-reader.ts'

export type EndpointName = 'client' | 'upstream'

/** What watches one direction and can find a place to break it off: see `tunnel/websocket-frames`. */
export interface Tracker {
  readonly atBoundary: boolean
  readonly closing: boolean
  push (bytes: Buffer, stop?: boolean): number
}

/** What a side tells its tunnel. */
export interface EndpointOwner {
  /** Bytes were read from it. */
  endpointRead (side: TunnelEndpoint, chunk: Buffer, written?: Written): void
  /** It has announced its end. */
  endpointCloses (side: TunnelEndpoint): void
  /** A Close of ours was written. */
  closeInjected (): void
  /** It sends no more. */
  endpointEnded (side: TunnelEndpoint): void
  /** Its stream had an error. */
  endpointFailed (side: TunnelEndpoint, error: NodeJS.ErrnoException): void
  /** Its stream is closed. Told once. */
  endpointClosed (side: TunnelEndpoint): void
}

const kEndpoint: unique symbol = Symbol('fastify-wstunnel.endpoint')
type Stream = Duplex & { [kEndpoint]?: TunnelEndpoint | undefined }

/** One end of a tunnel, and what was read from it. */
export class TunnelEndpoint implements Reader {
  readonly name: EndpointName
  readonly stream: Stream
  /** The connection that is kept alive, and reset: differs from `stream` for TLS over a socket that we dialled, and for a stream of HTTP/2. */
  readonly transport: Duplex
  readonly tunnel: EndpointOwner
  readonly tracker: Tracker | undefined
  peer!: TunnelEndpoint
  /** Bytes read from this side. All of them were handed to the other side's `write`. */
  bytes = 0
  /** Whether what is read here comes from the kernel, goes to the kernel, and nobody else had begun to read before the tunnel did. */
  alone = false
  ended = false
  closed = false
  /** Whether the tunnel has destroyed it, or reset it. */
  brokenOff = false
  paused = false
  /** Bytes of this side are dropped: a last frame has been put in after the ones before. */
  discarding = false
  /** A last frame to be written to the other side at the next boundary of this side's stream. */
  closeFrame: Buffer | undefined = undefined
  /** Reset, or destroyed, as soon as what waits to be written is written. */
  pendingClose: 'reset' | 'destroy' | undefined = undefined
  /** What this side had drained at the last sweep, -1 before the first, and since when bytes wait and that has not changed. */
  drained = -1
  waitsSince: number | undefined = undefined

  constructor (name: EndpointName, stream: Duplex, transport: Duplex, tunnel: EndpointOwner, tracker: Tracker | undefined) {
    this.name = name
    this.stream = stream
    this.transport = transport
    this.tunnel = tunnel
    this.tracker = tracker
  }

  /** @internal Of an `OnReadReader`. */
  take (bytes: Buffer): boolean {
    this.tunnel.endpointRead(this, bytes)
    return isKept(this.peer.stream)
  }
}

/** Listens to the stream of a side. */
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
  // A stream that failed before we listened says so no more.
  if (stream.destroyed) process.nextTick(closedBefore, stream)
}

/** A closed socket lives on for a while, and would take all of its tunnel into the collector's old generation. */
export function detach ({ stream }: TunnelEndpoint): void {
  stream[kEndpoint] = undefined
  const intake = onReadReaderOf(stream)
  if (intake !== undefined) intake.reader = nobody
}

function closedBefore (stream: Stream): void {
  const side = stream[kEndpoint]
  if (side !== undefined && !side.closed) side.tunnel.endpointClosed(side)
}

function onData (this: Stream, chunk: Buffer): void {
  const side = this[kEndpoint]
  if (side === undefined) return
  side.tunnel.endpointRead(side, chunk, side.alone && this.listenerCount('data') === 1 ? releaseOnceWritten(chunk) : undefined)
}

/** From now on what is left in the stream is the caller's to read. */
export function stopReading ({ stream }: TunnelEndpoint): void {
  stream.off('data', onData)
}

/**
 * Writes to the other side, and waits for it where it cannot take more. A chunk as large as a high-water mark is too much by
 * what `write` says, even where the kernel took all of it at once: to stop reading then would cost more than the copy.
 */
export function pass (side: TunnelEndpoint, chunk: Buffer, written?: Written): void {
  const { stream } = side.peer
  if (stream.write(chunk, written) || stream.writableLength === 0) return
  side.paused = true
  side.stream.pause()
}

/** Whether a stream may still refer to what was written to it. Not a socket that has handed all of it to the kernel. */
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

/** Whether bytes wait for this side, and none of them was drained for `stall` milliseconds, as far as calls like this one could see. */
export function isStalled (side: TunnelEndpoint, stall: number, now: number): boolean {
  // Nothing waited then, and the tunnel has written nothing since: of most tunnels the sweep need not look at the streams.
  if (side.drained === side.peer.bytes && !side.peer.discarding) return false
  const waiting = side.stream.writableLength
  const drained = side.peer.bytes - waiting
  if (waiting === 0) side.waitsSince = undefined
  else if (side.waitsSince === undefined || drained !== side.drained) side.waitsSince = now
  side.drained = drained
  return side.waitsSince !== undefined && now - side.waitsSince >= stall
}
