/** What is measured, and what this plugin must reach. */
import type { Child } from './child.ts'
import { memory, type Contestant, type Kind, type Running } from './contestants.ts'
import type { At, Measured } from './load.ts'

/** What one round has found out about one contestant: a number for each column. */
export type Round = Readonly<Record<string, number>>

export interface Column { readonly key: string, readonly title: string, readonly digits: number }

/** What the figures of this plugin must be in relation to those of others. */
export interface Target {
  readonly text: string
  readonly limit: number
  readonly rule: 'at most' | 'at least'
  /** Not for a short run to fail on: it goes by the clock, and so by whatever else the machine does, or by the paces that two processes find. */
  readonly isUncertain?: true
  /** `undefined` where a contestant that it needs has not taken part. */
  value (of: Medians): number | undefined
}

/** The medians of a contestant, or the best of a kind by a column. */
export interface Medians {
  (name: string): Round | undefined
  best (kind: Kind, key: string): Round | undefined
}

export interface Stage {
  readonly load: Child
  readonly at: At
  /** Whose CPU time counts. */
  readonly pids: () => number[]
  readonly contestant: Contestant
  /** Nothing was started for `direct`. */
  readonly running: Running | undefined
  readonly seconds: number
  readonly extent: Extent
}

/** How much is done: until the compiler is done, for a look, or to be counted. */
export type Extent = 'warm-up' | 'short' | 'full'

const handshakeCount: Readonly<Record<Extent, number>> = { 'warm-up': 3000, short: 800, full: 1500 }
const floodMebibytes: Readonly<Record<Extent, number>> = { 'warm-up': 64, short: 64, full: 1024 }

export interface Workload {
  readonly name: string
  readonly title: string
  /** Both legs over TLS. */
  readonly tls?: boolean
  /** A new process for every round. */
  readonly fresh?: boolean
  /** Not a part of the short run: what it measures is decided by whatever else the machine does. */
  readonly long?: boolean
  readonly rounds: number
  /** Why a contestant does not take part. */
  excluded (contestant: Contestant): string | undefined
  /** Those that `targets` look at: a short run only checks the others. */
  readonly needed: readonly string[]
  readonly columns: readonly Column[]
  /** Fails where the contestant does not do what it should. */
  check (stage: Stage): Promise<void>
  measure (stage: Stage): Promise<Round>
  readonly targets: readonly Target[]
}

const ours = 'fastify-wstunnel'
const twoProcesses = 'fastify-wstunnel × 2'
const plugin = '@fastify/http-proxy'
const pipe = 'bare pipe'
const hooks = 'bare hooks'
const dispatch = 'bare dispatch'
const nodeRivals = [plugin, 'http-proxy-3', 'httpxy', 'http-proxy-middleware']

const checkTunnel = ({ load, at, contestant }: Stage): Promise<void> =>
  load.ask('checkTunnel', at, contestant.kind === 'ours' || contestant.kind === 'plugin')
const checkHttp = (method: string, size: number) => ({ load, at }: Stage): Promise<void> => load.ask('checkHttp', at, method, size)

/** Names of those that do not take part, with the reason. */
function without (reasons: Record<string, string>): (contestant: Contestant) => string | undefined {
  return ({ name }) => name === twoProcesses ? 'measured by itself' : reasons[name]
}

function forwarding (): (contestant: Contestant) => string | undefined {
  return without({ [hooks]: 'it forwards upgrades only' })
}

function shakingHands (reasons: Record<string, string> = {}): (contestant: Contestant) => string | undefined {
  return without({ 'bare undici': 'it forwards no upgrades', ...reasons })
}

/** Behind hooks or not, the floor of a tunnel that stands is a pipe. */
function tunnelling (reasons: Record<string, string> = {}): (contestant: Contestant) => string | undefined {
  return shakingHands({ [hooks]: 'it is a pipe then', ...reasons })
}

function only (...names: string[]): (contestant: Contestant) => string | undefined {
  return ({ name }) => names.includes(name) ? undefined : 'not measured'
}

const timing = (unit: string): Column[] => [
  { key: 'cpu', title: `CPU µs/${unit}`, digits: 1 },
  { key: 'rate', title: `${unit}s/s`, digits: 0 },
  { key: 'p50', title: 'p50 µs', digits: 0 },
  { key: 'p99', title: 'p99 µs', digits: 0 },
  { key: 'p999', title: 'p99.9 µs', digits: 0 }
]

function perUnit ({ count, seconds, cpu, p50, p99, p999 }: Measured): Round {
  const used = cpu.reduce((sum, each) => sum + each, 0)
  return { cpu: used / count * 1e6, rate: count / seconds, p50, p99, p999, busiest: count / Math.max(...cpu) }
}

async function ask (stage: Stage, what: string, how: object): Promise<Round> {
  const { load, at, pids, running } = stage
  const round = perUnit(await load.ask<Measured>(what, at, pids(), how))
  return running === undefined ? round : { ...round, peak: memory(running).peak / 1024 }
}

