// Tunnels over HTTP/2: thousands in one session, and then a seeded script of streams and sessions that misbehave, against upstreams that do.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer } from 'node:net'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'
import { cancel } from '../fixtures/http2.ts'
import { within } from '../fixtures/wait.ts'
import { connections, randomFrom, settles } from '../life/world.ts'
import { bad, good, serve } from './chaos.ts'

const mib = 1024 * 1024
const sessions = 6
const workers = 48

/** Throws where anything is wrong at the end. @param most streams of one session */
export async function streams (minutes: number, seed: number, most: number): Promise<void> {
  const random = randomFrom(seed)
  const upTo = (limit: number): number => Math.floor(random() * limit)
  const upstream = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => { serve(socket, random).catch(() => socket.destroy()) })
  upstream.listen(0, '127.0.0.1', 4096)
  await once(upstream, 'listening')
  const app = Fastify({ http2: true })
  let [told, outcomes] = [0, 0]
  app.register(wstunnel, {
    upstream: `ws://127.0.0.1:${(upstream.address() as AddressInfo).port}/`,
    http2: { webSockets: true, maxConcurrentStreams: most },
    handshakeTimeout: '1s',
    halfCloseTimeout: '1s',
    stallTimeout: '1500ms',
    idleTimeout: '10s',
    drainTimeout: '3s',
    onTunnelOpen () { told++ },
    onTunnelClose () { outcomes++ }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const metrics = (): ReturnType<typeof app.wstunnel.metrics>['tunnels'] => app.wstunnel.metrics().tunnels

  const session = async (): Promise<ClientHttp2Session> => {
    const made = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: mib } })
    made.on('error', () => {})
    await once(made, 'remoteSettings')
    return made
  }
  const open = (on: ClientHttp2Session, path: string): { stream: ClientHttp2Stream, status: Promise<number> } => {
    const stream = on.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' })
    stream.on('error', () => {})
    const status = new Promise<number>((resolve) => {
      stream.once('response', (headers) => resolve(Number(headers[':status'])))
      stream.once('close', () => resolve(0))
    })
    return { stream, status }
  }
  const nothingLeft = async (): Promise<void> => await settles(async () => metrics().open === 0 && await connections(upstream) === 0,
    () => `nothing to be left: ${JSON.stringify(metrics())}`, 30_000)

  const crowd = async (): Promise<void> => {
    const on = await session()
    const statuses: number[] = []
    for (let i = 0; i < most; i += 100) {
      statuses.push(...await Promise.all(Array.from({ length: Math.min(100, most - i) }, async () => await open(on, '/good').status)))
    }
    const [opened, refused] = [statuses.filter((status) => status === 200).length, statuses.filter((status) => status !== 200).length]
    const rss = process.memoryUsage.rss()
    on.destroy()
    await nothingLeft()
    console.log(`streams: ${most} of one session: ${opened} tunnels, ${refused} refused or reset (Node's maxSessionMemory); ` +
      `${(rss / mib).toFixed(0)} MiB of RSS with both their ends`)
    if (opened === 0) throw new Error('no tunnel')
  }

  let [played, verified] = [0, 0]
  const mismatches: string[] = []
  /** Every byte comes back. */
  const behave = async (on: ClientHttp2Session): Promise<void> => {
    const path = good[upTo(good.length)] as string
    const { stream, status } = open(on, path)
    const code = await status
    if (code !== 200) {
      stream.resume()
      if (!on.destroyed && !on.closed) mismatches.push(`${path}: ${code}`)
      return
    }
    const [sent, received] = [createHash('sha1'), createHash('sha1')]
    stream.on('data', (chunk: Buffer) => received.update(chunk))
    const ended = once(stream, 'close')
    for (let left = upTo(100_000); left > 0 && !stream.destroyed;) {
      const piece = Buffer.alloc(Math.min(left, 1 + upTo(20_000)), String(left))
      sent.update(piece)
      left -= piece.length
      if (!stream.write(piece)) await Promise.race([once(stream, 'drain').catch(() => {}), ended])
    }
    stream.end()
    await ended
    if (sent.digest('hex') === received.digest('hex')) verified++
    else if (!on.destroyed) mismatches.push(`${path}: other bytes`)
  }
  /** Leaves at some point, by some means. */
  const misbehave = async (on: ClientHttp2Session): Promise<void> => {
    const { stream, status } = open(on, bad[upTo(bad.length)] as string)
    const closed = once(stream, 'close').catch(() => {})
    if (random() < 0.3) stream.write(Buffer.alloc(upTo(300_000)))
    if (random() < 0.7) await status
    if (random() < 0.5) stream.resume()
    if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, upTo(50)))
    const roll = random()
    if (roll < 0.3) cancel(stream)
    else if (roll < 0.5) stream.destroy()
    else if (roll < 0.7) stream.close([1, 2, 7, 8][upTo(4)]) // Node's client never ends one that it closes with 0 while bytes wait
    else if (roll < 0.73) on.destroy()
    else if (roll < 0.75) on.close()
    else if (roll < 0.8 && !on.destroyed) on.settings({ initialWindowSize: 32_768 + upTo(mib) })
    // Node's client never ends a stream that its server has reset with NO_ERROR while bytes wait: a refusal that is whole (RFC 9113, 8.1).
    if (stream.readableEnded) stream.destroy()
    else stream.once('end', () => stream.destroy())
    if (!stream.destroyed) {
      stream.end()
      stream.resume()
    }
    await closed
  }
  const chaos = async (ms: number): Promise<void> => {
    const end = performance.now() + ms
    const pool: ClientHttp2Session[] = await Promise.all(Array.from({ length: sessions }, session))
    await Promise.all(Array.from({ length: workers }, async () => {
      while (performance.now() < end) {
        const at = upTo(sessions)
        let on = pool[at] as ClientHttp2Session
        if (on.destroyed || on.closed) on = pool[at] = await session()
        if (on.destroyed || on.closed) continue
        played++
        await within((random() < 0.6 ? behave(on) : misbehave(on)), 'a stream to close')
      }
    }))
    for (const each of pool) each.destroy()
    await nothingLeft()
  }

  await crowd()
  await chaos(Math.min(3000, minutes * 6000)) // warm-up
  gc?.()
  const before = process.memoryUsage().heapUsed
  await chaos(minutes * 60_000)
  await crowd()
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    gc?.()
  }
  const after = process.memoryUsage().heapUsed
  const { opened, closed, refused } = metrics()
  const total = Object.values(closed).reduce((sum, count) => sum + count, 0)
  console.log(`streams, seed ${seed}: ${played} streams, ${verified} well-behaved tunnels whose every byte came back`)
  console.log(`  opened ${opened}, outcomes ${JSON.stringify(closed)}\n  refused ${JSON.stringify(refused)}`)
  console.log(`  heap ${(before / mib).toFixed(1)} MiB before, ${(after / mib).toFixed(1)} after`)
  const problems = mismatches.slice(0, 10)
  if (opened !== total || told !== opened || outcomes !== total) problems.push(`opened ${opened} (${told} told), closed ${total} (${outcomes} told)`)
  if (after > before + 12 * mib) problems.push(`heap: ${before} before, ${after} after`)
  if (verified === 0) problems.push('no well-behaved tunnel')
  await app.close()
  upstream.close()
  if (problems.length > 0) throw new Error(`streams with seed ${seed}:\n${problems.join('\n')}`)
}
