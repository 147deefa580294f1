// The floor of a forward: Node's server and undici's dispatch. It has no framework, hooks, limits, timers or counters, and passes
// the headers on as they are.
import { Pool } from 'undici'
import { listen } from './listen.js'
import { upstreamUrl } from './serve.js'

const pool = new Pool(upstreamUrl('http'), { pipelining: 1 })

class Forward {
  constructor (response) {
    this.response = response
  }

  onRequestStart (controller) {
    this.response.on('drain', () => controller.resume())
  }

  onResponseStart ({ rawHeaders }, status) {
    this.response.writeHead(status, rawHeaders.map((part) => part.toString('latin1')))
  }

  onResponseData (controller, chunk) {
    if (!this.response.write(chunk)) controller.pause()
  }

  onResponseEnd () {
    this.response.end()
  }

  onResponseError () {
    this.response.destroy()
  }
}

listen((request, response) => {
  const body = request.method === 'POST' ? request : null
  pool.dispatch({ path: request.url, method: request.method, headers: request.rawHeaders, body }, new Forward(response))
}, (request, socket) => socket.destroy())
