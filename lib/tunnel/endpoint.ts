/** One end of a tunnel: its state, and what the events of its stream mean to the tunnel. */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { releaseOnceWritten, type Written } from '../net/buffer-release.ts'
import { isStreamReset } from '../net/socket.ts'
import { onReadReaderOf } from '../net/onread-reader.ts'
import { own, ownerOf, type StreamOwner } from '../net/stream-owner.ts'

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

/** One end of a tunnel, and the count of the bytes read from it. */
export class TunnelEndpoint implements StreamOwner {
  readonly name: EndpointName
  readonly stream: Duplex
  /** The connection to keep alive and to reset. It differs from `stream` for TLS over a socket that this server dialled, and for a stream of HTTP/2. */
  readonly transport: Duplex
  readonly tunnel: EndpointOwner
  readonly tracker: Tracker | undefined
  peer!: TunnelEndpoint
  /** The number of bytes read from this side. Each of them was passed to the other side's `write`. */
  bytes = 0
  /** True if the bytes come from the kernel in memory of their own and go to the kernel, and no other reader had begun before the tunnel did. */
  alone = false
  hasEnded = false
  hasClosed = false
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
   * The number of bytes that this side had taken at the last sweep, -1 before the first. `waitsSince` is the time, in milliseconds of the
   * sweep's clock, since when bytes have waited and this number has not changed.
   */
  takenAtSweep = -1
  waitsSince: number | undefined = undefined

  constructor (name: EndpointName, stream: Duplex, transport: Duplex, tunnel: EndpointOwner, tracker: Tracker | undefined) {
    this.name = name
    this.stream = stream
    this.transport = transport
    this.tunnel = tunnel
    this.tracker = tracker
  }

  /** @internal */
  take (bytes: Buffer): boolean {
    this.tunnel.endpointRead(this, bytes, this.alone && this.stream.listenerCount('data') === 1 ? releaseOnceWritten(bytes) : undefined)
    return isKept(this.peer.stream)
  }

  /** @internal */
  drained (): void {
    const { peer } = this
    if (!peer.paused) return
    peer.paused = false
    peer.stream.resume()
  }

  /** @internal */
  ended (): void {
    if (!isStreamReset(this.stream)) this.tunnel.endpointEnded(this)
    else if (!this.brokenOff) this.#wasReset()
  }

  /** @internal */
  failed (error: NodeJS.ErrnoException): void {
    if (this.brokenOff && error.name === 'AbortError') return // our own, of a stream of HTTP/2
    this.tunnel.endpointFailed(this, error)
  }

  /** @internal */
  closed (): void {
    if (this.hasClosed) return
    if (!this.brokenOff && isStreamReset(this.stream)) this.#wasReset()
    this.tunnel.endpointClosed(this)
  }

  #wasReset (): void {
    this.tunnel.endpointFailed(this, new StreamResetError('the stream was reset'))
  }
}

/** Begins to read from the stream of a side. */
export function attach (side: TunnelEndpoint): void {
  const { stream, peer } = side
  own(stream, side)
  side.alone = onReadReaderOf(stream) === undefined && stream instanceof Socket && peer.stream instanceof Socket && stream.listenerCount('data') === 1
  // A stream that failed, or a stream of HTTP/2 that ended without a byte, before this call emits no further event.
  if (stream.destroyed) process.nextTick(closedBefore, side)
  else if (stream.readableEnded) process.nextTick(endedBefore, side)
}

function closedBefore (side: TunnelEndpoint): void {
  if (ownerOf(side.stream) === side && !side.hasClosed) side.tunnel.endpointClosed(side)
}

function endedBefore (side: TunnelEndpoint): void {
  if (ownerOf(side.stream) === side && !side.hasEnded) side.ended()
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

class StreamResetError extends Error {
  readonly code = 'ECONNRESET'
}

/**
 * Returns true if bytes have waited for this side for `stall` milliseconds, and none of them was taken. It takes a sample at each call and knows
 * nothing of the time between two calls.
 */
export function isStalled (side: TunnelEndpoint, stall: number, now: number): boolean {
  // No bytes waited at the last sweep, and the tunnel has written none since: for most tunnels the sweep need not look at the streams.
  if (side.takenAtSweep === side.peer.bytes && !side.peer.discarding) return false
  const waiting = side.stream.writableLength
  const taken = side.peer.bytes - waiting
  if (waiting === 0) side.waitsSince = undefined
  else if (side.waitsSince === undefined || taken !== side.takenAtSweep) side.waitsSince = now
  side.takenAtSweep = taken
  return side.waitsSince !== undefined && now - side.waitsSince >= stall
}