const ratio = (a: Round | undefined, b: Round | undefined, key: string): number | undefined => {
  const value = (a?.[key] ?? NaN) / (b?.[key] ?? NaN)
  return Number.isNaN(value) ? undefined : value
}

const cpuAtMost = (limit: number, text: string, other: (of: Medians) => Round | undefined): Target =>
  ({ text: `CPU, × ${text}`, limit, rule: 'at most', value: (of) => ratio(of(ours), other(of), 'cpu') })
const cpuAtLeast = (limit: number, text: string, other: (of: Medians) => Round | undefined): Target =>
  ({ text: `per CPU second, × ${text}`, limit, rule: 'at least', value: (of) => ratio(other(of), of(ours), 'cpu') })
const floorAtMost = (limit: number, name: string): Target =>
  ({ text: `CPU, × ${name}`, limit, rule: 'at most', isUncertain: true, value: (of) => ratio(of(ours), of(name), 'cpu') })
const rateAtLeast = (limit: number, name: string): Target =>
  ({ text: `per second, × ${name}`, limit, rule: 'at least', isUncertain: true, value: (of) => ratio(of(ours), of(name), 'rate') })
const peakAtMost = (limit: number): Target =>
  ({ text: 'MiB resident at most', limit, rule: 'at most', value: (of) => of(ours)?.peak })

/** The cheapest of the Node rivals, the plugin among them. */
const bestRival = (of: Medians): Round | undefined => {
  const rivals = [of.best('library', 'cpu'), of(plugin)].filter((round) => round !== undefined)
  return rivals.sort((a, b) => (a.cpu as number) - (b.cpu as number))[0]
}

const echo = (size: number, tunnels: number) => (stage: Stage): Promise<Round> =>
  ask(stage, 'echo', { size, tunnels, seconds: stage.seconds })

const http = (method: string, size: number, connections: number) => (stage: Stage): Promise<Round> =>
  ask(stage, 'http', { method, size, connections, path: method === 'POST' ? '/post' : `/get/${size}`, seconds: stage.seconds })

/** An upstream that sends as fast as it can, and a client too: without backpressure it all lies in the proxy's memory. */
const unbounded = 'it has no backpressure'

const flood = {
  rounds: 3,
  excluded: tunnelling({ [plugin]: unbounded }),
  needed: [ours, pipe],
  columns: [...timing('MiB').slice(0, 2), { key: 'peak', title: 'peak MiB', digits: 0 }],
  check: checkTunnel,
  measure: (stage: Stage) => ask(stage, 'flood', { mebibytes: floodMebibytes[stage.extent] }),
  targets: [rateAtLeast(0.95, pipe), cpuAtLeast(0.95, pipe, (of) => of(pipe)), peakAtMost(256)]
}

const streamed = [cpuAtLeast(1.3, plugin, (of) => of(plugin)), rateAtLeast(1.3, plugin), peakAtMost(256)]
const streamColumns = [...timing('request'), { key: 'peak', title: 'peak MiB', digits: 0 }]

/** Held tunnels, and the share of them that chats. */
const crowd = { few: 90, many: 9000, perSecond: 900 }

