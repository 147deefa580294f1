// The same bytes to nginx, to haproxy and to the plugin, each in front of a recording upstream. What we let through must be
// what one of the others lets through, too, or have its row in docs/second-opinion.md.
//
//   npm run second-opinion                      all of it; ends with 77 where nginx or haproxy is missing
//   npm run second-opinion -- --only TEXT       inputs whose name contains TEXT; shows what each server did
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { bytesOf, Upstream, type Reply, type Seen } from '../fuzz/upstream.ts'
import { inputs, type Input } from './inputs.ts'
import { find, startHaproxy, startNginx, startOurs, type Server } from './servers.ts'

const notInstalled = 77
const lanes = 4
/** An input is over when nothing has happened for so long: it is the absence of a request that is looked for. */
const quiet = 300
const longest = 4000

interface Outcome {
  /** What the upstream got: one line for each request. */
  readonly upstream: string[]
  readonly client: string
}

const accepting = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n'
const plain = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

async function play (input: Input, upstream: Upstream, port: number): Promise<Outcome> {
  await warm(upstream, port)
  const reply: Reply = { bytes: plain, handshake: input.handshake ?? accepting }
  upstream.script([], reply)
  let received = ''
  let last = Date.now()
  upstream.onEvent = () => { last = Date.now() }
  const begin = last
  await new Promise<void>((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const timer = setInterval(() => {
      const now = Date.now()
      const answered = /^HTTP\/1\.[01] (?!100)/.test(received)
      if (now - last > (answered ? quiet : longest / 2) || now - begin > longest) socket.destroy()
    }, 20)
    socket.on('connect', () => socket.write(bytesOf(input.bytes)))
    socket.on('data', (data) => {
      received += data.toString('latin1')
      last = Date.now()
    })
    socket.on('end', () => socket.end())
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      resolve()
    })
  })
  return {
    upstream: [...upstream.seen.flatMap(describe), ...upstream.faults.map((fault) => `no request: ${fault}`)],
    client: [...received.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => status).join(' ') || 'closed'
  }
}

/**
 * A request that leaves a kept connection to the upstream, for who keeps one. Without it, what reaches the upstream of a
 * request that breaks off in its first packet depends on whether the input before it has left one.
 */
async function warm (upstream: Upstream, port: number): Promise<void> {
  upstream.script([], { bytes: plain })
  const response = await fetch(`http://127.0.0.1:${port}/app/warm`)
  await response.text()
}

/** One line for what came as a request, and one more for what came on its connection besides. */
function describe ({ request, handshake, before, after }: Seen): string[] {
  const line = `${request.method} ${request.target}`
  if (handshake) {
    return [
      `${line} as an upgrade`,
      ...before === '' ? [] : [`before its answer ${JSON.stringify(before)}`],
      ...after === '' ? [] : [`through the tunnel ${JSON.stringify(after)}`]
    ]
  }
  return [`${line}${request.body === '' ? '' : ` with ${JSON.stringify(request.body)}`}${request.complete ? '' : ', cut short'}`]
}

/** What of ours neither of the others has let through, as often. */
function alone (ours: readonly string[], others: ReadonlyArray<readonly string[]>): string[] {
  return ours.filter((line, i) => {
    const before = ours.slice(0, i).filter((each) => each === line).length
    return !others.some((lines) => lines.filter((each) => each === line).length > before)
  })
}

function rowsOf (): Set<string> {
  const text = readFileSync(new URL('../../docs/second-opinion.md', import.meta.url), 'utf8')
  return new Set([...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, row]) => row as string))
}

interface Row { readonly input: Input, readonly outcomes: Record<string, Outcome>, readonly problem: string | undefined }

function judge (input: Input, outcomes: Record<string, Outcome>, rows: ReadonlySet<string>): string | undefined {
  const { ours, ...others } = outcomes as Record<string, Outcome> & { ours: Outcome }
  const more = alone(ours.upstream, Object.values(others).map(({ upstream }) => upstream))
  if (more.length === 0) return input.row === undefined ? undefined : `has the row '${input.row}', and lets through no more than the others`
  if (input.row === undefined) return `lets through what the others do not: ${more.join('; ')}`
  return rows.has(input.row) ? undefined : `docs/second-opinion.md has no row '${input.row}'`
}

async function main (args: readonly string[]): Promise<number> {
  const nginx = find('nginx')
  const haproxy = find('haproxy')
  if (nginx === undefined || haproxy === undefined) {
    console.error(`second-opinion: ${nginx === undefined ? 'nginx' : 'haproxy'} is not installed (Debian: apt-get install nginx haproxy); nothing was compared`)
    return notInstalled
  }
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] ?? '' : undefined
  const chosen = inputs.filter(({ name }) => only === undefined || name.includes(only))
  if (chosen.length === 0) throw new Error(`no input is called '${only}'`)
  if (new Set(inputs.map(({ name }) => name)).size !== inputs.length) throw new Error('two inputs have the same name')
  const rows = rowsOf()
  const stop: Array<() => unknown> = []
  const results: Row[] = []
  try {
    const sides: Array<{ server: Server, upstreams: Upstream[] }> = []
    for (const start of [startOurs, startNginx.bind(null, nginx), startHaproxy.bind(null, haproxy)]) {
      const upstreams = Array.from({ length: lanes }, () => new Upstream())
      stop.push(() => upstreams.forEach((upstream) => upstream.close()))
      const server = await start(await Promise.all(upstreams.map((upstream) => upstream.listen())))
      stop.push(() => server.stop())
      sides.push({ server, upstreams })
    }
    const queue = [...chosen]
    await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
      for (let input = queue.shift(); input !== undefined; input = queue.shift()) {
        const played = input
        const outcomes = Object.fromEntries(await Promise.all(sides.map(async ({ server, upstreams }) => (
          [server.name, await play(played, upstreams[lane] as Upstream, server.ports[lane] as number)] as const
        ))))
        results.push({ input, outcomes, problem: judge(input, outcomes, rows) })
      }
    }))
  } finally {
    for (const each of stop.reverse()) await each()
  }
  return report(results, only !== undefined, rows)
}

function report (results: readonly Row[], show: boolean, rows: ReadonlySet<string>): number {
  const failed = results.filter(({ problem }) => problem !== undefined)
  for (const { input, outcomes, problem } of show ? results : failed) {
    console.log(`${problem === undefined ? 'ok  ' : 'FAIL'} ${input.name}${problem === undefined ? '' : `: ${problem}`}`)
    for (const [server, { client, upstream }] of Object.entries(outcomes)) {
      console.log(`       ${server.padEnd(8)} ${client.padEnd(12)} ${upstream.join('; ') || '-'}`)
    }
  }
  const count = (server: string): number => results.filter(({ outcomes }) => (outcomes[server]?.upstream.length ?? 0) > 0).length
  const unused = show ? [] : [...rows].filter((row) => !inputs.some((input) => input.row === row))
  for (const row of unused) console.log(`FAIL docs/second-opinion.md has a row '${row}' that no input proves`)
  console.log(`${results.length} inputs, of which something reached the upstream: ours ${count('ours')}, nginx ${count('nginx')}, haproxy ${count('haproxy')}`)
  const byRow = results.filter(({ input, problem }) => input.row !== undefined && problem === undefined)
  console.log(`${results.length - failed.length} passed (${byRow.length} by a row), ${failed.length + unused.length} failed`)
  return failed.length + unused.length > 0 ? 1 : 0
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code }, (error: Error) => {
  console.error(`second-opinion: ${error.message}`)
  process.exitCode = 1
})
