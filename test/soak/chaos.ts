// Tunnels opened, used, aborted and closed by a seeded script, against upstreams that misbehave.
import { createHash } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import wstunnel from '../../lib/index.ts'
import { upgradeHead } from '../fixtures/client.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { switching } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'
import { connections, headOn, kill, randomFrom, settles } from '../life/world.ts'

const workers = 48
const mib = 1024 * 1024
export const good = ['/good', '/slow'] as const
export const bad = ['/silent', '/cut', '/refuse', '/garbage', '/wrong', '/reset', '/deaf', '/half', '/flood'] as const

type Random = () => number

function upTo (random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

/** What an upstream does depends on the path. */
export async function serve (socket: Socket, random: Random): Promise<void> {
  socket.on('error', () => {})
  const head = await headOn(socket)
  const path = /^GET (\/\w+)/.exec(head)?.[1] ?? ''
  const answer = switching(head)
  const leave = (): void => kill(socket, random() < 0.5 ? 'reset' : 'destroy')
  socket.on('end', () => { if (path !== '/half') socket.end() })
  switch (path) {
    case '/good':
      socket.write(answer)
      socket.pipe(socket, { end: false })
      return
    case '/slow':
      socket.write(answer)
      socket.on('data', (chunk: Buffer) => {
        if (!socket.write(chunk) || random() < 0.3) {
          socket.pause()
          setTimeout(() => socket.resume(), upTo(random, 10))
        }
      })
      socket.resume()
      return
    case '/silent':
      socket.resume()
      return
    case '/cut':
      socket.write(answer.slice(0, upTo(random, answer.length)), leave)
      return
    case '/refuse':
      socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n${random() < 0.5 ? 'Connection: close\r\n' : ''}\r\nno`)
      return
    case '/garbage':
      socket.write(Buffer.alloc(1 + upTo(random, 40_000), 'no http '))
      socket.resume()
      return
    case '/wrong':
      socket.write(switching(head, { 'Sec-WebSocket-Accept': 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }))
      socket.resume()
      return
    case '/reset': {
      let left = upTo(random, 100_000)
      socket.write(answer)
      socket.on('data', (chunk: Buffer) => {
        left -= chunk.length
        if (left > 0) socket.write(chunk)
        else leave()
      })
      socket.resume()
      if (random() < 0.3) setImmediate(leave)
      return
    }
    case '/deaf': {
      socket.write(answer)
      whileOpen(socket, 3000, () => socket.resume()) // long after the proxy has given it up
      return
    }
    case '/half':
      socket.end(answer)
      socket.resume()
      return
    case '/flood': {
      socket.write(answer)
      const piece = Buffer.alloc(64 * 1024)
      const flood = (): void => { while (socket.writable && socket.write(piece)); }
      socket.on('drain', flood)
      socket.resume()
      flood()
    }
  }
}

/** Does something later, unless the socket has closed by then. One that is closed already says so no more: its timer would be left, and counted. */
function whileOpen (socket: Socket, ms: number, act: () => void): void {
  if (socket.destroyed) return
  const timer = setTimeout(act, ms)
  socket.once('close', () => clearTimeout(timer))
}

export interface Figures {
  exchanges: number
  verified: number
  verifiedBytes: number
  mismatches: string[]
}

class Script {
  readonly figures: Figures = { exchanges: 0, verified: 0, verifiedBytes: 0, mismatches: [] }
  readonly #port: number
  readonly #random: Random
  readonly #end: number
  readonly #stage: WeakMap<Socket, string> = new WeakMap()

  constructor (port: number, random: Random, end: number) {
    this.#port = port
    this.#random = random
    this.#end = end
  }

  async work (): Promise<void> {
    while (performance.now() < this.#end) {
      this.figures.exchanges++
      const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
      socket.on('error', () => {})
      const closed = new Promise((resolve) => socket.once('close', resolve))
      const begun = this.figures.exchanges
      const random = this.#random
      if (random() < 0.6) await this.#behave(socket, good[upTo(random, good.length)] as string)
      else await this.#misbehave(socket, ([...good, ...bad])[upTo(random, good.length + bad.length)] as string)
      await within(closed, () => `connection ${begun} to close: ${this.#stage.get(socket)}, destroyed ${socket.destroyed}`)
    }
  }

  /** Every byte comes back. */
  async #behave (socket: Socket, path: string): Promise<void> {
    const random = this.#random
    this.#stage.set(socket, path)
    const mode = random() < 0.5 ? '/tunnel' : '/upgrade'
    socket.write(upgradeHead(`${mode}${path}`))
    try {
      const head = await headOn(socket)
      if (!head.startsWith('HTTP/1.1 101')) throw new Error(head.split('\r\n')[0])
    } catch (error) {
      this.figures.mismatches.push(`${path}: ${String(error)}`)
      socket.destroy()
      return
    }
    const sent = createHash('sha1')
    const received = createHash('sha1')
    const total = upTo(random, random() < 0.1 ? 2 * mib : 60_000)
    const framed = random() < 0.5
    let got = 0
    socket.on('data', (chunk: Buffer) => {
      received.update(chunk)
      got += chunk.length
      if (random() < 0.02) {
        socket.pause()
        setTimeout(() => socket.resume(), upTo(random, 20))
      }
    })
    const ended = new Promise<void>((resolve) => {
      socket.once('end', resolve)
      socket.once('close', resolve)
    })
    socket.resume()
    let count = 0
    while (count < total && !socket.destroyed) {
      let piece: Buffer = Buffer.alloc(Math.min(total - count, 1 + upTo(random, 30_000)), String(count))
      if (framed) piece = encodeFrame(2, piece, { masked: true })
      sent.update(piece)
      count += piece.length
      if (!socket.write(piece)) await new Promise<void>((resolve) => { socket.once('drain', resolve); socket.once('close', resolve) })
      else if (random() < 0.1) await new Promise((resolve) => setTimeout(resolve, upTo(random, 5)))
    }
    socket.end()
    await ended
    if (sent.digest('hex') === received.digest('hex')) {
      this.figures.verified++
      this.figures.verifiedBytes += 2 * count
    } else this.figures.mismatches.push(`${mode}${path}: ${count} bytes sent, ${got} back`)
    socket.destroy()
  }

  /** Leaves at some point, by some means; or waits for the proxy to make an end of it. */
  async #misbehave (socket: Socket, path: string): Promise<void> {
    const random = this.#random
    const head = upgradeHead(`${random() < 0.5 ? '/tunnel' : '/upgrade'}${path}`)
    this.#stage.set(socket, path)
    const how = (['end', 'destroy', 'reset'] as const)[upTo(random, 3)] as 'end' | 'destroy' | 'reset'
    const leave = (): void => {
      if (socket.destroyed) return
      kill(socket, how)
      socket.resume()
    }
    const roll = random()
    socket.on('end', () => socket.end())
    if (roll < 0.15) {
      socket.write(head.slice(0, upTo(random, head.length)), leave)
      return
    }
    socket.write(head + (random() < 0.2 ? 'x'.repeat(upTo(random, 30_000)) : ''))
    if (roll < 0.3) {
      whileOpen(socket, upTo(random, 20), leave)
      return
    }
    const answer = await headOn(socket).catch(() => '')
    if (!answer.startsWith('HTTP/1.1 101')) return leave()
    if (random() < 0.7) socket.resume() // or it is deaf
    const until = performance.now() + upTo(random, 300)
    while (performance.now() < until && !socket.destroyed && socket.writable) {
      socket.write(Buffer.alloc(upTo(random, 50_000)))
      await new Promise((resolve) => setTimeout(resolve, upTo(random, 20)))
    }
    // Some are left to the proxy's timers.
    if (random() >= 0.1) return leave()
    whileOpen(socket, 4000, () => socket.destroy())
  }
}

