/** A real httpd: its configuration from routes tables, started and stopped here. Never the system's service. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Route, Table } from './table.ts'

/** A virtual host: a table, where its upstreams listen, and where it shall. */
export interface VirtualHost {
  table: Table
  ports: Readonly<Record<string, number>>
  port: number
  /** A scenario that needs it: for messages. */
  scenario: string
}

const moduleDirectories = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/usr/lib/httpd/modules', '/usr/local/apache2/modules']
const modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'proxy_wstunnel']
const modulesForTls = ['socache_shmcb', 'ssl']

/** The program, or `undefined` where there is none. */
export function findHttpd (): { program: string, modules: string } | undefined {
  const directory = moduleDirectories.find((each) => existsSync(join(each, 'mod_proxy_wstunnel.so')))
  const program = ['/usr/sbin/apache2', '/usr/sbin/httpd', '/usr/local/apache2/bin/httpd'].find((each) => existsSync(each))
  return directory === undefined || program === undefined ? undefined : { program, modules: directory }
}

/** Where a target really is. `refused` and `nowhere` are names of the tables for what cannot be reached. */
export function located (upstream: string, ports: Readonly<Record<string, number>>): string {
  return upstream.replace(/^(\w+:\/\/)(\w+)/, (_, scheme: string, name: string) => {
    if (name === 'nowhere') return `${scheme}no-such-host.invalid`
    const port = ports[name]
    if (port === undefined) throw new Error(`no upstream is called '${name}'`)
    return `${scheme}127.0.0.1:${port}`
  })
}

function proxyPass (route: Route, ports: Readonly<Record<string, number>>): string {
  if (route.upstream === false) return `ProxyPass "${route.path}" "!"`
  const { upgrade } = route
  const protocols = upgrade === undefined ? '' : ` upgrade=${typeof upgrade === 'string' ? upgrade : upgrade.join(',')}`
  return `ProxyPass "${route.path}" "${located(route.upstream, ports)}"${protocols}`
}

function virtualHost ({ table, ports, port }: VirtualHost): string {
  const lines = table.routes.map((route) => proxyPass(route, ports))
  lines.unshift('ProxyPass "/~probe" "!"')
  if (table.fallbackToHttp === false) lines.push('ProxyWebsocketFallbackToProxyHttp Off')
  if (table.timeout !== undefined) lines.push(`Timeout ${table.timeout}`, `ProxyTimeout ${table.timeout}`)
  if (table.preserveHost === true) lines.push('ProxyPreserveHost On')
  if (table.via !== undefined) lines.push(`ProxyVia ${table.via}`)
  if (table.forwarded === false) lines.push('ProxyAddHeaders Off')
  if (table.tls !== undefined) lines.push('SSLProxyEngine On')
  return [`Listen 127.0.0.1:${port}`, `<VirtualHost 127.0.0.1:${port}>`, ...lines.map((line) => `  ${line}`), '</VirtualHost>'].join('\n')
}

function configuration (directory: string, modulesAt: string, hosts: readonly VirtualHost[]): string {
  const wanted = hosts.some(({ table }) => table.tls !== undefined) ? [...modules, ...modulesForTls] : modules
  return `${wanted.map((name) => `LoadModule ${name}_module ${modulesAt}/mod_${name}.so`).join('\n')}
ServerRoot "${directory}"
DefaultRuntimeDir "${directory}"
PidFile "${directory}/httpd.pid"
ErrorLog "${directory}/error.log"
LogLevel warn
DocumentRoot "${directory}/htdocs"
ServerName localhost
ServerTokens Prod
User ${user()}
Group ${group()}
StartServers 1
ServerLimit 1
ThreadLimit 100
ThreadsPerChild 100
MaxRequestWorkers 100
MinSpareThreads 1
MaxSpareThreads 100
Timeout 20
KeepAliveTimeout 20

${hosts.map(virtualHost).join('\n\n')}
`
}

// What httpd becomes where it is started as root; elsewhere it ignores both.
function user (): string {
  return ['www-data', 'apache', 'daemon'].find((name) => readFileSync('/etc/passwd', 'latin1').includes(`\n${name}:`)) ?? 'nobody'
}

function group (): string {
  return ['www-data', 'apache', 'daemon'].find((name) => readFileSync('/etc/group', 'latin1').includes(`\n${name}:`)) ?? 'nogroup'
}

/** Ports that were free a moment ago. */
export async function freePorts (count: number): Promise<number[]> {
  const servers: Server[] = []
  for (let i = 0; i < count; i++) {
    const server = createServer()
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => {
    const closed = once(server, 'close')
    server.close()
    return closed
  }))
  return ports
}

export class Httpd {
  readonly #directory: string
  #child: ChildProcess | undefined

  constructor () {
    this.#directory = mkdtempSync(join(tmpdir(), 'conformance-'))
    chmodSync(this.#directory, 0o755) // httpd reads htdocs as another user
    mkdirSync(join(this.#directory, 'htdocs'))
  }

  /** @throws Error that names the scenario whose table httpd refuses, or that tells what it wrote to its log */
  async start (hosts: readonly VirtualHost[]): Promise<void> {
    const found = findHttpd()
    if (found === undefined) throw new Error('httpd is not installed')
    const file = join(this.#directory, 'httpd.conf')
    const write = (some: readonly VirtualHost[]): void => writeFileSync(file, configuration(this.#directory, found.modules, some))
    const test = (): string | undefined => {
      const { status, stderr } = spawnSync(found.program, ['-t', '-f', file], { encoding: 'utf8' })
      return status === 0 ? undefined : stderr.trim()
    }
    write(hosts)
    const refused = test()
    if (refused !== undefined) {
      for (const host of hosts) {
        write([host])
        const alone = test()
        if (alone !== undefined) throw new Error(`httpd refuses the table of '${host.scenario}':\n${alone}`)
      }
      throw new Error(`httpd refuses its configuration:\n${refused}`)
    }
    const child = spawn(found.program, ['-f', file, '-DFOREGROUND'], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    const died = once(child, 'exit').then(([code]) => { throw new Error(`httpd did not start (${code}):\n${stderr}${this.log()}`) })
    died.catch(() => {})
    await Promise.race([died, this.#answers(hosts)])
  }

  /** Waits until httpd answers a request, which it does once it listens on all of its ports. */
  async #answers (hosts: readonly VirtualHost[]): Promise<void> {
    const { port, scenario } = hosts[0] as VirtualHost
    const deadline = Date.now() + 15_000
    for (;;) {
      const socket = connect(port, '127.0.0.1')
      try {
        await once(socket, 'connect')
        socket.write('GET /~probe HTTP/1.0\r\n\r\n')
        await once(socket, 'data')
        return
      } catch {
        if (Date.now() > deadline) throw new Error(`httpd takes no connection (table of '${scenario}'):\n${this.log()}`)
        await sleep(20) // there is no event for a port of another process
      } finally {
        socket.destroy()
      }
    }
  }

  log (): string {
    const file = join(this.#directory, 'error.log')
    return existsSync(file) ? readFileSync(file, 'latin1') : ''
  }

  async stop (): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await exited
      clearTimeout(killer)
    }
    this.remove()
  }

  /** At once, for when there is no time to wait. */
  kill (): void {
    this.#child?.kill('SIGTERM')
    this.remove()
  }

  remove (): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
