/**
 * The instances on one server, in the order of their registration. @fastify/restartable makes a new one before it closes the old one:
 * the last that is ready has what comes, and the others only end what they have begun.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { RouteTables } from '../routing/route-tables.ts'

/** This plugin in one application. */
export interface Instance {
  /** Puts a request through the application's router. Two instances of one application have the same. */
  readonly routing: (request: IncomingMessage, response: ServerResponse) => void
  readonly tables: Pick<RouteTables, 'rules' | 'previewDecision'>
  /** Whether the application is ready to take what comes. */
  readonly isReady: boolean
  readonly registry: {
    /** Whether the application closes. */
    readonly closing: boolean
  }
}

/** What the first instance does to its server. Returns what undoes it. */
export type TakeServer = (server: Server, peers: readonly Instance[]) => () => void

interface Instances {
  readonly peers: Instance[]
  readonly untake: () => void
}

const instances = new WeakMap<Server, Instances>()

/** @param take undone when the last instance has gone */
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

/** Two copies of the entry file may have two instances of one application, and both are in charge. */
export function isInCharge (peers: readonly Instance[], instance: Instance): boolean {
  const current = peers.findLast(({ isReady, registry }) => isReady && !registry.closing) ?? peers.findLast(({ isReady }) => isReady) ?? peers[0]
  return instance.routing === current?.routing
}

/** Whether an instance has what comes to its server. */
export function hasServer (server: Server, instance: Instance): boolean {
  return isInCharge(instances.get(server)?.peers ?? [], instance)
}

/** Whether nobody else hears of upgrades. */
export function isAlone (server: Server): boolean {
  const peers = instances.get(server)?.peers ?? []
  const others = server.listenerCount('upgrade') - peers.length
  return others === 0 && peers.filter((peer) => isInCharge(peers, peer)).length === 1
}
