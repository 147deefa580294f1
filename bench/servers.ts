/** nginx, haproxy and httpd: one process or thread for the network, no access log, defaults otherwise. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findHttpd, freePorts } from '../test/conformance/httpd.ts'
import type { Setting } from './setting.ts'

export interface Server {
  /** Why it cannot take part. */
  missing (): string | undefined
  start (setting: Setting): Promise<{ child: ChildProcess, port: number, remove: () => void }>
}

interface Files { readonly directory: string, readonly listen: string, readonly pem: string, readonly ca: string }

export const nginx: Server = server('nginx', (file) => ['nginx', '-c', file], ({ upstream, tls }, { directory, listen, pem, ca }) => `
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${directory}/pid;
error_log ${directory}/error.log crit;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 100000000;
  client_max_body_size 0;
  map $http_upgrade $connection_field { default upgrade; '' ''; }
  upstream backend { server ${upstream.host}:${upstream.port}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen ${listen} ${tls === undefined ? '' : 'ssl'} backlog=4096;
    ${tls === undefined
      ? ''
      : `ssl_certificate ${pem}; ssl_certificate_key ${pem}; proxy_ssl_trusted_certificate ${ca}; proxy_ssl_verify on; proxy_ssl_name localhost;`}
    location / {
      proxy_pass ${tls === undefined ? 'http' : 'https'}://backend;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_field;
    }
  }
}
`)

export const haproxy: Server = server('haproxy', (file) => ['haproxy', '-db', '-f', file], ({ upstream, tls }, { listen, pem, ca }) => `
global
  nbthread 1
  maxconn 9600
defaults
  mode http
  option forwardfor
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend front
  bind ${listen} backlog 4096 ${tls === undefined ? '' : `ssl crt ${pem}`}
  default_backend back
backend back
  http-reuse always
  server one ${upstream.host}:${upstream.port} ${tls === undefined ? '' : `ssl ca-file ${ca} verify required verifyhost localhost`}
`)

const httpd = findHttpd()

const startHttpd = (file: string): string[] => [httpd?.program ?? '', '-f', file, '-DFOREGROUND']

export const apache: Server = server('apache2', startHttpd, ({ upstream, tls }, { directory, listen, pem, ca }) => `
${['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'proxy_wstunnel', ...(tls === undefined ? [] : ['socache_shmcb', 'ssl'])]
  .map((name) => `LoadModule ${name}_module ${httpd?.modules ?? ''}/mod_${name}.so`).join('\n')}
ServerRoot "${directory}"
DefaultRuntimeDir "${directory}"
PidFile "${directory}/pid"
ErrorLog "${directory}/error.log"
LogLevel crit
ServerName localhost
User www-data
Group www-data
StartServers 1
ServerLimit 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
MaxKeepAliveRequests 0
Listen ${listen}
${tls === undefined
  ? ''
  : `SSLEngine On\nSSLCertificateFile ${pem}\nSSLProxyEngine On\nSSLProxyCACertificateFile ${ca}\nSSLProxyVerify require\nSSLProxyCheckPeerName Off`}
ProxyPass "/" "${tls === undefined ? 'http' : 'https'}://${upstream.host}:${upstream.port}/" upgrade=websocket
`, () => httpd === undefined ? 'it, or its mod_proxy_wstunnel, is not installed' : undefined)

function server (
  program: string, command: (file: string) => string[], configuration: (setting: Setting, files: Files) => string,
  missing = (): string | undefined => spawnSync(program, ['-v']).error === undefined ? undefined : 'it is not installed'
): Server {
  return {
    missing,
    async start (setting) {
      const directory = mkdtempSync(join(tmpdir(), 'bench-'))
      chmodSync(directory, 0o755) // httpd reads it as another user
      const remove = (): void => rmSync(directory, { recursive: true, force: true })
      const [port] = await freePorts(1) as [number]
      const { tls, address } = setting
      const files = { directory, listen: `${address}:${port}`, pem: join(directory, 'server.pem'), ca: join(directory, 'ca.pem') }
      if (tls !== undefined) {
        writeFileSync(files.pem, tls.cert + tls.key)
        writeFileSync(files.ca, tls.ca)
      }
      const file = join(directory, 'configuration')
      writeFileSync(file, configuration(setting, files))
      const [name = '', ...args] = command(file)
      const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] })
      let stderr = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
      try {
        await listening(child, address, port)
      } catch (error) {
        remove()
        throw new Error(`${program} did not start: ${stderr}`, { cause: error })
      }
      return { child, port, remove }
    }
  }
}

async function listening (child: ChildProcess, host: string, port: number): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(20)) { // there is no event for a port of another process
    if (child.exitCode !== null) break
    const socket = connect({ host, port })
    try {
      await once(socket, 'connect')
      return
    } catch {
      // not yet
    } finally {
      socket.destroy()
    }
  }
  throw new Error('nothing listens')
}
