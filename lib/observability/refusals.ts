/** Refused upgrades: counts them, and publishes them on their channel. */
import type { FastifyRequest } from 'fastify'
import type { Target } from '../config/target.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import { channels, type TunnelRefusedMessage } from './channels.ts'

/**
 * Counts and publishes a refused upgrade.
 * @param counters the counters of the upstream, or of the route if no upstream was chosen yet
 * @param error `undefined` if a response of the upstream was relayed
 * @param request `undefined` if the router has not seen the request
 */
export function countRefusal (
  target: Target, stage: RefusalStage, counters: { refused: Record<RefusalStage, number> }, error: unknown, request: FastifyRequest | undefined
): void {
  counters.refused[stage]++
  if (channels.refused.hasSubscribers) channels.refused.publish({ stage, error, route: target.route, request } satisfies TunnelRefusedMessage)
}
