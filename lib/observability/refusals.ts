/** Upgrades that became no tunnel: counted, and told on their channel. */
import type { FastifyRequest } from 'fastify'
import type { Target } from '../config/target.ts'
import type { RefusalStage } from '../upstream/counters.ts'
import { channels, type TunnelRefusedMessage } from './channels.ts'

/**
 * @param counters those of the upstream, or of its route where there was none yet
 * @param error `undefined` for a response of the upstream's that was relayed
 * @param request `undefined` for one that the router has not seen
 */
export function countRefusal (target: Target, stage: RefusalStage, counters: { refused: Record<RefusalStage, number> }, error: unknown, request: FastifyRequest | undefined): void {
  counters.refused[stage]++
  if (channels.refused.hasSubscribers) channels.refused.publish({ stage, error, route: target.route, request } satisfies TunnelRefusedMessage)
}
