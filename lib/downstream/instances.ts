/**
 * The instances on one server, in the order of their registration. @fastify/restartable makes a new one before it closes the old one: the
 * last instance that is ready serves new requests, and the others only finish theirs.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { RouteTables } from '../routing/route-tables.ts'

/** An instance of this plugin in one application. */
export interface Instance {
  /** Routes a request through the application. Two instances of one application have the same function. */
  readonly routing: (request: IncomingMessage, response: ServerResponse) => void
  readonly tables: Pick<RouteTables, 'rules' | 'previewDecision'>
  /** True if the application is ready for requests. */
  readonly isReady: boolean
  readonly registry: {
    /** True if the application is closing. */
    readonly closing: boolean
  }
}

/** The set-up that the first instance runs on its server. Returns a function that undoes it. */
export type TakeServer = (server: Server, peers: readonly Instance[]) => () => void

interface Instances {
  readonly peers: Instance[]
  readonly untake: () => void
}

const instances = new WeakMap<Server, Instances>()

/**
 * Returns the instances on a server.
 * @param take the set-up; undone when the last instance is removed
 */
export function instancesOn (server: Server, take: TakeServer): { readonly peers: Instance[] } {
  let known = instances.get(server)
  if (known === undefined) {
    const peers: Instance[] = []
    instances.set(server, known = { peers, untake: take(server, peers) })
  }
  return known
}

export function removeInstance (server: Server, instance: Instance): void {
  const known = instances.get(server)
  if (known === undefined) return
  const at = known.peers.indexOf(instance)
  if (at !== -1) known.peers.splice(at, 1)
  if (known.peers.length > 0) return
  known.untake()
  instances.delete(server)
}

/** Returns true if an instance serves new requests. Two copies of the entry file may have two instances of one application; both are in charge. */
export function isInCharge (peers: readonly Instance[], instance: Instance): boolean {
  const current = peers.findLast(({ isReady, registry }) => isReady && !registry.closing) ?? peers.findLast(({ isReady }) => isReady) ?? peers[0]
  return instance.routing === current?.routing
}

/** Returns true if an instance handles the requests of its server. */
export function hasServer (server: Server, instance: Instance): boolean {
  return isInCharge(instances.get(server)?.peers ?? [], instance)
}

/** Returns true if no other code listens for upgrades. */
export function isAlone (server: Server): boolean {
  const peers = instances.get(server)?.peers ?? []
  const others = server.listenerCount('upgrade') - peers.length
  return others === 0 && peers.filter((peer) => isInCharge(peers, peer)).length === 1
}
