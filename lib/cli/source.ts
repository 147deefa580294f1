/** Options from files: httpd.conf, JSON or a module. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fromHttpdConf, toModule, type HttpdNote, type HttpdRegistration } from '../httpd-conf/index.ts'
import { isDefault } from '../httpd-conf/translate.ts'
import type { WstunnelOptions } from '../index.ts'
import type { Command } from './usage.ts'

/** The loaded registrations, and the remarks about them. */
export interface Loaded {
  readonly registrations: readonly WstunnelOptions[]
  /** Remarks for the user, one per line. */
  readonly remarks: readonly string[]
  /** True if a part of the source is missing in the registrations. */
  readonly incomplete: boolean
  /** Returns the source code of an equivalent plugin. */
  readonly print: () => string
}

/** Bad input, with one line for each fault. */
export class InputError extends Error {
  readonly faults: readonly string[]

  constructor (faults: readonly string[]) {
    super(faults.join('\n'))
    this.faults = faults
  }
}

/**
 * Loads the registrations of a command.
 * @throws InputError if a file cannot be read, or contains nothing to serve
 */
export async function load ({ source, anyHost, defaults, status }: Command): Promise<Loaded> {
  const more = status === undefined ? {} : { status }
  if (source.kind === 'routes') return plain({ ...defaults, routes: source.routes }, more)
  const { file } = source
  if (source.kind === 'config') return plain({ ...defaults, ...await readConfig(file) }, more)
  const translation = fromHttpdConf(await readText(file), { filename: file })
  const remarks: string[] = [
    ...translation.notes.map((note) => remark(file, note)),
    ...translation.listen.map(({ host = '*', port }) => `${file}: httpd listens on ${host}:${port}; --host and --port say where this listens`)
  ]
  const chosen = anyHost ? forAnyHost(file, translation.registrations, remarks) : translation.registrations
  const registrations = chosen.map((each) => ({ ...each, options: { ...defaults, ...each.options } }))
  if (registrations.length === 0) throw new InputError([...remarks, `${file}: nothing in it can be served`])
  return {
    registrations: registrations.map(({ options }) => options),
    remarks,
    incomplete: translation.notes.some(({ level }) => level === 'error'),
    print: () => toModule({ ...translation, registrations }, more)
  }
}

/** Returns one registration for any host. Without constraints only one can serve: the one for all hosts, else the first. It gets the balancers of all. */
function forAnyHost (file: string, all: readonly HttpdRegistration[], remarks: string[]): HttpdRegistration[] {
  const one = all.find(isDefault) ?? all[0]
  if (one === undefined) return []
  const others = [...new Set(all.map(({ line }) => line))].filter((line) => line !== one.line)
  if (others.length > 0) {
    const leftOut = `the virtual ${others.length > 1 ? 'hosts of lines' : 'host of line'} ${others.join(', ')}`
    remarks.push(`${file}: line ${one.line} serves every host; left out: ${leftOut}`)
  }
  const { line, options: { constraints, ...options } } = one
  const balancers = Object.assign({}, ...all.map((each) => each.options.balancers)) as NonNullable<WstunnelOptions['balancers']>
  return [{ line, options: Object.keys(balancers).length === 0 ? options : { ...options, balancers } }]
}

function remark (file: string, { line, level, directive, text }: HttpdNote): string {
  return `${file}:${line}: ${level}: ${directive === '' ? '' : `${directive}: `}${text}`
}

function plain (options: WstunnelOptions, more: { status?: string }): Loaded {
  return {
    registrations: [options],
    remarks: [],
    incomplete: false,
    print: () => toModule({ registrations: [{ options, line: 1 }], notes: [], listen: [], filename: 'the command line' }, more)
  }
}

async function readText (file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new InputError([`${file}: ${code === 'ENOENT' ? 'no such file' : `it cannot be read (${code ?? String(error)})`}`])
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
