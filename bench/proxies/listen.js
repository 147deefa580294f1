// The server in front of the libraries, which bring none of their own.
import { Agent, createServer } from 'node:http'
import { Agent as TlsAgent, createServer as createTlsServer } from 'node:https'
import { ready, setting } from './serve.js'

/**
 * Connections to the upstream are kept, as every one of these libraries advises. (They are given `changeOrigin` besides, as
 * this plugin does by default; without it they would look for the client's Host in the upstream's certificate.)
 */
export const agent = setting.tls === undefined
  ? new Agent({ keepAlive: true })
  : new TlsAgent({ keepAlive: true, ca: setting.tls.ca })

export function listen (onRequest, onUpgrade) {
  const { tls, address } = setting
  const server = tls === undefined ? createServer(onRequest) : createTlsServer({ key: tls.key, cert: tls.cert }, onRequest)
  server.on('upgrade', onUpgrade)
  server.listen({ host: address, port: 0, backlog: 4096 }, () => ready(server.address().port))
}
