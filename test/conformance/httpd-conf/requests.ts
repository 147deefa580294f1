/** The requests that a configuration is asked: what it maps, and what is beside it, plain and as a WebSocket. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { HttpdTranslation } from '../../../lib/httpd-conf/index.ts'
import type { Answer } from './world.ts'

export interface Probe {
  host: string
  path: string
  webSocket: boolean
}

/** Paths of the translation and of the text, and neighbours of each; at least twelve requests. */
export function probesFor (text: string, { registrations }: HttpdTranslation): Probe[] {
  const prefixes = new Set<string>(['/'])
  for (const { options } of registrations) for (const { path } of options.routes ?? []) prefixes.add(path ?? '/')
  for (const [, path] of text.matchAll(/^\s*(?:ProxyPass|<Location|Alias|Redirect\w*(?: permanent)?)\s+"?(\/[\w./-]*)/gim)) prefixes.add(path ?? '/')
  for (const [, path = ''] of text.matchAll(/(?:RewriteRule|ProxyPassMatch|<LocationMatch|REQUEST_URI\})\s+"?!?\^?(\/[\w./\\-]+)/gi)) {
    prefixes.add(path.replaceAll('\\', '').replace(/\.$/, ''))
  }
  const paths = new Set<string>(['/', '/x', '/ws', '/api/v1/items?a=1&b=%2F', '/other', '/other/deeper?a=1', '/index.html'])
  for (const prefix of prefixes) {
    const bare = prefix.replace(/\/$/, '')
    if (bare === '') continue
    for (const path of [bare, `${bare}/`, `${bare}/below`, `${bare}/below/ws?x=%20y`, `${bare}x`, `${bare}x/y`, `/other${bare}`]) paths.add(path)
    const parent = bare.slice(0, bare.lastIndexOf('/'))
    if (parent !== '') paths.add(`${parent}/beside`)
  }
  if (/socket\.io/.test(text)) for (const name of ['websocket', 'polling']) paths.add(`/socket.io/?EIO=4&transport=${name}`)
  const hosts = new Set<string>()
  for (const [, names = ''] of text.matchAll(/^\s*Server(?:Name|Alias)\s+(.*)$/gim)) {
    for (const name of names.trim().split(/\s+/)) hosts.add(name.replace('*', 'any').replace(/^https?:\/\//, ''))
  }
  hosts.add('nobody.example')
  return [...hosts].flatMap((host) => [...paths].flatMap((path) => [false, true].map((webSocket) => ({ host, path, webSocket }))))
}

export function shown ({ host, path, webSocket }: Probe): string {
  return `${webSocket ? 'ws ' : 'get'} ${host}${path}`
}

/** Sends a probe and reads the head of what comes. */
export async function ask (port: number, { host, path, webSocket }: Probe): Promise<Answer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let head = ''
  socket.setEncoding('latin1').on('data', (part: string) => {
    head += part
    if (head.includes('\r\n\r\n')) socket.destroy()
  }).on('error', () => {})
  const fields = webSocket
    ? 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    : 'Connection: close\r\n'
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`)
  const timer = setTimeout(() => socket.destroy(), 10_000)
  await once(socket, 'close')
  clearTimeout(timer)
  return { status: Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0), by: /^x-by: (.*)\r$/im.exec(head)?.[1] ?? '' }
}
