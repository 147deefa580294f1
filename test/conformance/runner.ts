/**
 * Sends the same bytes to a real httpd and to the plugin, and compares what can be seen of both.
 *
 *   npm run conformance                       all scenarios
 *   npm run conformance -- --only TEXT        those whose name contains TEXT, or whose row of differences it is; configurations, too
 *   npm run conformance -- --show             prints what both did
 */
import { existsSync, readFileSync } from 'node:fs'
import { check } from './checks.ts'
import { compare } from './compare.ts'
import type { Result } from './compare.ts'
import { compareConfiguration, configurations } from './httpd-conf/compare.ts'
import { findHttpd } from './httpd.ts'
import { scenarios as all } from './scenarios.ts'

/** The exit code where there is no httpd to compare with. */
const notInstalled = 77
/** What nobody caught in our process while scenarios were played: outside of a test it would have ended it. */
const uncaught: unknown[] = []
process.on('unhandledRejection', (reason) => uncaught.push(reason))

const root = new URL('../../', import.meta.url)

function read (file: string): string | undefined {
  const url = new URL(file, root)
  return existsSync(url) ? readFileSync(url, 'utf8') : undefined
}

async function main (args: readonly string[]): Promise<number> {
  if (findHttpd() === undefined) {
    console.error('conformance: httpd is not installed (Debian: apt-get install apache2); nothing was compared')
    return notInstalled
  }
  const only = args.includes('--only') ? args[args.indexOf('--only') + 1] ?? '' : ''
  const scenarios = all.filter(({ name, differs }) => name.includes(only) || differs === only)
  const files = configurations().filter((name) => name.includes(only))
  const problems = check(all, read('docs/differences-from-httpd.md') ?? '', read)
  if (scenarios.length + files.length === 0) problems.push(`no scenario is called '${only}'`)
  if (problems.length > 0) {
    for (const problem of problems) console.error(`conformance: ${problem}`)
    return 1
  }
  const interrupted = (): never => process.exit(130)
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted).once('SIGHUP', interrupted)
  const show = args.includes('--show')
  const failed = await reportConfigurations(files, show)
  return Math.max(failed, report(scenarios.length === 0 ? [] : await compare(scenarios), show))
}

/** Whole configurations, translated: one after the other, since each has an httpd of its own. */
async function reportConfigurations (files: readonly string[], show: boolean): Promise<number> {
  let [requests, differing, failed] = [0, 0, 0]
  for (const file of files) {
    const result = await compareConfiguration(file)
    requests += result.requests
    if (result.differences.length > 0) differing++
    if (result.problems.length > 0) failed++
    if (show) for (const { request, httpd, ours } of result.differences) console.log(`${file}  ${request}\n  httpd  ${httpd}\n  ours   ${ours}`)
    if (result.problems.length > 0) console.log(`FAIL  ${file}\n${result.problems.map((problem) => `  ${problem}`).join('\n')}\n`)
  }
  if (files.length > 0) {
    console.log(`${files.length} configurations, ${requests} requests: ${files.length - differing} the same, ` +
      `${differing} with differences that they are loud about; ${failed} failed`)
  }
  return failed > 0 ? 1 : 0
}

function report (results: readonly Result[], show: boolean): number {
  const failed = results.filter(({ problems }) => problems.length > 0)
  if (show) for (const { scenario, shown } of results) console.log(`${scenario.name}\n${shown}\n`)
  for (const { scenario, problems, shown } of failed) {
    console.log(`FAIL  ${scenario.name}\n${problems.map((problem) => `  ${problem}`).join('\n')}\n${shown}\n`)
  }
  for (const reason of uncaught) {
    console.log(`FAIL  an unhandled rejection, which would have ended the process\n  ${(reason as Error).stack ?? String(reason)}\n`)
  }
  const passed = results.filter(({ problems }) => problems.length === 0)
  const differing = passed.filter(({ scenario }) => scenario.differs !== undefined)
  const rows = new Set(differing.map(({ scenario }) => scenario.differs))
  console.log(`${results.length} scenarios: ${passed.length - differing.length} the same, ${differing.length} deliberate differences (${rows.size} rows)`)
  console.log(`${passed.length} passed, ${failed.length + uncaught.length} failed`)
  return failed.length + uncaught.length > 0 ? 1 : 0
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code }, (error: Error) => {
  console.error(`conformance: ${error.message}`)
  process.exitCode = 1
})
