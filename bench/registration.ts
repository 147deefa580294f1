// What a table of many entries costs at registration and at a lookup, beside bare Fastify with the same paths and methods.
//
//   npm run bench:registration                10,000 entries, three rounds by turns
//   npm run bench:registration -- 2000 5      another number of entries, and of rounds
import { spawnSync } from 'node:child_process'
import { METHODS } from 'node:http'
import { fileURLToPath } from 'node:url'
import Fastify, { type HTTPMethods } from 'fastify'
import wstunnel from '../dist/index.js'

interface Taken {
  /** Milliseconds of the processor's. */
  readonly cpu: number
  /** MiB. */
  readonly rss: number
  /** Microseconds for a request to the first and to the last entry. */
  readonly first: number
  readonly last: number
}

const [who, ...rest] = process.argv.slice(2)

if (who === 'bare' || who === 'ours') console.log(JSON.stringify(await measure(who, Number(rest[0]), rest[1]?.split(','))))
else compare(Number(who ?? 10_000), Number(rest[0] ?? 3))

async function measure (who: 'bare' | 'ours', count: number, given: string[] | undefined): Promise<Taken> {
  const methods = (given ?? METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')) as HTTPMethods[]
  const answer = async (): Promise<string> => 'x'
  const begun = process.cpuUsage()
  const app = Fastify()
  if (who === 'bare') {
    for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
    app.register(async (scope) => {
      for (let i = 0; i < count; i++) scope.route({ method: [...methods], url: `/p${i}/*`, handler: answer, exposeHeadRoute: false })
    })
  } else {
    const routes = Array.from({ length: count }, (_, i) => ({
      path: `/p${i}/`,
      upstream: `http://127.0.0.1:9/${i}/`,
      preHandler: answer,
      ...(given === undefined ? {} : { methods: given })
    }))
    app.register(wstunnel, { routes })
  }
  await app.ready()
  const { user, system } = process.cpuUsage(begun)
  const ask = async (path: string): Promise<number> => {
    const start = process.cpuUsage()
    for (let i = 0; i < 2000; i++) await app.inject(path)
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 2000
  }
  await ask('/p1/x')
  const first = Math.min(await ask('/p0/x'), await ask('/p0/x'))
  const last = Math.min(await ask(`/p${count - 1}/x`), await ask(`/p${count - 1}/x`))
  return { cpu: (user + system) / 1000, rss: process.memoryUsage.rss() / 2 ** 20, first, last }
}

/** By turns, each in a process of its own; the median of each figure. */
function compare (count: number, rounds: number): void {
  for (const methods of [undefined, 'GET,HEAD,POST']) {
    const taken: Record<'bare' | 'ours', Taken[]> = { bare: [], ours: [] }
    for (let round = 0; round < rounds; round++) {
      for (const who of ['bare', 'ours'] as const) {
        const { stdout } = spawnSync(
          process.execPath,
          ['--import', 'tsx', fileURLToPath(import.meta.url), who, String(count), ...methods === undefined ? [] : [methods]],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }
        )
        taken[who].push(JSON.parse(stdout) as Taken)
      }
    }
    const of = (who: 'bare' | 'ours', what: keyof Taken): number =>
      taken[who].map((each) => each[what]).toSorted((a, b) => a - b)[Math.floor(rounds / 2)] as number
    const ratio = (what: keyof Taken): string => (of('ours', what) / of('bare', what)).toFixed(2)
    console.log(`${count} entries, ${methods ?? 'all methods'}: ${of('ours', 'cpu').toFixed()} ms, ${ratio('cpu')} × bare Fastify; ` +
      `${of('ours', 'rss').toFixed()} MiB, ${ratio('rss')} ×; ` +
      `a request to the last entry ${(of('ours', 'last') / of('ours', 'first')).toFixed(2)} × one to the first`)
  }
}
