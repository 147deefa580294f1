// Packs the package, installs the tarball into an empty project beside fastify, and loads it there as
// a user would: by `import` and by `require`. What is missing from the tarball fails here.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

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
import wstunnel, { wstunnel as named } from 'fastify-wstunnel'
${check}
assert.equal(named, wstunnel)
const { default: status } = await import('fastify-wstunnel/status')
const { collect } = await import('fastify-wstunnel/prometheus')
const app = Fastify()
app.register(wstunnel).register(status, { prefix: '/wstunnel' })
collect(app, { registerMetric () {} })
assert.equal((await app.inject('/wstunnel/status.json')).statusCode, 200)
await app.close()
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
check(wstunnel).catch((error) => { console.error(error); process.exitCode = 1 })
`,
}

function run (command: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd, encoding: 'utf8', shell: process.platform === 'win32' && command === 'npm',
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`)
  if (stderr !== '' && command !== 'npm') throw new Error(`${command} ${args.join(' ')} wrote to stderr:\n${stderr}`)
  return stdout
}

function installedVersion (name: string): string {
  const manifest = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }
  return manifest.version
}

const project = mkdtempSync(join(tmpdir(), 'wstunnel-pack-'))
try {
  const packed = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], root)
  const [tarball] = JSON.parse(packed) as Array<{ filename: string, size: number, files: Array<{ path: string }> }>
  if (tarball === undefined) throw new Error('npm pack made no tarball')
  console.log(`${tarball.filename}: ${tarball.files.length} files, ${tarball.size} bytes`)

  const strange = tarball.files.map((file) => file.path)
    .filter((path) => !/^(package\.json|README\.md|LICENSE|dist\/.+\.(js|d\.ts)(\.map)?)$/.test(path))
  if (strange.length > 0) throw new Error(`the tarball holds what it should not: ${strange.join(', ')}`)

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
} finally {
  rmSync(project, { recursive: true, force: true })
}
