import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { upgradeHead } from '../fixtures/client.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { isHttp2Front } from '../fixtures/front.ts'
import { translatingSocket } from '../fixtures/http2.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { recordTunnels } from '../fixtures/tunnel.ts'
import type { TunnelRecord } from '../fixtures/tunnel.ts'
import { switching } from '../fixtures/upstream.ts'
import { event, patience } from '../fixtures/wait.ts'

/** What a side does when it leaves: `end` still reads, the other two do not. */
export type Kill = 'end' | 'destroy' | 'reset'

export function kill (socket: Socket, how: Kill): void {
  if (how === 'end') socket.end()
  // A socket that is being shut down cannot be reset any more, and Node then forgets to close it.
  else if (how === 'destroy' || socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomFrom (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Waits for state that has no event, one turn of the loop after the other. */
export async function settles (probe: () => boolean | Promise<boolean>, what: () => string, ms: number = patience): Promise<void> {
  const end = performance.now() + ms
  while (!await probe()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for ${what()}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export function connections (server: FastifyInstance['server'] | Server): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, count) => error === null ? resolve(count) : reject(error)))
}

/** Hears of whatever nobody caught. */
export function watchErrors (t: TestContext): unknown[] {
  const errors: unknown[] = []
  const onError = (error: unknown): void => { errors.push(error) }
  process.on('uncaughtExceptionMonitor', onError)
  process.on('unhandledRejection', onError)
  t.after(() => {
    process.off('uncaughtExceptionMonitor', onError)
    process.off('unhandledRejection', onError)
  })
  return errors
}

export interface World {
  app: FastifyInstance
  port: number
  upstream: Server
  record: TunnelRecord
  errors: unknown[]
  /** The proxy's own sockets to the upstream, in the order of the dials. */
  dialled: Socket[]
  /** The next connection at the upstream, each once. */
  arrived: () => Promise<Socket>
  /** A connection of a client; `peer` is the proxy's end of it. */
  client: () => Promise<{ socket: Socket, peer: Socket }>
  /** An open tunnel. */
  tunnel: () => Promise<{ client: Socket, upstream: Socket, peer: Socket }>
  /** Waits until nothing is left of any exchange, and checks the sums. */
  nothingLeft: (what: string) => Promise<void>
}

/** A proxy and a bare upstream whose every socket is known, also the proxy's own. */
export async function world (t: TestContext, options: Partial<ProxyOptions> = {}): Promise<World> {
  const errors = watchErrors(t)
  const waiting: Socket[] = []
  const sockets: Socket[] = []
  const upstream = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {})
    waiting.push(socket)
    sockets.push(socket)
    socket.once('close', () => sockets.splice(sockets.indexOf(socket), 1))
  })
  upstream.listen(0, '127.0.0.1')
  await event(upstream, 'listening')
  const { port: upstreamPort } = upstream.address() as AddressInfo
  cleanup(t, 'servers', () => { upstream.close() })

  const dialled: Socket[] = []
  const onDial = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    socket.once('connect', () => { if (socket.remotePort === upstreamPort) dialled.push(socket) })
  }
  const dials = channel('net.client.socket')
  dials.subscribe(onDial)
  t.after(() => dials.unsubscribe(onDial))

  const record = recordTunnels()
  const { app, port } = await startProxy(t, { upstream: `ws://127.0.0.1:${upstreamPort}/`, ...record.hooks, ...options })
  const accepted = new Map<number | undefined, Socket>()
  app.server.on('connection', (socket: Socket) => {
    const { remotePort } = socket
    accepted.set(remotePort, socket)
  })
  cleanup(t, 'connections', () => { for (const socket of [...sockets]) socket.destroy() })

  const arrived = async (): Promise<Socket> => {
    await settles(() => waiting.length > 0, () => 'a connection at the upstream')
    return waiting.shift() as Socket
  }
  const client = async (): Promise<{ socket: Socket, peer: Socket }> => {
    const socket = isHttp2Front() ? translatingSocket(t, port) : connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    sockets.push(socket)
    await event(socket, 'connect')
    socket.on('error', () => {})
    await settles(() => accepted.has(socket.localPort), () => 'the connection to be accepted')
    const peer = accepted.get(socket.localPort) as Socket
    accepted.delete(socket.localPort)
    socket.once('close', () => sockets.splice(sockets.indexOf(socket), 1))
    return { socket, peer }
  }
  const tunnel = async (): Promise<{ client: Socket, upstream: Socket, peer: Socket }> => {
    const { socket, peer } = await client()
    socket.write(upgradeHead('/'))
    const far = await arrived()
    const head = await headOn(far)
    far.write(switching(head))
    const answer = await headOn(socket)
    assert.match(answer, /^HTTP\/1\.1 101 /)
    return { client: socket, upstream: far, peer }
  }
  const nothingLeft = async (what: string): Promise<void> => {
    let left = ''
    await settles(async () => {
      const { open, opened, closed } = app.wstunnel.metrics().tunnels
      const ended = Object.values(closed).reduce((sum, count) => sum + count, 0)
      const alive = dialled.filter((socket) => !socket.destroyed).length
      const [near, far] = await Promise.all([connections(app.server), connections(upstream)])
      left = `after ${what}: ${open} open, ${opened} opened, ${ended} closed, ${record.closed.length} outcomes, ` +
        `${near} connections, ${far} at the upstream, ${alive} to it`
      return open === 0 && opened === ended && record.opened.length === opened && record.closed.length === opened &&
        near === 0 && far === 0 && alive === 0
    }, () => `nothing to be left ${left}`)
    dialled.length = 0
    assert.deepEqual(errors, [], what)
  }
  return { app, port, upstream, record, errors, dialled, arrived, client, tunnel, nothingLeft }
}

/** Everything up to a blank line; what follows it goes back. The socket is paused then. */
export function headOn (socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const stop = (): void => {
      clearTimeout(timer)
      socket.pause()
      socket.off('data', onData)
      socket.off('close', onClose)
      socket.off('end', onClose)
    }
    const fail = (why: string): void => {
      stop()
      reject(new Error(`${why} before a head; received ${JSON.stringify(received.toString('latin1'))}`))
    }
    const timer = setTimeout(() => fail(`${patience} ms`), patience)
    const onClose = (): void => fail('the end')
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      stop()
      if (received.length > end + 4) socket.unshift(received.subarray(end + 4))
      resolve(received.toString('latin1', 0, end + 4))
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.on('end', onClose)
    socket.resume()
  })
}