interface Census {
  timers: number
  sockets: number
  heap: number
  listeners: number
  serverListeners: number
}

async function census (app: FastifyInstance): Promise<Census> {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    gc?.()
  }
  const resources = process.getActiveResourcesInfo()
  return {
    timers: resources.filter((name) => name === 'Timeout').length,
    sockets: resources.filter((name) => name === 'TCPSocketWrap').length,
    heap: process.memoryUsage().heapUsed,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    serverListeners: app.server.eventNames().reduce((sum, name) => sum + app.server.listenerCount(name), 0)
  }
}

async function close (server: Server): Promise<void> {
  const closed = event(server, 'close')
  server.close()
  await closed
}

/** Throws where anything is wrong at the end. */
export async function chaos (minutes: number, seed: number): Promise<void> {
  const errors: unknown[] = []
  const onError = (error: unknown): void => { errors.push(error) }
  process.on('uncaughtException', onError)
  process.on('unhandledRejection', onError)
  try {
    await play(minutes, seed, errors)
  } finally {
    process.off('uncaughtException', onError)
    process.off('unhandledRejection', onError)
  }
}

async function play (minutes: number, seed: number, errors: unknown[]): Promise<void> {
  const random = randomFrom(seed)

  const upstream = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => { serve(socket, random).catch(() => socket.destroy()) })
  upstream.listen(0, '127.0.0.1')
  await event(upstream, 'listening')
  const url = `ws://127.0.0.1:${(upstream.address() as AddressInfo).port}/`
  const app = Fastify()
  let opened = 0
  let outcomes = 0
  app.register(wstunnel, {
    handshakeTimeout: '1s',
    halfCloseTimeout: '1s',
    stallTimeout: '1500ms',
    idleTimeout: '2s',
    maxLifetime: '20s',
    drainTimeout: '3s',
    routes: [{ path: '/tunnel/', upstream: url, fallbackToHttp: false }, { path: '/upgrade/', upstream: url }],
    onTunnelOpen () { opened++ },
    onTunnelClose () { outcomes++ }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo

  const run = async (ms: number): Promise<Figures> => {
    const script = new Script(port, random, performance.now() + ms)
    await Promise.all(Array.from({ length: workers }, async () => script.work()))
    await settles(async () => app.wstunnel.metrics().tunnels.open === 0 && await connections(app.server) === 0 && await connections(upstream) === 0,
      () => `nothing to be left: ${JSON.stringify(app.wstunnel.metrics().tunnels)}`, 30_000)
    return script.figures
  }
  await run(Math.min(5000, minutes * 6000)) // warm-up
  const before = await census(app)
  const start = performance.now()
  const { exchanges, verified, verifiedBytes, mismatches } = await run(minutes * 60_000)
  const after = await census(app)

  const { tunnels } = app.wstunnel.metrics()
  const closed = Object.values(tunnels.closed).reduce((sum, count) => sum + count, 0)
  console.log(`chaos, seed ${seed}: ${exchanges} connections in ${((performance.now() - start) / 1000).toFixed(1)} s, ${verified} well-behaved tunnels, ` +
    `${(verifiedBytes / mib).toFixed(1)} MiB verified, ${mismatches.length} mismatches`)
  console.log(`  opened ${tunnels.opened}, outcomes ${JSON.stringify(tunnels.closed)}`)
  console.log(`  refused ${JSON.stringify(tunnels.refused)}`)
  console.log(`  before ${JSON.stringify(before)}\n  after  ${JSON.stringify(after)}`)

  const problems: string[] = [...mismatches.slice(0, 10), ...errors.map((error) => String(error instanceof Error ? error.stack : error))]
  if (tunnels.open !== 0 || tunnels.opened !== closed || opened !== tunnels.opened || outcomes !== closed) {
    problems.push(`opened ${tunnels.opened} (${opened} told), closed ${closed} (${outcomes} told), open ${tunnels.open}`)
  }
  if ([...app.wstunnel.tunnels()].length !== 0) problems.push('the registry is not empty')
  for (const key of ['timers', 'sockets', 'listeners', 'serverListeners'] as const) {
    if (after[key] > before[key]) problems.push(`${key}: ${before[key]} before, ${after[key]} after`)
  }
  if (after.heap > before.heap + 8 * mib) problems.push(`heap: ${before.heap} before, ${after.heap} after`)
  if (verified === 0) problems.push('no well-behaved tunnel')
  await app.close()
  await close(upstream)
  if (problems.length > 0) throw new Error(`chaos with seed ${seed}:\n${problems.join('\n')}`)
}
