// The command, from the packed tarball, as its users get it: by npx of npm 10 and of npm 11. Called by pack-check.ts.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const windows = process.platform === 'win32'
const deadline = 120_000

interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

function run (command: string, args: string[], cwd: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], shell: windows, timeout: deadline })
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => { said[name] += text })
    child.once('error', reject).once('close', (status) => resolve({ status, ...said }))
  })
}

function expect (what: string, holds: boolean, { status, stdout, stderr }: Ended): void {
  if (!holds) throw new Error(`${what}: ended with ${status}\n${stdout}${stderr}`)
  console.log(`${what}: ok`)
}

/** An upstream that greets, and opens any WebSocket. */
async function startUpstream (): Promise<{ server: Server, port: number }> {
  const server = createServer((request, response) => response.end(`hello ${request.url}`))
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.on('error', () => {}).resume()
    socket.on('end', () => socket.end())
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

/** Resolves with the port once the program listens. */
function listening (child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = ''
    const read = (text: string): void => {
      log += text
      const port = /Server listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1]
      if (port !== undefined) resolve(Number(port))
    }
    child.stdout?.setEncoding('utf8').on('data', read)
    child.stderr?.setEncoding('utf8').on('data', read)
    child.once('close', (status) => reject(new Error(`the program ended with ${status} before it listened\n${log}`)))
  })
}

/** Opens a WebSocket; resolves with the socket, and what arrives after the 101. */
async function openWebSocket (port: number): Promise<{ socket: Socket, rest: Buffer[] }> {
  const socket = connect(port, '127.0.0.1')
  const rest: Buffer[] = []
  socket.write(`GET /chat HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  const [head] = await once(socket, 'data') as [Buffer]
  if (!head.toString('latin1').startsWith('HTTP/1.1 101 ')) throw new Error(`no tunnel: ${head.toString('latin1')}`)
  socket.on('data', (chunk: Buffer) => rest.push(chunk)).on('error', () => {})
  return { socket, rest }
}

/** Serves, tunnels, and ends on SIGTERM: the client gets Close 1001, and the program ends with 0. */
async function serveAndDrain (program: string, project: string): Promise<void> {
  const upstream = await startUpstream()
  const child = spawn(
    process.execPath,
    [program, `ws://127.0.0.1:${upstream.port}`, '--port', '0', '--status'],
    { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] }
  )
  const timer = setTimeout(() => child.kill('SIGKILL'), deadline)
  const ended = once(child, 'close') as Promise<[number | null, string | null]>
  try {
    const port = await listening(child)
    const text = await (await fetch(`http://127.0.0.1:${port}/x`)).text()
    if (text !== 'hello /x') throw new Error(`expected the upstream's page, got ${text}`)
    const status = await fetch(`http://127.0.0.1:${port}/wstunnel/`)
    if (status.status !== 200) throw new Error(`the status page is a ${status.status}`)
    const { socket, rest } = await openWebSocket(port)
    const closed = once(socket, 'close')
    child.kill('SIGTERM')
    await closed
    const [code, signal] = await ended
    const frame = Buffer.concat(rest)
    if (frame[0] !== 0x88 || frame.readUInt16BE(2) !== 1001) throw new Error(`expected Close 1001, got ${frame.toString('hex')}`)
    if (code !== 0) throw new Error(`expected it to end with 0, got ${code ?? signal}`)
    console.log('serves, and drains on SIGTERM: ok')
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
    await ended
    upstream.server.close()
    upstream.server.closeAllConnections()
  }
}

/**
 * @param project where the tarball is installed beside fastify
 * @param tarball its path
 * @param fastify the version to ask for
 */
export async function checkCommand (project: string, tarball: string, fastify: string): Promise<void> {
  const program = join(project, 'node_modules', 'fastify-wstunnel', 'dist', 'cli', 'main.js')
  if (!readFileSync(program, 'utf8').startsWith('#!/usr/bin/env node\n')) throw new Error(`${program} cannot be run`)
  const conf = join(project, 'site.conf')
  writeFileSync(conf, '<VirtualHost *:80>\nServerName a.example\nProxyPass /ws ws://127.0.0.1:9/ws\nProxyPass / http://127.0.0.1:9/\n</VirtualHost>\n')

  // The module that --print prints, in the project of a user.
  const printed = await run(process.execPath, [program, '--httpd-conf', conf, '--print', '--status'], project)
  writeFileSync(join(project, 'printed.mjs'), printed.stdout)
  writeFileSync(join(project, 'use-printed.mjs'), [
    "import Fastify from 'fastify'",
    "import site from './printed.mjs'",
    'const app = Fastify()',
    'await app.register(site)',
    'await app.ready()',
    "if ((await app.inject('/wstunnel/status.json')).statusCode !== 200) process.exitCode = 1",
    'await app.close()',
    ''
  ].join('\n'))
  expect('a printed module', printed.status === 0, printed)
  const used = await run(process.execPath, ['use-printed.mjs'], project)
  expect('a printed module, registered', used.status === 0, used)

  const taken = createTcpServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const inUse = await run(process.execPath, [program, 'ws://127.0.0.1:9', '--port', String(port)], project)
  taken.close()
  expect('a port in use', inUse.status === 2 && inUse.stderr === `fastify-wstunnel: port ${port} of 127.0.0.1 is in use: choose another with --port\n`, inUse)

  await serveAndDrain(program, project)

  // Apart from the project, where Node would find its fastify.
  const empty = mkdtempSync(join(tmpdir(), 'wstunnel-npx-'))
  try {
    writeFileSync(join(empty, 'package.json'), '{ "name": "nothing", "private": true }\n')
    for (const npm of ['npm@10', 'npm@11']) await checkNpx(npm, empty, tarball, fastify)
  } finally {
    rmSync(empty, { recursive: true, force: true })
  }
}

/** The programs of npm themselves come from the registry. */
async function checkNpx (npm: string, empty: string, tarball: string, fastify: string): Promise<void> {
  const version = await run('npx', ['--yes', npm, '--version'], empty)
  if (version.status !== 0) throw new Error(`${npm} cannot be had: ${version.stderr}`)
  const name = `npm ${version.stdout.trim()}`
  const exec = (...args: string[]): Promise<Ended> => run('npx', ['--yes', npm, 'exec', '--yes', '--prefer-offline', '--no-audit', '--no-fund', ...args], empty)
  const command = ['--', 'fastify-wstunnel', 'ws://127.0.0.1:9', '--check']
  const plain = await exec(`--package=${tarball}`, ...command)
  expect(`${name}: npx, with nothing installed`, plain.status === 0 && plain.stdout === 'fine\n', plain)
  // A cache of its own, so that what the run before has installed is not found again.
  const legacy = await exec(`--package=${tarball}`, '--legacy-peer-deps', `--cache=${join(empty, `cache-${npm}`)}`, ...command)
  const sentence = 'fastify-wstunnel: this needs Fastify 5, at least 5.8.5, which is not installed: npm install fastify@5\n'
  expect(`${name}: npx, with legacy-peer-deps`, legacy.status === 2 && legacy.stderr.endsWith(sentence), legacy)
  const both = await exec(`--package=${tarball}`, `--package=fastify@${fastify}`, '--legacy-peer-deps', ...command)
  expect(`${name}: npx, with legacy-peer-deps and fastify beside it`, both.status === 0 && both.stdout === 'fine\n', both)
}
