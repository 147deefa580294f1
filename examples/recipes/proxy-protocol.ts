// The client's address behind a TCP balancer: it is in the PROXY protocol's header, before the first byte of HTTP. A `serverFactory` reads it.
import { createServer, type Server } from 'node:http'
import { isIP, type Socket } from 'node:net'
import fastify, { type FastifyInstance } from 'fastify'
import wstunnel from 'fastify-wstunnel'
import { run } from '../run.ts'

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const longest = 536 // of version 2 with its addresses; a line of version 1 has at most 107

interface Header { length: number, address?: string }

/** `undefined`: more is needed. Throws where it is none. */
function parseHeader (bytes: Buffer): Header | undefined {
  const begins = bytes.subarray(0, signature.length)
  if (begins.equals(signature.subarray(0, begins.length)) && bytes.length > 0) {
    if (bytes.length < 16) return undefined
    const length = 16 + bytes.readUInt16BE(14)
    if (length > longest) throw new Error('too long')
    if (bytes.length < length) return undefined
    const isLocal = ((bytes[12] as number) & 15) === 0 // a health check of the balancer's own
    const family = (bytes[13] as number) >> 4
    if (isLocal) return { length }
    if (family === 1) return { length, address: [...bytes.subarray(16, 20)].join('.') }
    if (family === 2) return { length, address: bytes.subarray(16, 32).toString('hex').match(/.{4}/g)?.join(':') ?? '' }
    return { length }
  }
  const end = bytes.indexOf('\r\n')
  const line = bytes.toString('latin1', 0, end === -1 ? 107 : end)
  if (!'PROXY '.startsWith(line.slice(0, 6)) || (end === -1 && bytes.length > 107)) throw new Error('no PROXY protocol')
  if (end === -1) return undefined
  const [, , address = ''] = line.split(' ')
  return isIP(address) === 0 ? { length: end + 2 } : { length: end + 2, address }
}

/** An HTTP server each of whose connections begins with the header, which becomes the socket's `remoteAddress`. */
function behindProxyProtocol (server: Server): Server {
  const known = new WeakSet<Socket>()
  const listeners = server.listeners('connection') as Array<(socket: Socket) => void>
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    const serve = (): void => { for (const listener of listeners) listener.call(server, socket) }
    if (known.has(socket)) return serve() // given back after an offer that was declined
    known.add(socket)
    readHeader(socket, serve)
  })
  return server
}

function readHeader (socket: Socket, serve: () => void): void {
  let received = Buffer.alloc(0)
  const tooLate = setTimeout(() => socket.destroy(), 5000)
  const forget = (): void => clearTimeout(tooLate)
  const ignore = (): void => {} // 'close' follows
  socket.on('error', ignore).on('close', forget).on('readable', read)
  function read (): void {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    received = Buffer.concat([received, chunk])
    try {
      const header = parseHeader(received)
      if (header === undefined) return
      socket.off('readable', read).off('close', forget).off('error', ignore)
      forget()
      if (header.address !== undefined) Object.defineProperty(socket, 'remoteAddress', { value: header.address })
      if (received.length > header.length) socket.unshift(received.subarray(header.length))
      serve()
    } catch {
      socket.destroy()
    }
  }
}

export function build (upstream: string): FastifyInstance {
  const app = fastify({ serverFactory: (handler) => behindProxyProtocol(createServer(handler)) })
  app.register(wstunnel, { prefix: '/app', upstream, limits: { maxTunnelsPerClient: 20 } })
  return app
}

await run(import.meta.url, build, (url) => `
    curl --haproxy-protocol ${url}/app/hello
`)
