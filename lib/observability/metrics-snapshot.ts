/** The snapshot: what `app.wstunnel.metrics()` shows, added up from the counters of upstreams and routes. */
import type { BalancerMetrics } from '../balancer/options.ts'
import type { Registry } from '../lifecycle/registry.ts'
import type { Metered } from '../routing/route-table.ts'
import type { TunnelReason } from '../tunnel/tunnel.ts'
import { Counters, type Histogram, type RefusalStage, type StatusClass } from '../upstream/counters.ts'

export interface TunnelMetrics {
  /** Live now: `active + suspended`. */
  open: number
  /** Live, and not yet quiet for `asyncDelay`; or `async: false`. */
  active: number
  /** Live, its request completed and released. */
  suspended: number
  /** Switched, since the start. */
  opened: number
  /** Ended, by reason. `opened - open` in all. */
  closed: Record<TunnelReason, number>
  /** Upgrades that became no tunnel, by the stage that refused them. */
  refused: Record<RefusalStage, number>
  /** Bytes after the switch, client to upstream. */
  bytesFromClient: number
  /** Bytes after the switch, upstream to client. */
  bytesFromUpstream: number
  /** Milliseconds from the dial to the upstream's answer, of whatever kind, or to giving up on it; only where a connection stood. */
  handshake: Histogram
  /** Milliseconds from the switch to the end. */
  lifetime: Histogram
}

export interface ForwardMetrics {
  /** Sent to an upstream and not finished. */
  inFlight: number
  /** Finished forwards, by the class of the status that the client was sent. */
  status: Record<StatusClass, number>
  /** The client left before the response was complete. */
  aborted: number
  /** The upstream failed: answered with our own 502, 503 or 504, or cut short. */
  failed: number
  /** Bytes of request bodies. */
  bytesFromClient: number
  /** Bytes of response bodies. */
  bytesFromUpstream: number
  /** Milliseconds from the handler to the end of the response. */
  duration: Histogram
}

export interface UpstreamMetrics {
  /** Its URL; never credentials. */
  upstream: string
  /** Its tunnels. */
  tunnels: TunnelMetrics
  /** Its forwards. */
  forwards: ForwardMetrics
}

export interface RouteMetrics {
  /** Its full path. Entries of the table that share one are one route here. */
  route: string
  /** Of all its upstreams. */
  tunnels: TunnelMetrics
  /** Of all its upstreams. */
  forwards: ForwardMetrics
  /** In the order of their first exchange. */
  upstreams: UpstreamMetrics[]
}

/** Plain JSON; a fresh object each time. */
export interface MetricsSnapshot {
  /** Whether new upgrades are refused: `drain()` or `close()` has been called. */
  draining: boolean
  /** Milliseconds since the plugin was first registered on this server. */
  uptime: number
  /** The whole server. */
  tunnels: TunnelMetrics
  /** The whole server. */
  forwards: ForwardMetrics
  /** In the order of registration. */
  routes: RouteMetrics[]
  /** In the order of registration. */
  balancers: BalancerMetrics[]
}

/** A balancer, as the snapshot reads it. */
export interface MeteredBalancer {
  metricsSteps (): Generator<undefined, BalancerMetrics>
}

/**
 * One upstream or one member for each step. Every exchange is counted once, also where its upstream is forgotten between two steps.
 */
export function * snapshotSteps (registry: Registry, metered: readonly Metered[], uptime: number, balancers: Iterable<MeteredBalancer>): Generator<undefined, MetricsSnapshot> {
  registry.account()
  const routes = new Map<string, { counters: Counters, upstreams: UpstreamMetrics[] }>()
  for (const { target, upstreams } of metered) {
    if (target.upstream === false) continue
    let route = routes.get(target.route)
    if (route === undefined) routes.set(target.route, route = { counters: new Counters(), upstreams: [] })
    const known = [...upstreams.values()]
    // After them, and in the same step: what has gone since has left its counters here, and what goes from now on is still known.
    route.counters.add(upstreams.unattributed)
    for (const { label, counters } of known) {
      route.counters.add(counters)
      route.upstreams.push({ upstream: label, tunnels: tunnelsOf(counters), forwards: forwardsOf(counters) })
      yield
    }
  }
  const total = new Counters()
  for (const { counters } of routes.values()) total.add(counters)
  const balancerMetrics: BalancerMetrics[] = []
  for (const balancer of balancers) balancerMetrics.push(yield * balancer.metricsSteps())
  return {
    draining: registry.draining,
    uptime,
    tunnels: tunnelsOf(total),
    forwards: forwardsOf(total),
    routes: [...routes].map(([route, { counters, upstreams }]) => (
      { route, tunnels: tunnelsOf(counters), forwards: forwardsOf(counters), upstreams }
    )),
    balancers: balancerMetrics
  }
}

function tunnelsOf (counters: Counters): TunnelMetrics {
  return {
    open: counters.active + counters.suspended,
    active: counters.active,
    suspended: counters.suspended,
    opened: counters.opened,
    closed: { ...counters.closed },
    refused: { ...counters.refused },
    bytesFromClient: counters.tunnelBytesFromClient,
    bytesFromUpstream: counters.tunnelBytesFromUpstream,
    handshake: counters.handshake.snapshot(),
    lifetime: counters.lifetime.snapshot()
  }
}

function forwardsOf (counters: Counters): ForwardMetrics {
  return {
    inFlight: counters.inFlight,
    status: { ...counters.status },
    aborted: counters.aborted,
    failed: counters.failed,
    bytesFromClient: counters.forwardBytesFromClient,
    bytesFromUpstream: counters.forwardBytesFromUpstream,
    duration: counters.duration.snapshot()
  }
}
