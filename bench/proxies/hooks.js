// The floor of an upgrade behind hooks: Fastify's router, the same three hooks, a dialled socket and `pipe`. It believes whatever
// answers, and has no limits, timers, counters or drain.
import { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { run } from './application.js'
import { setting } from './serve.js'

await run((scope, options, done) => {
  scope.get('/*', (request, reply) => {
    const { raw } = request
    const { socket } = raw
    const upstream = connect({ ...setting.upstream, noDelay: true, allowHalfOpen: true })
    let head = `${raw.method} ${raw.url} HTTP/1.1\r\n`
    for (let i = 0; i < raw.rawHeaders.length; i += 2) head += `${raw.rawHeaders[i]}: ${raw.rawHeaders[i + 1]}\r\n`
    upstream.write(`${head}\r\n`, 'latin1')
    upstream.on('error', () => socket.destroy())
    socket.on('error', () => upstream.destroy())
    upstream.once('data', (answer) => {
      reply.hijack()
      reply.raw.detachSocket(socket)
      socket.write(answer)
      upstream.pipe(socket)
      socket.pipe(upstream)
    })
  })
  scope.server.on('upgrade', (request, socket) => {
    socket.allowHalfOpen = true
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    scope.routing(request, response)
  })
  done()
}, {})
