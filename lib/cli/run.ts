/** The command: checks, prints or serves. */
import type { FastifyInstance } from 'fastify'
import wstunnel from '../index.ts'
import { InputError, load, type Loaded } from './source.ts'
import { help, readArguments, type Command } from './usage.ts'

/** The output of the command, and the signal to end it. */
export interface Terminal {
  out (text: string): void
  error (text: string): void
  /** Calls back when the server must end; returns a function that removes the callback. */
  onEnd (end: () => void): () => void
  /** Loads Fastify. */
  fastify? (): Promise<{ default: (options: { logger: boolean }) => FastifyInstance }>
}

const oldest = [5, 8, 5] as const
const wanted = `Fastify ${oldest[0]}, at least ${oldest.join('.')}`

/**
 * Runs the command.
 * @returns a promise of the exit code: 0; 1 if `--check` found a fault; 2 for bad usage, bad input, or a port that it cannot listen on
 */
export async function run (args: readonly string[], terminal: Terminal): Promise<number> {
  const command = readArguments(args)
  if (Array.isArray(command)) return fail(command, terminal)
  if (command.action === 'help') {
    terminal.out(help)
    return 0
  }
  try {
    const loaded = await load(command)
    if (command.action !== 'print') for (const remark of loaded.remarks) terminal.error(`${remark}\n`)
    return await register(command, loaded, terminal)
  } catch (error) {
    if (error instanceof InputError) return fail(error.faults, terminal)
    throw error
  }
}

function fail (faults: readonly string[], terminal: Terminal): 2 {
  for (const fault of faults) terminal.error(`fastify-wstunnel: ${fault}\n`)
  return 2
}

/** Registers everything, and then does what the command asks for. */
async function register (command: Command, { registrations, incomplete, print }: Loaded, terminal: Terminal): Promise<number> {
  const { action, status, host } = command
  const app = await create(terminal, action === 'serve')
  try {
    for (const options of registrations) await app.register(wstunnel, options)
    if (status !== undefined) {
      const { default: statusPage } = await import('../status/index.ts')
      await app.register(statusPage, { prefix: status })
    }
    await app.ready()
  } catch (error) {
    await app.close()
    fail(faultsOf(error), terminal)
    return action === 'check' ? 1 : 2
  }
  if (action === 'print') {
    await app.close()
    terminal.out(print())
    return 0
  }
  if (action === 'check') {
    await app.close()
    terminal.out(incomplete ? 'parts of it are not translated\n' : 'fine\n')
    return incomplete ? 1 : 0
  }
  if (status !== undefined && !/^(localhost|127\..*|::1)$/.test(host)) terminal.error(`--status: anyone who can reach ${host} can see the status page\n`)
  return listen(app, command, terminal)
}

async function listen (app: FastifyInstance, { port, host }: Command, terminal: Terminal): Promise<number> {
  let stop: () => void = () => {}
  const ended = new Promise<void>((resolve) => { stop = terminal.onEnd(resolve) })
  try {
    await app.listen({ port, host })
  } catch (error) {
    stop()
    await app.close()
    const { code, message } = error as NodeJS.ErrnoException
    const fault = code === 'EADDRINUSE'
      ? `port ${port} of ${host} is in use: choose another with --port`
      : `cannot listen on port ${port} of ${host}: ${message}`
    return fail([fault], terminal)
  }
  await ended
  await app.close()
  stop()
  return 0
}

async function installed (): Promise<{ default: (options: { logger: boolean }) => FastifyInstance }> {
  const { default: fastify } = await import('fastify')
  return { default: (options) => fastify(options) as FastifyInstance }
}

/** @throws InputError if Fastify is missing, or too old */
async function create (terminal: Terminal, logger: boolean): Promise<FastifyInstance> {
  let fastify
  try {
    fastify = await (terminal.fastify ?? installed)()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new InputError([`this needs ${wanted}, which is not installed: npm install fastify@5`])
  }
  const app = fastify.default({ logger })
  if (isRecent(app.version)) return app
  await app.close()
  throw new InputError([`this needs ${wanted}, and ${app.version} is installed: npm install fastify@5`])
}

function isRecent (version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  return major === oldest[0] && (minor > oldest[1] || (minor === oldest[1] && patch >= oldest[2]))
}

/** Returns the faults of the options, which the plugin lists in one message. */
function faultsOf (error: unknown): string[] {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'FST_WSTUNNEL_INVALID_OPTIONS' ? message.split('; ') : [message]
}
