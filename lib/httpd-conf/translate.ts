/** Translates httpd.conf to options of the plugin. */
import type { BalancerOptions, WstunnelOptions } from '../index.ts'
import { balancerOptions } from './balancers.ts'
import { Collector, type Collected } from './collect.ts'
import { TableMaker, type Entry, type EntryOptions } from './entries.ts'
import { statementsOf } from './header-functions.ts'
import { defaultHost, hostOf, inOrder, namesExpression, noteOtherAddresses, otherNamesExpression, shareNames, type Host } from './hosts.ts'
import { readLines } from './lexer.ts'
import type { Rule, Server } from './model.ts'
import { Notes, type HttpdNote } from './notes.ts'
import { covers } from './paths.ts'
import { buildTree } from './sections.ts'
import { siteOf, type Site } from './site.ts'

/** The registration that one virtual host became. */
export interface HttpdRegistration {
  /** The options for `app.register(wstunnel, options)`. */
  readonly options: WstunnelOptions
  /** The constraints, the same as `options.constraints`. Absent if the registration serves all hosts. */
  readonly constraints?: { readonly host: string | RegExp }
  /** The line on which the virtual host begins; 1 for directives outside of any. */
  readonly line: number
}

/** The translation of a configuration of httpd. */
export interface HttpdTranslation {
  /** The registrations, in the order in which to register them. */
  readonly registrations: readonly HttpdRegistration[]
  /** The notes, in the order of the lines. */
  readonly notes: readonly HttpdNote[]
  /** The addresses and ports on which httpd listens. */
  readonly listen: ReadonlyArray<{ readonly host?: string, readonly port: number }>
  /** The `filename` that was given to `fromHttpdConf()`. */
  readonly filename?: string
}

/** The maximum number of rules of one server; no person writes more. */
const maxRules = 2000
const maxEvaluations = 20_000

/** The lines from which an entry was made. */
const origins = new WeakMap<object, readonly number[]>()

export function originOf (entry: object): readonly number[] {
  return origins.get(entry) ?? []
}

/**
 * Translates a configuration of httpd: `for (const { options } of fromHttpdConf(text).registrations) await app.register(wstunnel,
 * options)`.
 * Every line is translated, needs nothing, or has a note.
 * @param options.filename the name of the file, kept for `toModule()`
 * @throws TypeError if `text` is no string
 */
export function fromHttpdConf (text: string, { filename }: { filename?: string } = {}): HttpdTranslation {
  if (typeof text !== 'string') throw new TypeError('fromHttpdConf: expected the text of a configuration')
  const notes = new Notes()
  const collected = new Collector(notes).collect(buildTree(readLines(text, notes), notes))
  const { main, virtualHosts } = collected
  for (const server of [main, ...virtualHosts]) limitRules(server, notes)
  const used = new Set<Rule>()
  let evaluations = 0
  const hosts: Host[] = []
  for (const server of virtualHosts.length === 0 ? [main] : virtualHosts) {
    evaluations += server.passes.length + server.locations.length + server.rewrites.length + main.passes.length + main.locations.length
    if (evaluations > maxEvaluations) {
      notes.error(server, `not translated: there are more than ${maxEvaluations} lines that choose an upstream`)
      continue
    }
    const site = siteOf(main, server, notes)
    hosts.push(hostOf(site, tableOf(site, used, notes), notes))
  }
  noteDead(collected, used, notes)
  noteMainServer(collected, notes)
  const registrations = virtualHosts.length === 0 ? single(hosts, notes) : registrationsOf(hosts, main, notes)
  if (registrations.length === 0) notes.check({ line: 1, directive: '' }, 'nothing here is proxied')
  return { registrations, notes: notes.sorted(), listen: listenOf(collected), ...filename === undefined ? {} : { filename } }
}

function tableOf (site: Site, used: Set<Rule>, notes: Notes): Entry[] {
  const maker = new TableMaker(site, notes)
  const entries = maker.make()
  for (const rule of maker.used) used.add(rule)
  return entries
}

