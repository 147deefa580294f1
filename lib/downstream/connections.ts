/** The connections that a server has accepted, and its HTTP/2 sessions, so that a closing server can end them. */
import type { EventEmitter } from 'node:events'
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { guard } from './upgrade-response.ts'

const servers = new WeakMap<EventEmitter, Connections>()

/** The connections of one server. Node's `closeAllConnections` misses silent TCP below TLS, and HTTP/2 servers do not have it. */
class Connections {
  readonly #sockets: Set<Socket> = new Set()
  readonly #sessions: Set<Http2Session> = new Set()

  /** @internal */
  readonly onConnection: (socket: Socket) => void = keeperOf(this.#sockets)
  /** @internal */
  readonly onSession: (session: Http2Session) => void = keeperOf(this.#sessions)

  /** Sends GOAWAY to HTTP/2 clients: they begin nothing more on their sessions. Exchanges in flight go on. */
  goAway (): void {
    for (const session of this.#sessions) session.close()
  }

  destroy (): void {
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Returns a listener that keeps what it is called with until it closes. */
function keeperOf<T extends EventEmitter> (set: Set<T>): (each: T) => void {
  const forget = guard(function onKeptClose (this: T): void { set.delete(this) })
  return guard((each: T): void => {
    if (set.has(each)) return // reinjected: Node emits the event again
    set.add(each)
    each.on('close', forget)
  })
}

/**
 * Starts keeping a server's connections.
 * @returns a function that stops it
 */
export function keepConnections (server: EventEmitter): () => void {
  const connections = new Connections()
  servers.set(server, connections)
  server.on('connection', connections.onConnection)
  server.on('session', connections.onSession)
  return () => {
    server.off('connection', connections.onConnection)
    server.off('session', connections.onSession)
  }
}

export function connectionsOf (server: EventEmitter): Connections | undefined {
  return servers.get(server)
}
