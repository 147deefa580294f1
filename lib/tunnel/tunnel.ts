/**
 * The copier: it passes bytes between two duplex streams after a switch of protocols, blind to their meaning, with backpressure,
 * half-close, resets, four timers and exactly one ending.
 */
import type { Duplex } from 'node:stream'
import type { Written } from '../net/buffer-release.ts'
import { monotonicNow } from '../net/clock.ts'
import { emptyBuffer } from '../net/empty-buffer.ts'
import { destroy, isHttp2Stream, keepAlive, reset } from '../net/socket.ts'
import { forgetOwner, stopReading } from '../net/stream-owner.ts'
import { passUntilBoundary, requestClose } from './close-injection.ts'
import {
  attach, type EndpointName, type EndpointOwner, isStalled, pass, type Tracker, TunnelEndpoint
} from './endpoint.ts'
import type { TunnelReason, TunnelTimers } from './reasons.ts'

/** How a tunnel ended: the first cause, not its consequences. */
export interface Ending {
  readonly reason: TunnelReason
  readonly by: EndpointName | 'proxy'
  readonly error: Error | undefined
}

/** The callback of a tunnel to its owner. */
export interface TunnelOwner {
  /** Called once, when both streams are closed. */
  tunnelEnded (ending: Ending): void
}

export interface TunnelEnds {
  readonly client: Duplex
  readonly upstream: Duplex
  /** The connection under `client`, if that is a stream of HTTP/2. */
  readonly clientTransport?: Duplex | undefined
  /** The TCP socket under `upstream`, if that is a TLS stream over it. */
  readonly upstreamTransport?: Duplex | undefined
  readonly clientTracker?: Tracker | undefined
  readonly upstreamTracker?: Tracker | undefined
}

export class Tunnel implements EndpointOwner {
  readonly client: TunnelEndpoint
  readonly upstream: TunnelEndpoint
  readonly #timers: TunnelTimers
  readonly #owner: TunnelOwner
  readonly #startedAt: number
  #ending: Ending | undefined = undefined
  /** The side that ended first, or announced its end first. */
  #firstEnd: EndpointName | undefined = undefined
  /** When the first side ended, in milliseconds of the clock of `sweep`. */
  #halfClosedAt = 0
  /** The number of bytes in both directions at the last sweep. `#quietSince` is when it last changed. */
  #seen = 0
  #quietSince: number

  /** @param now the time in milliseconds, by the clock that `sweep` is called with */
  constructor (ends: TunnelEnds, timers: TunnelTimers, owner: TunnelOwner, now: number) {
    this.client = new TunnelEndpoint('client', ends.client, ends.clientTransport ?? ends.client, this, ends.clientTracker)
    this.upstream = new TunnelEndpoint('upstream', ends.upstream, ends.upstreamTransport ?? ends.upstream, this, ends.upstreamTracker)
    this.client.peer = this.upstream
    this.upstream.peer = this.client
    this.#timers = timers
    this.#owner = owner
    this.#startedAt = now
    this.#quietSince = now
  }

  /** Starts copying. The early bytes of each side go first, in order. */
  start (fromClient: Buffer | undefined, fromUpstream: Buffer | undefined): void {
    attach(this.client)
    attach(this.upstream)
    if (fromClient !== undefined && fromClient.length > 0) this.endpointRead(this.client, fromClient)
    if (fromUpstream !== undefined && fromUpstream.length > 0) this.endpointRead(this.upstream, fromUpstream)
    if (!this.client.paused) this.client.stream.resume()
    if (!this.upstream.paused) this.upstream.stream.resume()
  }

  /** The time since when no byte has moved, as far as the last sweep could see. */
  get quietSince (): number {
    return this.#quietSince
  }

