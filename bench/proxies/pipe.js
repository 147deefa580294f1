// The floor: two sockets and `pipe`. It knows no HTTP, has no hooks, limits, timers or counters.
import { connect, createServer } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { ready, setting } from './serve.js'

const { address, upstream, tls } = setting

function join (client) {
  const socket = tls === undefined
    ? connect({ ...upstream, noDelay: true, allowHalfOpen: true })
    : connectTls({ ...upstream, ca: tls.ca })
  client.setNoDelay(true)
  client.on('error', () => socket.destroy())
  socket.on('error', () => client.destroy())
  client.pipe(socket)
  socket.pipe(client)
}

const server = tls === undefined
  ? createServer({ allowHalfOpen: true }, join)
  : createTlsServer({ key: tls.key, cert: tls.cert }, join)
server.listen({ host: address, port: 0, backlog: 4096 }, () => ready(server.address().port))
