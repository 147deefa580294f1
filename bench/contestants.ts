/** Who is measured, and how each is started in processes of its own. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../test/fixtures/program.ts'
import { within } from '../test/fixtures/wait.ts'
import { cpuSeconds, family, peak, pss } from './proc.ts'
import { apache, haproxy, nginx, type Server } from './servers.ts'
import type { Setting } from './setting.ts'

export type Kind = 'direct' | 'ours' | 'plugin' | 'library' | 'floor' | 'server'

export interface Contestant {
  readonly name: string
  readonly kind: Kind
  /** Processes among which connections are shared out. */
  readonly workers?: number
  readonly build?: string
  /** The one workload that it is for. */
  readonly only?: string
  /** Why it cannot take part on this machine. */
  readonly missing?: string | undefined
  start (setting: Setting): Promise<Running>
}

/** A contestant that listens. */
export interface Running {
  readonly host: string
  readonly port: number
  /** All of its processes. */
  pids (): number[]
  /** Lets it collect its garbage, where it has any. */
  collect (): Promise<void>
  stop (): Promise<void>
}

export function memory (running: Running): { pss: number, peak: number, cpu: number } {
  const sum = (of: (pid: number) => number): number => running.pids().reduce((total, pid) => total + of(pid), 0)
  return { pss: sum(pss), peak: sum(peak), cpu: sum(cpuSeconds) }
}

export const contestants: readonly Contestant[] = [
  { name: 'direct', kind: 'direct', start: () => { throw new Error('there is nothing to start') } },
  node('fastify-wstunnel', 'ours'),
  { ...node('fastify-wstunnel', 'ours'), name: 'fastify-wstunnel × 2', workers: 2 },
  {
    ...node('fastify-wstunnel-redis', 'ours', 'with a store'),
    only: 'handshake',
    missing: findProgram('redis-server') === undefined ? 'redis-server is not installed' : undefined
  },
  ...before(),
  node('fastify-http-proxy', 'plugin', '@fastify/http-proxy'),
  node('http-proxy-3', 'library'),
  node('httpxy', 'library'),
  node('http-proxy-middleware', 'library'),
  node('pipe', 'floor', 'bare pipe'),
  node('undici', 'floor', 'bare undici'),
  node('hooks', 'floor', 'bare hooks'),
  { ...node('dispatch', 'floor', 'bare dispatch'), only: 'get-13' },
  server('nginx', nginx),
  server('haproxy', haproxy),
  server('apache', apache)
]

/** `BENCH_BEFORE=/path/to/dist/index.js npm run bench -- …` measures that build, too: what a change has brought. */
function before (): Contestant[] {
  const build = process.env.BENCH_BEFORE
  return build === undefined ? [] : [{ ...node('fastify-wstunnel', 'ours'), name: 'before', build }]
}

function node (file: string, kind: Kind, name: string = file): Contestant {
  return {
    name,
    kind,
    async start ({ node, ...setting }) {
      const child = fork(fileURLToPath(new URL(`proxies/${file}.js`, import.meta.url)), [JSON.stringify(setting)], {
        execPath: node, execArgv: ['--expose-gc', ...profiling(name)], env: { ...process.env, NODE_ENV: 'production' }
      })
      const { port } = await answer<{ port: number }>(child, `${name} to listen`)
      return {
        host: setting.address,
        port,
        pids: () => family(child.pid as number),
        async collect () {
          child.send('collect')
          await answer(child, `${name} to collect its garbage`)
        },
        stop: async () => await stop(child)
      }
    }
  }
}

/** `BENCH_PROFILE=--cpu-prof npm run bench -- …` profiles this plugin's process; `BENCH_PROFILED` names another. */
function profiling (name: string): string[] {
  return name === (process.env.BENCH_PROFILED ?? 'fastify-wstunnel') ? (process.env.BENCH_PROFILE ?? '').split(' ').filter((flag) => flag !== '') : []
}

function server (name: string, { missing, start }: Server): Contestant {
  return {
    name,
    kind: 'server',
    missing: missing(),
    async start (setting) {
      const { child, port, remove } = await start(setting)
      return {
        host: setting.address,
        port,
        pids: () => family(child.pid as number),
        collect: async () => {},
        async stop () {
          await stop(child)
          remove()
        }
      }
    }
  }
}

async function answer<T> (child: ChildProcess, what: string): Promise<T> {
  const died = once(child, 'exit').then(([code]) => { throw new Error(`it ended with ${String(code)}`) })
  died.catch(() => {})
  return await within(Promise.race([once(child, 'message').then(([message]) => message as T), died]), what)
}

async function stop (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  if (child.connected) child.disconnect() // a Node process of ours leaves by itself then
  else child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), 5000)
  await exited
  clearTimeout(killer)
}
