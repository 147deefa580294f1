// What every example needs around it when its file is run: an upstream, a port, a greeting and an end.
// Nothing here is about fastify-wstunnel; the examples themselves are.
import { realpathSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { startUpstream, type Upstream } from './upstream.ts'

/** Was this module started by `node file.ts`, and not imported? */
export function isMain (moduleUrl: string): boolean {
  const script = process.argv[1]
  return script !== undefined && realpathSync(script) === fileURLToPath(moduleUrl)
}

/** Calls `close` at the first SIGINT or SIGTERM. Later ones change nothing: `npm` passes on a Ctrl-C that came already. */
export function onSignal (close: () => Promise<unknown>): void {
  let closing = false
  function listener (): void {
    if (closing) return
    closing = true
    close().catch(fail)
  }
  process.on('SIGINT', listener).on('SIGTERM', listener)
}

/**
 * Runs an example when its file is the one that was started: builds its app in front of `UPSTREAM`, or of
 * an embedded upstream, listens on `HOST` and `PORT`, prints `greeting(url)`, and closes on a signal.
 */
export async function run (
  moduleUrl: string,
  build: (upstream: string) => FastifyInstance | Promise<FastifyInstance>,
  greeting: (url: string) => string
): Promise<void> {
  if (!isMain(moduleUrl)) return
  let upstream: Upstream | undefined
  let app: FastifyInstance | undefined
  async function close (): Promise<void> {
    await app?.close() // drains: new work is refused, tunnels are told to end
    await upstream?.close()
  }
  try {
    const { host, port } = addressFrom(process.env)
    upstream = process.env.UPSTREAM ? undefined : await startUpstream()
    app = await build(process.env.UPSTREAM || upstream!.url)
    await app.listen({ host, port })
    onSignal(close)
    console.log(greeting(urlOf(app.server.address() as AddressInfo)))
  } catch (error) {
    fail(error)
    await close()
  }
}

export function addressFrom (env: NodeJS.ProcessEnv): { host: string, port: number } {
  const text = env.PORT || '3000'
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65535) throw new Error(`PORT must be a number from 0 to 65535, got '${text}'`)
  return { host: env.HOST || '127.0.0.1', port }
}

/** An address to open in a browser: `0.0.0.0` and `::` are for listening only. */
export function urlOf ({ address, port }: { address: string, port: number }): string {
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : address
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function fail (error: unknown): void {
  console.error(explain(error as NodeJS.ErrnoException))
  process.exitCode = 1
}

function explain (error: NodeJS.ErrnoException & { address?: string, port?: number }): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `Port ${error.port} on ${error.address} is in use. Stop what listens there, or take another one: PORT=3001 npm start (PORT=0 for any free one)`
    case 'EACCES':
      return `Port ${error.port} needs more rights. Take one above 1023: PORT=3000 npm start`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST=${process.env.HOST} is no address of this machine. Leave it out for 127.0.0.1, or say 0.0.0.0 for all of them`
    default:
      return error.message
  }
}
