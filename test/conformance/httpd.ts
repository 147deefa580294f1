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
import { trusted } from './certificates.ts'
import type { BalancerTable, Route, Table, TlsTable } from './table.ts'

/** A virtual host: a table, where its upstreams listen, and where it shall. */
export interface VirtualHost {
  table: Table
  ports: Readonly<Record<string, number>>
  port: number
  /** A scenario that needs it: for messages. */
  scenario: string
}

const moduleDirectories = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/usr/lib/httpd/modules', '/usr/local/apache2/modules']
const programs = ['/usr/sbin/apache2', '/usr/sbin/httpd', '/usr/local/apache2/bin/httpd']
const modules = [
  'mpm_event', 'authz_core', 'log_config', 'headers', 'proxy', 'proxy_http', 'proxy_wstunnel', 'slotmem_shm', 'proxy_balancer',
  'lbmethod_byrequests', 'lbmethod_bytraffic', 'lbmethod_bybusyness', 'socache_shmcb', 'ssl'
]

export interface Program {
  program: string
  modules: string
}

/** The program, or `undefined` where there is none. HTTPD and HTTPD_MODULES name another than the system's. */
export function findHttpd ({ HTTPD, HTTPD_MODULES }: NodeJS.ProcessEnv = process.env): Program | undefined {
  const directory = (HTTPD_MODULES === undefined ? moduleDirectories.filter((each) => existsSync(join(each, 'mod_proxy_wstunnel.so'))) : [HTTPD_MODULES])[0]
  const program = (HTTPD === undefined ? programs : [HTTPD]).find((each) => existsSync(each))
  return directory === undefined || program === undefined ? undefined : { program, modules: directory }
}

/** Where a target really is; over TLS by a name, since certificates and SNI go by names. */
export function located (upstream: string, ports: Readonly<Record<string, number>>): string {
  return upstream.replace(/^(\w+:\/\/)(\w+)/, (_, scheme: string, name: string) => {
    if (scheme === 'balancer://') return `${scheme}${name}`
    if (name === 'nowhere') return `${scheme}no-such-host.invalid`
    const port = ports[name]
    if (port === undefined) throw new Error(`no upstream is called '${name}'`)
    return `${scheme}${/^(?:wss|https):/.test(scheme) ? 'localhost' : '127.0.0.1'}:${port}`
  })
}

function proxyPass (route: Route, { table, ports }: VirtualHost): string {
  const path = pathOf(route, table)
  if (route.upstream === false) return `ProxyPass "${path}" "!"`
  const { upgrade } = route
  const parameters = [
    upgrade === undefined ? '' : ` upgrade=${typeof upgrade === 'string' ? upgrade : upgrade.join(',')}`,
    table.timeoutText === undefined ? '' : ` timeout=${table.timeoutText}`,
    table.connectTimeout === undefined ? '' : ` connectiontimeout=${table.connectTimeout}`
  ]
  return `ProxyPass "${path}" "${located(route.upstream, ports)}"${parameters.join('')}`
}

/** What goes with a ProxyPass to lead redirects and cookies back; of ws, whose responses name http. */
function proxyPassReverse (route: Route, { table, ports }: VirtualHost): string[] {
  if (route.upstream === false) return []
  const path = pathOf(route, table)
  const url = located(route.upstream, ports).replace(/^ws/, 'http')
  const [, hosts, base = ''] = /^\w+:\/\/([^/]*)(.*)$/.exec(url) ?? []
  const within = table.balancers?.[hosts as string]?.members.map((member) => located(member.url, ports).replace(/^\w+:\/\/([^/]*)/, '')) ?? ['']
  return [
    `ProxyPassReverse "${path}" "${url}"`,
    ...within.map((outer) => `ProxyPassReverseCookiePath "${outer.replace(/\/$/, '')}${base}" "${path}"`),
    'ProxyPassReverseCookieDomain "127.0.0.1" "front.example"'
  ]
}

function pathOf ({ path }: Route, { prefix }: Table): string {
  return prefix === undefined ? path : prefix + (path === '/' ? '' : path)
}

function balancer (name: string, table: BalancerTable, ports: VirtualHost['ports']): string[] {
  const members = table.members.map(({ url, ...rest }) => {
    const parameters = {
      loadfactor: rest.loadFactor,
      route: rest.route,
      redirect: rest.redirect,
      lbset: rest.lbSet,
      status: rest.status,
      max: rest.max,
      retry: table.retry
    }
    return `  BalancerMember "${located(url, ports)}"${parametersOf(parameters)}`
  })
  const settings = parametersOf({
    lbmethod: table.lbMethod,
    stickysession: table.stickySession,
    stickysessionsep: table.stickySessionSep,
    maxattempts: table.maxAttempts,
    nofailover: onOff(table.noFailover),
    forcerecovery: onOff(table.forceRecovery),
    failonstatus: table.failOnStatus?.join(',')
  })
  return [`<Proxy "balancer://${name}">`, ...members, ...(settings === '' ? [] : [`  ProxySet${settings}`]), '</Proxy>']
}

function parametersOf (values: Record<string, string | number | undefined>): string {
  return Object.entries(values).filter(([, value]) => value !== undefined).map(([name, value]) => ` ${name}=${value}`).join('')
}

function onOff (value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? 'On' : 'Off'
}

function tlsLines ({ verify }: TlsTable, directory: string): string[] {
  const lines = ['SSLProxyEngine On']
  if (verify === 'on') lines.push('SSLProxyVerify require', `SSLProxyCACertificateFile "${directory}/ca.pem"`)
  if (verify === 'off') lines.push('SSLProxyVerify none', 'SSLProxyCheckPeerName Off', 'SSLProxyCheckPeerExpire Off')
  return lines
}

