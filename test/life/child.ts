// A proxy in a process of its own, by message: for what is to be measured, or restarted.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import wstunnel from '../../lib/index.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { deferred, within } from '../fixtures/wait.ts'

export interface Memory {
  rss: number
  /** Heap in use, and all Buffers, after a collection. */
  used: number
  heap: number
  tunnels: number
}

interface Start {
  options: ProxyOptions
  https?: { key: string, cert: string }
  port?: number
}

type Order = { do: 'start', with: Start } | { do: 'memory' } | { do: 'bytes' } | { do: 'close' }
type Request = { id: number } & Order

interface Answer {
  id: number
  value?: unknown
  error?: string
}

/** The parent's side. */
export class ProxyProcess {
  readonly process: ChildProcess
  port = 0
  readonly exited: Promise<number | null>
  #id = 0
  /** What waits for an answer. */
  readonly #asked = new Map<number, (answer: Answer) => void>()

  constructor () {
    const execArgv = [...process.execArgv.filter((arg) => !arg.startsWith('--test')), '--expose-gc']
    this.process = fork(fileURLToPath(import.meta.url), ['as-child'], {
      execArgv, env: { ...process.env, NODE_V8_COVERAGE: undefined } // which takes memory of its own
    })
    this.exited = new Promise((resolve) => this.process.once('exit', resolve))
    this.process.on('message', (answer: Answer) => this.#answered(answer))
    void this.exited.then((code) => {
      for (const id of [...this.#asked.keys()]) this.#answered({ id, error: `the proxy's process ended with ${code}` })
    })
  }

  async start (how: Start): Promise<void> {
    this.port = await this.#ask<number>({ do: 'start', with: how })
  }

  memory (): Promise<Memory> {
    return this.#ask({ do: 'memory' })
  }

  /** Whether nothing moves any more, though the proxy has had its turns, before `moved` has resolved: it is not the proxy that is waited for. */
  async isStill (moved: Promise<unknown>): Promise<boolean> {
    const motion = moved.then(() => undefined)
    let before = -1
    for (let same = 0; same < 20;) {
      const bytes = await Promise.race([motion, this.#ask<number>({ do: 'bytes' })])
      if (bytes === undefined) return false
      same = bytes === before ? same + 1 : 0
      before = bytes
    }
    return true
  }

  /** Milliseconds that `close()` took; the process ends by itself then. */
  close (): Promise<number> {
    return this.#ask({ do: 'close' })
  }

  /** For after the test, closed or not. */
  async stop (): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL')
    await this.exited
  }

  #answered (answer: Answer): void {
    this.#asked.get(answer.id)?.(answer)
    this.#asked.delete(answer.id)
  }

  #ask<T> (what: Order): Promise<T> {
    const id = ++this.#id
    const { promise, resolve, reject } = deferred<unknown>()
    this.#asked.set(id, (message) => {
      if (message.error === undefined) resolve(message.value)
      else reject(new Error(message.error))
    })
    this.process.send({ id, ...what })
    return within(promise as Promise<T>, `the proxy's process to ${what.do}`, 60_000)
  }
}

let app: FastifyInstance

async function obey (request: Request): Promise<unknown> {
  if (request.do === 'start') {
    const { options, https, port = 0 } = request.with
    // The types of Fastify tell its kinds of server apart; this need not.
    app = Fastify((https === undefined ? {} : { https }) as FastifyServerOptions) as FastifyInstance
    app.register(wstunnel, options)
    await app.listen({ port, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  }
  if (request.do === 'bytes') {
    await new Promise((resolve) => setImmediate(resolve))
    let bytes = 0
    for (const { bytesFromClient, bytesFromUpstream } of app.wstunnel.tunnels()) bytes += bytesFromClient + bytesFromUpstream
    return bytes
  }
  if (request.do === 'memory') {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      gc?.()
    }
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return { rss, used: heapUsed + external + arrayBuffers, heap: heapUsed, tunnels: app.wstunnel.metrics().tunnels.open }
  }
  const start = performance.now()
  await app.close()
  return performance.now() - start
}

if (process.argv[2] === 'as-child') {
  const onOrphaned = (): never => process.exit(1) // by a parent that was killed
  process.on('disconnect', onOrphaned)
  process.on('message', (request: Request) => {
    obey(request).then(
      (value) => process.send?.({ id: request.id, value }),
      (error: Error) => process.send?.({ id: request.id, error: String(error.stack) })
    ).finally(() => {
      if (request.do !== 'close') return
      process.off('disconnect', onOrphaned)
      process.disconnect()
    })
  })
}
