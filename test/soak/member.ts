// One member of a balancer, as a process of its own: echoes every WebSocket, answers every request, and goes down when it is told to.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

const name = process.argv[2] as string
const server = createServer((_, response) => { response.setHeader('x-member', name).end(name) })
const wss = new WebSocketServer({ server, perMessageDeflate: false })
wss.on('headers', (headers) => headers.push(`x-member: ${name}`))
wss.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})

const listen = (port: number): void => {
  server.listen({ port, host: '127.0.0.1', backlog: 2048 }, () => process.send?.((server.address() as AddressInfo).port))
}

let port = 0
process.on('message', (order: 'down' | 'up') => {
  if (order === 'up') return listen(port)
  port = (server.address() as AddressInfo).port
  server.close()
  server.closeAllConnections()
  for (const socket of wss.clients) socket.terminate()
  process.send?.(0)
})
process.on('disconnect', () => process.exit())
listen(0)