function limitRules (server: Server, notes: Notes): void {
  for (const list of [server.passes, server.locations, server.rewrites, server.scopes, server.reverses]) {
    const [first] = list.splice(maxRules)
    if (first !== undefined) notes.error('line' in first ? first : server, `not translated, nor what follows: there are more than ${maxRules} such lines`)
  }
}

function noteDead ({ main, virtualHosts }: Collected, used: ReadonlySet<Rule>, notes: Notes): void {
  for (const server of [main, ...virtualHosts]) {
    for (const rule of [...server.rewrites, ...server.locations, ...server.passes]) {
      if (used.has(rule) || rule.target === 'last') continue
      notes.check(rule, rule.kind === 'rewrite' && server === main && virtualHosts.length > 0
        ? 'has no effect in httpd either: virtual hosts do not inherit rewrite rules'
        : 'takes no request in httpd either: other lines take them all')
    }
  }
}

/** Notes that httpd serves the main server on a port without a virtual host: it has no place beside virtual hosts here. */
function noteMainServer ({ main, virtualHosts, listenLines }: Collected, notes: Notes): void {
  if (virtualHosts.length === 0 || main.passes.length + main.locations.length + main.rewrites.length === 0) return
  const ports = virtualHosts.flatMap(({ addresses }) => addresses.map((address) => /:(\d+)$/.exec(address)?.[1]))
  if (ports.includes(undefined)) return // a virtual host without a port covers all ports
  for (const { place } of listenLines.filter(({ port }) => !ports.includes(String(port)))) {
    notes.check(place, 'in httpd the lines outside of all virtual hosts serve this port; here they serve only within virtual hosts')
  }
}

function single (hosts: readonly Host[], notes: Notes): HttpdRegistration[] {
  const balancers = new Balancers(notes)
  return hosts.filter(({ entries }) => entries.length > 0).map((host) => ({ options: optionsOf(host, undefined, balancers), line: 1 }))
}

function registrationsOf (listed: readonly Host[], main: Server, notes: Notes): HttpdRegistration[] {
  const signatures = new Map(listed.map((host) => [host, signatureOf(host)]))
  const isEqual = (a: Host, b: Host): boolean => signatures.get(a) === signatures.get(b)
  const fallback = defaultHost(listed, isEqual, notes)
  noteOtherAddresses(listed, isEqual, notes)
  const hosts = inOrder(listed)
  shareNames(hosts, isEqual, notes)
  const balancers = new Balancers(notes, main)
  const router = new Router()
  if (fallback !== undefined) router.takes(fallback)
  const registrations: HttpdRegistration[] = []
  const register = (host: Host, expression: RegExp | undefined): HttpdRegistration => {
    const constraints = expression === undefined ? undefined : { host: expression }
    const registration = { options: optionsOf(host, constraints, balancers), line: host.server.line, ...constraints === undefined ? {} : { constraints } }
    registrations.push(registration)
    return registration
  }
  hosts.forEach((host, i) => {
    if (host.entries.length > 0 && host.names.size > 0) {
      if (router.takes(host)) register(host, namesExpression(host, hosts.slice(0, i)))
      else notes.error(host.server, `not translated: Fastify's router takes at most ${Router.most} routes for one path, those of all virtual hosts together`)
    }
    if (host.entries.length === 0) notes.check(host.server, 'nothing in this virtual host is proxied')
  })
  // Without constraints it would take requests that another host does not take, and its own longer paths before shorter ones of other
  // hosts.
  if (fallback !== undefined && fallback.entries.length > 0) defaults.add(register(fallback, otherNamesExpression(hosts.filter((host) => host !== fallback))))
  return registrations
}

/** The room in find-my-way, which has one bit for each of the routes that constraints tell apart. */
class Router {
  static readonly most: number = 31
  readonly #routes = new Map<string, number>()

