/**
 * The copier: bytes between two duplex streams after a switch of protocols, blind to what they mean. Backpressure,
 * half-close, resets, four timers, and exactly one ending.
 */
import type { Duplex } from 'node:stream'
import type { Written } from '../net/buffer-release.ts'
import { monotonicNow } from '../net/clock.ts'
import { destroy, isHttp2Stream, keepAlive, reset } from '../net/socket.ts'
import { passUntilBoundary, requestClose } from './close-injection.ts'
import {
  attach, detach, type EndpointName, type EndpointOwner, isStalled, pass, stopReading, type Tracker, TunnelEndpoint
} from './endpoint.ts'

/** How a tunnel can end. */
export const tunnelReasons = [
  'client_close', 'upstream_close', 'client_reset', 'upstream_reset', 'idle_timeout', 'half_close_timeout',
  'max_lifetime', 'stalled', 'drained', 'killed', 'error'
] as const

/**
 * Why a tunnel ended. `client_close`, `upstream_close`: that side ended first, in good order. `…_reset`: it reset the
 * connection. `idle_timeout`, `half_close_timeout`, `max_lifetime`: the option of that name. `stalled`: `stallTimeout`.
 * `drained`: `close()` or `drain()`. `killed`: `tunnel.close()`. `error`: anything else, such as a broken TLS record.
 */
export type TunnelReason = typeof tunnelReasons[number]

/** Milliseconds; 0 is none. */
export interface TunnelTimers {
  /** No byte either way. */
  readonly idle: number
  /** One side has ended, the other has not. */
  readonly halfClose: number
  /** Since the switch, whatever happens. */
  readonly lifetime: number
  /** A side with bytes waiting has drained none of them. */
  readonly stall: number
}

/** How a tunnel ended: the first cause, not what followed from it. */
export interface Ending {
  readonly reason: TunnelReason
  readonly by: EndpointName | 'proxy'
  readonly error: Error | undefined
}

/** What a tunnel's owner gets told. */
export interface TunnelOwner {
  /** Both streams are closed. Called once. */
  tunnelEnded (ending: Ending): void
}

export interface TunnelEnds {
  readonly client: Duplex
  readonly upstream: Duplex
  /** The connection under `client`, where that is a stream of HTTP/2. */
  readonly clientTransport?: Duplex | undefined
  /** The TCP socket under `upstream`, where that is a TLS stream over it. */
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
  /** The side that ended first, or first said that it would. */
  #firstEnd: EndpointName | undefined = undefined
  /** When a side ended. */
  #halfClosedAt = 0
  /** Bytes both ways at the last sweep, and since when none were added. */
  #seen = 0
  #quietSince: number

  /** @param now milliseconds of the clock that `sweep` is called with */
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

  /** Starts copying. The bytes that came too early go first, in order. */
  start (fromClient: Buffer | undefined, fromUpstream: Buffer | undefined): void {
    attach(this.client)
    attach(this.upstream)
    if (fromClient !== undefined && fromClient.length > 0) this.endpointRead(this.client, fromClient)
    if (fromUpstream !== undefined && fromUpstream.length > 0) this.endpointRead(this.upstream, fromUpstream)
    if (!this.client.paused) this.client.stream.resume()
    if (!this.upstream.paused) this.upstream.stream.resume()
  }

  /** Since when no byte has moved, as far as the last sweep could see. */
  get quietSince (): number {
    return this.#quietSince
  }

