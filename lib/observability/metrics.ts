/** The types of the snapshot that `app.wstunnel.metrics()` returns. */
import type { BalancerMetrics } from '../balancer/options.ts'
import type { TunnelReason } from '../tunnel/reasons.ts'
import type { Histogram, RefusalStage, StatusClass } from '../upstream/counters.ts'

/** The numbers of tunnels, and of upgrades that became none. Counters begin at the start of the server. */
export interface TunnelMetrics {
  /** The number of live tunnels: `active + suspended`. */
  open: number
  /** The number of live tunnels that have not been quiet for `asyncDelay` yet, or have `async: false`. */
  active: number
  /** The number of live tunnels whose request is completed and released. */
  suspended: number
  /** The number of switches. */
  opened: number
  /** The number of ended tunnels, by reason; in all `opened - open`. */
  closed: Record<TunnelReason, number>
  /** The number of upgrades that became no tunnel, by the stage that refused them. */
  refused: Record<RefusalStage, number>
  /** Bytes from clients since the switch. */
  bytesFromClient: number
  /** Bytes from upstreams since the switch. */
  bytesFromUpstream: number
  /** The milliseconds from the dial to the upstream's response, or to the end of the wait for it; only for attempts that were connected. */
  handshake: Histogram
  /** The milliseconds from the switch to the end. */
  lifetime: Histogram
}

/** The numbers of forwards. Counters begin at the start of the server. */
export interface ForwardMetrics {
  /** The number of forwards sent to an upstream and not finished. */
  inFlight: number
  /** The number of finished forwards, by the class of the client's status. */
  status: Record<StatusClass, number>
  /** The number of forwards whose client left before the response was complete. */
  aborted: number
  /** The number of forwards whose upstream failed: the client got a 502, 503 or 504 of ours, or a cut-off response. */
  failed: number
  /** Bytes of request bodies. */
  bytesFromClient: number
  /** Bytes of response bodies. */
  bytesFromUpstream: number
  /** The milliseconds from the handler to the end of the response. */
  duration: Histogram
}

/** The numbers of one upstream of a route. */
export interface UpstreamMetrics {
  /** The URL of the upstream; never credentials. */
  upstream: string
  /** Its tunnels. */
  tunnels: TunnelMetrics
  /** Its forwards. */
  forwards: ForwardMetrics
}

/** The numbers of one route. */
export interface RouteMetrics {
  /** The full path. Entries of the table with the same path are one route here. */
  route: string
  /** The tunnels of all its upstreams. */
  tunnels: TunnelMetrics
  /** The forwards of all its upstreams. */
  forwards: ForwardMetrics
  /** The upstreams, in the order of their first exchange. */
  upstreams: UpstreamMetrics[]
}

/** A snapshot of all numbers: plain JSON, fresh for each call. */
export interface MetricsSnapshot {
  /** True if new upgrades are refused: `drain()` or `close()` was called. */
  draining: boolean
  /** The milliseconds since the plugin was first registered on this server. */
  uptime: number
  /** The tunnels of the whole server. */
  tunnels: TunnelMetrics
  /** The forwards of the whole server. */
  forwards: ForwardMetrics
  /** The routes, in the order of registration. */
  routes: RouteMetrics[]
  /** The balancers, in the order of registration. */
  balancers: BalancerMetrics[]
}
