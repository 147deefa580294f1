/** What `app.wstunnel.metrics()` shows. */
import type { BalancerMetrics } from '../balancer/options.ts'
import type { TunnelReason } from '../tunnel/reasons.ts'
import type { Histogram, RefusalStage, StatusClass } from '../upstream/counters.ts'

/** Of tunnels, and of upgrades that became none. Counters are since the start. */
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

/** Of plain requests. Counters are since the start. */
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

/** One upstream of a route. */
export interface UpstreamMetrics {
  /** Its URL; never credentials. */
  upstream: string
  /** Its tunnels. */
  tunnels: TunnelMetrics
  /** Its forwards. */
  forwards: ForwardMetrics
}

/** One route. */
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
