// Runs test/**/*.test.ts in the node that runs this script, and ends with that runner's own summary.
//
//   npm run test:unit                             everything but what `test:apps` has, with coverage
//   npm run test:apps                             what starts whole applications, servers and browsers, or tries thousands of inputs
//   npm run test:unit -- test/routing/decision.test.ts       one file
//   npm run test:unit -- decision headers         the files whose path contains one of the words
//   npm run test:unit -- decision --test-name-pattern=426     options after `--` go to node
//
// Node 20's --test has no globs, and not every shell has `**`: the files are found here.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// These take minutes, or a server that is not an npm package, or half a dozen libraries; each has a script of its own.
const apart = ['test/conformance/', 'test/soak/', 'test/recipes/']

// Whole applications, servers and browsers, long lists of inputs, bounds of half a minute, and the tests that run once more over HTTP/2: `npm test` is to
// be short enough to be run often.
const apps = [
  'test/cli/run', 'test/conformance.test.ts', 'test/fuzz/', 'test/http2/browser', 'test/http2/by-http2', 'test/http2/frames', 'test/http2/python',
  'test/httpd-conf/bad-input', 'test/integration/balancer-fleet', 'test/integration/coexistence-nobody', 'test/integration/example',
  'test/integration/reverse-apps', 'test/integration/transfer', 'test/life/backpressure', 'test/life/shortage', 'test/prometheus/server',
  'test/redis/redis', 'test/regressions/answer-before-body', 'test/regressions/pipelined-turns', 'test/regressions/truncated-for-others',
  'test/security/framing', 'test/status/browser', 'test/status/budget', 'test/status/page-script'
]

// These measure memory or time, or change what belongs to their process: each has one of its own. They are also the longest,
// and so come first.
const alone = [...apps, 'test/life/', 'test/integration/http.test.ts', 'test/otel/', 'test/integration/release']
// Of the others so many share a process: to start one, with its coverage, takes longer than most of them do.
const together = 12

function findTests (): string[] {
  return readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

function chooseTests (words: string[]): string[] {
  const all = findTests()
  const isOf = (list: string[]) => (file: string): boolean => list.some((start) => file.startsWith(start))
  if (onlyApps) return all.filter(isOf(apps))
  if (words.length === 0) return all.filter((file) => !isOf([...apart, ...apps])(file))
  const chosen = new Set<string>()
  for (const word of words) {
    const wanted = word.replace(/^\.\//, '')
    const found = all.includes(wanted) ? [wanted] : all.filter((file) => file.includes(wanted))
    if (found.length === 0) throw new Error(`no test file matches ${word}`)
    for (const file of found) chosen.add(file)
  }
  return [...chosen].sort()
}

/** What the runner starts: the tests themselves, or modules in `folder` that import several of them. */
function startable (files: string[], folder: string): string[] {
  const single = files.filter((file) => alone.some((name) => file.startsWith(name)))
  const groups: string[][] = []
  for (const file of files) {
    const group = groups.at(-1)
    if (single.includes(file)) continue
    if (group === undefined || group.length === together || dirname(group[0] ?? '') !== dirname(file)) groups.push([file])
    else group.push(file)
  }
  const modules = groups.map((group, i) => {
    const module = join(folder, `group-${i}.mjs`)
    writeFileSync(module, group.map((file) => `await import(${JSON.stringify(pathToFileURL(join(root, file)).href)})\n`).join(''))
    return module
  })
  return [...single, ...modules]
}

function run (command: string, args: string[], env: NodeJS.ProcessEnv): number {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env })
  if (error !== undefined) throw error
  if (signal !== null) console.error(`ended by ${signal}`)
  return status ?? 1
}

// The last lines of a TAP report are the runner's summary: `# tests 12`, `# pass 12`, …
function summaryOf (tap: string): string[] {
  return tap.split('\n').filter((line) => /^# (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(line))
}

function skippedIn (tap: string): string[] {
  return tap.split('\n').flatMap((line) => {
    const match = /^\s*(?:not )?ok \d+ - (.*?) # SKIP\b ?(.*)$/.exec(line)
    return match === null ? [] : [`${match[1]}${match[2] === '' ? '' : ` (${match[2]})`}`]
  })
}

const args = process.argv.slice(2)
const coverage = args.includes('--coverage')
const onlyApps = args.includes('--apps')
const nodeOptions = args.filter((arg) => arg.startsWith('--') && arg !== '--coverage' && arg !== '--apps')
const words = args.filter((arg) => !arg.startsWith('--'))
const files = chooseTests(words)
if (files.length === 0) throw new Error('there is no test file')

const scratch = mkdtempSync(join(tmpdir(), 'wstunnel-test-'))
// scripts/test-nodes.ts names a place, to read the report afterwards.
const tapFile = process.env.TEST_TAP_FILE ?? join(scratch, 'report.tap')
const env = { ...process.env }
if (coverage) env.NODE_V8_COVERAGE = join(scratch, 'coverage')

let status = 1
try {
  status = run(process.execPath, [
    '--import', 'tsx',
    '--throw-deprecation',
    '--test',
    `--test-concurrency=${availableParallelism() + 1}`,
    '--test-timeout=300000',
    '--test-reporter=spec', '--test-reporter-destination=stdout',
    '--test-reporter=tap', `--test-reporter-destination=${tapFile}`,
    ...nodeOptions,
    ...words.length === 0 ? startable(files, scratch) : files,
  ], env)

  if (coverage) {
    const check = words.length === 0 && nodeOptions.length === 0 ? ['--check-coverage'] : []
    const c8 = run(process.execPath, [
      join(root, 'node_modules', 'c8', 'bin', 'c8.js'), 'report', ...check, '--temp-directory', join(scratch, 'coverage'),
    ], process.env)
    status ||= c8
  }

  const tap = existsSync(tapFile) ? readFileSync(tapFile, 'utf8') : ''
  const skipped = skippedIn(tap)
  if (skipped.length > 0) {
    console.log(`\n!!! ${skipped.length} SKIPPED, so not tested here:`)
    for (const name of skipped) console.log(`!!!   ${name}`)
  }
  console.log(`\n${process.version}, ${files.length} files, exit status ${status}; the test runner's summary:`)
  for (const line of summaryOf(tap)) console.log(line)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = status
