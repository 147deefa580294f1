/**
 * The upstream: HTTP and WebSocket on bare sockets, as cheap as Node can be, so that it is not what is measured. The path
 * says what it does:
 *
 *   /echo/SIZE    counts a client's frames of SIZE bytes and answers each with one that was made before
 *   /flood/COUNT  sends COUNT frames of 64 KiB, awaits as many, then sends a text frame
 *   /mirror       decodes frames and sends them back: for checking that a proxy changes nothing
 *   /idle         says nothing, but answers a Close: who waits for that would otherwise keep the tunnel for half a minute
 *   /get/SIZE     a body of SIZE bytes
 *   /post         how many bytes it got
 *   /digest       the SHA-256 of the bytes that it got
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { decodeFrames, encodeFrame } from '../test/fixtures/frames.ts'
import { serve } from './child.ts'
import { bodyOf, message, opcodes, response, switching } from './wire.ts'

export interface Listening { host: string, port: number }

/** Takes what a connection has sent; returns who takes the next. */
type Reader = (chunk: Buffer) => Reader

const endOfHead = '\r\n\r\n'
const lastChunk = Buffer.from(`0${endOfHead}`)
const responses = new Map<number, Buffer>()

function converse (socket: Socket): void {
  let read: Reader = readHead(socket, Buffer.alloc(0))
  socket.setNoDelay(true)
  socket.on('data', (chunk: Buffer) => { read = read(chunk) })
  socket.on('error', () => socket.destroy())
}

function readHead (socket: Socket, before: Buffer): Reader {
  return (chunk) => {
    const bytes = before.length === 0 ? chunk : Buffer.concat([before, chunk])
    const end = bytes.indexOf(endOfHead)
    if (end === -1) return readHead(socket, bytes)
    const head = bytes.toString('latin1', 0, end)
    const rest = bytes.subarray(end + endOfHead.length)
    const [, method, kind = '', number] = /^(\w+) \/(\w+)(?:\/(\d+))? /.exec(head) ?? []
    const size = Number(number)
    if (method !== 'POST' && kind === 'get') {
      socket.write(responseOf(size))
      return readHead(socket, rest)
    }
    const next = method === 'POST' ? readBody(socket, kind, head) : switched(socket, head, kind, size)
    return rest.length === 0 ? next : next(rest)
  }
}

function responseOf (size: number): Buffer {
  let bytes = responses.get(size)
  if (bytes === undefined) responses.set(size, bytes = response(bodyOf(size)))
  return bytes
}

function readBody (socket: Socket, kind: string, head: string): Reader {
  const length = /^content-length: *(\d+)/im.exec(head)?.[1]
  const chunks: Buffer[] = []
  let received = 0
  const read: Reader = (chunk) => {
    received += chunk.length
    if (kind === 'digest') chunks.push(chunk)
    // No body of ours has what ends a chunked one.
    const whole = length === undefined ? chunk.subarray(-lastChunk.length).equals(lastChunk) : received >= Number(length)
    if (!whole) return read
    const answer = kind === 'digest' ? digest(Buffer.concat(chunks), length === undefined) : String(received)
    socket.write(response(Buffer.from(answer)))
    return readHead(socket, Buffer.alloc(0))
  }
  return read
}

function digest (bytes: Buffer, chunked: boolean): string {
  const hash = createHash('sha256')
  if (!chunked) return hash.update(bytes).digest('hex')
  let at = 0
  while (at < bytes.length) {
    const start = bytes.indexOf('\r\n', at) + 2
    const size = parseInt(bytes.toString('latin1', at, start), 16)
    hash.update(bytes.subarray(start, start + size))
    at = start + size + 2
  }
  return hash.digest('hex')
}

function switched (socket: Socket, head: string, kind: string, size: number): Reader {
  socket.write(switching(head))
  if (kind === 'echo') return echo(socket, size)
  if (kind === 'flood') return flood(socket, size)
  if (kind === 'mirror') return mirror(socket, Buffer.alloc(0))
  return idle(socket)
}

function idle (socket: Socket): Reader {
  const read: Reader = (chunk) => {
    if (((chunk[0] as number) & 0x0f) === opcodes.close) socket.end(encodeFrame(opcodes.close, ''))
    return read
  }
  return read
}

function echo (socket: Socket, size: number): Reader {
  const length = message(size, 'client').length
  const answer = message(size, 'server')
  let received = 0
  const read: Reader = (chunk) => {
    received += chunk.length
    for (; received >= length; received -= length) socket.write(answer)
    return read
  }
  return read
}

function flood (socket: Socket, count: number): Reader {
  const frame = message(65_536, 'server')
  const awaited = count * message(65_536, 'client').length
  let sent = 0
  const send = (): void => {
    while (sent < count) {
      sent++
      if (!socket.write(frame)) return
    }
    finish()
  }
  let received = 0
  const finish = (): void => {
    if (received < awaited || sent < count) return
    socket.off('drain', send)
    socket.write(encodeFrame(opcodes.text, 'done'))
  }
  socket.on('drain', send)
  send()
  const read: Reader = (chunk) => {
    received += chunk.length
    if (received >= awaited) finish()
    return read
  }
  return read
}

function mirror (socket: Socket, before: Buffer): Reader {
  return (chunk) => {
    let bytes = before.length === 0 ? chunk : Buffer.concat([before, chunk])
    for (const { opcode, payload } of decodeFrames(bytes)) {
      bytes = bytes.subarray(encodeFrame(opcode, payload, { masked: true }).length)
      socket.write(encodeFrame(opcode, payload))
      if (opcode === opcodes.close) socket.end()
    }
    return mirror(socket, bytes)
  }
}

serve({
  async listen (host: string, tls: { key: string, cert: string } | null): Promise<Listening> {
    const server = tls === null ? createServer(converse) : createTlsServer(tls, converse)
    server.listen({ host, port: 0, backlog: 4096 })
    await once(server, 'listening')
    return { host, port: (server.address() as AddressInfo).port }
  }
})
