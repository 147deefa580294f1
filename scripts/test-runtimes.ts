// Uses the packed package on runtimes other than Node, as a user would: what the README says of them was seen here. Deno forwards,
// tunnels and closes; Bun is refused at registration.
//
//   npm run test:runtimes

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [denoVersion, bunVersion] = ['2.9.6', '1.4.5']

const program = `
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import Fastify from 'fastify'
import { WebSocketServer } from 'ws'
import wstunnel from 'fastify-wstunnel'

const app = Fastify()
const upstream = createServer((request, response) => {
  let bytes = 0
  request.on('data', (chunk) => { bytes += chunk.length }).on('end', () => response.end(request.method + ' ' + request.url + ' ' + bytes))
})
new WebSocketServer({ server: upstream, path: '/echo' }).on('connection', (socket) => {
  socket.on('message', (message, binary) => socket.send(message, { binary }))
})
await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve))
app.register(wstunnel, { prefix: '/app', upstream: 'ws://127.0.0.1:' + upstream.address().port + '/', drainTimeout: '2s' })
if (process.versions.bun !== undefined) {
  await assert.rejects(async () => await app.ready(), { code: 'FST_WSTUNNEL_RUNTIME' })
  console.log('refused')
  process.exit()
}
await app.listen({ port: 0, host: '127.0.0.1' })
const front = '127.0.0.1:' + app.server.address().port
assert.equal(await (await fetch('http://' + front + '/app/hello')).text(), 'GET /hello 0')
assert.equal(await (await fetch('http://' + front + '/app/hello', { method: 'POST', body: 'x'.repeat(1e6) })).text(), 'POST /hello 1000000')
const socket = new WebSocket('ws://' + front + '/app/echo')
const echo = new Promise((resolve, reject) => {
  socket.onopen = () => socket.send('ping')
  socket.onmessage = ({ data }) => resolve(data)
  socket.onerror = reject
})
assert.equal(await echo, 'ping')
assert.equal(app.wstunnel.metrics().tunnels.open, 1)
await new Promise((resolve) => { new WebSocket('ws://' + front + '/app/nothing').onerror = resolve })
await app.close()
console.log('forwards, tunnels and closes')
process.exit()
`

function run (command: string, args: string[], cwd: string): string {
  const shell = process.platform === 'win32' && command === 'npm'
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 120_000, shell })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout}${stderr}`)
  return stdout
}

function versionOf (name: string): string {
  return (JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version
}

const folder = mkdtempSync(join(tmpdir(), 'wstunnel-runtimes-'))
try {
  const [tarball] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root)) as Array<{ filename: string }>
  if (tarball === undefined) throw new Error('npm pack made no tarball')
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  writeFileSync(join(folder, 'program.mjs'), program)
  const bun = `@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`
  run('npm', [
    'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--loglevel=error',
    `./${tarball.filename}`, `fastify@${versionOf('fastify')}`, `ws@${versionOf('ws')}`, `deno@${denoVersion}`, `${bun}@${bunVersion}`
  ], folder)
  const binaries = { Deno: [join(folder, 'node_modules', '.bin', 'deno'), 'run', '-A'], Bun: [join(folder, 'node_modules', bun, 'bin', 'bun'), 'run'] }
  for (const [name, [binary = '', ...args]] of Object.entries(binaries)) {
    console.log(`${name} ${name === 'Deno' ? denoVersion : bunVersion}: ${run(binary, [...args, 'program.mjs'], folder).trim()}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
