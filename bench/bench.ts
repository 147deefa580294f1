// Measures this plugin, its rivals and bare pipes. See README.md in this folder.
//
//   npm run bench                                              everything
//   npm run bench -- --workload echo-64,handshake              some workloads
//   npm run bench -- --contestant fastify-wstunnel,httpxy      some contestants
//   npm run bench -- --rounds 3 --seconds 5                    how often, and how long
//   npm run bench -- --node /path/to/node                      on another Node
//   npm run bench -- --targets                                 only who is needed to tell whether the targets are reached
//   npm run bench -- --short                                   a look at whether all is well, for CI
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { authority } from '../test/fixtures/tls.ts'
import { Child } from './child.ts'
import { contestants, type Contestant, type Running } from './contestants.ts'
import { judge, mediansOf, summary, table, verdicts, type Judged, type Result } from './report.ts'
import type { Listening } from './upstream.ts'
import { workloads, type Stage, type Workload } from './workloads.ts'

const { values: given } = parseArgs({
  options: {
    workload: { type: 'string' },
    contestant: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    targets: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false }
  }
})
const { short, node } = given

/** Rounds that a process is measured in before another takes its place: each finds a pace of its own, and keeps it. */
const perProcess = 3

/**
 * Seconds of work, or as much of it as a workload says, before a process is measured: V8 compiles the code that is used most for two
 * to three seconds, and a handshake takes twice as long before as it does then. What a proxy costs is what it costs for days.
 */
const warmUp = 2

/** How long a workload is looked at. */
interface Look { readonly extent: 'short' | 'full', readonly seconds: number, readonly rounds: (workload: Workload) => number }

const look = (short: boolean): Look => ({
  extent: short ? 'short' : 'full',
  seconds: Number(given.seconds ?? (short ? 0.5 : 1)),
  rounds: ({ rounds }) => Number(given.rounds ?? (short ? 3 : rounds))
})

/** Loopback has many addresses: with one of their own, nobody pays for another's sockets in TIME_WAIT. */
const addressOf = (index: number): string => `127.0.2.${index + 1}`
const upstreamAddressOf = (index: number): string => `127.0.1.${index + 1}`

const addresses = contestants.flatMap((_, i) => [addressOf(i), upstreamAddressOf(i)])
const ca = authority('bench')
const tls = { ...ca.issue({ commonName: 'localhost', names: ['localhost', ...addresses] }), ca: ca.cert }

const load = new Child(fileURLToPath(new URL('load.ts', import.meta.url)), node)
const upstream = new Child(fileURLToPath(new URL('upstream.ts', import.meta.url)), node)

/** Everything that a contestant is measured with, and how it is stopped. */
interface Entry { readonly contestant: Contestant, readonly start: () => Promise<Stage>, readonly stop: (stage: Stage) => Promise<void> }

async function enter (workload: Workload, contestant: Contestant): Promise<Entry> {
  const index = contestants.indexOf(contestant)
  const secure = workload.tls === true
  const { host, port } = await upstream.ask<Listening>('listen', upstreamAddressOf(index), secure ? tls : null)
  const common = { load, contestant, ...look(short) }
  const withCa = secure ? { ca: tls.ca } : {}
  return {
    contestant,
    async start () {
      if (contestant.kind === 'direct') return { ...common, at: { host, port, ...withCa }, pids: () => [upstream.pid], running: undefined }
      const running = await contestant.start({
        node,
        address: addressOf(index),
        upstream: { host, port },
        tls: secure ? tls : undefined,
        workers: contestant.workers,
        build: contestant.build
      })
      return { ...common, at: { host: running.host, port: running.port, ...withCa }, pids: () => running.pids(), running }
    },
    async stop ({ running }: { running?: Running | undefined }) { await running?.stop() }
  }
}

function shuffled<T> (list: readonly T[]): T[] {
  return list.map((each) => ({ each, at: Math.random() })).sort((a, b) => a.at - b.at).map(({ each }) => each)
}

