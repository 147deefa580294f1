/** The scripted upstreams of one side of one lane. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { Worker } from 'node:worker_threads'
import { RawConnection } from '../fixtures/raw.ts'
import { within } from '../fixtures/wait.ts'
import { Signals, UpstreamEnd } from './ends.ts'
import type { UpstreamRequest, UpstreamStep } from './ends.ts'

const deaf = `
  const server = require('node:net').createServer()
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:worker_threads').parentPort.postMessage(server.address().port)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

/** The scripted upstreams of one side of one lane. They answer whichever scenario is at work. */
export class Upstreams {
  readonly ports: Record<string, number> = {}
  readonly #servers: Server[] = []
  readonly #sockets = new Set<RawConnection>()
  readonly #deaf: Worker[] = []
  readonly #knocking: Socket[] = []
  #script: ReadonlyArray<readonly UpstreamStep[]> = []
  #signals: Signals = new Signals()
  #ends: UpstreamEnd[] = []
  #running: Array<Promise<void>> = []

  /** `tls`: what to show, for an upstream over TLS. */
  async listen (name: string, tls?: TlsOptions): Promise<void> {
    await this.#open(name, createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      // TLS goes over a socket of our own, which can be reset: a TLS stream cannot.
      const stream = tls === undefined ? socket : new TLSSocket(socket, { isServer: true, ...tls })
      void this.#accept(name, new RawConnection(stream, socket))
    }))
  }

  /** An upstream that understands nothing of what it gets, as one of HTTP does where TLS begins. */
  async listenPlain (name: string): Promise<void> {
    const server = createServer((socket) => {
      this.#knocking.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'))
    })
    await this.#open(name, server)
  }

  async #open (name: string, server: Server): Promise<void> {
    this.#servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.ports[name] = (server.address() as AddressInfo).port
  }

  /** An upstream that takes no connection: a full queue of a server that accepts nothing. The system then drops what else knocks. */
  async listenDeaf (name: string): Promise<void> {
    const worker = new Worker(deaf, { eval: true })
    this.#deaf.push(worker)
    const [port] = await once(worker, 'message') as [number]
    this.ports[name] = port
    for (let taken = true; taken;) {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      this.#knocking.push(socket)
      taken = await within(once(socket, 'connect'), 'a connection', 300).then(() => true, () => false)
    }
  }

  begin (script: ReadonlyArray<readonly UpstreamStep[]>, signals: Signals): void {
    this.#script = script
    this.#signals = signals
    this.#ends = []
    this.#running = []
  }

  /** Waits for the scripts; returns what they saw. Connections end here: nothing is reused in the next scenario. */
  async finish (): Promise<UpstreamRequest[]> {
    await Promise.all(this.#running)
    const requests = this.#ends.filter((end) => end.recorded).map((end) => {
      end.request.tunnel = end.over ? end.connection.unread.toString('latin1') : ''
      if (end.end !== undefined) end.request.end = end.end
      return end.request
    })
    await this.hangUp()
    return requests
  }

  async hangUp (): Promise<void> {
    await Promise.all([...this.#sockets].map(async (connection) => {
      if (connection.socket.closed) return
      const closed = once(connection.socket, 'close')
      connection.destroy()
      await closed
    }))
    this.#sockets.clear()
  }

  async close (): Promise<void> {
    await this.hangUp()
    for (const socket of this.#knocking) socket.destroy()
    await Promise.all(this.#deaf.map((worker) => worker.terminate()))
    await Promise.all(this.#servers.map(async (server) => {
      server.close()
      await once(server, 'close')
    }))
  }

  async #accept (name: string, connection: RawConnection): Promise<void> {
    this.#sockets.add(connection)
    for (;;) {
      let head: string
      try {
        head = await connection.head()
      } catch {
        connection.socket.end()
        return
      }
      const end = new UpstreamEnd(connection, this.#signals, name, head, this.ports)
      if (connection.socket instanceof TLSSocket) end.request.serverName = String((connection.socket as TLSSocket & { servername?: string | false }).servername)
      const steps = this.#script[Math.min(this.#ends.length, this.#script.length - 1)] ?? []
      this.#ends.push(end)
      this.#signals.get('request').resolve()
      const run = (async () => {
        for (const step of steps) await step(end)
      })()
      this.#running.push(run)
      await run
      if (end.over || connection.socket.destroyed || connection.socket.writableEnded) return
    }
  }
}
