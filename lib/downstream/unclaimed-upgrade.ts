/**
 * Upgrades beside other listeners of the server's `'upgrade'` event, on paths that are not ours. Nobody tells whose they are: after a
 * second it shows in what has happened to the connection. An untouched one is nobody's and gets an ordinary answer; any other one is
 * its owner's, until the end of the drain of a closing server.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { monotonicNow } from '../net/clock.ts'
import { isIdle } from './pipelining.ts'
import { guard, isGuard } from './upgrade-response.ts'

/** How long an owner may take to touch an upgrade, in milliseconds. */
const patience = 1000

/** How often untouched upgrades are looked at, in milliseconds. */
const pace = 250

/** How a stream was found: what has changed since then, somebody has done. */
export interface Trace {
  readonly stream: Duplex
  readonly written: number
  readonly flowing: boolean | null
  readonly listeners: ReadonlyMap<string | symbol, number>
}

/** Taken before we put any listener on the stream. */
export function traceOf (stream: Duplex): Trace {
  return { stream, written: writtenTo(stream), flowing: stream.readableFlowing, listeners: countListeners(stream) }
}

/** Whether somebody has begun to write to the stream or to read from it. */
export function isTaken ({ stream, written, flowing }: Trace): boolean {
  return stream.destroyed || stream.writableEnded || writtenTo(stream) !== written || stream.readableFlowing !== flowing
}

/** Whether somebody has at least begun to listen to it. */
function isTouched (trace: Trace): boolean {
  if (isTaken(trace)) return true
  for (const [name, count] of countListeners(trace.stream)) if (count > (trace.listeners.get(name) ?? 0)) return true
  return false
}

function writtenTo (stream: Duplex): number {
  return (stream as Partial<Socket>).bytesWritten ?? stream.writableLength
}

/** Listeners by event, without the guards of any copy of this package. */
function countListeners (stream: Duplex): Map<string | symbol, number> {
  return new Map(stream.eventNames().map((name) => [name, stream.listeners(name).filter((listener) => !isGuard(listener)).length]))
}

/** An upgrade as Node has given it to every listener. */
export interface UpgradeEvent {
  readonly request: IncomingMessage
  /** The connection; on Node 26, what comes behind a body that is still to be read. */
  readonly stream: Duplex
  readonly head: Buffer
}

interface Waiting extends UpgradeEvent {
  readonly traces: readonly Trace[]
  readonly since: number
}

/** Connections of upgrades that are not ours, of all instances on one server. */
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

/** Upgrades that nobody has touched so far. One timer serves all of them. */
export class UnclaimedUpgrades {
  readonly #foreign: ForeignUpgrades
  readonly #answer: (event: UpgradeEvent) => void
  readonly #waiting: Set<Waiting> = new Set()
  #sweeper: NodeJS.Timeout | undefined = undefined

  /** @param answer answers what is nobody's */
  constructor (foreign: ForeignUpgrades, answer: (event: UpgradeEvent) => void) {
    this.#foreign = foreign
    this.#answer = answer
  }

  /** @param traces of the connection and of the stream, where that is another one */
  watch ({ request, stream, head }: UpgradeEvent, traces: readonly Trace[]): void {
    this.#foreign.add(request.socket)
    this.#waiting.add({ request, stream, head, traces, since: monotonicNow() })
    this.#sweeper ??= setInterval(() => this.#sweep(), pace).unref()
  }

  #sweep (): void {
    const due = monotonicNow() - patience
    for (const waiting of this.#waiting) {
      const { request: { socket }, traces, since } = waiting
      if (since > due && this.#foreign.has(socket)) continue
      this.#waiting.delete(waiting)
      // Looked at just before it is answered: a copy of this package that has come to the same result in this turn has answered by now.
      if (!this.#foreign.has(socket) || !isIdle(socket) || traces.some(isTouched)) continue
      this.#foreign.delete(socket)
      this.#answer(waiting)
    }
    if (this.#waiting.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
}
