/**
 * The load: clients on bare sockets with messages made before, reading into one buffer, so that it is not what is measured.
 * It reads the CPU time of the proxy itself, at the very moments at which it begins and ends to count.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { decodeFrames, encodeFrame, type Frame } from '../test/fixtures/frames.ts'
import { within } from '../test/fixtures/wait.ts'
import { serve } from './child.ts'
import { cpuSeconds } from './proc.ts'
import { accept, bodyOf, message, opcodes, requestHead, upgradeHead } from './wire.ts'

/** Where to connect to; with `ca`, over TLS. */
export interface At { host: string, port: number, ca?: string }

/** What one round has measured. CPU is in seconds, by process; latencies are in microseconds. */
export interface Measured { count: number, seconds: number, cpu: number[], p50: number, p99: number, p999: number }

/** Not counted: until all connections are busy, as a share of what is counted. */
const runUp = 0.15
/** Milliseconds that a proxy has to close its side, too. */
const patience = 500
const readBuffer = Buffer.allocUnsafeSlow(1024 * 1024)

/** A connection whose bytes go to `onBytes`, which must not keep them. */
class Connection {
  readonly socket: Socket
  onBytes: (bytes: Buffer) => void = () => {}

  constructor ({ host, port, ca }: At) {
    this.socket = ca === undefined
      ? connect({ host, port, noDelay: true, onread: { buffer: readBuffer, callback: (n) => this.#received(n) } })
      : connectTls({ host, port, ca }).on('data', (bytes: Buffer) => this.onBytes(bytes))
    this.socket.on('error', (error) => this.fail(error))
    this.socket.on('end', () => this.fail(new Error('the connection has ended')))
  }

  /** What an end or an error does; nothing once that is expected. */
  fail: (error: Error) => void = () => {}

  #received (n: number): boolean {
    this.onBytes(readBuffer.subarray(0, n))
    return true
  }
}

/** Opens a tunnel. Bytes that came with the head go to `onBytes` as if they had come after. */
async function openTunnel (at: At, path: string, onBytes: (bytes: Buffer) => void, head = upgradeHead(path)): Promise<Connection> {
  const connection = new Connection(at)
  const opened = new Promise<Connection>((resolve, reject) => {
    let text = ''
    connection.fail = reject
    connection.onBytes = (bytes) => {
      text += bytes.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end === -1) return
      if (!text.startsWith('HTTP/1.1 101 ') || !text.includes(accept)) return reject(new Error(`no tunnel: ${text.slice(0, 200)}`))
      connection.onBytes = onBytes
      connection.fail = (error) => fatal(error)
      resolve(connection)
      const rest = Buffer.from(text.slice(end + 4), 'latin1')
      if (rest.length > 0) onBytes(rest)
    }
  })
  connection.socket.write(head)
  return await opened
}

let fatal: (error: Error) => void = () => {}

/** Runs `work` until it is done or a connection of it breaks. */
async function guarded<T> (work: Promise<T>): Promise<T> {
  return await Promise.race([work, new Promise<never>((_resolve, reject) => { fatal = reject })])
}

function leave (connections: readonly Connection[]): void {
  fatal = () => {}
  for (const connection of connections) {
    connection.fail = () => {}
    connection.socket.end()
    setTimeout(() => connection.socket.destroy(), patience).unref()
  }
}

/** Counts and times what is done between two moments. */
class Meter {
  counting = false
  count = 0
  readonly #pids: readonly number[]
  #latencies: Float64Array = new Float64Array(1 << 20)
  #startedAt = 0
  #cpu: number[] = []

  constructor (pids: readonly number[]) {
    this.#pids = pids
  }

  start (): void {
    this.#cpu = this.#pids.map(cpuSeconds)
    this.#startedAt = performance.now()
    this.counting = true
  }

  done (latency: number): void {
    if (!this.counting) return
    if (this.count < this.#latencies.length) this.#latencies[this.count] = latency
    this.count++
  }

  stop (): Measured {
    this.counting = false
    const seconds = (performance.now() - this.#startedAt) / 1000
    const cpu = this.#pids.map((pid, i) => cpuSeconds(pid) - (this.#cpu[i] as number))
    const sorted = this.#latencies.subarray(0, Math.min(this.count, this.#latencies.length)).sort()
    const quantile = (q: number): number => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN) * 1000
    return { count: this.count, seconds, cpu, p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) }
  }
}

async function timed (meter: Meter, seconds: number): Promise<Measured> {
  await sleep(runUp * seconds * 1000)
  meter.start()
  await sleep(seconds * 1000)
  return meter.stop()
}

/** `count` times `work`, `width` of them at once. */
async function many (count: number, width: number, work: () => Promise<void>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker))
}

