/** The command line: its syntax, and its faults. */
import { parseArgs } from 'node:util'
import type { Duration, RouteOptions } from '../index.ts'

export const help: string = `Usage: fastify-wstunnel [options] [PATH=]UPSTREAM ...

Proxies WebSocket and HTTP. Each UPSTREAM is a ws:, wss:, http: or https: URL;
the first whose PATH (/ if left out) a request begins with gets it; ! excludes.

  fastify-wstunnel ws://127.0.0.1:4000
  fastify-wstunnel /ws/=ws://127.0.0.1:4000/ /private=! http://127.0.0.1:8080

  --httpd-conf FILE      an httpd.conf, or a part of one, instead of UPSTREAMs
  --config FILE          the plugin's options, as .json or .js, instead of them
  --port N               where to listen (3000); 0 takes a free port
  --host ADDRESS         the address to listen on (127.0.0.1)
  --preserve-host        send the client's Host on
  --idle-timeout TIME    end tunnels that are quiet so long, such as 5m (never)
  --timeout TIME         how long an upstream may take to respond (60s)
  --status [PATH]        show the status page there (/wstunnel); off by default
  --any-host             with --httpd-conf: serve every Host by the default one
  --check                check everything and end: 0 if it is fine, 1 if not
  --print                print a Fastify plugin that does the same, and end
  --help                 print this, and end
`

/** A parsed command. */
export interface Command {
  readonly action: 'serve' | 'check' | 'print' | 'help'
  readonly source: Source
  readonly port: number
  readonly host: string
  readonly anyHost: boolean
  /** The path of the status page; `undefined` for none. */
  readonly status: string | undefined
  /** The options given beside the source. */
  readonly defaults: RouteOptions
}

/** The source of the options. */
export type Source =
  | { readonly kind: 'routes', readonly routes: readonly RouteOptions[] }
  | { readonly kind: 'httpd-conf' | 'config', readonly file: string }

const options = {
  'httpd-conf': { type: 'string' },
  config: { type: 'string' },
  port: { type: 'string', default: '3000' },
  host: { type: 'string', default: '127.0.0.1' },
  'preserve-host': { type: 'boolean', default: false },
  'idle-timeout': { type: 'string' },
  timeout: { type: 'string' },
  status: { type: 'string' },
  'any-host': { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  print: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false }
} as const

/** Parses the arguments. Returns a list of faults, one line each, if there are any. */
export function readArguments (args: readonly string[]): Command | string[] {
  let parsed
  try {
    parsed = parseArgs({ args: withStatusPath(args), options, allowPositionals: true })
  } catch (error) {
    return [firstSentence((error as Error).message)]
  }
  const { values, positionals } = parsed
  const faults: string[] = []
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : NaN
  if (!(port <= 65_535)) faults.push(`--port: expected a number up to 65535, got '${values.port}'`)
  const sources = [positionals.length > 0, values['httpd-conf'] !== undefined, values.config !== undefined].filter(Boolean).length
  if (sources > 1) faults.push('expected one of: upstreams, --httpd-conf, --config')
  if (sources === 0 && !values.help) faults.push('expected an upstream, such as ws://127.0.0.1:4000; see --help')
  if (values['any-host'] && values['httpd-conf'] === undefined) faults.push('--any-host: expected --httpd-conf beside it')
  if (values.print && values.config !== undefined) {
    faults.push('--print: expected upstreams or --httpd-conf; a configuration has functions that cannot be printed')
  }
  if (values.print && values.check) faults.push('expected one of: --print, --check')
  if (values.status !== undefined && !/^(?:\/[\w.~-]+)+\/?$/.test(values.status)) {
    faults.push(`--status: expected a path, such as ${statusPath}, got '${values.status}'`)
  }
  const routes = positionals.map((text) => readRoute(text, faults))
  if (faults.length > 0) return faults
  const file = values['httpd-conf'] ?? values.config
  return {
    action: values.help ? 'help' : values.check ? 'check' : values.print ? 'print' : 'serve',
    source: file === undefined ? { kind: 'routes', routes } : { kind: values.config === undefined ? 'httpd-conf' : 'config', file },
    port,
    host: values.host,
    anyHost: values['any-host'],
    status: values.status?.replace(/\/$/, ''),
    // The registration checks that they are durations.
    defaults: {
      ...values['preserve-host'] ? { preserveHost: true } : {},
      ...values['idle-timeout'] === undefined ? {} : { idleTimeout: values['idle-timeout'] as Duration },
      ...values.timeout === undefined ? {} : { timeout: values.timeout as Duration }
    }
  }
}

const statusPath = '/wstunnel'

/** Adds the default path after --status, which parseArgs cannot leave out. An upstream with a path contains a `=`. */
function withStatusPath (args: readonly string[]): string[] {
  const end = args.indexOf('--')
  return args.flatMap((arg, i) => {
    if (arg !== '--status' || (end !== -1 && i > end)) return [arg]
    const next = args[i + 1] ?? ''
    return next.startsWith('/') && !next.includes('=') ? [arg] : [`--status=${statusPath}`]
  })
}

/** Parses `[PATH=]UPSTREAM`. */
function readRoute (text: string, faults: string[]): RouteOptions {
  const match = /^(?:(\/[^=]*)=)?(.+)$/s.exec(text)
  const [, path = '/', upstream = ''] = match ?? []
  if (upstream === '!') return { path, upstream: false }
  if (!/^(?:wss?|https?):\/\/|^unix:/i.test(upstream)) faults.push(`'${text}': expected [PATH=]UPSTREAM, such as /ws/=ws://127.0.0.1:4000/`)
  return { path, upstream }
}

/** Returns the first sentence: parseArgs adds long advice to its error about an unknown option. */
function firstSentence (text: string): string {
  return text.split(/\.\s/)[0] ?? text
}
