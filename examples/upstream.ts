// A small upstream to stand behind the proxy: it knows nothing of fastify-wstunnel.
//
//   WebSocket  any path    a chat: what one says, everybody hears
//   WebSocket  …/echo      every message comes back as it was, text or binary
//   HTTP       any path    what arrived (method, path, headers, body), as JSON
//
// The other examples start it by themselves. To run it alone, and the proxy in front of it by hand:
//
//   PORT=4000 node --import tsx examples/upstream.ts
//   UPSTREAM=ws://127.0.0.1:4000/ npm start
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import { isMain, onSignal } from './run.ts'

const MAX_BODY = 64 * 1024

export interface Upstream {
  /** `ws://127.0.0.1:PORT/`, or `wss://localhost:PORT/` when it was given a certificate. */
  url: string
  close: () => Promise<void>
}

export async function startUpstream (port = 0, tls?: TlsOptions): Promise<Upstream> {
  const listener: RequestListener = (request, response) => { answer(request, response).catch(() => response.destroy()) }
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  const sockets = new WebSocketServer({ server, maxPayload: MAX_BODY })
  const people = new Set<WebSocket>()

  sockets.on('connection', (socket, request) => {
    socket.on('error', () => {}) // 'close' follows
    if (pathOf(request).endsWith('/echo')) {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
      return
    }
    people.add(socket)
    tell(people, { people: people.size })
    socket.on('message', (data) => tell(people, parseMessage(String(data))))
    socket.on('close', () => {
      people.delete(socket)
      tell(people, { people: people.size })
    })
  })

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  return {
    url: tls === undefined ? `ws://127.0.0.1:${bound}/` : `wss://localhost:${bound}/`,
    async close () {
      for (const socket of sockets.clients) socket.terminate()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

async function answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > MAX_BODY) {
      response.writeHead(413, { 'content-type': 'text/plain', connection: 'close' }).end('too large\n')
      return
    }
  }
  const { method, url, headers } = request
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ method, url, headers, body }, null, 2) + '\n')
}

/** The page sends `{ from, text, client }`; a bare text (`npx wscat`, say) is a message from somebody. */
function parseMessage (data: string): object {
  let message: { from?: unknown, text?: unknown, client?: unknown } = { text: data }
  try {
    const parsed: unknown = JSON.parse(data)
    if (typeof parsed === 'object' && parsed !== null && 'text' in parsed) message = parsed
  } catch {
    // not JSON: the text itself
  }
  const client = typeof message.client === 'string' ? message.client.slice(0, 40) : undefined
  return { from: String(message.from ?? 'somebody').slice(0, 40), text: String(message.text).slice(0, 2000), client }
}

function tell (people: Set<WebSocket>, message: object): void {
  const data = JSON.stringify(message)
  for (const socket of people) {
    if (socket.readyState === WebSocket.OPEN) socket.send(data)
  }
}

function pathOf (request: IncomingMessage): string {
  return (request.url ?? '/').replace(/\?.*$/s, '')
}

if (isMain(import.meta.url)) {
  const upstream = await startUpstream(Number(process.env.PORT ?? 4000))
  console.log(`An upstream without a proxy: ${upstream.url}`)
  onSignal(upstream.close)
}
