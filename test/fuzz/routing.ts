// A property of routing: whatever the table, the entry whose hooks ran, whose constraints held, whose config and parameters a
// hook saw, and whose upstream served are one entry: the first of the table that has the path and takes the request.
// The oracle is a regular expression for each entry and a loop; it shares no code with the plugin.
import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import Fastify, { type FastifyRequest } from 'fastify'
import fc from 'fast-check'
import wstunnel, { type RouteOptions } from '../../lib/index.ts'

type Kind = 'sockets only' | 'sockets and http' | 'http' | 'http with sockets' | 'excluded'
type Host = 'one' | 'two' | '/^t/' | undefined

interface Entry {
  readonly path: string
  readonly kind: Kind
  readonly host: Host
  readonly methods: readonly string[] | undefined
}

interface Asked {
  readonly path: string
  readonly host: string
  readonly method: 'GET' | 'POST'
  readonly socket: boolean
}

interface Case {
  readonly prefix: string
  readonly entries: readonly Entry[]
  readonly asked: readonly Asked[]
}

const often = <T> (value: T, weight: number, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.constantFrom(...others) })

const entryPath = fc.tuple(fc.array(fc.constantFrom('a', 'b', 'c', ':x', ':y'), { maxLength: 3 }), fc.boolean())
  .map(([segments, slash]) => segments.length === 0 ? '/' : `/${distinct(segments).join('/')}${slash ? '/' : ''}`)
const entry: fc.Arbitrary<Entry> = fc.record({
  path: entryPath,
  kind: fc.constantFrom<Kind>('sockets only', 'sockets only', 'sockets and http', 'http', 'http', 'http with sockets', 'excluded'),
  host: often<Host>(undefined, 6, 'one', 'two', '/^t/'),
  methods: often<readonly string[] | undefined>(undefined, 6, ['GET'], ['POST'], ['GET', 'POST'])
})
const askedPath = fc.tuple(fc.array(fc.constantFrom('a', 'b', 'c', 'd', '%61', 'b%20'), { maxLength: 4 }), fc.boolean())
  .map(([segments, slash]) => `/${segments.join('/')}${slash && segments.length > 0 ? '/' : ''}`)
const asked: fc.Arbitrary<Asked> = fc.record({
  path: askedPath,
  host: fc.constantFrom('one', 'two', 'three', 'four'),
  method: often<'GET' | 'POST'>('GET', 4, 'POST'),
  socket: fc.boolean()
})
export const cases: fc.Arbitrary<Case> = fc.record({
  prefix: fc.constantFrom('', '', '/p'), entries: fc.array(entry, { minLength: 1, maxLength: 7 }), asked: fc.array(asked, { minLength: 25, maxLength: 25 })
})

/** A name may stand once in a path. */
function distinct (segments: readonly string[]): string[] {
  return segments.map((segment, i) => segment.startsWith(':') ? `${segment}${i}` : segment)
}

/** What the table makes of a request: the number of the entry, and how it serves; `undefined` is a 404. */
function expected (
  { prefix, entries }: Case, { path, host, method, socket }: Asked
): { at: number, status: number, rest: string, params: Record<string, string> } | undefined {
  for (const [at, { path: own, kind, host: wanted, methods }] of entries.entries()) {
    const whole = own === '/' ? prefix : prefix + own
    const names: string[] = []
    const source = whole.replace(/:(\w+)/g, (_, name: string) => { names.push(name); return '([^/]*)' })
    const match = new RegExp(`^${source}${whole.endsWith('/') ? '' : '(?=/|$)'}`).exec(decodeURIComponent(prefix + path))
    if (match === null) continue
    if (wanted === '/^t/' ? !/^t/.test(host) : wanted !== undefined && wanted !== host) continue
    if (!(methods ?? (kind === 'sockets only' ? ['GET'] : ['GET', 'POST'])).includes(method)) continue
    if (kind === 'excluded') return undefined
    if (kind === 'sockets only' && !socket) continue
    const rest = decodeURIComponent(prefix + path).slice(match[0].length)
    const params = Object.fromEntries(names.map((name, i) => [name, match[i + 1] ?? '']))
    return { at, status: socket && kind !== 'http' ? 101 : 200, rest, params }
  }
  return undefined
}

interface Answer {
  status: number
  hooks: string
  served: string
  seen: string
}

