// WebSockets over HTTP/2 beside the same over HTTP/1.1 and TLS, in one process of the proxy, by turns.
//
//   npm run bench:http2                 all rows
//   npm run bench:http2 -- echo-64 idle     some of them
//   npm run bench:http2 -- --child      is what the script starts itself
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { upgradeHead } from '../test/fixtures/client.ts'
import { encodeFrame } from '../test/fixtures/frames.ts'
import { selfSigned } from '../test/fixtures/tls.ts'

type Front = 'h1' | 'h2'
type Usage = { cpu: number, rss: number }

/** The proxy: one server for both. */
async function serve (): Promise<void> {
  const { default: Fastify } = await import('fastify')
  const { default: wstunnel } = await import('../dist/index.js')
  const app = Fastify({ http2: true, https: { ...selfSigned(), allowHTTP1: true } })
  await app.register(wstunnel as never, {
    upstream: process.env['UPSTREAM'],
    http2: { webSockets: true, ...JSON.parse(process.env['WINDOWS'] ?? '{}') },
    limits: { maxTunnels: 100_000 }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.on('message', (what) => {
    if (what === 'memory') for (let i = 0; i < 2; i++) globalThis.gc?.()
    const { user, system } = process.cpuUsage()
    process.send?.({ cpu: user + system, rss: process.memoryUsage.rss() })
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ port: (app.server.address() as AddressInfo).port })
}

async function bench (): Promise<void> {
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    let head: Buffer | undefined = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      if (head === undefined) {
        socket.write(chunk)
        return
      }
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      const key = /sec-websocket-key: (.*)\r\n/i.exec(head.toString('latin1'))?.[1] ?? ''
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const rest = head.subarray(end + 4)
      head = undefined
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
      if (rest.length > 0) socket.write(rest)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => echo.once('listening', resolve))
  const chosen = process.argv.slice(2)
  const wants = (name: string): boolean => chosen.length === 0 || chosen.includes(name)
  const upstream = `ws://127.0.0.1:${(echo.address() as AddressInfo).port}/`
  console.log(`Node ${process.version}`)
  if (wants('echo-64')) {
    const cost = async (proxy: ProxyChild, front: Front): Promise<number> => await echoCost(proxy, front, { size: 64, tunnels: 64, sessions: 1 })
    await compare('echo-64', upstream, 7, cost, 'µs of CPU a message', 0.65)
  }
  if (wants('echo-64k')) {
    const cost = async (proxy: ProxyChild, front: Front): Promise<number> => await echoCost(proxy, front, { size: 65_536, tunnels: 16, sessions: 1 })
    await compare('echo-64k', upstream, 7, cost, 'µs of CPU a message', 1.3)
  }
  if (wants('open')) await compare('open', upstream, 7, openCost, 'µs of CPU a tunnel', 0.4)
  if (wants('idle')) for (const front of ['h1', 'h2'] as const) await idle(upstream, front)
  if (wants('delayed')) {
    await delayed(upstream, 'default windows', {})
    await delayed(upstream, 'a stream window of 640 KiB', { streamWindow: 640 << 10 })
    await delayed(upstream, 'windows of 1 and 4 MiB', { streamWindow: 1 << 20, sessionWindow: 4 << 20 })
  }
  echo.close()
  process.exit()
}

class ProxyChild {
  readonly #child
  port = 0
  constructor (upstream: string, windows: object = {}) {
    this.#child = fork(
      fileURLToPath(import.meta.url),
      ['--child'],
      { env: { ...process.env, UPSTREAM: upstream, WINDOWS: JSON.stringify(windows) }, execArgv: ['--expose-gc', '--import', 'tsx'] }
    )
  }

  async start (): Promise<this> {
    this.port = (await this.#next<{ port: number }>()).port
    return this
  }

  async usage (what: 'cpu' | 'memory' = 'cpu'): Promise<Usage> {
    const answer = this.#next<Usage>()
    this.#child.send(what)
    return await answer
  }

  stop (): void {
    this.#child.disconnect()
  }

  async #next<T> (): Promise<T> {
    return await new Promise((resolve) => this.#child.once('message', (message) => resolve(message as T)))
  }
}

/** One proxy, both fronts by turns; the first turn of each warms up. */
async function compare (
  name: string, upstream: string, rounds: number,
  measure: (proxy: ProxyChild, front: Front) => Promise<number>, unit: string, target: number
): Promise<void> {
  const proxy = await new ProxyChild(upstream).start()
  const seen = { h1: [] as number[], h2: [] as number[] }
  for (let round = 0; round <= rounds; round++) {
    for (const front of round % 2 === 0 ? ['h1', 'h2'] as const : ['h2', 'h1'] as const) {
      const cost = await measure(proxy, front)
      if (round > 0) seen[front].push(cost)
    }
  }
  proxy.stop()
  const ratio = median(seen.h2.map((cost, i) => cost / (seen.h1[i] as number)))
  console.log(`${name}: h1 ${median(seen.h1).toFixed(1)}, h2 ${median(seen.h2).toFixed(1)} ${unit}; × ${ratio.toFixed(2)} (to reach: ≤ ${target})`)
}

function median (list: number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] as number
}

