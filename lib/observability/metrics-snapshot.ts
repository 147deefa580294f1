/** The snapshot that `app.wstunnel.metrics()` returns, summed from the counters of upstreams and routes. */
import type { BalancerMetrics } from '../balancer/options.ts'
import type { Registry } from '../lifecycle/registry.ts'
import type { Metered } from '../routing/route-table.ts'
import { Counters } from '../upstream/counters.ts'
import type { ForwardMetrics, MetricsSnapshot, TunnelMetrics, UpstreamMetrics } from './metrics.ts'

/** A balancer, as the snapshot reads it. */
export interface MeteredBalancer {
  metricsSteps (): Generator<undefined, BalancerMetrics>
}

/** Adds one upstream or one member in each step. Every exchange counts once, even if its upstream is forgotten between two steps. */
export function * snapshotSteps (
  registry: Registry, metered: readonly Metered[], uptime: number, balancers: Iterable<MeteredBalancer>
): Generator<undefined, MetricsSnapshot> {
  registry.account()
  const routes = new Map<string, { counters: Counters, upstreams: UpstreamMetrics[] }>()
  for (const { target, upstreams } of metered) {
    if (target.upstream === false) continue
    let route = routes.get(target.route)
    if (route === undefined) routes.set(target.route, route = { counters: new Counters(), upstreams: [] })
    const known = [...upstreams.values()]
    // Added last, and in the same step: upstreams that were forgotten meanwhile have left their counters here, and no upstream can be
    // forgotten within a step.
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
