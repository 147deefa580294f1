/** Options from files: httpd.conf, JSON or a module. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fromHttpdConf, toModule, type HttpdNote, type HttpdRegistration } from '../httpd-conf/index.ts'
import type { WstunnelOptions } from '../index.ts'
import type { Command } from './usage.ts'

/** What is to be registered, and what is to be said of it. */
export interface Loaded {
  readonly registrations: readonly WstunnelOptions[]
  /** For people, a line for each. */
  readonly remarks: readonly string[]
  /** Whether something of the source is missing in the registrations. */
  readonly incomplete: boolean
  /** The source of a plugin that does the same. */
  readonly print: () => string
}

/** Bad input: a line for each fault. */
export class InputError extends Error {
  readonly faults: readonly string[]

  constructor (faults: readonly string[]) {
    super(faults.join('\n'))
    this.faults = faults
  }
}

/** @throws InputError where a file cannot be read, or holds nothing that can be served */
export async function load ({ source, anyHost, defaults }: Command): Promise<Loaded> {
  if (source.kind === 'routes') return plain({ ...defaults, routes: source.routes })
  const { file } = source
  if (source.kind === 'config') return plain({ ...defaults, ...await readConfig(file) })
  const translation = fromHttpdConf(await readText(file), { filename: file })
  const remarks = [...translation.notes.map((note) => remark(file, note)), ...translation.listen.map(({ host = '*', port }) => `${file}: httpd listens on ${host}:${port}; --host and --port say where this listens`)]
  const all = translation.registrations.map((each) => ({ ...each, options: { ...defaults, ...each.options } }))
  const registrations = anyHost ? forAnyHost(all) : all
  if (registrations.length === 0) throw new InputError([...remarks, `${file}: there is nothing that can be served`])
  return {
    registrations: registrations.map(({ options }) => options),
    remarks,
    incomplete: translation.notes.some(({ level }) => level === 'error'),
    print: () => toModule({ ...translation, registrations })
  }
}

/** Without constraints only one of them can serve: the one for all hosts without a name, which is the last. The first to need a balancer has it. */
function forAnyHost (all: readonly HttpdRegistration[]): HttpdRegistration[] {
  return all.slice(-1).map(({ line, options: { constraints, ...options } }) => {
    const balancers = Object.assign({}, ...all.map((each) => each.options.balancers)) as NonNullable<WstunnelOptions['balancers']>
    return { line, options: Object.keys(balancers).length === 0 ? options : { ...options, balancers } }
  })
}

function remark (file: string, { line, level, directive, text }: HttpdNote): string {
  return `${file}:${line}: ${level}: ${directive === '' ? '' : `${directive}: `}${text}`
}

function plain (options: WstunnelOptions): Loaded {
  return {
    registrations: [options],
    remarks: [],
    incomplete: false,
    print: () => toModule({ registrations: [{ options, line: 1 }], notes: [], listen: [], filename: 'the command line' })
  }
}

async function readText (file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new InputError([`${file}: ${code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code ?? String(error)})`}`])
  }
}

async function readConfig (file: string): Promise<WstunnelOptions> {
  const value = /\.json$/i.test(file) ? parseJson(file, await readText(file)) : await importDefault(file)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new InputError([`${file}: expected the plugin's options, an object`])
  return value as WstunnelOptions
}

function parseJson (file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const position = /position (\d+)/.exec(message)?.[1]
    const line = text.slice(0, position === undefined ? text.length : Number(position)).split('\n').length
    throw new InputError([`${file}:${line}: ${message.split('\n')[0] ?? ''}`])
  }
}

async function importDefault (file: string): Promise<unknown> {
  await readText(file)
  try {
    const module = await import(pathToFileURL(resolve(file)).href) as { default?: unknown }
    return module.default
  } catch (error) {
    throw new InputError([`${file}: ${String((error as Error).message).split('\n')[0] ?? ''}`])
  }
}