async function session (port: number, windows = true): Promise<ClientHttp2Session> {
  const made = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, settings: windows ? { initialWindowSize: 4 << 20 } : {} })
  await new Promise((resolve) => made.once('remoteSettings', resolve))
  if (windows) made.setLocalWindowSize(16 << 20)
  return made
}

async function openH1 (port: number): Promise<Duplex> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  socket.setNoDelay(true)
  socket.on('error', () => {})
  socket.write(upgradeHead('/'))
  await new Promise((resolve) => socket.once('data', resolve))
  return socket
}

async function openH2 (on: ClientHttp2Session): Promise<Duplex> {
  const stream = on.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', 'sec-websocket-version': '13' })
  stream.on('error', () => {})
  await new Promise((resolve) => stream.once('response', resolve))
  return stream
}

async function echoCost (proxy: ProxyChild, front: Front, { size, tunnels, sessions }: { size: number, tunnels: number, sessions: number }): Promise<number> {
  const made = front === 'h2' ? await Promise.all(Array.from({ length: sessions }, async () => await session(proxy.port))) : []
  const streams = await Promise.all(Array.from(
    { length: tunnels },
    async (_, i) => front === 'h1' ? await openH1(proxy.port) : await openH2(made[i % sessions] as ClientHttp2Session)
  ))
  const message = encodeFrame(2, Buffer.alloc(size), { masked: true })
  let messages = 0
  let over = false
  let reached: { count: number, resolve: () => void } | undefined
  const untilSeen = async (count: number): Promise<void> => await new Promise((resolve) => { reached = { count, resolve } })
  for (const stream of streams) {
    let received = 0
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received < message.length) return
      received -= message.length
      if (++messages === reached?.count) reached.resolve()
      if (!over) stream.write(message)
    })
    stream.write(message)
  }
  const many = size < 1024 ? 20_000 : 2000
  await untilSeen(many / 4)
  const [before, since] = [await proxy.usage(), messages]
  await untilSeen(since + many)
  const [after, until] = [await proxy.usage(), messages]
  over = true
  for (const stream of streams) stream.destroy()
  for (const each of made) each.destroy()
  return (after.cpu - before.cpu) / (until - since)
}

async function openCost (proxy: ProxyChild, front: Front): Promise<number> {
  const on = front === 'h2' ? await session(proxy.port) : undefined
  const count = 500
  const before = await proxy.usage()
  for (let i = 0; i < count; i += 20) {
    await Promise.all(Array.from({ length: 20 }, async () => {
      const stream = on === undefined ? await openH1(proxy.port) : await openH2(on)
      stream.resume()
      stream.end(encodeFrame(8, Buffer.from([3, 232]), { masked: true }))
      await new Promise((resolve) => stream.once('end', resolve))
      stream.destroy()
    }))
  }
  const after = await proxy.usage()
  on?.destroy()
  return (after.cpu - before.cpu) / count
}

async function idle (upstream: string, front: Front): Promise<void> {
  const proxy = await new ProxyChild(upstream).start()
  const kept: unknown[] = []
  const openMany = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 100) {
      const on = front === 'h2' ? await session(proxy.port, false) : undefined
      for (let n = 0; n < 100; n += 20) {
        kept.push(await Promise.all(Array.from({ length: 20 }, async () => on === undefined ? await openH1(proxy.port) : await openH2(on))))
      }
    }
  }
  await openMany(300)
  const before = await proxy.usage('memory')
  await openMany(1000)
  const after = await proxy.usage('memory')
  proxy.stop()
  console.log(`idle ${front}: ${((after.rss - before.rss) / 1024 / 1000).toFixed(1)} KiB of RSS a tunnel (to reach: h2 ≤ 0.55 × h1)`)
}

/** 4 MiB there and back through a relay that holds everything for 30 ms each way. */
async function delayed (upstream: string, name: string, windows: object): Promise<void> {
  const proxy = await new ProxyChild(upstream, windows).start()
  const relay = createServer((client) => {
    const far = connect(proxy.port, '127.0.0.1')
    const later = (from: Socket, to: Socket): void => {
      from.on('data', (chunk) => { setTimeout(() => to.write(chunk), 30) })
      from.on('error', () => {})
      from.on('close', () => to.destroy())
    }
    later(client, far)
    later(far, client)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => relay.once('listening', resolve))
  const size = 4 << 20
  const on = await session((relay.address() as AddressInfo).port)
  const rates: number[] = []
  for (let i = 0; i < 3; i++) {
    const stream = await openH2(on)
    const start = performance.now()
    await new Promise<void>((resolve) => {
      let received = 0
      stream.on('data', (chunk: Buffer) => { if ((received += chunk.length) >= size) resolve() })
      stream.write(Buffer.alloc(size))
    })
    rates.push(size / 2 ** 20 / (performance.now() - start) * 1000)
    stream.destroy()
  }
  proxy.stop()
  relay.close()
  console.log(`delayed, ${name}: ${median(rates).toFixed(1)} MiB/s for 4 MiB at 60 ms (to reach: ≥ 8)`)
}

if (process.argv.includes('--child')) await serve()
else await bench()
