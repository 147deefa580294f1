// Packs the package, installs the tarball into an empty project beside fastify, and uses it there as a user would: by `import` and by
// `require`, in JavaScript and in TypeScript, each compiled and run. What is missing from the tarball fails here.
//
//   npm run test:package          the newest TypeScript of each kind of module
//   npm run test:package:all      every version that is supported (`-- CommonJS`: of the kinds whose name has this word)

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkCommand } from './pack-check-cli.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const all = process.argv.includes('--all')
const word = process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? ''
const maxBytes = 250_000

interface Manifest {
  version: string
  types?: string
  exports: Record<string, string | Record<string, string>>
  typesVersions?: Record<string, Record<string, string[]>>
}

const check = `
async function check (wstunnel) {
  const app = Fastify()
  app.register(wstunnel, { prefix: '/tunnel', upstream: 'ws://127.0.0.1:9/' })
  await app.ready()
  assert.equal(typeof app.wstunnel.metrics, 'function')
  assert.equal(typeof app.wstunnel.metrics(), 'object')
  await app.close()
}
`

const programs: Record<string, string> = {
  'by-import.mjs': `
import assert from 'node:assert/strict'
import Fastify from 'fastify'
import wstunnel, { wstunnel as named, fastifyWstunnel } from 'fastify-wstunnel'
${check}
assert.equal(named, wstunnel)
const { default: status } = await import('fastify-wstunnel/status')
const { collect } = await import('fastify-wstunnel/prometheus')
const { redisLeases } = await import('fastify-wstunnel/redis')
assert.equal(redisLeases({ eval () {} }, { ttl: '30s' }).ttl, 30_000)
const app = Fastify()
app.register(wstunnel).register(status, { prefix: '/wstunnel' })
collect(app, { registerMetric () {} })
assert.equal((await app.inject('/wstunnel/status.json')).statusCode, 200)
await app.close()
assert.equal(fastifyWstunnel, wstunnel)
await check(wstunnel)
`,
  'by-require.cjs': `
const assert = require('node:assert/strict')
const Fastify = require('fastify')
const wstunnel = require('fastify-wstunnel')
${check}
assert.equal(typeof wstunnel, 'function')
assert.equal(typeof require('fastify-wstunnel/status').default, 'function')
assert.equal(typeof require('fastify-wstunnel/prometheus').collect, 'function')
for (const name of ['wstunnel', 'default', 'fastifyWstunnel']) assert.equal(wstunnel[name], wstunnel)
assert.equal(typeof require('fastify-wstunnel/redis').redisLeases, 'function')
check(wstunnel).catch((error) => { console.error(error); process.exitCode = 1 })
`,
}

const body = `
const options: WstunnelOptions = { prefix: '/tunnel', upstream: 'ws://127.0.0.1:9/', idleTimeout: '1.5s' }
// @ts-expect-error has no unit
export const wrong: WstunnelOptions = { upstream: 'ws://127.0.0.1:9/', idleTimeout: '30' }
async function main (): Promise<void> {
  for (const plugin of [byDefault, named, fastifyWstunnel]) {
    const app = Fastify()
    app.register(plugin, options)
    await app.ready()
    if (app.wstunnel.metrics().tunnels.open !== 0) throw new Error('a tunnel')
    await app.close()
  }
}
main().catch((error: unknown) => { console.error(error); process.exitCode = 1 })
`
/** Each export is typed, for each way to resolve one: what has no types, or has \`any\`, does not compile. */
const subpaths = `
import { tracing } from 'fastify-wstunnel/otel'
import { fromHttpdConf } from 'fastify-wstunnel/httpd'
import { collect } from 'fastify-wstunnel/prometheus'
import { redisLeases } from 'fastify-wstunnel/redis'
import status from 'fastify-wstunnel/status'
// @ts-expect-error is no prefix
export const wrongPrefix: Parameters<typeof collect>[2] = { prefix: 1 }
// @ts-expect-error is no text
export const wrongText: Parameters<typeof fromHttpdConf>[0] = 1
// @ts-expect-error has no unit
export const wrongTtl: Parameters<typeof redisLeases>[1] = { ttl: '30' }
// @ts-expect-error is no flag
export const wrongForwards: Parameters<typeof tracing>[0] = { forwards: 'yes' }
// @ts-expect-error is no prefix
export const wrongStatus: Parameters<typeof status>[1] = { prefix: 1 }
`
const esModule = `import Fastify from 'fastify'
import byDefault, { wstunnel as named, fastifyWstunnel, type WstunnelOptions } from 'fastify-wstunnel'
${subpaths}${body}`
/** As TypeScript writes a \`require()\`. */
const requiring = `import Fastify = require('fastify')
import required = require('fastify-wstunnel')
import type { WstunnelOptions } from 'fastify-wstunnel'
const { default: byDefault, wstunnel: named, fastifyWstunnel } = required
${body}`
  .replace('const app = Fastify()', 'const app = Fastify.fastify()')

/** A kind of module: what a user's tsconfig says, and with which versions of TypeScript that works. */
interface Kind {
  name: string
  type: 'module' | 'commonjs'
  options: Record<string, unknown>
  versions: string[]
  sources: Record<string, string>
}

