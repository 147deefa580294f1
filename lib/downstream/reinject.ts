/** Returns the connection of an upgrade to Node's HTTP server, as an ordinary connection. */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Reinjects a connection into Node's HTTP server, as if it had just been accepted; the parser reads `bytes` first. Do not call it while a
 * response is pending on the connection: the request would get no response.
 */
export function reinject (server: EventEmitter, socket: Duplex, bytes: Buffer): void {
  if (socket.destroyed) return
  if (bytes.length > 0) socket.unshift(bytes)
  // Node documents that users may emit 'connection'; https and http2 servers parse from 'secureConnection'.
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
  socket.resume() // it may have been paused during the wait for an upstream
}

/** True if Node reads the body of an upgrade into the request, as Node 26 does. Older versions leave it on the socket, after the head. */
export const readsBodies: boolean = Number.parseInt(process.versions.node, 10) >= 26

/**
 * Serialises a request again, as far as Node has read it: just its head if the body is left on the socket.
 * @param connection changes the value of `Connection`; `Proxy-Connection`, in which Node's parser finds an upgrade as well, is then left
 * out
 */
export function serializeRequest (request: IncomingMessage, connection?: (value: string) => string): Buffer {
  const { rawHeaders } = request
  let head = `${request.method} ${request.url} HTTP/${request.httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const key = name.toLowerCase()
    if (connection !== undefined && key === 'proxy-connection') continue
    head += `${name}: ${connection !== undefined && key === 'connection' ? connection(value) : value}\r\n`
  }
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), ...readsBodies ? serializeBody(request) : []])
}

function serializeBody (request: IncomingMessage): Buffer[] {
  const pieces: Buffer[] = []
  // Node 26 returns a body of several chunks piece by piece.
  for (let piece: Buffer | null = request.read(); piece !== null; piece = request.read()) pieces.push(piece)
  const body = Buffer.concat(pieces)
  if (request.headers['transfer-encoding'] === undefined) return [body]
  const { rawTrailers } = request
  let trailers = ''
  for (let i = 0; i < rawTrailers.length; i += 2) trailers += `${rawTrailers[i]}: ${rawTrailers[i + 1]}\r\n`
  const chunk = body.length === 0 ? [] : [Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]
  return [...chunk, Buffer.from(`0\r\n${trailers}\r\n`, 'latin1')]
}
