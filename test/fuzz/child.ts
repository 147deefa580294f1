// The plugin in a process of its own, so that a crash or a loop without end is seen as such.
import { fork, type ChildProcess } from 'node:child_process'
import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import wstunnel from '../../lib/index.ts'

/** Servers that differ in what is around the plugin. */
export const servers = ['plain', 'hooks', 'tls'] as const
export type Server = typeof servers[number]

/** What the child is told for each server, and what it answers. */
interface Start { do: 'start', upstreams: number[], tls: { key: string, cert: string } }
/** Waits until nothing is left of all exchanges at one server. */
interface Settle { do: 'settle', lane: number, server: Server, reset: boolean }
/** `left`: nothing, or what is left. `paused`: see `Played`. `errors`: those that were answered, with their causes. */
interface Settled { left: string, paused: boolean, errors: string[] }
type Order = Start | Settle | { do: 'close' }

/** The parent's side. */
export class Child {
  /** Why it ended, once it has; or a warning of Node's, which is as bad. */
  failure: string | undefined
  readonly #process: ChildProcess
  readonly exited: Promise<number | null>
  readonly #waiting = new Map<number, (value: unknown) => void>()
  #stderr = ''
  #last = 0
  #closing = false

  constructor () {
    const execArgv = process.execArgv.filter((arg) => !arg.startsWith('--test'))
    this.#process = fork(fileURLToPath(import.meta.url), ['as-child'], { execArgv, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    this.#process.stderr?.setEncoding('latin1').on('data', (text: string) => { this.#stderr = (this.#stderr + text).slice(-4000) })
    this.#process.on('message', ({ id, value }: { id: number, value: unknown }) => {
      this.#waiting.get(id)?.(value)
      this.#waiting.delete(id)
    })
    this.#process.on('error', () => {}) // an order to a process that has just died
    this.exited = new Promise((resolve) => this.#process.once('close', (code, signal) => {
      if (!this.#closing) this.failure = `the process has ended (${signal ?? code})\n${this.#stderr}`
      for (const answer of this.#waiting.values()) answer(undefined)
      this.#waiting.clear()
      resolve(code)
    }))
  }

  /** Ports by lane and server. */
  async start (upstreams: number[], tls: Start['tls']): Promise<Array<Record<Server, number>>> {
    const ports = await this.#ask<Array<Record<Server, number>>>({ do: 'start', upstreams, tls }, 30_000)
    if (ports === undefined) throw new Error(`the child did not start: ${this.failure ?? this.#stderr}`)
    return ports
  }

  /** @param reset whether the client has reset its connection */
  async settle (lane: number, server: Server, reset: boolean): Promise<Settled> {
    const settled = await this.#ask<Settled>({ do: 'settle', lane, server, reset }, 15_000)
    if (this.#stderr !== '') this.failure ??= this.#stderr
    return settled ?? { left: this.failure ?? 'the process does not answer', paused: false, errors: [] }
  }

  /** Closes its servers. Whether it ended by itself and with 0 after that. */
  async close (): Promise<string | undefined> {
    this.#closing = true
    void this.#ask({ do: 'close' }, 20_000)
    const timer = setTimeout(() => this.kill(), 20_000)
    const code = await this.exited
    clearTimeout(timer)
    return code === 0 ? undefined : `close() did not end the process: ${code}\n${this.#stderr}`
  }

  kill (): void {
    this.#closing = true
    this.#process.kill('SIGKILL')
  }

  #ask<T> (order: Order, ms: number): Promise<T | undefined> {
    if (this.failure !== undefined || !this.#process.connected) return Promise.resolve(undefined)
    const id = ++this.#last
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms, undefined)
      this.#waiting.set(id, (value) => {
        clearTimeout(timer)
        resolve(value as T | undefined)
      })
      this.#process.send({ id, order })
    })
  }
}

/** Those of TLS that are open. */
const accepted = new Map<unknown, Set<Socket>>()
/** The errors that each has answered since it was last asked. */
const errors = new Map<unknown, string[]>()
/** Servers that have read on where Node's parser was paused. */
const paused = new Set<unknown>()
const apps: Array<Record<Server, FastifyInstance>> = []

