// The three servers, each as a reverse proxy of the same shape: /app/ goes to /base/ of an upstream of its own, upgrades too.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { until } from '../fixtures/wait.ts'

/** A server with one port for each upstream. */
export interface Server {
  readonly name: string
  readonly ports: readonly number[]
  stop (): Promise<void>
}

/** Where a program is, or `undefined`. */
export function find (program: string): string | undefined {
  const paths = [process.env[program.toUpperCase()], `/usr/sbin/${program}`, `/usr/local/sbin/${program}`, `/usr/bin/${program}`]
  return paths.find((path) => path !== undefined && spawnSync(path, ['-v'], { stdio: 'ignore' }).status === 0)
}

export async function startOurs (upstreams: readonly number[]): Promise<Server> {
  const apps: FastifyInstance[] = []
  for (const port of upstreams) {
    const app = Fastify()
    app.register(wstunnel, { path: '/app/', upstream: `ws://127.0.0.1:${port}/base/`, timeout: 2000, handshakeTimeout: 2000 })
    await app.listen({ port: 0, host: '127.0.0.1' })
    apps.push(app)
  }
  return {
    name: 'ours',
    ports: apps.map((app) => (app.server.address() as AddressInfo).port),
    async stop () { await Promise.all(apps.map((app) => app.close())) }
  }
}

export function startNginx (program: string, upstreams: readonly number[]): Promise<Server> {
  const server = (port: number, i: number): string => `
  server {
    listen 127.0.0.1:${port};
    location /app/ {
      proxy_pass http://127.0.0.1:${upstreams[i]}/base/;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 2s;
    }
    location / { return 404; }
  }`
  return start('nginx', upstreams, (ports, folder) => [program, ['-p', folder, '-e', 'stderr', '-c', write(folder, `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 256; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join(' ')}
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  ${ports.map(server).join('')}
}
`)]])
}

export function startHaproxy (program: string, upstreams: readonly number[]): Promise<Server> {
  const proxy = (port: number, i: number): string => `
frontend f${i}
  bind 127.0.0.1:${port}
  http-request deny deny_status 404 unless { path_beg /app/ }
  http-request replace-path /app/(.*) /base/\\1
  default_backend b${i}
backend b${i}
  server up 127.0.0.1:${upstreams[i]}
`
  return start('haproxy', upstreams, (ports, folder) => [program, ['-db', '-q', '-f', write(folder, `
global
  maxconn 256
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 2s
  timeout tunnel 5s
${ports.map(proxy).join('')}`)]])
}

function write (folder: string, text: string): string {
  const file = join(folder, 'server.conf')
  writeFileSync(file, text)
  return file
}

type Command = (ports: readonly number[], folder: string) => [program: string, args: string[]]

async function start (name: string, upstreams: readonly number[], command: Command, attempts: number = 5): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), `wstunnel-${name}-`))
  const ports = await freePorts(upstreams.length)
  const [program, args] = command(ports, folder)
  const child: ChildProcess = spawn(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  let ended = false
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const exited = new Promise<void>((resolve) => child.once('close', () => {
    ended = true
    resolve()
  }))
  // However this process ends.
  const kill = (): void => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', kill)
  const stop = async (): Promise<void> => {
    process.off('exit', kill)
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(timer)
    rmSync(folder, { recursive: true, force: true })
  }
  const listening = new Set<number>()
  for (const port of ports) void tryPort(port, () => ended).then((listens) => { if (listens) listening.add(port) })
  await until(() => ended || listening.size === ports.length, `${name} to listen`)
  if (!ended) return { name, ports, stop }
  await stop()
  // Between the search for a free port and its use someone else may have taken it.
  if (attempts > 1 && /in use/i.test(stderr)) return start(name, upstreams, command, attempts - 1)
  throw new Error(`${name} does not start: ${stderr}`)
}

/** Until someone listens there, or it is given up. */
function tryPort (port: number, over: () => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      if (over()) resolve(false)
      else setTimeout(() => resolve(tryPort(port, over)), 20)
    })
  })
}

async function freePorts (count: number): Promise<number[]> {
  const taken = await Promise.all(Array.from({ length: count }, () => new Promise<ReturnType<typeof createServer>>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
  })))
  const ports = taken.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(taken.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
