// Runs the unit tests on each Node line that Fastify 5 supports, and prints a table.
//
//   npm run test:nodes                            20, 22, 24 and 26
//   npm run test:nodes -- 20 26                   some of them; an exact version works too
//   npm run test:nodes -- 26 -- path headers      after a second `--`: what scripts/test-unit.ts takes
//
// The binaries come from the npm packages node-<platform>-<arch>, whose versions are Node's own, and
// stay in node_modules/.cache/nodes until `npm ci` empties it.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Row {
  node: string
  result: string
  tests: string
  pass: string
  fail: string
  skipped: string
  seconds: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, 'node_modules', '.cache', 'nodes')
const packageName = `node-${process.platform}-${process.arch}`

function install (version: string): string {
  const folder = join(cache, version)
  const binary = join(folder, 'node_modules', packageName, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  mkdirSync(folder, { recursive: true })
  const { status } = spawnSync('npm', [
    'install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error',
    `${packageName}@${version}`,
  ], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' })
  if (status !== 0 || !existsSync(binary)) throw new Error(`npm could not install ${packageName}@${version}`)
  return binary
}

function versionOf (binary: string): string {
  return spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim()
}

function runOn (version: string, files: string[]): Row {
  const row: Row = { node: version, result: 'FAIL', tests: '-', pass: '-', fail: '-', skipped: '-', seconds: '-' }
  const tapFile = join(cache, `${version}.tap`)
  rmSync(tapFile, { force: true })
  try {
    const binary = install(version)
    row.node = versionOf(binary)
    console.log(`\n=== Node ${row.node}`)
    const { status } = spawnSync(binary, ['--import', 'tsx', join(root, 'scripts', 'test-unit.ts'), ...files], {
      cwd: root,
      stdio: 'inherit',
      // A test that starts `node` is to get the same one.
      env: { ...process.env, TEST_TAP_FILE: tapFile, PATH: `${dirname(binary)}${delimiter}${process.env.PATH ?? ''}` },
    })
    const tap = existsSync(tapFile) ? readFileSync(tapFile, 'utf8') : ''
    const count = (name: string): string => new RegExp(`^# ${name} (\\d+)`, 'm').exec(tap)?.[1] ?? '-'
    row.tests = count('tests')
    row.pass = count('pass')
    row.fail = count('fail')
    row.skipped = count('skipped')
    row.seconds = (Number(count('duration_ms')) / 1000).toFixed(1)
    if (status === 0) row.result = 'pass'
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
  return row
}

const args = process.argv.slice(2)
const divide = args.indexOf('--')
const versions = divide === -1 ? args : args.slice(0, divide)
const files = divide === -1 ? [] : args.slice(divide + 1)

const rows = (versions.length > 0 ? versions : ['20', '22', '24', '26']).map((version) => runOn(version, files))
console.table(rows)
if (rows.some((row) => row.result !== 'pass')) process.exitCode = 1
