/**
 * Sends the same bytes to a real httpd and to the plugin, and compares what can be seen of both.
 *
 *   npm run conformance                       all scenarios
 *   npm run conformance -- --only TEXT        those whose name contains TEXT, or whose row of differences it is
 *   npm run conformance -- --show             prints what both did
 */
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import type { WstunnelOptions } from '../../lib/index.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { play, Upstreams } from './exchange.ts'
import type { Outcome } from './exchange.ts'
import { findHttpd, freePorts, Httpd, located } from './httpd.ts'
import { lines, normalise } from './normalise.ts'
import { scenarios as all } from './scenarios.ts'
import type { Scenario, Table } from './table.ts'

/** The exit code where there is no httpd to compare with. */
const notInstalled = 77
/** What nobody caught in our process while scenarios were played: outside of a test it would have ended it. */
const uncaught: unknown[] = []
process.on('unhandledRejection', (reason) => uncaught.push(reason))

/** tcpmux: a port that is never given away by chance. */
const nobodyListens = 1
/** Scenarios of one table are played one after the other, in so many lanes; so many lanes are at work at a time. */
const perLane = 12
const atATime = 8

interface Lane {
  table: Table
  scenarios: Scenario[]
  theirs: Upstreams
  ours: Upstreams
  httpdPort: number
  app: FastifyInstance | undefined
}

type Result = { scenario: Scenario, kind: 'passed' | 'failed', text: string }

function optionsOf (table: Table, ports: Readonly<Record<string, number>>): WstunnelOptions {
  const options: WstunnelOptions = {
    routes: [
      { path: '/~probe', upstream: false },
      ...table.routes.map(({ path, upstream, upgrade }) => ({
        path,
        upstream: upstream === false ? upstream : located(upstream, ports),
        ...(upgrade === undefined ? {} : { upgrade })
      }))
    ]
  }
  if (table.fallbackToHttp === false) options.fallbackToHttp = false
  if (table.timeout !== undefined) {
    const timeout = `${table.timeout}s`
    Object.assign(options, { timeout, handshakeTimeout: timeout, idleTimeout: timeout })
  }
  if (table.preserveHost === true) options.preserveHost = true
  if (table.via !== undefined) options.via = table.via
  if (table.forwarded === false) options.forwarded = false
  return options
}

const upstreamName = /^\w+:\/\/(\w+)/

async function openLane (table: Table, scenarios: Scenario[]): Promise<Lane> {
  const lane: Lane = { table, scenarios, theirs: new Upstreams(), ours: new Upstreams(), httpdPort: 0, app: undefined }
  const names = new Set(table.routes.flatMap(({ upstream }) => upstream === false ? [] : [upstreamName.exec(upstream)?.[1] ?? '']))
  const secure = table.routes.some(({ upstream }) => /^(?:wss|https):/.test(String(upstream)))
  const options = secure ? { tls: selfSigned() } : {}
  for (const side of [lane.theirs, lane.ours]) {
    for (const name of names) {
      if (name === 'refused') side.ports[name] = nobodyListens
      else if (name !== 'nowhere') await side.listen(name, options)
    }
  }
  return lane
}

async function startOurs (lane: Lane): Promise<void> {
  const app: FastifyInstance = Fastify()
  lane.app = app
  try {
    app.register(wstunnel, optionsOf(lane.table, lane.ours.ports))
    await app.listen({ port: 0, host: '127.0.0.1' })
  } catch (error) {
    throw new Error(`the plugin refuses the table of '${lane.scenarios[0]?.name}': ${(error as Error).message}`)
  }
}

/** Last, so that nothing of ours takes its ports. What else is at work on the machine may do so all the same: then with others. */
async function startTheirs (httpd: Httpd, lanes: readonly Lane[], attempts: number = 5): Promise<void> {
  const ports = await freePorts(lanes.length)
  for (const [i, lane] of lanes.entries()) lane.httpdPort = ports[i] as number
  try {
    await httpd.start(lanes.map((lane) => ({
      table: lane.table, ports: lane.theirs.ports, port: lane.httpdPort, scenario: lane.scenarios[0]?.name ?? ''
    })))
  } catch (error) {
    if (attempts === 1 || !(error as Error).message.includes('Address already in use')) throw error
    await startTheirs(httpd, lanes, attempts - 1)
  }
}

async function closeLane (lane: Lane): Promise<void> {
  await lane.app?.close()
  await lane.theirs.close()
  await lane.ours.close()
}

async function run (lane: Lane, scenario: Scenario, show: boolean): Promise<Result> {
  const { client, upstream, exact } = scenario
  const port = (lane.app?.server.address() as AddressInfo).port
  let outcomes: [Outcome, Outcome]
  try {
    outcomes = await Promise.all([play(lane.httpdPort, lane.theirs, client, upstream), play(port, lane.ours, client, upstream)])
  } catch (error) {
    return { scenario, kind: 'failed', text: `  ${(error as Error).stack}` }
  }
  const theirs = lines(normalise(outcomes[0], { ports: { ...lane.theirs.ports, proxy: lane.httpdPort } }, exact))
  const ours = lines(normalise(outcomes[1], { ports: { ...lane.ours.ports, proxy: port } }, exact))
  const problems = judge(scenario, outcomes, theirs, ours)
  if (show) console.log(`${scenario.name}\n${sideBySide(theirs, ours)}\n`)
  if (problems.length === 0) return { scenario, kind: 'passed', text: '' }
  const text = [...problems.map((problem) => `  ${problem}`), sideBySide(theirs, ours)].join('\n')
  return { scenario, kind: 'failed', text }
}

