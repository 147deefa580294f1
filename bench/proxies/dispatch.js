// The floor of a forward behind hooks: Fastify's router, the same three hooks, and undici's dispatch. It passes the headers on as they are,
// collects a response that came in one read, and has no limits, timers or counters.
import { Pool } from 'undici'
import { run } from './application.js'
import { upstreamUrl } from './serve.js'

const pool = new Pool(upstreamUrl('http'), { pipelining: 1 })

class Forward {
  constructor (reply) {
    this.reply = reply
  }

  onRequestStart () {}

  onResponseStart ({ rawHeaders }, status) {
    const { reply } = this
    reply.code(status)
    for (let i = 0; i < rawHeaders.length; i += 2) reply.header(rawHeaders[i].toString('latin1'), rawHeaders[i + 1].toString('latin1'))
    this.chunks = []
  }

  onResponseData (_, chunk) {
    this.chunks.push(chunk)
  }

  onResponseEnd () {
    this.reply.send(Buffer.concat(this.chunks))
  }

  onResponseError (_, error) {
    this.reply.send(error)
  }
}

await run((scope, options, done) => {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (request, payload, parsed) => parsed(null, payload))
  scope.all('/*', ({ raw, body }, reply) => {
    pool.dispatch({ path: raw.url, method: raw.method, headers: raw.rawHeaders, body: body ?? null }, new Forward(reply))
  })
  done()
}, {})