const kinds: readonly Kind[] = [
  { name: 'ESM, nodenext', type: 'module', options: { module: 'nodenext' }, versions: ['5.6', '5.7', '5.8', '5.9', '6.0'], sources: { esm: esModule } },
  { name: 'ESM, node16', type: 'module', options: { module: 'node16' }, versions: ['5.6', '5.7', '5.8', '5.9', '6.0'], sources: { esm: esModule } },
  {
    name: 'ESM, bundler',
    type: 'module',
    options: { module: 'esnext', moduleResolution: 'bundler' },
    versions: ['5.6', '5.7', '5.8', '5.9', '6.0'],
    sources: { esm: esModule }
  },
  {
    name: 'CommonJS, nodenext',
    type: 'commonjs',
    options: { module: 'nodenext' },
    versions: ['5.8', '5.9', '6.0'],
    sources: { esm: esModule, require: requiring }
  },
  { name: 'CommonJS, node20', type: 'commonjs', options: { module: 'node20' }, versions: ['5.9', '6.0'], sources: { esm: esModule, require: requiring } },
  {
    name: 'CommonJS, node10',
    type: 'commonjs',
    options: { module: 'commonjs', moduleResolution: 'node10', esModuleInterop: true },
    versions: ['5.6', '5.7', '5.8', '5.9'],
    sources: { esm: esModule, require: requiring }
  },
  {
    name: 'CommonJS, bundler',
    type: 'commonjs',
    options: { module: 'commonjs', moduleResolution: 'bundler', esModuleInterop: true },
    versions: ['6.0'],
    sources: { esm: esModule, require: requiring }
  },
]

function run (command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd, encoding: 'utf8', timeout: 300_000, shell: process.platform === 'win32' && command === 'npm',
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`)
  if (stderr !== '' && command !== 'npm') throw new Error(`${command} ${args.join(' ')} wrote to stderr:\n${stderr}`)
  return stdout
}

function manifestOf (folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

function installedVersion (name: string): string {
  return manifestOf(join(root, 'node_modules', name)).version
}

/** Each export has types and one file, ES modules only; node10 knows no exports, so typesVersions repeats each. */
function checkExports ({ exports, typesVersions }: Manifest): void {
  for (const [name, target] of Object.entries(exports)) {
    if (name === './package.json') continue
    if (typeof target === 'string' || Object.keys(target).join() !== 'types,default') throw new Error(`exports['${name}'] is not { types, default }`)
    if (name !== '.' && typesVersions?.['*']?.[name.slice(2)]?.[0] !== target.types) throw new Error(`typesVersions does not repeat exports['${name}']`)
  }
}

function checkTypeScript (project: string): void {
  const chosen = kinds.filter(({ name }) => name.includes(word))
  if (chosen.length === 0) throw new Error(`no kind of module has '${word}' in its name`)
  const wanted = [...new Set(chosen.flatMap(({ versions }) => all ? versions : versions.slice(-1)))]
  run('npm', [
    'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline',
    '@types/node@20', ...wanted.map((version) => `ts${version}@npm:typescript@~${version}.0`)
  ], project)
  for (const { name, type, options, versions, sources } of chosen) {
    for (const version of all ? versions : versions.slice(-1)) {
      for (const [style, source] of Object.entries(sources)) {
        const folder = join(project, `${name} ${version} ${style}`.replace(/[^\w.]+/g, '-'))
        mkdirSync(folder)
        writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
        writeFileSync(join(folder, 'index.ts'), source)
        writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
          compilerOptions: { target: 'es2022', strict: true, skipLibCheck: true, types: ['node'], typeRoots: ['../node_modules/@types'], ...options },
          files: ['index.ts']
        }))
        run(process.execPath, [join(project, 'node_modules', `ts${version}`, 'bin', 'tsc'), '-p', '.'], folder)
        run(process.execPath, ['--disable-warning=ExperimentalWarning', 'index.js'], folder)
        console.log(`TypeScript ${version}, ${name}, ${style}: compiled and run`)
      }
    }
  }
}

const project = mkdtempSync(join(tmpdir(), 'wstunnel-pack-'))
try {
  checkExports(manifestOf(root))
  const packed = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], root)
  const [tarball] = JSON.parse(packed) as Array<{ filename: string, size: number, files: Array<{ path: string }> }>
  if (tarball === undefined) throw new Error('npm pack made no tarball')
  console.log(`${tarball.filename}: ${tarball.files.length} files, ${tarball.size} bytes`)
  if (tarball.size > maxBytes) throw new Error(`the tarball has more than ${maxBytes} bytes`)

  const paths = tarball.files.map((file) => file.path)
  const strange = paths.filter((path) => !/^(package\.json|(README|CHANGELOG|SECURITY)\.md|LICENSE|docs\/.+\.md|dist\/.+\.(js|d\.ts))$/.test(path))
  if (strange.length > 0) throw new Error(`the tarball holds what it should not: ${strange.join(', ')}`)
  const missing = ['CHANGELOG.md', 'docs/reference/balancers.md', 'dist/index.d.ts'].filter((path) => !paths.includes(path))
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`)

  writeFileSync(join(project, 'package.json'), '{ "name": "user", "private": true }\n')
  run('npm', [
    'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline',
    join(project, tarball.filename), `fastify@${installedVersion('fastify')}`,
  ], project)

  for (const [name, source] of Object.entries(programs)) {
    writeFileSync(join(project, name), source)
    run(process.execPath, ['--throw-deprecation', name], project)
    console.log(`${name}: ok`)
  }
  checkTypeScript(project)
  await checkCommand(project, join(project, tarball.filename), installedVersion('fastify'))
} finally {
  rmSync(project, { recursive: true, force: true })
}
