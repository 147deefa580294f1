/**
 * Bytes behind an upgrade that is declined are lost, and a request that was cut in two is read from its middle.
 *
 * Versions: Node 24.9 and later, which ask `server.shouldUpgradeCallback` (nodejs.org/api/http.html) before they take a request for an upgrade.
 * Cause: where that says no, Node loses what it has read behind the head. So where nobody else hears of upgrades, all are taken.
 * Test: test/fuzz/corpus.test.ts and test/integration/http.test.ts on Node 24 and 26.
 * Remove when: Node keeps those bytes.
 */
import type { IncomingMessage, Server } from 'node:http'
import { type Instance, isInCharge } from '../downstream/instances.ts'
import { readFacts } from '../routing/request-facts.ts'

/**
 * Takes every upgrade where only this plugin listens for them; elsewhere, those that will switch.
 * @returns puts back what was there before
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
