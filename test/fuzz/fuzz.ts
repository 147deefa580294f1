// Generated input against the plugin, until the time is over or something is found. Ends with 1 then.
//
//   npm run fuzz                                        two minutes
//   npm run fuzz -- --minutes 60 --seed 42              longer, repeated
//   npm run fuzz -- --seed 1 --minutes 8 --round 240    a seed four times as far as in a round of one minute
//   npm run fuzz -- --only wire --seed 42 --path 3:0:1  what a failure said
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { serialize } from './corpus-form.ts'
import { World } from './play.ts'
import { properties, type Property } from './properties.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    round: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    path: { type: 'string' },
    only: { type: 'string' },
    shrink: { type: 'string', default: '30' }
  }
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)

/** Seconds of one round over all properties. */
const round = Math.min(Number(values.round), minutes * 60)
if (!(minutes > 0) || !(round > 0) || !Number.isInteger(seed)) throw new Error('--minutes and --round take a number above 0, --seed an integer')

const world = new World()
const all = properties(world)
const chosen = values.only === undefined ? all : all.filter(({ name }) => name === values.only)
if (chosen.length === 0) throw new Error(`--only takes one of: ${all.map(({ name }) => `'${name}'`).join(', ')}`)
const shares = chosen.reduce((sum, { share }) => sum + share, 0)
const tally = new Map(chosen.map(({ name }) => [name, { cases: 0, ms: 0 }]))

interface Failure {
  readonly value: unknown
  readonly seed: number
  readonly path: string | null
  readonly message: string
}

async function search (property: Property, from: { seed: number, path?: string }, ms: number, shrink: boolean): Promise<Failure | undefined> {
  const counted = tally.get(property.name) as { cases: number, ms: number }
  const begin = Date.now()
  const outcome = await fc.check(fc.asyncProperty(property.arbitrary, async (value) => {
    await property.check(value)
    counted.cases += property.count(value)
  }), { ...from, numRuns: 100_000_000, interruptAfterTimeLimit: ms, endOnFailure: !shrink })
  counted.ms += Date.now() - begin
  if (!outcome.failed || outcome.counterexample === null) return undefined
  return {
    value: outcome.counterexample[0],
    seed: outcome.seed,
    path: outcome.counterexamplePath,
    message: String((outcome.errorInstance as Error | null)?.message)
  }
}

/** Makes it small, as far as it happens again. */
async function reduce (property: Property, failure: Failure): Promise<Failure> {
  if (failure.path === null) return failure
  console.log(`fuzz: '${property.name}' has failed; making it smaller`)
  return await search(property, { seed: failure.seed, path: failure.path }, Number(values.shrink) * 1000, true) ?? failure
}

function report (property: Property, { value, seed, path, message }: Failure): void {
  const file = fileURLToPath(new URL(`corpus/candidate-${property.name.replace(/\W+/g, '-')}-${seed}.json`, import.meta.url))
  mkdirSync(new URL('corpus/', import.meta.url), { recursive: true })
  writeFileSync(file, `${serialize({ title: 'what is wrong', property: property.name, value })}\n`)
  console.error(`\nfuzz: '${property.name}' does not hold:\n${message}\n`)
  console.error(`again:   npm run fuzz -- --only '${property.name}' --seed ${seed} --path ${path ?? ''}`)
  console.error(`written: ${file} (with a title it is one of the corpus)`)
}

async function main (): Promise<number> {
  console.log(`fuzz on ${process.version}: --minutes ${minutes} --seed ${seed}`)
  const end = Date.now() + minutes * 60_000
  for (let i = 0; Date.now() < end; i++) {
    for (const property of chosen) {
      const ms = Math.min(end - Date.now(), round * 1000 * property.share / shares)
      if (ms < 100) continue
      const from = values.path === undefined ? { seed: (seed + i * 7919) | 0 } : { seed, path: values.path }
      const failure = await search(property, from, ms, false)
      if (failure === undefined) continue
      report(property, await reduce(property, failure))
      return 1
    }
    if (values.path !== undefined) break
  }
  const left = await world.close()
  if (left !== undefined) {
    console.error(`fuzz: ${left}`)
    return 1
  }
  return 0
}

function summary (): void {
  for (const [name, { cases, ms }] of tally) {
    console.log(`${name.padEnd(30)}${String(cases).padStart(10)} cases ${(cases / Math.max(ms, 1) * 1000).toFixed(0).padStart(8)}/s`)
  }
  console.log(Object.entries(world.tally).sort().map(([what, count]) => `${what}: ${count}`).join(', '))
}

const code = await main()
summary()
console.log(code === 0 ? 'fuzz: nothing found' : 'fuzz: FAILED')
process.exit(code) // whatever is still open
