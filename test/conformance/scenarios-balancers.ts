/** Who of a balancer's members gets which of a thousand requests. */
import { name, sequence } from './steps.ts'
import type { BalancerTable, MemberTable, Scenario } from './table.ts'
import { head } from './words.ts'

function member (upstream: string, loadFactor: number = 1): MemberTable {
  return { url: `http://${upstream}`, loadFactor }
}

const byRequests: Record<string, BalancerTable> = {
  'three alike': { members: [member('A'), member('B'), member('C')] },
  '3 and 1': { members: [member('A', 3), member('B')] },
  '5, 3 and 2': { members: [member('A', 5), member('B', 3), member('C', 2)] },
  'one that is down': { members: [member('A'), member('refused'), member('C')] }
}

export const balancers: readonly Scenario[] = Object.entries(byRequests).map(([what, table]): Scenario => ({
  name: `balancers / byrequests / ${what}`,
  table: { routes: [{ path: '/', upstream: 'balancer://x/' }], balancers: { x: { lbMethod: 'byrequests', ...table } } },
  client: [sequence(1000, () => head('GET /x'))],
  upstream: [[name()]]
}))
