/**
 * Symptom: bytes after a declined upgrade are lost, and a request that arrived in two pieces is read from its middle.
 * Versions: Node 24.9 and later, which call `server.shouldUpgradeCallback` (nodejs.org/api/http.html) before they treat a request as an
 * upgrade.
 * Cause: if that returns false, Node drops the bytes that it has read after the head. So if no other code listens for upgrades, this file
 * accepts all of them.
 * Test: test/fuzz/corpus.test.ts and test/integration/http.test.ts on Node 24 and 26.
 * Remove when: Node keeps those bytes.
 */
import type { IncomingMessage, Server } from 'node:http'
import { type Instance, isInCharge } from '../downstream/instances.ts'
import { readFacts } from '../routing/request-facts.ts'

/**
 * Takes every upgrade if only this plugin listens for them; else, those that will switch.
 * @returns a function that restores the previous callback
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
