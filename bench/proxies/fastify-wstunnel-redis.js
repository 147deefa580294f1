// This plugin with a limit over all instances, and a Redis of its own beside it, whose CPU counts as well.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import wstunnel from '../../dist/index.js'
import { redisLeases } from '../../dist/redis/index.js'
import { run } from './application.js'
import { upstreamUrl } from './serve.js'

const directory = mkdtempSync(join(tmpdir(), 'wstunnel-bench-'))
const path = join(directory, 'redis.sock')
const server = spawn('redis-server', ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no'], { stdio: ['ignore', 'pipe', 'inherit'] })
process.on('exit', () => {
  server.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})
for (let said = ''; !/ready to accept connections/i.test(said);) said += String((await once(server.stdout, 'data'))[0])
server.stdout.resume()

await run(wstunnel, { upstream: upstreamUrl('ws'), limits: { maxTunnelsPerClient: 100_000, store: redisLeases(new Redis(path)) } })
