/** What many scenarios say: requests, replies, and what they come to. */
import { bytes, either, ended, fin, ifSwitched, response, send, switching, body } from './steps.ts'
import type { ClientStep, UpstreamStep } from './ends.ts'
import { fromUpstream } from './normalise.ts'
import type { Table } from './table.ts'

export const key = 'dGhlIHNhbXBsZSBub25jZQ=='
export const accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

/** A request head of these lines. */
export function head (first: string, ...lines: string[]): string {
  return [`${first} HTTP/1.1`, 'Host: front.example', ...lines, '', ''].join('\r\n')
}

/** A right WebSocket handshake, with more lines. */
export function handshake (path: string = '/chat', ...more: string[]): string {
  return head(`GET ${path}`, 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Version: 13', ...more)
}

export function ok (text: string = 'plain', ...lines: string[]): string {
  return reply('200 OK', text, ...lines)
}

export function reply (status: string, text: string, ...lines: string[]): string {
  return [`HTTP/1.1 ${status}`, fromUpstream, ...lines, `Content-Length: ${text.length}`, '', text].join('\r\n')
}

/** An upstream that switches when asked, and talks; and answers anything else. */
export const willing: ReadonlyArray<readonly UpstreamStep[]> = [[
  body(),
  either([switching({}, 'hello'), bytes(4), send('pong'), ended(), fin()], [send(ok())])
]]

/** An upstream that says this. */
export function says (...replies: string[]): ReadonlyArray<readonly UpstreamStep[]> {
  return replies.map((text) => [body(), send(text)])
}

/** Talks in the tunnel, where one opens, until both sides are done. */
export const talk: ClientStep = ifSwitched(send('ping'), bytes(9), fin(), ended())

/** One request, its answer, and the tunnel that may come of it. */
export function ask (request: string, method: string = 'GET'): readonly ClientStep[] {
  return [send(request), response(method), talk]
}

export const ws: Table = { routes: [{ path: '/', upstream: 'ws://A/' }] }
export const wsOff: Table = { ...ws, fallbackToHttp: false }
export const http: Table = { routes: [{ path: '/', upstream: 'http://A/' }] }
export const httpUp: Table = { routes: [{ path: '/', upstream: 'http://A/', upgrade: 'websocket' }] }

/** The fields of our handshake as the upstream sees them, and others (`name: value`), for `ours`. */
export function seen (first: string, upgrade?: string, fields: readonly string[] = webSocketFields): string[] {
  const all = [
    'host: {A}', 'x-forwarded-for: 127.0.0.1', 'x-forwarded-host: front.example', ...fields,
    ...(upgrade === undefined ? [] : ['connection: upgrade', `upgrade: ${upgrade}`])
  ]
  const name = (field: string): string => field.slice(0, field.indexOf(':'))
  all.sort((a, b) => name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0)
  return [`A> ${first} HTTP/1.1`, ...all.map((field) => `  ${field}`)]
}

export const webSocketFields: readonly string[] = [`sec-websocket-key: ${key}`, 'sec-websocket-version: 13']

/** What we do where `willing` is asked for an upgrade and there is `talk`. */
export function switched (upgrade: string = 'websocket', first: string = 'GET /chat', fields: readonly string[] = webSocketFields): string[] {
  const withKey = fields.some((field) => field.startsWith('sec-websocket-key'))
  return [
    '< 101 Switching Protocols', '  connection: upgrade', ...(withKey ? [`  sec-websocket-accept: ${accept}`] : []), `  upgrade: ${upgrade}`,
    '< bytes "hellopong"', '< fin', ...seen(first, upgrade, fields), 'A> bytes "ping"', 'A> fin'
  ]
}

/** What we do where `willing` is not asked for an upgrade. */
export function forwarded (first: string = 'GET /chat', fields: readonly string[] = webSocketFields, end: string = 'kept'): string[] {
  return ['< 200 OK', '  x-from: upstream', '  body "plain"', `< ${end}`, ...seen(first, undefined, fields)]
}

/** An answer of our own, and nobody dialled. */
export function refused (status: number, end: 'kept' | 'fin' = 'fin', ...fields: string[]): string[] {
  return [`< ${status}`, ...fields.map((field) => `  ${field}`), `< ${end}`]
}

export function upgradeRequired (protocols: string = 'websocket'): string[] {
  return refused(426, 'kept', 'connection: upgrade', `upgrade: ${protocols}`)
}