/** Each tunnel has one message under way. */
async function echo (at: At, pids: number[], { tunnels, size, seconds }: { tunnels: number, size: number, seconds: number }): Promise<Measured> {
  const meter = new Meter(pids)
  const sent = message(size, 'client')
  const awaited = message(size, 'server').length
  const connections: Connection[] = []
  const senders: Array<() => void> = []
  await many(tunnels, 16, async () => {
    let received = 0
    let sentAt = 0
    const connection = await openTunnel(at, `/echo/${size}`, (bytes) => {
      received += bytes.length
      if (received < awaited) return
      received -= awaited
      meter.done(performance.now() - sentAt)
      send()
    })
    const send = (): void => {
      sentAt = performance.now()
      connection.socket.write(sent)
    }
    connections.push(connection)
    senders.push(send)
  })
  for (const send of senders) send()
  return await guarded(timed(meter, seconds)).finally(() => leave(connections))
}

/** Each connection has one request under way. */
async function http (
  at: At, pids: number[],
  { method, path, size, connections: width, seconds }: { method: string, path: string, size: number, connections: number, seconds: number }
): Promise<Measured> {
  const meter = new Meter(pids)
  const body = method === 'POST' ? [bodyOf(size)] : []
  const request = Buffer.concat([Buffer.from(requestHead(method, path, size)), ...body])
  const connections = Array.from({ length: width }, () => {
    const connection = new Connection(at)
    const { socket } = connection
    let sentAt = 0
    let left = 0
    const send = (): void => {
      sentAt = performance.now()
      socket.write(request)
    }
    connection.fail = (error) => fatal(error)
    connection.onBytes = (bytes) => {
      left = left === 0 ? bodyLength(bytes) : left - bytes.length
      if (left > 0) return
      meter.done(performance.now() - sentAt)
      send()
    }
    send()
    return connection
  })
  return await guarded(timed(meter, seconds)).finally(() => leave(connections))
}

/** What of a response is still to come after its first bytes, which hold its head. */
function bodyLength (bytes: Buffer): number {
  const end = bytes.indexOf('\r\n\r\n')
  const head = bytes.toString('latin1', 0, end)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (end === -1 || !head.startsWith('HTTP/1.1 200 ') || length === undefined) {
    fatal(new Error(`not the expected response: ${bytes.toString('latin1', 0, 300)}`))
    return 0
  }
  return Number(length) - (bytes.length - end - 4)
}

/** Opens tunnels and closes each at once. */
async function handshakes (at: At, pids: number[], { count, width }: { count: number, width: number }): Promise<Measured> {
  const meter = new Meter(pids)
  meter.start()
  await guarded(many(count, width, async () => {
    const startedAt = performance.now()
    const connection = await openTunnel(at, '/idle', () => {})
    meter.done(performance.now() - startedAt)
    connection.fail = () => {}
    connection.socket.end()
    await once(connection.socket, 'close')
  }))
  return meter.stop()
}

/** One tunnel, as many bytes as it can carry, both ways at once. Counts MiB of both. */
async function flood (at: At, pids: number[], { mebibytes }: { mebibytes: number }): Promise<Measured> {
  const frames = mebibytes * 16
  const meter = new Meter(pids)
  const frame = message(65_536, 'client')
  const awaited = frames * message(65_536, 'server').length + encodeFrame(opcodes.text, 'done').length
  let received = 0
  let arrived = (): void => {}
  const all = new Promise<void>((resolve) => { arrived = resolve })
  const connection = await openTunnel(at, `/flood/${frames}`, (bytes) => {
    received += bytes.length
    if (received >= awaited) arrived()
  })
  meter.start()
  const send = async (): Promise<void> => {
    for (let i = 0; i < frames; i++) {
      if (!connection.socket.write(frame)) await once(connection.socket, 'drain')
    }
  }
  await guarded(Promise.all([send(), all])).finally(() => leave([connection]))
  meter.count = 2 * mebibytes
  return { ...meter.stop(), p50: NaN, p99: NaN, p999: NaN }
}

