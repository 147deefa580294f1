/** What load and upstream say to each other: heads and frames, made once. */
import { createHash } from 'node:crypto'
import { encodeFrame } from '../test/fixtures/frames.ts'

/** RFC 6455, 1.3: the key that all clients send, and its answer. A proxy may have one of its own. */
const key = 'dGhlIHNhbXBsZSBub25jZQ=='
export const accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

export const opcodes = { text: 1, binary: 2, close: 8 } as const

/** What a browser sends along. The cookie is what the hooks of the Fastify applications ask for. */
const common = [
  'Host: bench.example',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept: */*',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br'
]
const cookie = 'Cookie: bench=1'

export function upgradeHead (path: string, { known = true } = {}): string {
  return lines(`GET ${path} HTTP/1.1`, ...common, ...(known ? [cookie] : []), 'Origin: https://bench.example',
    'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, 'Connection: Upgrade', 'Upgrade: websocket')
}

export function requestHead (method: string, path: string, length = 0): string {
  const body = method === 'POST' ? ['Content-Type: application/octet-stream', `Content-Length: ${length}`] : []
  return lines(`${method} ${path} HTTP/1.1`, ...common, cookie, ...body)
}

const ordinary = switchingFor(accept)

/** The 101 to such a request. */
export function switching (head: string): string {
  const asked = /^sec-websocket-key: *(.*)$/im.exec(head)?.[1]?.trimEnd() ?? ''
  return asked === key ? ordinary : switchingFor(createHash('sha1').update(`${asked}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64'))
}

function switchingFor (answer: string): string {
  return lines('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${answer}`)
}

export function response (body: Buffer): Buffer {
  const head = lines('HTTP/1.1 200 OK', 'Date: Sun, 22 Nov 2026 12:00:00 GMT', 'Server: upstream', 'Cache-Control: no-cache',
    'ETag: "bench"', 'Content-Type: text/plain; charset=utf-8', `Content-Length: ${body.length}`)
  return Buffer.concat([Buffer.from(head), body])
}

/** A body of so many bytes: the same ones on both sides. */
export function bodyOf (length: number): Buffer {
  return Buffer.alloc(length, '0123456789abcdef')
}

/** A binary frame with such a body, as a client or as a server sends it. */
export function message (length: number, side: 'client' | 'server'): Buffer {
  return encodeFrame(opcodes.binary, bodyOf(length), { masked: side === 'client' })
}

function lines (...text: string[]): string {
  return `${text.join('\r\n')}\r\n\r\n`
}
