/** The actions of the page: changes of balancer members, and closing of live tunnels. */
import type { FastifyInstance } from 'fastify'
import type { BalancerControl } from '../index.ts'
import { BadRequestError, NotFoundError } from './errors.ts'

/** An action, as the page sends it. */
export type Action =
  | { readonly action: 'drain' | 'disable' | 'enable', readonly balancer: string, readonly member: string }
  | { readonly action: 'weight', readonly balancer: string, readonly member: string, readonly loadFactor: number }
  | { readonly action: 'close', readonly tunnel: string }

/** The bounds of a load factor. */
const minWeight = 1
const maxWeight = 100

/**
 * Parses an action.
 * @throws BadRequestError
 */
export function parseAction (body: unknown): Action {
  if (typeof body !== 'object' || body === null) throw new BadRequestError('expected an action')
  const { action, balancer, member, loadFactor, tunnel } = body as Record<string, unknown>
  if (action === 'close') return { action, tunnel: text('tunnel', tunnel) }
  if (action === 'drain' || action === 'disable' || action === 'enable') {
    return { action, balancer: text('balancer', balancer), member: text('member', member) }
  }
  if (action === 'weight') {
    if (typeof loadFactor !== 'number' || !(loadFactor >= minWeight && loadFactor <= maxWeight)) {
      throw new BadRequestError(`loadFactor: expected a number from ${minWeight} to ${maxWeight}`)
    }
    return { action, balancer: text('balancer', balancer), member: text('member', member), loadFactor }
  }
  throw new BadRequestError('action: expected drain, disable, enable, weight or close')
}

function text (name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new BadRequestError(`${name}: expected a string`)
}

/**
 * Performs an action.
 * @throws NotFoundError if the balancer, member or tunnel does not exist
 */
export function perform ({ wstunnel }: FastifyInstance, action: Action): void {
  if (action.action === 'close') {
    for (const tunnel of wstunnel.tunnels()) {
      if (tunnel.id !== action.tunnel) continue
      tunnel.close('closed on the status page')
      return
    }
    throw new NotFoundError('this tunnel has ended')
  }
  const { member } = action
  const control = controlOf(wstunnel, action.balancer)
  if (!control.members().some(({ url }) => url === member)) throw new NotFoundError('no such member')
  switch (action.action) {
    case 'drain':
      void control.drain(member) // returns at once: no tunnel is closed
      break
    case 'disable':
      control.disable(member)
      break
    case 'enable':
      control.enable(member)
      break
    case 'weight':
      control.set(member, { loadFactor: action.loadFactor })
  }
}

function controlOf (wstunnel: FastifyInstance['wstunnel'], name: string): BalancerControl {
  try {
    return wstunnel.balancer(name)
  } catch {
    throw new NotFoundError('no such balancer')
  }
}
