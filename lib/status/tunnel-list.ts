/** The longest and the busiest tunnels: the first few by one measure, of any number. */
import type { TunnelInfo } from '../index.ts'
import type { Turn } from './turn.ts'

/** The measures by which tunnels are sorted, the largest first. */
const measures = {
  /** The time since the switch. */
  age: ({ age }: TunnelInfo): number => age,
  /** The bytes in both directions. */
  bytes: ({ bytesFromClient, bytesFromUpstream }: TunnelInfo): number => bytesFromClient + bytesFromUpstream,
  /** The bytes in both directions per second of their life. */
  rate: ({ bytesFromClient, bytesFromUpstream, age }: TunnelInfo): number => (bytesFromClient + bytesFromUpstream) / Math.max(age, 1)
}

export type Sort = keyof typeof measures

/** The query for tunnels. */
export interface TunnelQuery {
  readonly sort: Sort
  /** The beginning of the client's address. */
  readonly client: string
  readonly limit: number
}

/** The maximum number of tunnels in one response. */
export const mostTunnels = 500

const byDefault: TunnelQuery = { sort: 'age', client: '', limit: 50 }

/** Parses a query string. A `limit` above the maximum becomes the maximum. Returns the name of a bad value instead, if there is one. */
export function parseTunnelQuery (query: Readonly<Record<string, unknown>>): TunnelQuery | keyof TunnelQuery {
  const { sort = byDefault.sort, client = byDefault.client, limit = String(byDefault.limit) } = query
  if (typeof sort !== 'string' || !Object.hasOwn(measures, sort)) return 'sort'
  if (typeof client !== 'string') return 'client'
  if (typeof limit !== 'string' || !/^\d{1,9}$/.test(limit)) return 'limit'
  return { sort: sort as Sort, client: client.trim(), limit: Math.min(Number(limit), mostTunnels) }
}

/** Returns the tunnels of a query as JSON, built over several turns: tunnels may open and close meanwhile. */
export async function listTunnels (tunnels: Iterable<TunnelInfo>, { sort, client, limit }: TunnelQuery, turn: Turn): Promise<string> {
  const measure = measures[sort]
  let total = 0
  let best: Array<{ tunnel: TunnelInfo, value: number }> = []
  const cut = (): void => { best = best.sort((a, b) => b.value - a.value).slice(0, limit) }
  for (const tunnel of tunnels) {
    if (turn.isOver) await turn.next()
    if (!tunnel.client.startsWith(client)) continue
    total++
    best.push({ tunnel, value: measure(tunnel) })
    if (best.length >= 2 * limit + 16) cut()
  }
  cut()
  const rows: string[] = []
  for (const { tunnel } of best) {
    rows.push(JSON.stringify(rowOf(tunnel)))
    if (turn.isOver) await turn.next()
  }
  return `{"sort":${JSON.stringify(sort)},"client":${JSON.stringify(client)},"limit":${limit},"total":${total},"tunnels":[${rows.join()}]}`
}

function rowOf ({ id, route, upstream, client, protocol, openedAt, age, state, bytesFromClient, bytesFromUpstream }: TunnelInfo): object {
  return { id, route, upstream, client, protocol, openedAt, age: Math.round(age), state, bytesFromClient, bytesFromUpstream }
}
