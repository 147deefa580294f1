/** fastify-wstunnel: a Fastify plugin that does the work of httpd's mod_proxy_wstunnel, and of the parts of mod_proxy that it stands on. */
export type {
  BalancerControl, BalancerMetrics, BalancerOptions, DnsMembers, HealthCheckOptions, LbFunction, LbMethod, MemberChanges, MemberInfo, MemberLookup,
  MemberOptions, MemberState, MemberStateChange, MemberStateMessage
} from './balancer/options.ts'
export type { Candidate } from './balancer/policies.ts'
export type { StickyCookie } from './balancer/session-affinity.ts'
export type { Duration } from './config/duration.ts'
export type {
  CommonOptions, LeaseStore, Limits, ReverseOptions, TracedAttempt, Tracing, TunnelInfo, TunnelOutcome, UpstreamFunction
} from './config/options.ts'
export type { TlsOptions } from './config/tls-options.ts'
export type { ErrorSource, WstunnelError } from './errors.ts'
export type { HeaderMap } from './http/header-map.ts'
export type { Http2Options } from './http2/options.ts'
export type { TunnelCloseMessage, TunnelOpenMessage, TunnelRefusedMessage } from './observability/channels.ts'
export type { ForwardMetrics, MetricsSnapshot, RouteMetrics, TunnelMetrics, UpstreamMetrics } from './observability/metrics.ts'
export type { RouteOptions, WstunnelOptions } from './plugin/options.ts'
export type { WstunnelDecorator, WstunnelPlugin } from './plugin/plugin.ts'
export type { TunnelReason } from './tunnel/reasons.ts'
export type { Histogram, RefusalStage, StatusClass } from './upstream/counters.ts'
export { default, default as fastifyWstunnel, default as wstunnel, default as 'module.exports' } from './plugin/plugin.ts'
