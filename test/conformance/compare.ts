/** Plays scenarios on both sides, and judges what each has done. */
import type { Outcome } from './ends.ts'
import { play } from './exchange.ts'
import { freePorts, Httpd } from './httpd.ts'
import { closeLane, lanesOf, newLane, openLane, portOf } from './lane.ts'
import type { Lane } from './lane.ts'
import { lines, normalise } from './normalise.ts'
import type { Scenario } from './table.ts'

/** So many lanes are at work at a time. */
const atATime = 8

export interface Result {
  scenario: Scenario
  /** None where it passed. */
  problems: readonly string[]
  /** What both sides did, to be read. */
  shown: string
}

/**
 * Plays all of them. Whatever comes, nothing stays: no server, no process, no file.
 * @throws Error that names the scenario whose table one of the sides refuses
 */
export async function compare (scenarios: readonly Scenario[], httpd: Httpd = new Httpd()): Promise<Result[]> {
  // Also when this process ends at once, even by an exception that nobody caught.
  const onExit = (): void => httpd.kill()
  process.once('exit', onExit)
  const lanes: Lane[] = []
  const results: Result[] = []
  try {
    for (const plan of lanesOf(scenarios)) {
      const lane = newLane(plan.table, plan.scenarios)
      lanes.push(lane)
      await openLane(lane)
    }
    await startHttpd(httpd, lanes)
    await inBatches(lanes, atATime, async (lane) => {
      for (const scenario of lane.scenarios) results.push(await run(httpd, lane, scenario))
    })
  } finally {
    await httpd.stop()
    await Promise.all(lanes.map(closeLane))
    process.off('exit', onExit)
  }
  return results
}

/** Last, so that nothing of ours takes its ports. What else is at work on the machine may do so all the same: then with others. */
async function startHttpd (httpd: Httpd, lanes: readonly Lane[], attempts: number = 5): Promise<void> {
  const ports = await freePorts(lanes.length)
  for (const [i, lane] of lanes.entries()) lane.httpdPort = ports[i] as number
  try {
    await httpd.start(lanes.map((lane) => ({
      table: lane.table, ports: lane.theirs.ports, port: lane.httpdPort, scenario: lane.scenarios[0]?.name ?? ''
    })))
  } catch (error) {
    if (attempts === 1 || !(error as Error).message.includes('Address already in use')) throw error
    await startHttpd(httpd, lanes, attempts - 1)
  }
}

async function run (httpd: Httpd, lane: Lane, scenario: Scenario): Promise<Result> {
  const { client, upstream, exact } = scenario
  const port = portOf(lane)
  const loggedBefore = [httpd.logLines(lane.httpdPort).length, lane.log.lines.length] as const
  let outcomes: [Outcome, Outcome]
  try {
    outcomes = await Promise.all([play(lane.httpdPort, lane.theirs, client, upstream), play(port, lane.ours, client, upstream)])
    if (lane.table.log === true) {
      outcomes[0].logged = await httpd.logged(lane.httpdPort, loggedBefore[0]) ?? 'nothing'
      const line = await lane.log.line((each) => lane.log.lines.indexOf(each) >= loggedBefore[1] && each.msg === 'request completed', 'request completed')
      outcomes[1].logged = String((line.res as { statusCode: number }).statusCode)
    }
  } catch (error) {
    return { scenario, problems: [String((error as Error).stack)], shown: '' }
  }
  const theirs = lines(normalise(outcomes[0], { ports: { ...lane.theirs.ports, proxy: lane.httpdPort } }, exact))
  const ours = lines(normalise(outcomes[1], { ports: { ...lane.ours.ports, proxy: port } }, exact))
  return { scenario, problems: judge(scenario, outcomes, theirs, ours), shown: sideBySide(theirs, ours) }
}

/** What is wrong with what both sides did. */
export function judge (scenario: Scenario, outcomes: readonly Outcome[], theirs: readonly string[], ours: readonly string[]): string[] {
  const problems: string[] = []
  if (outcomes.every(({ responses, tunnel, requests, end, sequence }) =>
    responses.length === 0 && tunnel === '' && requests.length === 0 && end === 'open' && sequence === undefined)) {
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