export const workloads: readonly Workload[] = [
  {
    name: 'echo-64',
    title: 'Echo of 64 B messages, 64 tunnels',
    rounds: 6,
    excluded: tunnelling(),
    needed: [ours, ...nodeRivals, 'apache'],
    columns: timing('message'),
    check: checkTunnel,
    measure: echo(64, 64),
    targets: [cpuAtMost(0.85, 'the best Node rival', bestRival), cpuAtMost(0.95, 'apache', (of) => of('apache'))]
  },
  {
    name: 'echo-64k',
    title: 'Echo of 64 KiB messages, 16 tunnels',
    rounds: 9,
    excluded: tunnelling(),
    needed: [ours, ...nodeRivals, 'nginx'],
    columns: timing('message'),
    check: checkTunnel,
    measure: echo(65_536, 16),
    targets: [
      cpuAtMost(1, 'nginx', (of) => of('nginx')),
      cpuAtMost(0.95, 'the best Node rival', bestRival),
      cpuAtMost(0.25, plugin, (of) => of(plugin))
    ]
  },
  {
    name: 'handshake',
    title: 'Open a tunnel (three hooks) and close it, 32 at once',
    rounds: 6,
    excluded: shakingHands(),
    needed: [ours, plugin, 'httpxy', hooks],
    columns: timing('tunnel'),
    check: checkTunnel,
    measure: (stage) => ask(stage, 'handshakes', { count: handshakeCount[stage.extent], width: 32 }),
    targets: [
      cpuAtMost(0.4, plugin, (of) => of(plugin)),
      cpuAtMost(0.9, 'httpxy', (of) => of('httpxy')),
      floorAtMost(1.2, hooks)
    ]
  },
  {
    name: 'idle',
    title: 'Memory of an idle tunnel, 4,000 tunnels',
    fresh: true,
    rounds: 3,
    excluded: tunnelling({ direct: 'there is no proxy', apache: 'it keeps a thread for every tunnel' }),
    needed: [ours, pipe, 'httpxy'],
    columns: [{ key: 'kib', title: 'KiB/tunnel', digits: 2 }],
    check: checkTunnel,
    measure: idle,
    targets: [
      { text: 'KiB, × (bare pipe + 1 KiB)', limit: 1, rule: 'at most', value: (of) => divide(of(ours)?.kib, (of(pipe)?.kib ?? NaN) + 1) },
      { text: 'KiB, × httpxy', limit: 0.7, rule: 'at most', value: (of) => ratio(of(ours), of('httpxy'), 'kib') }
    ]
  },
  {
    name: 'get-13',
    title: 'GET of 13 bytes, 32 connections',
    rounds: 6,
    excluded: forwarding(),
    needed: [ours, plugin, dispatch],
    columns: timing('request'),
    check: checkHttp('GET', 13),
    measure: http('GET', 13, 32),
    targets: [
      cpuAtLeast(2.2, plugin, (of) => of(plugin)),
      rateAtLeast(2.2, plugin),
      floorAtMost(1.15, dispatch)
    ]
  },
  {
    name: 'get-1m',
    title: 'GET of 1 MiB, 8 connections',
    rounds: 6,
    excluded: forwarding(),
    needed: [ours, plugin],
    columns: streamColumns,
    check: checkHttp('GET', 1 << 20),
    measure: http('GET', 1 << 20, 8),
    targets: streamed
  },
  {
    name: 'post-1m',
    title: 'POST of 1 MiB, 8 connections',
    rounds: 6,
    excluded: forwarding(),
    needed: [ours, plugin],
    columns: streamColumns,
    check: checkHttp('POST', 1 << 20),
    measure: http('POST', 1 << 20, 8),
    targets: streamed
  },
  { ...flood, name: 'flood', title: 'A flood of 1 GiB each way through one tunnel' },
  { ...flood, name: 'flood-tls', title: 'A flood of 1 GiB each way through one tunnel, TLS on both legs', tls: true },
  {
    name: 'held',
    title: '9,000 tunnels, 1% of them chatting',
    fresh: true,
    long: true,
    rounds: 3,
    excluded: only(ours, 'httpxy', pipe, 'nginx'),
    needed: [ours],
    columns: [
      { key: 'few', title: 'p99 µs of 90', digits: 0 },
      { key: 'many', title: 'p99 µs of 9,000', digits: 0 },
      { key: 'idle', title: 'CPU % when idle', digits: 2 }
    ],
    check: checkTunnel,
    measure: held,
    targets: [
      { text: 'p99, × that with 90 tunnels', limit: 2, rule: 'at most', value: (of) => divide(of(ours)?.many, of(ours)?.few) },
      { text: '% of a core when all are idle', limit: 1, rule: 'at most', value: (of) => of(ours)?.idle }
    ]
  },
  {
    name: 'cluster',
    title: 'Echo of 64 B messages, 64 tunnels, one process and two',
    long: true,
    rounds: 6,
    excluded: only('direct', ours, twoProcesses),
    needed: [ours, twoProcesses],
    columns: [...timing('message'), { key: 'busiest', title: 'messages/CPU s of the busiest', digits: 0 }],
    check: checkTunnel,
    measure: echo(64, 64),
    // Load and upstream take their share of the same cores: what counts is how much more two would carry if they had one each.
    targets: [{
      text: 'messages per CPU second of the busiest process, × one process',
      limit: 1.7,
      rule: 'at least',
      value: (of) => ratio(of(twoProcesses), of(ours), 'busiest')
    }]
  }
]

/** What 4,000 tunnels add to a process that holds a few hundred already. */
async function idle ({ load, at, running, extent }: Stage): Promise<Round> {
  const proxy = running as Running
  const count = extent === 'short' ? 1000 : 4000
  await load.ask('hold', at, 400)
  await proxy.collect()
  const before = memory(proxy).pss
  await load.ask('hold', at, count)
  await proxy.collect()
  const after = memory(proxy).pss
  await load.ask('release')
  return { kib: (after - before) / count }
}

async function held ({ load, at, pids, seconds, running }: Stage): Promise<Round> {
  const { few, many, perSecond } = crowd
  const chat = async (): Promise<number> => (await load.ask<Measured>('chat', pids(), { tunnels: few, perSecond, seconds: 2 * seconds })).p99
  await load.ask('hold', at, few, '/echo/64')
  await chat() // for warming up
  const alone = await chat()
  await load.ask('hold', at, many - few)
  await chat() // again: to collect what so many openings have left behind takes the next second or two
  const crowded = await chat()
  await running?.collect() // or it falls into the silence, as what is left of the chatting
  const { cpu } = await load.ask<Measured>('silence', pids(), 2 * seconds)
  await load.ask('release')
  return { few: alone, many: crowded, idle: cpu.reduce((sum, each) => sum + each, 0) / (2 * seconds) * 100 }
}

function divide (a: number | undefined, b: number | undefined): number | undefined {
  const value = (a ?? NaN) / (b ?? NaN)
  return Number.isNaN(value) ? undefined : value
}
