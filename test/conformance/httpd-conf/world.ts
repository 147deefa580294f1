/** One configuration served twice: by the real httpd, and by the plugin from its translation. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { fromHttpdConf, toModule } from '../../../lib/httpd-conf/index.ts'
import type { HttpdTranslation } from '../../../lib/httpd-conf/index.ts'
import { importPrinted, registerTranslation } from '../../fixtures/httpd-conf.ts'
import { trusted } from '../certificates.ts'
import { findHttpd, freePorts } from '../httpd.ts'
import { localise } from './localise.ts'
import type { UpstreamNeed } from './localise.ts'

const modules = [
  'mpm_event', 'authn_core', 'authn_file', 'authz_core', 'authz_host', 'authz_user', 'auth_basic', 'access_compat', 'log_config', 'headers', 'env', 'setenvif',
  'proxy', 'proxy_http', 'proxy_wstunnel', 'slotmem_shm', 'proxy_balancer', 'lbmethod_byrequests', 'lbmethod_bytraffic', 'lbmethod_bybusyness',
  'socache_shmcb', 'ssl', 'rewrite', 'alias', 'dir', 'status', 'version', 'proxy_hcheck', 'watchdog'
]

/** What a request came to. */
export interface Answer {
  /** 0 where there was none. */
  status: number
  /** Who answered, the path it was asked for, and whether it was upgraded; empty where it was none of the upstreams. */
  by: string
}

export interface World {
  /** As it is served, with our ports. */
  text: string
  translation: HttpdTranslation
  httpd: { port: number }
  ours: { port: number }
  /** The module that `toModule()` prints. */
  printed: { port: number }
  close: () => Promise<void>
}

/** Starts both. @throws Error where httpd does not start, with what it said */
export async function startWorld (source: string): Promise<World> {
  const needs: UpstreamNeed[] = []
  localise(source, (need) => { if (!needs.includes(need)) needs.push(need); return 0 }, (address) => address)
  const servers = new Map<string, Server>()
  const closers: Array<() => unknown> = []
  const close = async (): Promise<void> => { for (const each of closers.reverse()) await each() }
  try {
    for (const need of needs) {
      const server = await startUpstream(need)
      servers.set(need.name, server)
      closers.push(() => closeServer(server))
    }
    const { addresses } = localise(source, () => 0, (address) => address)
    // httpd has a port for each of the configuration's; requests go to that of TLS, where there is one.
    const wanted = [...new Set(addresses.map((address) => /:(\d+)$/.exec(address)?.[1] ?? '80'))]
    const ports = await freePorts(Math.max(1, wanted.length))
    const portOf = (address: string): number => ports[Math.max(0, wanted.indexOf(/:(\d+)$/.exec(address)?.[1] ?? '80'))] as number
    const { text } = localise(
      source,
      ({ name }) => (servers.get(name)?.address() as AddressInfo).port,
      (address) => `${address.replace(/:\d+$/, '')}:${portOf(address)}`
    )
    const httpd = await startHttpd(text, ports)
    closers.push(httpd.close)
    // The addresses of virtual hosts stay as they were: the port says what is TLS.
    const ownText = localise(source, ({ name }) => (servers.get(name)?.address() as AddressInfo).port, (address) => address).text
    const translation = fromHttpdConf(ownText)
    const serve = async (register: (app: FastifyInstance) => Promise<unknown>): Promise<{ port: number }> => {
      const app = Fastify() as FastifyInstance
      closers.push(() => app.close())
      await register(app)
      await app.listen({ port: 0, host: '127.0.0.1' })
      return { port: (app.server.address() as AddressInfo).port }
    }
    const ours = await serve((app) => registerTranslation(app, translation))
    const module = await importPrinted(toModule(translation))
    const printed = await serve(async (app) => app.register(module))
    const main = ports[Math.max(0, wanted.indexOf('443'))] as number
    return { text: ownText, translation, httpd: { port: main }, ours, printed, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** An upstream that says who it is and what it was asked for, and upgrades to whatever is offered. */
async function startUpstream ({ group, tls }: UpstreamNeed): Promise<Server> {
  const server = tls ? createTlsServer(trusted().issue()) as unknown as Server : createServer()
  server.on('request', (request, response) => { response.setHeader('x-by', `${group} plain ${request.url}`).end() })
  server.on('upgrade', (request, socket) => {
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Accept: ${accept}\r\nX-By: ${group} upgraded ${request.url}\r\n\r\n`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function closeServer (server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

async function startHttpd (text: string, ports: readonly number[]): Promise<{ close: () => Promise<void> }> {
  const found = findHttpd()
  if (found === undefined) throw new Error('httpd is not installed')
  const directory = mkdtempSync(join(tmpdir(), 'conformance-conf-'))
  chmodSync(directory, 0o755)
  mkdirSync(join(directory, 'htdocs'))
  const users = readFileSync('/etc/passwd', 'latin1')
  const user = ['www-data', 'apache', 'daemon'].find((name) => users.includes(`\n${name}:`)) ?? 'nobody'
  const group = readFileSync('/etc/group', 'latin1').includes(`\n${user}:`) ? user : 'nogroup'
  const loads = modules.map((name) => [name, join(found.modules, `mod_${name}.so`)] as const).filter(([, file]) => existsSync(file))
  writeFileSync(join(directory, 'httpd.conf'), `${loads.map(([name, file]) => `LoadModule ${name}_module ${file}`).join('\n')}
ServerRoot "${directory}"
DefaultRuntimeDir "${directory}"
PidFile "${directory}/httpd.pid"
ErrorLog "${directory}/error.log"
LogLevel warn
DocumentRoot "${directory}/htdocs"
ServerName localhost
User ${user}
Group ${group}
${ports.map((port) => `Listen 127.0.0.1:${port}`).join('\n')}
ServerLimit 1
ThreadsPerChild 25
MaxRequestWorkers 25
MinSpareThreads 1
MaxSpareThreads 25
StartServers 1
Include "${directory}/site.conf"
`)
  writeFileSync(join(directory, 'site.conf'), text)
  const child = spawn(found.program, ['-f', join(directory, 'httpd.conf'), '-DFOREGROUND'], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => { said += part })
  const log = (): string => existsSync(join(directory, 'error.log')) ? readFileSync(join(directory, 'error.log'), 'latin1') : ''
  const close = async (): Promise<void> => {
    await stop(child)
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await answers(child, ports[0] as number)
  } catch (error) {
    const all = `${said}${log()}`
    await close()
    throw new Error(`httpd does not start: ${all}`, { cause: error })
  }
  return { close }
}

async function stop (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(killer)
}

async function answers (child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + 15_000
  while (child.exitCode === null && Date.now() < deadline) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      await sleep(20) // there is no event for a port of another process
    } finally {
      socket.destroy()
    }
  }
  throw new Error('httpd takes no connection')
}
