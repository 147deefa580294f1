/**
 * The metric families, each a pure function of a snapshot. Labels are routes, balancers and members as configured, and the plugin's own
 * words: never text of a client, nor the result of an `upstream` function. Units are seconds and bytes.
 */
import type { BalancerMetrics, Histogram, MemberInfo, MemberState, MetricsSnapshot, RouteMetrics } from '../index.ts'

export type Labels = Readonly<Record<string, string | number>>

/** One line of the exposition. */
export interface Sample {
  readonly labels: Labels
  readonly value: number
  /** The suffix of the family's name: `_bucket`, `_sum` or `_count` of a histogram. */
  readonly suffix?: string
}

export interface Family {
  /** The name without the prefix. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** The way in which the values of a cluster's workers are combined. */
  readonly aggregator: 'sum' | 'max' | 'min'
  readonly samples: (snapshot: MetricsSnapshot) => Sample[]
}

/** The states, in the order in which a member usually passes through them. */
const memberStates: readonly MemberState[] = ['up', 'error', 'unhealthy', 'draining', 'disabled', 'stopped']

export const families: readonly Family[] = [
  perRoute('tunnels', 'gauge', 'Live tunnels, by state: active, or suspended (quiet, their request completed).',
    ({ tunnels: { active, suspended } }) => by('state', { active, suspended })),
  perRoute('tunnels_opened_total', 'counter', 'Tunnels opened.', ({ tunnels }) => one(tunnels.opened)),
  perRoute('tunnels_closed_total', 'counter', 'Tunnels closed, by reason.', ({ tunnels }) => by('reason', tunnels.closed)),
  perRoute('tunnels_refused_total', 'counter', 'Upgrades that became no tunnel, by the stage that refused them.',
    ({ tunnels }) => by('stage', tunnels.refused)),
  perRoute('tunnel_bytes_total', 'counter', 'Bytes carried by tunnels, by the side that sent them.', ({ tunnels }) => bytes(tunnels)),
  perRoute('handshake_duration_seconds', 'histogram', "Time from the dial to the upstream's answer, or to giving up on it, in seconds.",
    ({ tunnels }) => histogram(tunnels.handshake)),
  perRoute('tunnel_lifetime_seconds', 'histogram', 'Time from the switch to the end of a tunnel, in seconds.',
    ({ tunnels }) => histogram(tunnels.lifetime)),

  perRoute('forwards_in_flight', 'gauge', 'Plain requests sent to an upstream and not finished.', ({ forwards }) => one(forwards.inFlight)),
  perRoute('forwards_total', 'counter', 'Plain requests finished, by class of the status that the client got.',
    ({ forwards }) => by('status', forwards.status)),
  perRoute('forwards_aborted_total', 'counter', 'Plain requests whose client disconnected before the response was complete.',
    ({ forwards }) => one(forwards.aborted)),
  perRoute('forwards_failed_total', 'counter', 'Plain requests that failed at the upstream.', ({ forwards }) => one(forwards.failed)),
  perRoute('forward_bytes_total', 'counter', 'Bytes of the bodies of plain requests and their responses, by the side that sent them.',
    ({ forwards }) => bytes(forwards)),
  perRoute('forward_duration_seconds', 'histogram', 'Time from the handler to the end of the response of a plain request, in seconds.',
    ({ forwards }) => histogram(forwards.duration)),

  perMember('member_state', 'gauge', 'State of a balancer member: 1 for its current state, 0 for the others.',
    ({ state }) => memberStates.map((each) => ({ labels: { state: each }, value: each === state ? 1 : 0 }))),
  perMember('member_state_since_timestamp_seconds', 'gauge', 'When a balancer member entered its state, in seconds since the epoch.',
    ({ since }) => one(since / 1000)),
  perMember('member_busy', 'gauge', 'Exchanges that a balancer member has now: requests, upgrades and tunnels.', ({ busy }) => one(busy)),
  perMember('member_tunnels', 'gauge', 'Live tunnels of a balancer member.', ({ tunnels }) => one(tunnels)),
  perMember('member_load_factor', 'gauge', 'Load factor of a balancer member.', ({ loadFactor }) => one(loadFactor)),
  perMember('member_elected_total', 'counter', 'How often a balancer member was chosen.', ({ elected }) => one(elected)),
  perMember('member_failures_total', 'counter', 'How often a balancer member failed.', ({ failures }) => one(failures)),
  perMember('member_bytes_total', 'counter', 'Bytes of bodies and tunnels of a balancer member, by the side that sent them.', bytes),

  whole('draining', 'max', '1 when new upgrades are refused because the server drains, else 0.', ({ draining }) => draining ? 1 : 0),
  whole('uptime_seconds', 'min', 'Time since the plugin was registered, in seconds.', ({ uptime }) => uptime / 1000)
]

function perRoute (name: string, type: Family['type'], help: string, samples: (route: RouteMetrics) => Sample[]): Family {
  return {
    name,
    help,
    type,
    aggregator: 'sum',
    samples: ({ routes }) => routes.flatMap((route) => labelled({ route: route.route }, samples(route)))
  }
}

function perMember (name: string, type: Family['type'], help: string, samples: (member: MemberInfo) => Sample[]): Family {
  const ofBalancer = ({ balancer, members }: BalancerMetrics): Sample[] =>
    members.flatMap((member) => labelled({ balancer, member: member.url }, samples(member)))
  return { name, help, type, aggregator: 'sum', samples: ({ balancers }) => balancers.flatMap(ofBalancer) }
}

function whole (name: string, aggregator: Family['aggregator'], help: string, value: (snapshot: MetricsSnapshot) => number): Family {
  return { name, help, type: 'gauge', aggregator, samples: (snapshot) => one(value(snapshot)) }
}

function labelled (labels: Labels, samples: readonly Sample[]): Sample[] {
  return samples.map((sample) => ({ ...sample, labels: { ...labels, ...sample.labels } }))
}

function one (value: number): Sample[] {
  return [{ labels: {}, value }]
}

function by (label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }))
}

function bytes ({ bytesFromClient, bytesFromUpstream }: { bytesFromClient: number, bytesFromUpstream: number }): Sample[] {
  return by('from', { client: bytesFromClient, upstream: bytesFromUpstream })
}

function histogram ({ buckets, count, sum }: Histogram): Sample[] {
  return [
    ...buckets.map((bucket) => ({ labels: { le: bucket.le / 1000 }, value: bucket.count, suffix: '_bucket' })),
    { labels: { le: '+Inf' }, value: count, suffix: '_bucket' },
    { labels: {}, value: sum / 1000, suffix: '_sum' },
    { labels: {}, value: count, suffix: '_count' }
  ]
}
