/**
 * One end of a tunnel: its state, and the listeners on its stream.
 *
 * Listeners are functions of this module that find their side through a symbol on the stream: a closure would keep
 * the scope that it was made in alive, and with it the request, for as long as the tunnel lives.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { intakeOf, nobody, type Reader } from './intake.ts'
import { givingBack, type Written } from './memory.ts'

export type SideName = 'client' | 'upstream'

/** What watches one direction and can find a place to break it off: see `frames`. */
export interface Tracker {
  readonly atBoundary: boolean
  readonly closing: boolean
  push (bytes: Buffer, stop?: boolean): number
}

/** What a side tells its tunnel. */
export interface SideOwner {
  /** Bytes were read from it. */
  sideRead (side: Side, chunk: Buffer, written?: Written): void
  /** It has announced its end. */
  sideLeaves (side: Side): void
  /** A farewell was written. */
  bidden (): void
  /** It sends no more. */
  sideEnded (side: Side): void
  /** Its stream had an error. */
  sideFailed (side: Side, error: NodeJS.ErrnoException): void
  /** Its stream is closed. Told once. */
  sideClosed (side: Side): void
}

const kSide: unique symbol = Symbol('fastify-wstunnel.side')
type Stream = Duplex & { [kSide]?: Side | undefined }

/** One end of a tunnel, and what was read from it. */
export class Side implements Reader {
  readonly name: SideName
  readonly stream: Stream
  /** The TCP socket to reset: differs from `stream` for TLS over a socket that we dialled. */
  readonly transport: Duplex
  readonly tunnel: SideOwner
  readonly tracker: Tracker | undefined
  peer!: Side
  /** Bytes read from this side. All of them were handed to the other side's `write`. */
  bytes = 0
  /** Whether what is read here comes from the kernel, goes to the kernel, and nobody else had begun to read before the tunnel did. */
  alone = false
  ended = false
  closed = false
  paused = false
  /** Bytes of this side are dropped: a last frame has been put in after the ones before. */
  muted = false
  /** A last frame to be written to the other side at the next boundary of this side's stream. */
  farewell: Buffer | undefined = undefined
  /** Reset, or destroyed, as soon as what waits to be written is written. */
  dying: 'reset' | 'destroy' | undefined = undefined
  /** What this side had drained at the last sweep, -1 before the first, and since when bytes wait and that has not changed. */
  drained = -1
  waitsSince: number | undefined = undefined

  constructor (name: SideName, stream: Duplex, transport: Duplex, tunnel: SideOwner, tracker: Tracker | undefined) {
    this.name = name
    this.stream = stream
    this.transport = transport
    this.tunnel = tunnel
    this.tracker = tracker
  }

  /** @internal Of an intake. */
  take (bytes: Buffer): boolean {
    this.tunnel.sideRead(this, bytes)
    return isKept(this.peer.stream)
  }
}

/** Listens to the stream of a side. */
export function attach (side: Side): void {
  const { stream } = side
  stream[kSide] = side
  const intake = intakeOf(stream)
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
export function detach ({ stream }: Side): void {
  stream[kSide] = undefined
  const intake = intakeOf(stream)
  if (intake !== undefined) intake.reader = nobody
}

function closedBefore (stream: Stream): void {
  const side = stream[kSide]
  if (side !== undefined && !side.closed) side.tunnel.sideClosed(side)
}

function onData (this: Stream, chunk: Buffer): void {
  const side = this[kSide]
  if (side === undefined) return
  side.tunnel.sideRead(side, chunk, side.alone && this.listenerCount('data') === 1 ? givingBack(chunk) : undefined)
}

/** From now on what is left in the stream is the caller's to read. */
export function stopReading ({ stream }: Side): void {
  stream.off('data', onData)
}

/**
 * Writes to the other side, and waits for it where it cannot take more. A chunk as large as a high-water mark is too much by
 * what `write` says, even where the kernel took all of it at once: to stop reading then would cost more than the copy.
 */
export function pass (side: Side, chunk: Buffer, written?: Written): void {
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
  const peer = this[kSide]?.peer
  if (peer?.paused !== true) return
  peer.paused = false
  peer.stream.resume()
}

function onEnd (this: Stream): void {
  const side = this[kSide]
  side?.tunnel.sideEnded(side)
}

function onError (this: Stream, error: Error): void {
  const side = this[kSide]
  side?.tunnel.sideFailed(side, error)
}

function onClose (this: Stream): void {
  const side = this[kSide]
  if (side?.closed === false) side.tunnel.sideClosed(side)
}

/** Whether bytes wait for this side, and none of them was drained for `stall` milliseconds, as far as calls like this one could see. */
export function isStalled (side: Side, stall: number, now: number): boolean {
  // Nothing waited then, and the tunnel has written nothing since: of most tunnels the sweep need not look at the streams.
  if (side.drained === side.peer.bytes && !side.peer.muted) return false
  const waiting = side.stream.writableLength
  const drained = side.peer.bytes - waiting
  if (waiting === 0) side.waitsSince = undefined
  else if (side.waitsSince === undefined || drained !== side.drained) side.waitsSince = now
  side.drained = drained
  return side.waitsSince !== undefined && now - side.waitsSince >= stall
}