function virtualHost (host: VirtualHost, directory: string): string {
  const { table, ports, port } = host
  const lines = ['ProxyPass "/~probe" "!"', ...table.routes.map((route) => proxyPass(route, host))]
  for (const [name, each] of Object.entries(table.balancers ?? {})) lines.unshift(...balancer(name, each, ports))
  if (table.fallbackToHttp === false) lines.push('ProxyWebsocketFallbackToProxyHttp Off')
  if (table.timeout !== undefined) lines.push(`Timeout ${table.timeout}`, `ProxyTimeout ${table.idleTimeout ?? table.timeout}`)
  if (table.preserveHost === true) lines.push('ProxyPreserveHost On')
  if (table.reverse === true) lines.push(...table.routes.flatMap((route) => proxyPassReverse(route, host)))
  if (table.via !== undefined) lines.push(`ProxyVia ${table.via}`)
  if (table.forwarded === false) lines.push('ProxyAddHeaders Off')
  if (table.tls !== undefined) lines.push(...tlsLines(table.tls, directory))
  if (table.async !== undefined) lines.push('<IfDirective ProxyWebsocketAsync>', `  ProxyWebsocketAsync ${onOff(table.async)}`, '</IfDirective>')
  if (table.setHeaders === true) lines.push('Header always set X-Proxy yes', 'Header always set X-Hook yes')
  if (table.log === true) lines.push(`CustomLog "${accessLog(directory, port)}" "%>s %U"`)
  return [`Listen 127.0.0.1:${port}`, `<VirtualHost 127.0.0.1:${port}>`, ...lines.map((line) => `  ${line}`), '</VirtualHost>'].join('\n')
}

function accessLog (directory: string, port: number): string {
  return `${directory}/access-${port}.log`
}

function configuration (directory: string, modulesAt: string, hosts: readonly VirtualHost[]): string {
  const files = modules.map((name) => [name, join(modulesAt, `mod_${name}.so`)] as const).filter(([, file]) => existsSync(file)) // else they are built in
  return `${files.map(([name, file]) => `LoadModule ${name}_module ${file}`).join('\n')}
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
MaxKeepAliveRequests 0

${hosts.map((host) => virtualHost(host, directory)).join('\n\n')}
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
  readonly #patience: number
  #child: ChildProcess | undefined

  /** @param patience milliseconds to wait until it takes connections */
  constructor (patience: number = 15_000) {
    this.#patience = patience
    this.#directory = mkdtempSync(join(tmpdir(), 'conformance-'))
    chmodSync(this.#directory, 0o755) // httpd reads htdocs as another user
    mkdirSync(join(this.#directory, 'htdocs'))
    writeFileSync(join(this.#directory, 'ca.pem'), trusted().cert)
  }

  /** @throws Error that names the scenario whose table httpd refuses, or that tells what it wrote to its log */
  async start (hosts: readonly VirtualHost[]): Promise<void> {
    const found = findHttpd()
    if (found === undefined) throw new Error('httpd is not installed')
    const file = join(this.#directory, 'httpd.conf')
    const write = (some: readonly VirtualHost[]): void => writeFileSync(file, configuration(this.#directory, found.modules, some))
    const test = (): string | undefined => {
      const { status, stderr, error } = spawnSync(found.program, ['-t', '-f', file], { encoding: 'utf8' })
      return status === 0 ? undefined : error?.message ?? stderr.trim()
    }
    write(hosts)
    const refused = test()
    if (refused !== undefined) {
      for (const host of hosts) {
        write([host])
        const alone = test()
        if (alone !== undefined) throw new Error(`httpd refuses the table of '${host.scenario}':\n${alone}`)
      }
      throw new Error(`httpd refuses its configuration, with the tables of ${named(hosts)}:\n${refused}`)
    }
    const child = spawn(found.program, ['-f', file, '-DFOREGROUND'], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    const died = once(child, 'exit').then(([code]) => {
      throw new Error(`httpd did not start (${code}), with the tables of ${named(hosts)}:\n${stderr}${this.log()}`)
    })
    died.catch(() => {})
    await Promise.race([died, this.#answers(hosts)])
  }

  /** Waits until httpd answers a request, which it does once it listens on all of its ports. */
  async #answers (hosts: readonly VirtualHost[]): Promise<void> {
    const { port } = hosts[0] as VirtualHost
    const deadline = Date.now() + this.#patience
    while (this.#child?.exitCode === null) {
      const socket = connect(port, '127.0.0.1')
      try {
        await once(socket, 'connect')
        socket.write('GET /~probe HTTP/1.0\r\n\r\n')
        await once(socket, 'data')
        return
      } catch {
        if (Date.now() > deadline) throw new Error(`httpd takes no connection, with the tables of ${named(hosts)}:\n${this.log()}`)
        await sleep(20) // there is no event for a port of another process
      } finally {
        socket.destroy()
      }
    }
  }

  /** The status of the first request that a virtual host has logged after so many, waited for. */
  async logged (port: number, after: number): Promise<string | undefined> {
    const deadline = Date.now() + 3_000
    for (;;) {
      const line = this.logLines(port)[after]
      if (line !== undefined || Date.now() > deadline) return line?.split(' ')[0]
      await sleep(10) // there is no event for a line in another process's file
    }
  }

  logLines (port: number): string[] {
    const file = accessLog(this.#directory, port)
    return existsSync(file) ? readFileSync(file, 'latin1').split('\n').filter((line) => line !== '' && !line.endsWith(' /~probe')) : []
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
    this.#child = undefined
    this.remove()
  }

  remove (): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function named (hosts: readonly VirtualHost[]): string {
  return `'${hosts[0]?.scenario}'${hosts.length > 1 ? ` and ${hosts.length - 1} more` : ''}`
}