function optionsOf ({ path, kind, host, methods }: Entry, at: number, port: number): RouteOptions {
  const scheme = kind.startsWith('sockets') ? 'ws' : 'http'
  return {
    path,
    upstream: kind === 'excluded' ? false : `${scheme}://127.0.0.1:${port}/e${at}${path === '/' || path.endsWith('/') ? '/' : ''}`,
    ...(kind === 'sockets only' ? { fallbackToHttp: false } : {}),
    ...(kind === 'http with sockets' ? { upgrade: 'websocket' } : {}),
    ...(methods === undefined ? {} : { methods }),
    ...(host === undefined ? {} : { constraints: { host: host === '/^t/' ? /^t/ : host } }),
    config: { at },
    onRequest: async (request) => { note(request, `${at}`) },
    preHandler: async (request) => { note(request, `${at}`) },
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      'x-hooks': hooksOf(request),
      'x-seen': encodeURIComponent(JSON.stringify([(request.routeOptions.config as unknown as { at: number }).at, request.params]))
    })
  }
}

const notes = new WeakMap<FastifyRequest, string>()

function note (request: FastifyRequest, text: string): void {
  notes.set(request, `${hooksOf(request)}${text}`)
}

function hooksOf (request: FastifyRequest): string {
  return notes.get(request) ?? ''
}

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

/** An upstream that says what it was asked. */
export async function startTeller (): Promise<{ port: number, close: () => void }> {
  const sockets = new Set<Socket>()
  const server = http.createServer((request, response) => response.writeHead(200, { ...told(request), 'content-length': '0' }).end())
  server.on('upgrade', (request: http.IncomingMessage, socket: Socket) => {
    const fields = Object.entries(told(request)).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n${fields}\r\n`)
  })
  server.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return { port: (server.address() as AddressInfo).port, close: () => { server.close(); for (const socket of sockets) socket.destroy() } }
}

function told ({ headers, url = '' }: http.IncomingMessage): Record<string, string> {
  return { 'x-hooks': String(headers['x-hooks'] ?? ''), 'x-served': url, 'x-seen': String(headers['x-seen'] ?? '') }
}

async function ask (port: number, prefix: string, { path, host, method, socket }: Asked): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key, 'sec-websocket-version': '13' }
    const headers = { host, ...(socket ? upgrade : { connection: 'close' }) }
    const request = http.request({ port, host: '127.0.0.1', path: prefix + path, method, agent: false, headers })
    const answered = (response: http.IncomingMessage): void => {
      const { 'x-hooks': hooks = '', 'x-served': served = '', 'x-seen': seen = '' } = response.headers
      resolve({ status: response.statusCode ?? 0, hooks: String(hooks), served: String(served), seen: String(seen) })
      response.resume()
    }
    request.on('upgrade', (response, stream) => { stream.destroy(); answered(response) })
    request.on('response', answered).on('error', reject).end()
  })
}

/** Registers the table and asks it everything; throws where an answer is another than the table's. */
export async function check (tried: Case, teller: number): Promise<void> {
  const app = Fastify()
  try {
    await app.register(wstunnel, {
      ...(tried.prefix === '' ? {} : { prefix: tried.prefix }),
      drainTimeout: 1,
      routes: tried.entries.map((each, at) => optionsOf(each, at, teller))
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    for (const each of tried.asked) {
      // RFC 6455 has a WebSocket asked for by GET; another method is a 400 by the entry that has it.
      const request = each.socket ? { ...each, method: 'GET' as const } : each
      const answer = await ask(port, tried.prefix, request)
      const right = expected(tried, request)
      const told = `${JSON.stringify(request)} of ${JSON.stringify(tried)}`
      if (right === undefined) assert.deepEqual([answer.status, answer.hooks, answer.served], [404, '', ''], told)
      else {
        const { at, status, rest, params } = right
        assert.deepEqual([answer.status, answer.hooks, answer.served.split(/[/?]/)[1]], [status, `${at}${at}`, `e${at}`], told)
        assert.equal(
          decodeURIComponent(answer.served).replace(/\/+/g, '/'),
          `/e${at}/${rest}`.replace(/\/+/g, '/').replace(/\/$/, answer.served.endsWith('/') ? '/' : ''),
          told
        )
        const [config, seen] = JSON.parse(decodeURIComponent(answer.seen)) as [number, Record<string, string>]
        const { '*': wildcard, ...names } = seen
        assert.deepEqual([config, names], [at, params], told)
        if (wildcard !== undefined) assert.equal(wildcard, rest.replace(/^\//, ''), told)
      }
    }
  } finally {
    await app.close()
  }
}
