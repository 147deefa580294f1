/**
 * The instances on one server, in the order of their registration. @fastify/restartable makes a new one before it closes the old one:
 * the last that is ready has what comes, and the others only end what they have begun.
 */
import type { Server } from 'node:http'
import type { ServerState } from '../plugin/server-state.ts'

interface Instances {
  readonly peers: ServerState[]
  readonly untake: () => void
}

const instances = new WeakMap<Server, Instances>()

/** @param take what the first instance does to the server; what it returns is called when the last one has gone */
export function instancesOn (server: Server, take: (server: Server, peers: readonly ServerState[]) => () => void): { readonly peers: ServerState[] } {
  let known = instances.get(server)
  if (known === undefined) {
    const peers: ServerState[] = []
    instances.set(server, known = { peers, untake: take(server, peers) })
  }
  return known
}

export function removeInstance (server: Server, state: ServerState): void {
  const known = instances.get(server)
  if (known === undefined) return
  const at = known.peers.indexOf(state)
  if (at !== -1) known.peers.splice(at, 1)
  if (known.peers.length > 0) return
  known.untake()
  instances.delete(server)
}

/** Two copies of the entry file may have two instances of one application, and both are in charge. */
export function isInCharge (peers: readonly ServerState[], state: ServerState): boolean {
  const current = peers.findLast(({ isReady, registry }) => isReady && !registry.closing) ?? peers.findLast(({ isReady }) => isReady) ?? peers[0]
  return state.routing === current?.routing
}

/** Whether nobody else hears of upgrades. */
export function isAlone (server: Server): boolean {
  const peers = instances.get(server)?.peers ?? []
  const others = server.listenerCount('upgrade') - peers.length
  return others === 0 && peers.filter((peer) => isInCharge(peers, peer)).length === 1
}