/** The paths are the same on both sides, so that what came can be compared with what was sent. */
function options (port: number): Parameters<typeof wstunnel>[1] {
  const http = (path: string): string => `http://127.0.0.1:${port}${path}`
  const ws = (path: string): string => `ws://127.0.0.1:${port}${path}`
  return {
    connectTimeout: 2000,
    handshakeTimeout: 1500,
    timeout: 1500,
    halfCloseTimeout: 1500,
    stallTimeout: 1500,
    drainTimeout: 2000,
    routes: [
      { path: '/f/', upstream: http('/f/') },
      { path: '/w/', upstream: ws('/w/') },
      { path: '/l/', upstream: ws('/l/'), fallbackToHttp: false },
      { path: '/a/', upstream: http('/a/'), upgrade: 'ANY', forwarded: 'both', via: 'full', async: false },
      { path: '/n/', upstream: ws('/n/'), upgrade: 'NONE', preserveHost: true },
      {
        path: '/r/',
        upstream: http('/r/'),
        upgrade: ['websocket', 'tcp/1'],
        rewriteRequestHeaders: (_, headers) => injected(headers),
        rewriteHeaders: injected
      }
    ]
  }
}

type Headers = Record<string, string | string[] | undefined>

/** What a careless rewrite function might do: puts a value into the headers that was never a header's. */
function injected (headers: Headers): Headers {
  const { 'x-inject': value } = headers
  return typeof value === 'string' ? { ...headers, 'x-injected': Buffer.from(value, 'base64').toString('latin1') } : headers
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function start ({ upstreams, tls }: Start): Promise<Array<Record<Server, number>>> {
  for (const port of upstreams) {
    const lane: Partial<Record<Server, FastifyInstance>> = {}
    for (const server of servers) {
      const app = Fastify((server === 'tls' ? { https: tls } : {}) as FastifyServerOptions) as FastifyInstance
      if (server === 'hooks') {
        app.addHook('onRequest', turn)
        app.addHook('preHandler', async () => { await turn(); await turn() })
        app.addHook('onSend', async (_request, _reply, payload) => { await turn(); return payload })
      }
      const answered: string[] = []
      errors.set(app.server, answered)
      app.addHook('onError', async (request, _reply, error) => { answered.push(`${request.url}: ${causes(error)}`) })
      app.all('/own/*', (request, reply) => reply.header('x-marker', request.url).send('own'))
      app.register(wstunnel, options(port))
      await app.listen({ port: 0, host: '127.0.0.1' })
      const sockets = new Set<Socket>()
      accepted.set(app.server, sockets)
      app.server.on('clientError', ({ code }: NodeJS.ErrnoException) => { if (code === 'HPE_PAUSED') paused.add(app.server) })
      if (server === 'tls') app.server.on('connection', (socket: Socket) => sockets.add(socket.once('close', () => sockets.delete(socket))))
      lane[server] = app
    }
    apps.push(lane as Record<Server, FastifyInstance>)
  }
  return apps.map((lane) =>
    Object.fromEntries(servers.map((server) => [server, (lane[server].server.address() as AddressInfo).port])) as Record<Server, number>)
}

function causes (error: unknown): string {
  return error instanceof Error ? `${error.message}${error.cause === undefined ? '' : ` < ${causes(error.cause)}`}` : String(error)
}

async function settle ({ lane, server, reset }: Settle): Promise<Settled> {
  const app = (apps[lane] as Record<Server, FastifyInstance>)[server]
  const begin = Date.now()
  for (;;) {
    const { tunnels, forwards } = app.wstunnel.metrics()
    const connections = await new Promise<number>((resolve, reject) => {
      app.server.getConnections((error, count) => error === null ? resolve(count) : reject(error))
    })
    // Node's TLS does not see a reset while it does not read, and then tells of no write any more: any https server has that.
    if (reset && server === 'tls' && Date.now() - begin > 3000) for (const socket of accepted.get(app.server) ?? []) socket.destroy()
    const left = { connections, open: tunnels.open, inFlight: forwards.inFlight, tunnels: [...app.wstunnel.tunnels()].length }
    const empty = Object.values(left).every((count) => count === 0)
    if (empty || Date.now() - begin > 6000) {
      return {
        left: empty ? '' : `after 6 s there are left: ${JSON.stringify(left)}`,
        paused: paused.delete(app.server),
        errors: errors.get(app.server)?.splice(0) ?? []
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function obey (order: Order): Promise<unknown> {
  if (order.do === 'start') return start(order)
  if (order.do === 'settle') return settle(order)
  return Promise.all(apps.flatMap((lane) => servers.map((server) => lane[server].close())))
}

if (process.argv[2] === 'as-child') {
  process.once('disconnect', () => setTimeout(() => process.exit(1), 5000).unref()) // left by a parent that was killed
  process.on('message', ({ id, order }: { id: number, order: Order }) => {
    void obey(order).then((value) => {
      process.send?.({ id, value: order.do === 'close' ? '' : value })
      if (order.do === 'close') process.disconnect()
    })
  })
}