  /** Returns true, and takes the room, if a host's routes fit. */
  takes ({ entries }: Host): boolean {
    const own = new Map<string, number>()
    for (const { options: { path } } of entries) own.set(path, entries.filter(({ options }) => covers(options.path, path)).length)
    if ([...own].some(([path, count]) => (this.#routes.get(path) ?? 0) + count > Router.most)) return false
    for (const [path, count] of own) this.#routes.set(path, (this.#routes.get(path) ?? 0) + count)
    return true
  }
}

const defaults = new WeakSet<HttpdRegistration>()

/** Returns true if a registration serves the hosts that no other registration names. */
export function isDefault (registration: HttpdRegistration): boolean {
  return defaults.has(registration)
}

/** Returns options as a text for comparison; functions by their statements. */
function textOf (value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => typeof part === 'function' ? statementsOf(part) : part)
}

/** Returns the behaviour of a host as a text: its entries, and the balancers that they use. */
function signatureOf ({ server, entries, balancers }: Host): string {
  const used = entries.flatMap(({ options: { upstream } }) => balancers.get(balancerName(upstream) ?? '') ?? [])
  const members = used.map(({ members, parameters }) => [[...parameters], members.map(({ url, parameters }) => [url, [...parameters]])])
  const cookies = server.routeCookies.map(({ cookie, attributes }) => [cookie, attributes])
  return textOf([entries.map(({ options }) => options), members, cookies])
}

function balancerName (upstream: unknown): string | undefined {
  return typeof upstream === 'string' ? /^balancer:\/\/([^/]+)/.exec(upstream)?.[1] : undefined
}

/** The balancers of all registrations: a name is unique on the whole server. */
class Balancers {
  readonly #notes: Notes
  readonly #main: Server | undefined
  readonly #known = new Map<string, string>()

  constructor (notes: Notes, main?: Server) {
    this.#notes = notes
    this.#main = main
  }

  /** Returns the balancers that a host's entries use, and the new names of those balancers. */
  of ({ server, entries, balancers }: Host): { own: Record<string, BalancerOptions>, names: Map<string, string> } {
    const own: Record<string, BalancerOptions> = {}
    const names = new Map<string, string>()
    for (const { options: { upstream } } of entries) {
      const name = balancerName(upstream)
      const balancer = name === undefined || names.has(name) ? undefined : balancers.get(name)
      if (name === undefined || balancer === undefined) continue
      const options = balancerOptions(balancer, [...server.routeCookies, ...this.#main?.routeCookies ?? []], this.#notes)
      if (options === undefined) continue
      const text = JSON.stringify(options)
      const final = (this.#known.get(name) ?? text) === text ? name : `${name}-${server.line}`
      names.set(name, final)
      if (!this.#known.has(final)) own[final] = options
      this.#known.set(final, text)
    }
    return { own, names }
  }
}

const ownOfEntries: ReadonlySet<string> = new Set(['path', 'upstream', 'upgrade', 'fallbackToHttp'])

/** Returns a registration's options: those that all entries share are at the top. */
function optionsOf (host: Host, constraints: { host: RegExp } | undefined, balancers: Balancers): WstunnelOptions {
  const { own, names } = balancers.of(host)
  const proxied = host.entries.filter(({ options }) => options.upstream !== false)
  const [first] = proxied
  const common = Object.entries(first?.options ?? {}).filter(([name, value]) => !ownOfEntries.has(name) &&
    proxied.every(({ options }) => textOf(options[name as keyof EntryOptions]) === textOf(value)))
  const shared = new Set(common.map(([name]) => name))
  const routes = host.entries.map(({ options, lines }) => {
    const rest = Object.fromEntries(Object.entries(options).filter(([name]) => !shared.has(name))) as EntryOptions
    const { upstream } = rest
    if (typeof upstream === 'string') rest.upstream = upstream.replace(/^balancer:\/\/([^/]+)/, (_, name: string) => `balancer://${names.get(name) ?? name}`)
    origins.set(rest, lines)
    return rest
  })
  return {
    ...constraints === undefined ? {} : { constraints },
    ...Object.fromEntries(common),
    ...Object.keys(own).length === 0 ? {} : { balancers: own },
    routes
  }
}

function listenOf ({ listen, virtualHosts }: Collected): HttpdTranslation['listen'] {
  if (listen.length > 0) return listen
  const ports = new Set(virtualHosts.flatMap(({ addresses }) => addresses).map((address) => Number(/:(\d{1,5})$/.exec(address)?.[1])))
  return [...ports].filter((port) => port > 0 && port < 65_536).map((port) => ({ port }))
}
