// What becomes of an upstream's redirects and cookies: by nginx and @fastify/http-proxy as they come, and by the plugin, as the table in
// docs/redirects-and-cookies.md.
//
//   npm run redirects              ends with 1 where the document says something else, with 77 where nginx is missing
//   npm run redirects -- --write   writes the table
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import httpProxy from '@fastify/http-proxy'
import wstunnel from '../../lib/index.ts'
import { find, startNginx } from './servers.ts'

const notInstalled = 77
const document = new URL('../../docs/redirects-and-cookies.md', import.meta.url)
const begin = '<!-- npm run redirects -- --write -->\n'
const end = '<!-- end -->'

/** `{up}` is the upstream's authority. */
const inputs: ReadonlyArray<readonly [name: 'Location' | 'Content-Location' | 'Set-Cookie', value: string]> = [
  ...[
    'http://{up}/base/login', 'HTTP://{up}/base/login', 'http://{up}/base/', 'http://{up}/base',
    'http://{up}/basement', 'http://{up}1/base/x', 'https://{up}/base/x', 'http://other.example/base/x',
    '/base/login', '/base/?next=/base/x', '/basement', '/login', '/app/login',
    '/base//other.example', '//{up}/base/login', '//other.example/base/login', 'login', '../login', '?x'
  ].map((value) => ['Location', value] as const),
  ['Content-Location', 'http://{up}/base/x'],
  ['Content-Location', '/base/x'],
  ...['a=1; Path=/base', 'a=1; Path=/base/x; HttpOnly', 'a=1; Path=/', 'a=1; Domain=127.0.0.1'].map((value) => ['Set-Cookie', value] as const)
]

async function listen (server: HttpServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function ask (port: number, name: string, value: string): Promise<string> {
  const asked = request({ port, host: '127.0.0.1', path: '/app/x', agent: false, headers: { host: 'front.example', 'x-name': name, 'x-value': value } })
  asked.end()
  const [response] = await once(asked, 'response') as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return [response.headers[name.toLowerCase()] ?? ''].flat().join()
}

function versionOf (name: string): string {
  return (JSON.parse(readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), 'utf8')) as { version: string }).version
}

async function main (): Promise<number> {
  const nginx = find('nginx')
  if (nginx === undefined) {
    console.error('redirects: nginx is not installed (Debian: apt-get install nginx); nothing was compared')
    return notInstalled
  }
  const upstream = createServer(({ headers }, response) => {
    response.writeHead(302, { [String(headers['x-name'])]: String(headers['x-value']) }).end()
  })
  const up = await listen(upstream)
  const theirs = Fastify()
  theirs.register(httpProxy, { prefix: '/app', upstream: `http://127.0.0.1:${up}`, rewritePrefix: '/base' })
  const ours = Fastify()
  ours.register(wstunnel, { prefix: '/app', upstream: `http://127.0.0.1:${up}/base` })
  for (const app of [theirs, ours]) await app.listen({ port: 0, host: '127.0.0.1' })
  const server = await startNginx(nginx, [up])
  const ports = [server.ports[0] as number, ...[theirs, ours].map((app) => (app.server.address() as AddressInfo).port)]
  try {
    const rows: string[] = []
    for (const [name, value] of inputs) {
      const shown = (text: string): string =>
        `\`${text.replaceAll(`127.0.0.1:${up}`, 'up:9080').replaceAll('127.0.0.1', 'up').replaceAll(`:${ports[0]}`, ':{port}')}\``
      const sent = value.replace('{up}', `127.0.0.1:${up}`)
      const results = []
      for (const port of ports) results.push(await ask(port, name, sent))
      rows.push(`| \`${name}\` | ${shown(sent)} | ${results.map((text) => text === sent ? 'the same' : shown(text)).join(' | ')} |`)
    }
    const [, version = ''] = /nginx\/(\S+)/.exec(spawnSync(nginx, ['-v'], { encoding: 'utf8' }).stderr) ?? []
    const table = `| field | of the upstream | nginx ${version} | @fastify/http-proxy ${versionOf('@fastify/http-proxy')} | fastify-wstunnel |\n` +
      `|---|---|---|---|---|\n${rows.join('\n')}\n`
    return compare(table, process.argv.includes('--write'))
  } finally {
    await server.stop()
    await Promise.all([theirs.close(), ours.close()])
    upstream.close()
  }
}

/** Versions are those of the last run: another one is no difference by itself. */
function compare (table: string, write: boolean): number {
  const text = readFileSync(document, 'utf8')
  const from = text.indexOf(begin) + begin.length
  const to = text.indexOf(end, from)
  if (from < begin.length || to === -1) throw new Error('the document has no place for the table')
  const known = text.slice(from, to)
  if (write) writeFileSync(document, text.slice(0, from) + table + text.slice(to))
  const rows = (text: string): string => text.split('\n').slice(1).join('\n')
  if (write || rows(known) === rows(table)) return 0
  console.error(`redirects: the document says otherwise; found now:\n${table}`)
  return 1
}

process.exitCode = await main()