  /** Checks the timers. `lifecycle/registry` calls it for every tunnel at a steady pace. */
  sweep (now: number): void {
    const seen = this.client.bytes + this.upstream.bytes
    if (seen !== this.#seen) {
      this.#seen = seen
      this.#quietSince = now
    }
    const { idle, halfClose, lifetime, stall } = this.#timers
    if (stall > 0 && (isStalled(this.client, stall, now) || isStalled(this.upstream, stall, now))) this.kill('stalled')
    else if (lifetime > 0 && now - this.#startedAt >= lifetime) this.kill('max_lifetime')
    else if (halfClose > 0 && this.#halfClosedAt > 0 && now - this.#halfClosedAt >= Math.min(halfClose, this.#patience)) this.kill('half_close_timeout')
    else if (idle > 0 && now - this.#quietSince >= idle) this.kill('idle_timeout')
  }

  /** Enables TCP keep-alive on both connections, with a probe after `ms` milliseconds of silence. */
  keepAlive (ms: number): void {
    keepAlive(this.client.transport, ms)
    keepAlive(this.upstream.transport, ms)
  }

  /** Ends the tunnel at once, without flushing pending writes. */
  kill (reason: Exclude<TunnelReason, `${EndpointName}_${string}` | 'error'>, error?: Error): void {
    this.#end({ reason, by: 'proxy', error })
    breakOff(this.client)
    breakOff(this.upstream)
  }

  /**
   * Injects a last frame into the direction of `to` at its next boundary, drops the bytes after it, and ends that direction. It does
   * nothing if no tracker follows that direction, or if a Close has passed. The other direction goes on.
   */
  requestClose (to: EndpointName, frame: Buffer): void {
    requestClose(this[to].peer, frame)
  }

  /** @internal */
  endpointRead (side: TunnelEndpoint, chunk: Buffer, written?: Written): void {
    side.bytes += chunk.length
    if (side.discarding) return
    if (side.closeFrame !== undefined) return passUntilBoundary(side, chunk, side.closeFrame)
    if (side.tracker !== undefined) {
      side.tracker.push(chunk)
      if (side.tracker.closing) this.endpointCloses(side)
    }
    pass(side, chunk, written)
  }

  /** @internal Called when an injected Close has been written. If a side had announced its end before, that stays the cause. */
  closeInjected (): void {
    if (this.#firstEnd === undefined) this.#end({ reason: 'drained', by: 'proxy', error: undefined })
  }

  /** @internal Called when a side announces its end: from now on that side is the cause. */
  endpointCloses (side: TunnelEndpoint): void {
    this.#firstEnd ??= side.name
  }

  /** @internal */
  endpointEnded (side: TunnelEndpoint): void {
    side.hasEnded = true
    this.#firstEnd ??= side.name
    this.#beginHalfClose()
    side.peer.stream.end()
    if (side === this.upstream && this.client.tracker?.closing === true && this.upstream.tracker?.closing === true) finish(this.client.stream)
  }

  /** @internal */
  endpointFailed (side: TunnelEndpoint, error: NodeJS.ErrnoException): void {
    // After one side has ended in good order, a reset is only the rest of its end.
    const reset = resets.has(error.code)
    if (reset && this.#firstEnd !== undefined) this.#end({ reason: `${this.#firstEnd}_close`, by: this.#firstEnd, error: undefined })
    else if (reset) this.#end({ reason: `${side.name}_reset`, by: side.name, error: undefined })
    else this.#end({ reason: 'error', by: side.name, error })
    this.#beginHalfClose() // the half-close timer bounds the flush of the other side
    // Pass on the bytes that arrived before the error and waited for the other side. Node 26 yields them piece by piece.
    stopReading(side.stream)
    for (let rest: Buffer | null = side.stream.read(); rest !== null; rest = side.stream.read()) this.endpointRead(side, rest)
    breakOff(side)
    dismiss(side.peer, reset ? 'reset' : 'destroy')
  }

  /** @internal */
  endpointClosed (side: TunnelEndpoint): void {
    side.hasClosed = true
    if (side.peer.hasClosed) {
      const first = this.#firstEnd ?? side.name
      this.#end({ reason: `${first}_close`, by: first, error: undefined })
      forgetOwner(side.stream)
      forgetOwner(side.peer.stream)
      this.#owner.tunnelEnded(this.#ending as Ending)
    } else if (!side.hasEnded || !side.stream.writableFinished) {
      // The stream was destroyed from outside: by the handler of an error above, by a timer, or by other code of the process.
      this.#firstEnd ??= side.name
      this.#beginHalfClose()
      dismiss(side.peer, 'destroy')
    }
  }

  /** How long the client is waited for at most behind the upstream's end. A browser never ends its half of a WebSocket over HTTP/2 that had no Close. */
  get #patience (): number {
    return this.upstream.hasEnded && this.client.tracker !== undefined && isHttp2Stream(this.client.stream) ? browserPatience : Infinity
  }

  #beginHalfClose (): void {
    if (this.#halfClosedAt === 0) this.#halfClosedAt = monotonicNow()
  }

  #end (ending: Ending): void {
    this.#ending ??= ending
  }
}

/** Flushes a side's pending writes, then closes it. */
function dismiss (side: TunnelEndpoint, how: 'reset' | 'destroy'): void {
  if (side.hasClosed || side.pendingClose !== undefined) return
  side.pendingClose = how
  side.discarding = true
  const { stream } = side
  const leave = (): void => breakOff(side, how)
  if (stream.writableLength === 0 || stream.destroyed) leave()
  else if (stream.writableEnded) stream.once('finish', leave)
  else stream.write(emptyBuffer, leave) // not at 'drain', which comes only after more than a high-water mark
}

const browserPatience = 5000 // milliseconds

function breakOff (side: TunnelEndpoint, how: 'reset' | 'destroy' = 'destroy'): void {
  side.brokenOff = true
  if (how === 'reset') reset(side.stream, side.transport)
  else destroy(side.stream)
}

/** Codes of a connection that was reset, and of a stream of HTTP/2 that either end has reset. */
const resets: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_HTTP2_STREAM_ERROR', 'ABORT_ERR'])

/**
 * Ends a stream of HTTP/2 after the whole closing handshake of a WebSocket. Firefox never ends its half: RST_STREAM(NO_ERROR) behind our own end closes
 * it (RFC 9113, 8.1).
 */
function finish (stream: Duplex): void {
  if (!isHttp2Stream(stream)) return
  if (stream.writableFinished) stream.close()
  else stream.once('finish', () => stream.close())
}
