/** The status as JSON, without the tunnels: the snapshot, with the numbers of each route and upstream in one line. */
import type { ForwardMetrics, MetricsSnapshot, TunnelMetrics } from '../index.ts'
import type { Turn } from './turn.ts'

/** The current and past work of a route or an upstream. */
export interface Work {
  /** The number of live tunnels. */
  open: number
  /** The number of live tunnels that are quiet, with their request completed. */
  suspended: number
  /** The number of tunnels opened since the start. */
  opened: number
  /** The number of upgrades that became no tunnel. */
  refused: number
  /** The number of forwards in flight. */
  inFlight: number
  /** The number of finished forwards. */
  requests: number
  aborted: number
  failed: number
  /** Bytes from clients, of tunnels and bodies. */
  bytesFromClient: number
  /** Bytes from upstreams, of tunnels and bodies. */
  bytesFromUpstream: number
}

/**
 * Returns the members of a JSON object, without its braces, built over several turns: one upstream or member at a time.
 * @param at the time in milliseconds since the epoch
 */
export async function summaryOf (snapshot: MetricsSnapshot, at: number, turn: Turn): Promise<string> {
  const { draining, uptime, tunnels, forwards, routes, balancers } = snapshot
  const parts = [JSON.stringify({ at, draining, uptime, tunnels, forwards }).slice(1, -1), ',"routes":[']
  for (const [i, { route, tunnels, forwards, upstreams }] of routes.entries()) {
    parts.push(i === 0 ? '' : ',', open({ route, ...workOf(tunnels, forwards) }), ',"upstreams":[')
    for (const [i, { upstream, tunnels, forwards }] of upstreams.entries()) {
      parts.push(i === 0 ? '' : ',', JSON.stringify({ upstream, ...workOf(tunnels, forwards) }))
      if (turn.isOver) await turn.next()
    }
    parts.push(']}')
  }
  parts.push('],"balancers":[')
  for (const [i, { members, ...rest }] of balancers.entries()) {
    parts.push(i === 0 ? '' : ',', open(rest), ',"members":[')
    for (const [i, member] of members.entries()) {
      parts.push(i === 0 ? '' : ',', JSON.stringify(member))
      if (turn.isOver) await turn.next()
    }
    parts.push(']}')
  }
  parts.push(']')
  return parts.join('')
}

/** Returns the JSON of an object without its closing brace. */
function open (object: object): string {
  return JSON.stringify(object).slice(0, -1)
}

function workOf (tunnels: TunnelMetrics, forwards: ForwardMetrics): Work {
  return {
    open: tunnels.open,
    suspended: tunnels.suspended,
    opened: tunnels.opened,
    refused: sum(tunnels.refused),
    inFlight: forwards.inFlight,
    requests: sum(forwards.status),
    aborted: forwards.aborted,
    failed: forwards.failed,
    bytesFromClient: tunnels.bytesFromClient + forwards.bytesFromClient,
    bytesFromUpstream: tunnels.bytesFromUpstream + forwards.bytesFromUpstream
  }
}

function sum (values: Readonly<Record<string, number>>): number {
  return Object.values(values).reduce((total, value) => total + value, 0)
}