const held: Connection[] = []

/** Opens idle tunnels beside those that are held, and holds them. */
async function hold (at: At, count: number, path = '/idle'): Promise<void> {
  await many(count, 32, async () => {
    const connection = await openTunnel(at, path, () => {})
    held.push(connection)
  })
}

function release (): void {
  leave(held.splice(0))
}

/** So many of the held tunnels, which must echo, send small messages at a steady pace. */
async function chat (pids: number[], { tunnels, perSecond, seconds }: { tunnels: number, perSecond: number, seconds: number }): Promise<Measured> {
  const meter = new Meter(pids)
  const sent = message(64, 'client')
  const senders = held.slice(0, tunnels).map((connection) => {
    let sentAt = 0
    connection.onBytes = () => meter.done(performance.now() - sentAt)
    return (): void => {
      sentAt = performance.now()
      connection.socket.write(sent)
    }
  })
  let next = 0
  let due = 0
  const interval = 5
  const timer = setInterval(() => {
    for (due += perSecond * interval / 1000; due >= 1; due--) senders[next++ % senders.length]?.()
  }, interval)
  return await guarded(timed(meter, seconds)).finally(() => clearInterval(timer))
}

/** Nothing is sent. */
async function silence (pids: number[], seconds: number): Promise<Measured> {
  const meter = new Meter(pids)
  meter.start()
  await guarded(sleep(seconds * 1000))
  return meter.stop()
}

/** Whether what goes in comes out: messages of three sizes, and a Close frame each way. */
async function checkTunnel (at: At, guardedByHooks: boolean): Promise<void> {
  let bytes = Buffer.alloc(0)
  let arrived = (): void => {}
  const connection = await openTunnel(at, '/mirror', (chunk) => {
    bytes = Buffer.concat([bytes, chunk])
    arrived()
  })
  const closed = once(connection.socket, 'close')
  const next = async (): Promise<Frame> => {
    for (;;) {
      const frame = decodeFrames(bytes)[0]
      if (frame !== undefined) {
        bytes = bytes.subarray(encodeFrame(frame.opcode, frame.payload).length)
        return frame
      }
      await new Promise<void>((resolve) => { arrived = resolve })
    }
  }
  const sent: Array<[number, Buffer]> = [
    [opcodes.text, Buffer.from('hello')], [opcodes.binary, bodyOf(64)], [opcodes.binary, bodyOf(65_536)], [opcodes.close, Buffer.from([0x03, 0xe8])]
  ]
  connection.fail = () => {}
  for (const [opcode, payload] of sent) {
    connection.socket.write(encodeFrame(opcode, payload, { masked: true }))
    const frame = await within(next(), `the echo of ${payload.length} bytes`, 5000)
    if (frame.opcode !== opcode || !frame.payload.equals(payload)) {
      throw new Error(`an echo of ${payload.length} bytes differs: opcode ${frame.opcode}, '${frame.payload.toString('latin1', 0, 40)}'`)
    }
  }
  connection.socket.end()
  await within(closed, 'the end of the tunnel', 5000)
  if (!guardedByHooks) return
  const refused = await openTunnel(at, '/mirror', () => {}, upgradeHead('/mirror', { known: false })).then(() => '', (error: Error) => error.message)
  if (!refused.includes(' 401 ')) throw new Error('the hooks do not guard tunnels')
}

/** Whether a body of `size` bytes goes through, up or down. */
async function checkHttp (at: At, method: string, size: number): Promise<void> {
  const connection = new Connection(at)
  const whole = new Promise<Buffer>((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    connection.fail = reject
    fatal = reject
    connection.onBytes = (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.includes('\r\n\r\n') && bodyLength(bytes) === 0) resolve(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4))
    }
  })
  connection.socket.write(requestHead(method, method === 'POST' ? '/digest' : `/get/${size}`, size))
  if (method === 'POST') connection.socket.write(bodyOf(size))
  const body = await within(whole, `a response to ${method}`, 5000).finally(() => leave([connection]))
  const expected = method === 'POST' ? Buffer.from(createHash('sha256').update(bodyOf(size)).digest('hex')) : bodyOf(size)
  if (!body.equals(expected)) throw new Error(`the body of a ${method} differs`)
}

serve({ echo, http, handshakes, flood, hold, release, chat, silence, checkTunnel, checkHttp })