async function run (workload: Workload, entries: readonly Entry[], failures: string[], { extent, seconds, rounds }: Look): Promise<Result[]> {
  const results = new Map<Entry, Array<Result['rounds'][number]>>()
  const stages = new Map<Entry, Stage>()
  const attempt = async (entry: Entry, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      results.delete(entry)
      failures.push(`${workload.name}: ${entry.contestant.name}: ${what}: ${String((error as Error).message).split('\n')[0] ?? ''}`)
      console.error(error)
    }
  }
  for (const entry of entries) {
    await attempt(entry, 'is broken', async () => {
      const stage = await entry.start()
      try {
        await workload.check(stage)
      } finally {
        await entry.stop(stage)
      }
      if (extent === 'full' || workload.needed.includes(entry.contestant.name)) results.set(entry, [])
    })
  }
  const stop = async (entry: Entry): Promise<void> => {
    const stage = stages.get(entry)
    stages.delete(entry)
    if (stage !== undefined) await entry.stop(stage)
  }
  const renew = async (entry: Entry): Promise<void> => {
    await stop(entry)
    const stage = await entry.start()
    stages.set(entry, stage)
    await workload.measure({ ...stage, extent: 'warm-up', seconds: warmUp })
  }
  for (let round = 0; round < rounds(workload); round++) {
    for (const entry of shuffled([...results.keys()])) {
      await attempt(entry, 'broke down', async () => {
        if (workload.fresh === true) stages.set(entry, await entry.start())
        else if (round % perProcess === 0) await renew(entry)
        results.get(entry)?.push(await workload.measure({ ...stages.get(entry) as Stage, extent, seconds }))
        if (workload.fresh === true) await stop(entry)
      })
    }
  }
  for (const entry of entries) await stop(entry)
  return entries.filter((entry) => results.has(entry)).map((entry) => ({ contestant: entry.contestant, rounds: results.get(entry) ?? [] }))
}

function chosen<T extends { name: string }> (list: readonly T[], names: string | undefined, what: string): T[] {
  if (names === undefined) return [...list]
  return names.split(',').map((name) => {
    const found = list.find((each) => each.name === name)
    if (found === undefined) throw new Error(`no ${what} '${name}': there are ${list.map((each) => `'${each.name}'`).join(', ')}`)
    return found
  })
}

/** A short run does not fail on what tells more of the machine. */
function isBroken ({ target, verdict }: Judged): boolean {
  return verdict === 'broken' && !(short && target.isUncertain === true)
}

function save (report: unknown): string {
  const directory = fileURLToPath(new URL('results', import.meta.url))
  mkdirSync(directory, { recursive: true })
  const file = `${directory}/${new Date().toISOString().replaceAll(':', '-')}.json`
  writeFileSync(file, JSON.stringify(report, null, 2))
  return file
}

async function main (): Promise<void> {
  if (!existsSync(new URL('node_modules', import.meta.url))) throw new Error('the rivals are not installed: npm ci --prefix bench')
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  const taking = chosen(contestants, given.contestant, 'contestant')
  const failures: string[] = []
  const report: Array<{ workload: string, title: string, figures: Record<string, unknown>, judged: Judged[] }> = []
  console.log(`Node ${version}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}`)
  for (const { name, missing } of taking) if (missing !== undefined) console.log(`!!! ${name} is skipped: ${missing}`)
  for (const workload of chosen(workloads, given.workload, 'workload')) {
    if (short && workload.long === true && given.workload === undefined) continue
    console.log(`\n${workload.name}: ${workload.title}`)
    const entries: Entry[] = []
    for (const contestant of taking) {
      const reason = given.targets && !workload.needed.includes(contestant.name)
        ? 'no target is about it'
        : contestant.only !== undefined && contestant.only !== workload.name
          ? `it is for ${contestant.only}`
          : workload.excluded(contestant)
      if (reason === undefined && contestant.missing === undefined) entries.push(await enter(workload, contestant))
    }
    let results = await run(workload, entries, failures, look(short))
    let judged = judge(workload, results)
    console.log(`${table(workload, results)}\n${verdicts(judged)}`)
    // A short run has few rounds, and each is short; and some workloads find one of two paces in each
    // process; the machine may be busy with something else, too.
    for (let looks = short ? 2 : 0; looks > 0 && judged.some(isBroken); looks--) {
      console.log('looked at again, for longer')
      const closer = { ...look(false), rounds: ({ rounds }: Workload) => 2 * rounds }
      results = await run(workload, entries.filter(({ contestant }) => workload.needed.includes(contestant.name)), failures, closer)
      judged = judge(workload, results)
      console.log(`${table(workload, results)}\n${verdicts(judged)}`)
    }
    for (const one of judged) {
      const { target, value } = one
      if (isBroken(one)) failures.push(`${workload.name}: ${value?.toFixed(2) ?? ''} ${target.text} is worse than half of ${target.limit}`)
    }
    const figures = Object.fromEntries(results.map(({ contestant, rounds }) => [contestant.name, { medians: mediansOf(rounds), rounds }]))
    report.push({ workload: workload.name, title: workload.title, figures, judged })
  }
  console.log(`\n${summary(report)}\n\n${save({ node: version, cpus: cpus().length, short, report })}`)
  for (const failure of failures) console.error(`FAILED  ${failure}`)
  if (failures.length > 0) process.exitCode = 1
}

try {
  await main()
} finally {
  load.stop()
  upstream.stop()
}
