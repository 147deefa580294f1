// What one choice of a member costs, its bookkeeping (`advance`) included, by policy.
//
//   npm run bench:picking                 200,000 picks a round
//   npm run bench:picking -- 1000000
import { advance, hash32, policies } from '../lib/balancer/policies.ts'
import type { Candidate, Policy, PolicyContext } from '../lib/balancer/policies.ts'

const picks = Number(process.argv[2] ?? 200_000)
const rounds = 7

/** Members with different weights, each with tunnels. */
function members (count: number): Array<Candidate & { busy: number, traffic: number }> {
  return Array.from({ length: count }, (_, i) => {
    const url = `ws://10.0.${i >> 8}.${i & 255}:9080`
    return { url, route: undefined, weight: 1 + (i % 4) / 2, busy: i % 7, traffic: i * 1e6, lbStatus: 0, seed: hash32(url) }
  })
}

// What hash goes by is mostly a client's address.
const clients = Array.from({ length: 1024 }, (_, i) => `192.0.${i >> 8}.${i & 255}`)
let client = 0
const context: PolicyContext = {
  random: Math.random,
  key: () => clients[client++ & 1023] as string
}

/** Microseconds of the processor a pick, whatever else runs on the machine. */
function measure (policy: Policy, count: number): number {
  const candidates = members(count)
  const start = process.cpuUsage()
  for (let i = 0; i < picks; i++) {
    const chosen = policy(candidates, context) as typeof candidates[number]
    advance(candidates, chosen)
    chosen.busy++
    chosen.traffic += 1000
  }
  const { user, system } = process.cpuUsage(start)
  return (user + system) / picks
}

// Each policy has run before any is measured: V8 has seen all of them then, as in a server that uses several.
for (const policy of Object.values(policies)) measure(policy, 100)

console.log(`${process.version}, ${picks} picks, median (worst) of ${rounds} rounds, µs per pick:`)
for (const [name, policy] of Object.entries(policies)) {
  let line = `  ${name.padEnd(11)}`
  for (const count of [5, 100]) {
    const times = Array.from({ length: rounds }, () => measure(policy, count)).sort((a, b) => a - b)
    line += `  ${count} members ${(times[rounds >> 1] as number).toFixed(2)} (${(times[rounds - 1] as number).toFixed(2)})`
  }
  console.log(line)
}