  /** Looks at the timers. Called at a steady pace for every tunnel by one shared timer. */
  sweep (now: number): void {
    const seen = this.client.bytes + this.upstream.bytes
    if (seen !== this.#seen) {
      this.#seen = seen
      this.#quietSince = now
    }
    const { idle, halfClose, lifetime, stall } = this.#timers
    if (stall > 0 && (isStalled(this.client, stall, now) || isStalled(this.upstream, stall, now))) this.kill('stalled')
    else if (lifetime > 0 && now - this.#startedAt >= lifetime) this.kill('max_lifetime')
    else if (halfClose > 0 && this.#halfClosedAt > 0 && now - this.#halfClosedAt >= halfClose) this.kill('half_close_timeout')
    else if (idle > 0 && now - this.#quietSince >= idle) this.kill('idle_timeout')
  }

  /** Has both connections probed after so many milliseconds of silence. */
  keepAlive (ms: number): void {
    keepAlive(this.client.transport, ms)
    keepAlive(this.upstream.transport, ms)
  }

  /** Ends the tunnel at once. Nothing that waits to be written is waited for. */
  kill (reason: Exclude<TunnelReason, `${EndpointName}_${string}` | 'error'>, error?: Error): void {
    this.#end({ reason, by: 'proxy', error })
    breakOff(this.client)
    breakOff(this.upstream)
  }

  /**
   * Puts a last frame into the direction of `to` at its next boundary, drops what follows there, and ends that direction.
   * One whose stream is not followed, or that has had its Close, is left alone. The other direction goes on.
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

  /** @internal A Close of ours was written. Where a side had said before that it would go, that stays the cause. */
  closeInjected (): void {
    if (this.#firstEnd === undefined) this.#end({ reason: 'drained', by: 'proxy', error: undefined })
  }

  /** @internal It has announced its end: whatever comes of that now was its doing. */
  endpointCloses (side: TunnelEndpoint): void {
    this.#firstEnd ??= side.name
  }

  /** @internal */
  endpointEnded (side: TunnelEndpoint): void {
    side.ended = true
    this.#firstEnd ??= side.name
    this.#beginHalfClose()
    side.peer.stream.end()
    if (side === this.upstream && this.client.tracker?.closing === true && this.upstream.tracker?.closing === true) finish(this.client.stream)
  }

  /** @internal */
  endpointFailed (side: TunnelEndpoint, error: NodeJS.ErrnoException): void {
    // After one side has ended in good order, a reset is only how the rest of it went away.
    const reset = resets.has(error.code)
    if (reset && this.#firstEnd !== undefined) this.#end({ reason: `${this.#firstEnd}_close`, by: this.#firstEnd, error: undefined })
    else if (reset) this.#end({ reason: `${side.name}_reset`, by: side.name, error: undefined })
    else this.#end({ reason: 'error', by: side.name, error })
    this.#beginHalfClose() // what is left to be written to the other side is not waited for longer than that
    // What had arrived before the error, and waited for the other side to take more. Node 26 gives it piece by piece.
    stopReading(side)
    for (let rest: Buffer | null = side.stream.read(); rest !== null; rest = side.stream.read()) this.endpointRead(side, rest)
    breakOff(side)
    dismiss(side.peer, reset ? 'reset' : 'destroy')
  }

  /** @internal */
  endpointClosed (side: TunnelEndpoint): void {
    side.closed = true
    if (side.peer.closed) {
      const first = this.#firstEnd ?? side.name
      this.#end({ reason: `${first}_close`, by: first, error: undefined })
      detach(side)
      detach(side.peer)
      this.#owner.tunnelEnded(this.#ending as Ending)
    } else if (!side.ended || !side.stream.writableFinished) {
      // Destroyed from elsewhere: by an error that was handled above, by a timer, or by someone else's hand.
      this.#firstEnd ??= side.name
      this.#beginHalfClose()
      dismiss(side.peer, 'destroy')
    }
  }

  #beginHalfClose (): void {
    if (this.#halfClosedAt === 0) this.#halfClosedAt = monotonicNow()
  }

  #end (ending: Ending): void {
    this.#ending ??= ending
  }
}

/** Lets what waits be written, then goes. */
function dismiss (side: TunnelEndpoint, how: 'reset' | 'destroy'): void {
  if (side.closed || side.pendingClose !== undefined) return
  side.pendingClose = how
  side.discarding = true
  const { stream } = side
  const leave = (): void => breakOff(side, how)
  if (stream.writableLength === 0 || stream.destroyed) leave()
  else if (stream.writableEnded) stream.once('finish', leave)
  else stream.write(nothing, leave) // not at 'drain', which comes only after more than a high-water mark
}

const nothing = Buffer.alloc(0)

function breakOff (side: TunnelEndpoint, how: 'reset' | 'destroy' = 'destroy'): void {
  side.brokenOff = true
  if (how === 'reset') reset(side.stream, side.transport)
  else destroy(side.stream)
}

/** How Node tells of a connection that was reset, and of a stream of HTTP/2, by the other end or by us. */
const resets: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_HTTP2_STREAM_ERROR', 'ABORT_ERR'])

/**
 * Both sides of a WebSocket have said their last. Firefox then leaves its half of a stream of HTTP/2 open for ever: RST_STREAM(NO_ERROR), behind our own
 * end, closes it (RFC 9113, 8.1).
 */
function finish (stream: Duplex): void {
  if (!isHttp2Stream(stream)) return
  if (stream.writableFinished) stream.close()
  else stream.once('finish', () => stream.close())
}
