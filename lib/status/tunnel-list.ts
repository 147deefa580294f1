/** The longest and the busiest tunnels: the first few by one measure, out of any number. */
import type { TunnelInfo } from '../index.ts'
import type { Turn } from './turn.ts'

/** What tunnels are ordered by, the largest first. */
const measures = {
  /** How long they have lived. */
  age: ({ age }: TunnelInfo): number => age,
  /** Bytes both ways. */
  bytes: ({ bytesFromClient, bytesFromUpstream }: TunnelInfo): number => bytesFromClient + bytesFromUpstream,
  /** Bytes both ways in each second of their life. */
  rate: ({ bytesFromClient, bytesFromUpstream, age }: TunnelInfo): number => (bytesFromClient + bytesFromUpstream) / Math.max(age, 1)
}

export type Sort = keyof typeof measures

/** Which tunnels are asked for. */
export interface TunnelQuery {
  readonly sort: Sort
  /** What the client's address begins with. */
  readonly client: string
  readonly limit: number
}

/** The most that one answer has. */
export const mostTunnels = 500

const byDefault: TunnelQuery = { sort: 'age', client: '', limit: 50 }

/** A query string's. A larger `limit` than the most is the most. Returns the name of a bad value instead, if there is one. */
export function parseTunnelQuery (query: Readonly<Record<string, unknown>>): TunnelQuery | keyof TunnelQuery {
  const { sort = byDefault.sort, client = byDefault.client, limit = String(byDefault.limit) } = query
  if (typeof sort !== 'string' || !Object.hasOwn(measures, sort)) return 'sort'
  if (typeof client !== 'string') return 'client'
  if (typeof limit !== 'string' || !/^\d{1,9}$/.test(limit)) return 'limit'
  return { sort: sort as Sort, client: client.trim(), limit: Math.min(Number(limit), mostTunnels) }
}

/** The tunnels of a query, as JSON, made over several turns: tunnels may come and go between them. */
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
