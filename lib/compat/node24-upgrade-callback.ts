/** Node 24.9 and later: `shouldUpgradeCallback`, which decides before the parser does whether a request is an upgrade. */
import type { IncomingMessage, Server } from 'node:http'
import { type Instance, isInCharge } from '../downstream/instances.ts'
import { readFacts } from '../routing/request-facts.ts'

/**
 * From 24.9 on Node asks before it takes a request for an upgrade. Where we are the only ones to hear of those, all are taken:
 * of one that is declined here, Node loses what it has read behind it, and a request that was cut in two is read from its middle.
 */
export function takeAllUpgrades (server: Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }, peers: readonly Instance[]): () => void {
  const before = server.shouldUpgradeCallback
  if (before === undefined) return () => {}
  const own = server.shouldUpgradeCallback = function shouldWstunnelUpgrade (request) {
    const current = peers.filter((peer) => isInCharge(peers, peer))
    if (current.length > 0 && server.listenerCount('upgrade') === peers.length) return true
    return current.some(({ tables }) => tables.previewDecision(readFacts(request, tables.rules), false) === 'switch') || before.call(server, request)
  }
  return () => { if (server.shouldUpgradeCallback === own) server.shouldUpgradeCallback = before }
}
