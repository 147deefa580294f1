/**
 * Upgrades on paths without an entry, on a server with other listeners of its `'upgrade'` event. Nothing tells if one of these listeners
 * owns an upgrade; after a second, the state of the connection shows it. An untouched upgrade has no owner and gets an ordinary response;
 * any other belongs to its owner, until the end of the drain of a closing server.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { monotonicNow } from '../net/clock.ts'
import { isIdle } from './pipelining.ts'
import { guard, isGuard } from './upgrade-response.ts'

/** The milliseconds that an owner has to touch an upgrade. */
const claimTimeoutMs = 1000

/** The interval of the checks of untouched upgrades, in milliseconds. */
const pace = 250

/** The state of a stream before the other listeners run: later changes show that one of them has used it. */
export interface Trace {
  readonly stream: Duplex
  readonly written: number
  readonly flowing: boolean | null
  readonly listeners: ReadonlyMap<string | symbol, number>
}

/** Records the state of a stream, before this plugin adds a listener to it. */
export function traceOf (stream: Duplex): Trace {
  return { stream, written: writtenTo(stream), flowing: stream.readableFlowing, listeners: countListeners(stream) }
}

/** Returns true if another listener has begun to write to the stream or to read from it. */
export function isTaken ({ stream, written, flowing }: Trace): boolean {
  return stream.destroyed || stream.writableEnded || writtenTo(stream) !== written || stream.readableFlowing !== flowing
}

/** Returns true if another listener has at least added a listener to the stream. */
function isTouched (trace: Trace): boolean {
  if (isTaken(trace)) return true
  for (const [name, count] of countListeners(trace.stream)) if (count > (trace.listeners.get(name) ?? 0)) return true
  return false
}

function writtenTo (stream: Duplex): number {
  return (stream as Partial<Socket>).bytesWritten ?? stream.writableLength
}

/** Returns the number of listeners by event, without the guards of any copy of this package. */
function countListeners (stream: Duplex): Map<string | symbol, number> {
  return new Map(stream.eventNames().map((name) => [name, stream.listeners(name).filter((listener) => !isGuard(listener)).length]))
}

/** The arguments of an `'upgrade'` event. */
export interface UpgradeEvent {
  readonly request: IncomingMessage
  /** The connection; on Node 26, the stream of the bytes after a body that is still to be read. */
  readonly stream: Duplex
  readonly head: Buffer
}

interface Waiting extends UpgradeEvent {
  readonly traces: readonly Trace[]
  readonly since: number
}

/** The connections of upgrades that other listeners own, for all instances on one server. */
export class ForeignUpgrades {
  readonly #sockets: Set<Duplex> = new Set()
  readonly #onClose: (this: Duplex) => void

  constructor () {
    const sockets = this.#sockets
    this.#onClose = guard(function (this: Duplex): void { sockets.delete(this) })
  }

  add (socket: Duplex): void {
    if (socket.destroyed || this.#sockets.has(socket)) return
    this.#sockets.add(socket)
    socket.once('close', this.#onClose)
  }

  delete (socket: Duplex): void {
    if (this.#sockets.delete(socket)) socket.off('close', this.#onClose)
  }

  has (socket: Duplex): boolean {
    return this.#sockets.has(socket)
  }

  destroy (): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

const foreign = new WeakMap<EventEmitter, ForeignUpgrades>()

export function foreignUpgradesOf (server: EventEmitter): ForeignUpgrades {
  let upgrades = foreign.get(server)
  if (upgrades === undefined) foreign.set(server, upgrades = new ForeignUpgrades())
  return upgrades
}

/** The upgrades that no listener has touched so far. One timer serves all of them. */
export class UnclaimedUpgrades {
  readonly #foreign: ForeignUpgrades
  readonly #answer: (event: UpgradeEvent) => void
  readonly #waiting: Set<Waiting> = new Set()
  #sweeper: NodeJS.Timeout | undefined = undefined

  /** @param answer responds to an upgrade without an owner */
  constructor (foreign: ForeignUpgrades, answer: (event: UpgradeEvent) => void) {
    this.#foreign = foreign
    this.#answer = answer
  }

  /**
   * Watches an upgrade.
   * @param traces the state of the connection, and of the stream if that is another one
   */
  watch ({ request, stream, head }: UpgradeEvent, traces: readonly Trace[]): void {
    this.#foreign.add(request.socket)
    this.#waiting.add({ request, stream, head, traces, since: monotonicNow() })
    this.#sweeper ??= setInterval(() => this.#sweep(), pace).unref()
  }

  #sweep (): void {
    const due = monotonicNow() - claimTimeoutMs
    for (const waiting of this.#waiting) {
      const { request: { socket }, traces, since } = waiting
      if (since > due && this.#foreign.has(socket)) continue
      this.#waiting.delete(waiting)
      // Checked just before the response: another copy of this package may have responded in this turn already.
      if (!this.#foreign.has(socket) || !isIdle(socket) || traces.some(isTouched)) continue
      this.#foreign.delete(socket)
      this.#answer(waiting)
    }
    if (this.#waiting.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}