function judge (scenario: Scenario, outcomes: readonly Outcome[], theirs: readonly string[], ours: readonly string[]): string[] {
  const problems: string[] = []
  if (outcomes.every(({ responses, tunnel, requests, end }) => responses.length === 0 && tunnel === '' && requests.length === 0 && end === 'open')) {
    problems.push('neither side answers')
  }
  const same = theirs.join('\n') === ours.join('\n')
  if (scenario.differs === undefined && !same) problems.push('not as httpd does it')
  if (scenario.differs !== undefined) {
    if (scenario.ours === undefined) problems.push('a difference needs what we do instead, exactly')
    if (same) problems.push(`httpd does the same: no difference (row ${scenario.differs})`)
  }
  if (scenario.ours !== undefined && scenario.ours.join('\n') !== ours.join('\n')) {
    problems.push('not what we mean to do, which is:', ...scenario.ours.map((line) => `| ${line}`))
  }
  return problems
}

function sideBySide (theirs: readonly string[], ours: readonly string[]): string {
  if (theirs.join('\n') === ours.join('\n')) return ['  both:', ...theirs.map((line) => `    ${line}`)].join('\n')
  return ['  httpd:', ...theirs.map((line) => `    ${line}`), '  ours:', ...ours.map((line) => `    ${line}`)].join('\n')
}

/** Runs `task` on every item, `limit` at a time. */
async function inBatches<T> (items: readonly T[], limit: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  await Promise.all(Array.from({ length: limit }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await task(item)
  }))
}

function lanesOf (scenarios: readonly Scenario[]): Array<{ table: Table, scenarios: Scenario[] }> {
  const tables = new Map<string, { table: Table, scenarios: Scenario[] }>()
  for (const scenario of scenarios) {
    const key = JSON.stringify(scenario.table)
    const known = tables.get(key)
    if (known === undefined) tables.set(key, { table: scenario.table, scenarios: [scenario] })
    else known.scenarios.push(scenario)
  }
  return [...tables.values()].flatMap(({ table, scenarios }) => {
    const count = Math.ceil(scenarios.length / perLane)
    return Array.from({ length: count }, (_, i) => ({ table, scenarios: scenarios.filter((_, at) => at % count === i) }))
  })
}

async function main (args: readonly string[]): Promise<number> {
  if (findHttpd() === undefined) {
    console.error('conformance: httpd is not installed (Debian: apt-get install apache2); nothing was compared')
    return notInstalled
  }
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] ?? '' : ''
  const show = args.includes('--show')
  const scenarios = all.filter(({ name, differs }) => name.includes(only) || differs === only)
  const problems = [...namesTwice(all), ...rowsWithoutDocument(all)]
  if (scenarios.length === 0) problems.push(`no scenario is called '${only}'`)
  if (problems.length > 0) {
    for (const problem of problems) console.error(`conformance: ${problem}`)
    return 1
  }
  const httpd = new Httpd()
  // However this process ends, even by an exception that nobody caught: nothing stays.
  const onExit = (): void => httpd.kill()
  const interrupted = (): never => process.exit(130)
  process.once('exit', onExit).once('SIGINT', interrupted).once('SIGTERM', interrupted).once('SIGHUP', interrupted)
  const lanes: Lane[] = []
  const results: Result[] = []
  try {
    const plans = lanesOf(scenarios)
    for (const plan of plans) {
      const lane = await openLane(plan.table, plan.scenarios)
      lanes.push(lane)
      await startOurs(lane)
    }
    await startTheirs(httpd, lanes)
    await inBatches(lanes, atATime, async (lane) => {
      for (const scenario of lane.scenarios) results.push(await run(lane, scenario, show))
    })
  } finally {
    await httpd.stop()
    await Promise.all(lanes.map(closeLane))
    process.off('exit', onExit)
  }
  return report(results)
}

function namesTwice (scenarios: readonly Scenario[]): string[] {
  const seen = new Set<string>()
  return scenarios.filter(({ name }) => seen.size === seen.add(name).size).map(({ name }) => `two scenarios are called '${name}'`)
}

function rowsWithoutDocument (scenarios: readonly Scenario[]): string[] {
  let text: string
  try {
    text = readFileSync(new URL('../../docs/differences-from-httpd.md', import.meta.url), 'utf8')
  } catch {
    return []
  }
  if (!text.includes('| scenario |')) return []
  const rows = new Set(scenarios.flatMap(({ differs }) => differs ?? []))
  return [...rows].filter((row) => !text.includes(`\`${row}\``)).map((row) => `docs/differences-from-httpd.md has no row '${row}'`)
}

function report (results: readonly Result[]): number {
  const of = (kind: Result['kind']): Result[] => results.filter((result) => result.kind === kind)
  for (const { scenario, text } of of('failed')) console.log(`FAIL  ${scenario.name}\n${text}\n`)
  for (const reason of uncaught) console.log(`FAIL  an unhandled rejection, which would have ended the process\n  ${(reason as Error).stack ?? String(reason)}\n`)
  const passed = of('passed')
  const differing = passed.filter(({ scenario }) => scenario.differs !== undefined)
  const rows = new Set(differing.map(({ scenario }) => scenario.differs))
  console.log(`${results.length} scenarios: ${passed.length - differing.length} the same, ${differing.length} deliberate differences (${rows.size} rows)`)
  console.log(`${passed.length} passed, ${of('failed').length + uncaught.length} failed`)
  return of('failed').length + uncaught.length > 0 ? 1 : 0
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code }, (error: Error) => {
  console.error(`conformance: ${error.message}`)
  process.exitCode = 1
})
