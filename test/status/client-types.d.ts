// What the page's script, which is JavaScript, says of its data. `page-script.test.ts` checks it with these.
interface Histogram { count: number, sum: number, buckets: Array<{ le: number, count: number }> }
interface Tunnels {
  open: number,
  active: number,
  suspended: number,
  opened: number,
  closed: { [reason: string]: number },
  refused: { [stage: string]: number }
  bytesFromClient: number,
  bytesFromUpstream: number,
  handshake: Histogram,
  lifetime: Histogram
}
interface Forwards {
  inFlight: number,
  status: { [status: string]: number },
  aborted: number,
  failed: number
  bytesFromClient: number,
  bytesFromUpstream: number,
  duration: Histogram
}
interface Work {
  open: number,
  suspended: number,
  opened: number,
  refused: number,
  inFlight: number,
  requests: number,
  aborted: number,
  failed: number
  bytesFromClient: number,
  bytesFromUpstream: number
}
interface Member {
  url: string,
  route: string | null,
  state: string,
  since: number,
  status: string,
  loadFactor: number,
  max: number | null
  busy: number,
  tunnels: number,
  elected: number,
  failures: number,
  bytesFromClient: number,
  bytesFromUpstream: number
}
interface Balancer { balancer: string, lbMethod: string, up: number, members: Member[] }
interface Tunnel {
  id: string,
  route: string,
  upstream: string,
  client: string,
  protocol: string,
  openedAt: number,
  age: number,
  state: string
  bytesFromClient: number,
  bytesFromUpstream: number
}
interface Live { sort: string, client: string, limit: number, total: number, tunnels: Tunnel[] }
interface Sample { at: number, uptime: number, tunnels: Tunnels, forwards: Forwards }
interface Route extends Work { route: string, upstreams: Array<Work & { upstream: string }> }
interface Status extends Sample { draining: boolean, routes: Route[], balancers: Balancer[], live: Live }
interface Point { at: number, value: number | null, isStart: boolean }
interface RouteRow { key: string, name: string, kind: 'route' | 'sub' | 'more' | 'rest', work?: Work, route?: string }
interface TileOptions {
  label: string, isCounter: boolean, format: (value: number) => string, lines: Array<(sample: Sample) => number>, note: (status: Status) => string
}
