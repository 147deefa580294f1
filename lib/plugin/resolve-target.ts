/** Resolves one entry of the table. Values that it does not set are shared with the entry of the defaults: tables may be long. */
import { METHODS } from 'node:http'
import { parseDuration } from '../config/duration.ts'
import { durationHint, expectedDuration, fits, type Issues, withoutCredentials } from '../config/schema.ts'
import { forMisread, forName, forPath, forUpgrade, forUpstream, forWord, namesUnset } from '../config/suggestions.ts'
import type { CommonOptions, ReverseOptions, Tracing } from '../config/options.ts'
import type { Durations, FastifyRouteSettings, Target } from '../config/target.ts'
import { tlsFaults } from '../config/tls-options.ts'
import { type BalancerRef, isUpstream, parseAddress, parseBalancerRef } from '../config/upstream-url.ts'
import { isTunnelled } from '../http/hop-by-hop.ts'
import { parsePrefix, type PathPrefix, type RouterRules } from '../http/path-pattern.ts'
import { durationDefaults, limitDefaults } from './option-defaults.ts'
import type { RouteOptions, WstunnelOptions } from './options.ts'
import { expectedMethods, expectedOrigin, expectedTarget, expectedUpgrade, reverseSchema } from './options-schema.ts'
import { checkSettings, type ServerFacts } from './server-facts.ts'

const getOnly: readonly string[] = Object.freeze(['GET'])

const settingNames = ['config', 'logLevel', 'logSerializers', 'onRequest', 'preValidation', 'preHandler'] as const

const durationNames = Object.keys(durationDefaults) as Array<keyof Durations>

/** All methods except two: TRACE would show an upstream's view of credentials, and CONNECT asks for another server. */
const everyMethod: readonly string[] = Object.freeze(METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE'))

const neverTunnelled = 'HTTP in any version, h2c, h2, h3 and TLS are never tunnelled'
const webSocketOnly: readonly string[] = Object.freeze(['websocket'])
const noUpgrade: readonly string[] = Object.freeze([])

/** The balancers by name; true if their members are ws and wss. */
export type Kinds = ReadonlyMap<string, boolean>

/** The values that the entries of a registration share. */
export interface Registration {
  /** The registration's own options, which are the defaults of its entries. */
  readonly defaults: Omit<WstunnelOptions, 'routes'>
  /** Fastify's prefix. */
  readonly base: string
  readonly kinds: Kinds
  readonly rules: RouterRules
  readonly server: ServerFacts
  readonly issues: Issues
}

/** Resolves an empty entry, from which the others inherit. It also adds the findings about the defaults, even if no valid entry uses them. */
export function resolveDefaults (registration: Registration): Target {
  return completed({ upstream: false }, '', registration, undefined)
}

/**
 * Resolves an entry.
 * @param at the place of the entry, such as `routes[1].`
 */
export function resolveTarget (entry: RouteOptions, at: string, registration: Registration, inherited: Target): Target {
  return completed(entry, at, registration, inherited)
}

function completed (entry: RouteOptions, at: string, { defaults, base, kinds, rules, server, issues }: Registration, inherited: Target | undefined): Target {
  const own: CommonOptions & RouteOptions = { ...defaults, ...entry }
  const inherits = (...names: ReadonlyArray<keyof CommonOptions>): Target | undefined =>
    names.some((name) => Object.hasOwn(entry, name)) ? undefined : inherited
  const where = (name: string): string => `${Object.hasOwn(entry, name) ? at : ''}${name}`
  const bad = (name: string, expected: string, value: unknown, hint?: string): void => issues.expected(where(name), expected, value, hint)

  const path = own.path ?? '/'
  if (!isPrefix(path)) bad('path', "a path prefix such as '/ws/', without wildcards, query or dot segments", path, forPath(path))
  const upstream = resolveUpstream(own.upstream)
  const names = [...kinds.keys()]
  if (upstream === undefined) {
    const given = Object.hasOwn(entry, 'upstream')
    if (given || !issues.has('upstream')) issues.expected(`${at}upstream`, expectedTarget, own.upstream, forUpstream(own.upstream, names, isUpstream))
  } else if (isRef(upstream)) {
    const hint = (): string => forUpstream(own.upstream, names, () => false) || forName('', names.map(withoutCredentials))
    if (!kinds.has(upstream.balancer)) issues.expected(`${at}upstream`, 'one of the balancers', own.upstream, hint())
  } else if (typeof upstream === 'object' && namesUnset(upstream.label)) {
    issues.expected(`${at}upstream`, 'a complete upstream', own.upstream, forUpstream(undefined, [], isUpstream))
  } else if (typeof own.upstream === 'string' && forMisread(own.upstream, isUpstream) !== '') {
    issues.expected(`${at}upstream`, expectedTarget, own.upstream, forMisread(own.upstream, isUpstream))
  }
  const webSocket = isWebSocket(upstream, kinds)
  const upgrade = resolveUpgrade(own.upgrade, webSocket)
  if (upgrade === undefined) bad('upgrade', `${expectedUpgrade} (${neverTunnelled})`, own.upgrade, forUpgrade(own.upgrade))
  // Methods that are no strings have findings already, and are left out here.
  const methods = own.methods === undefined ? undefined : Object.freeze(own.methods.filter((method: string | undefined) => method !== undefined))
  if (methods?.every((method) => everyMethod.includes(method)) === false) bad('methods', expectedMethods, methods.join(', '), forMethods(methods))
  const fallbackToHttp = own.fallbackToHttp ?? true
  // RFC 6455, 4.1: a WebSocket handshake is a GET. Other protocols may use any method.
  const webSocketsOnly = webSocket && !fallbackToHttp && Array.isArray(upgrade) && upgrade.every((token) => token === 'websocket')
  if (inherits('tls') === undefined) for (const [path, finding] of tlsFaults(own.tls, where('tls'))) issues.note(path, finding)
  if (inherits('logLevel', 'constraints') === undefined) checkSettings(own, where, server, issues)
  if (own.tracing !== undefined && !isTracing(own.tracing)) bad('tracing', 'the result of tracing() from fastify-wstunnel/otel', own.tracing)

  // Fastify's prefix has no slash at its end; the root of a registration is the whole prefix.
  const atRoot = path === '/'
  const below = base.replace(/\/$/, '')
  const text = atRoot ? below : below + path
  const { asyncDelay, connectTimeout, timeout, handshakeTimeout, keepAlive, timers } = inherits(...durationNames) ?? durationsOf(own, where, issues)
  const prefix = parsePrefix(text)
  return Object.freeze({
    route: text === '' ? '/' : text,
    prefix,
    path: text === path ? prefix : pathOf(path, base),
    rules,
    methods,
    allMethods: methods ?? (webSocketsOnly ? getOnly : everyMethod),
    constraints: own.constraints === undefined ? undefined : Object.freeze(constraintsOf(own.constraints)),
    upstream: upstream ?? false,
    webSocket,
    atRoot,
    upgrade: upgrade ?? noUpgrade,
    fallbackToHttp,
    async: own.async ?? true,
    asyncDelay,
    connectTimeout,
    timeout,
    handshakeTimeout,
    keepAlive,
    preserveHost: own.preserveHost ?? false,
    reverse: inherits('reverse')?.reverse ?? resolveReverse(own.reverse ?? true, where('reverse'), issues),
    forwarded: own.forwarded ?? 'x-forwarded',
    via: own.via ?? 'off',
    rewriteRequestHeaders: own.rewriteRequestHeaders,
    rewriteHeaders: own.rewriteHeaders,
    tls: inherits('tls')?.tls ?? Object.freeze({ ...own.tls }),
    allowedOrigins: (inherits('allowedOrigins') ?? { allowedOrigins: originsOf(own, where, issues) }).allowedOrigins,
    limits: inherits('limits')?.limits ?? Object.freeze({ ...limitDefaults, ...withoutStore(defaults.limits), ...entry.limits }),
    store: defaults.limits?.store,
    tracing: own.tracing,
    disableReuse: own.disableReuse ?? false,
    timers,
    settings: inherits(...settingNames)?.settings ?? settingsOf(own),
    onTunnelOpen: own.onTunnelOpen,
    onTunnelClose: own.onTunnelClose
  })
}

/** Returns the path of an option of an entry. */
type Where = (name: string) => string

type Timing = Pick<Target, 'asyncDelay' | 'connectTimeout' | 'timeout' | 'handshakeTimeout' | 'keepAlive' | 'timers'>

function durationsOf (own: CommonOptions, where: Where, issues: Issues): Timing {
  const of = (name: keyof Durations): number => {
    const value = own[name]
    const ms = value === undefined ? durationDefaults[name] : parseDuration(value)
    if (ms === undefined) issues.expected(where(name), expectedDuration, value, durationHint(value))
    if (name !== 'asyncDelay') issues.warnOfUnit(where(name), value)
    return ms ?? 0
  }
  return {
    asyncDelay: of('asyncDelay'),
    connectTimeout: of('connectTimeout'),
    timeout: of('timeout'),
    handshakeTimeout: of('handshakeTimeout'),
    keepAlive: of('keepAlive'),
    timers: Object.freeze({ idle: of('idleTimeout'), halfClose: of('halfCloseTimeout'), lifetime: of('maxLifetime'), stall: of('stallTimeout') })
  }
}

function originsOf ({ allowedOrigins }: CommonOptions, where: Where, issues: Issues): readonly string[] | undefined {
  const origins = allowedOrigins?.map((given: string | undefined, i) => {
    if (given === undefined) return undefined // it has a finding already
    const origin = resolveOrigin(given)
    if (origin === undefined) issues.expected(`${where('allowedOrigins')}[${i}]`, expectedOrigin, given, forOrigin(given))
    return origin
  })
  return origins === undefined ? undefined : Object.freeze(origins) as readonly string[]
}

function withoutStore (limits: WstunnelOptions['limits']): CommonOptions['limits'] {
  const { store: _, ...own } = limits ?? {}
  return own
}

export function isPrefix (path: string): boolean {
  return /^\/[^\s\p{C}]*$/u.test(path) && !/[?#*\\()%]|\/\/|\/\.{1,2}(\/|$)/.test(path)
}

/** Returns a copy; a RegExp for hosts is copied without the flags that give `test()` a state, as in find-my-way. */
function constraintsOf (constraints: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { host } = constraints
  if (!(host instanceof RegExp)) return { ...constraints }
  return { ...constraints, host: new RegExp(host.source, host.flags.replace(/[gy]/g, '')) }
}

/** Returns the prefix of a path. The root of a registration covers everything below Fastify's prefix, and that prefix itself. */
function pathOf (path: string, base: string): PathPrefix {
  return parsePrefix(path === '/' && base !== '' && !base.endsWith('/') ? '' : path)
}

function resolveUpstream (upstream: CommonOptions['upstream']): Target['upstream'] | undefined {
  if (upstream instanceof URL) return resolveUpstream(upstream.href)
  if (typeof upstream === 'string') return parseBalancerRef(upstream) ?? parseAddress(upstream)
  return typeof upstream === 'function' || upstream === false ? upstream : undefined
}

function forMethods (methods: readonly string[]): string {
  const meant = methods.map((method) => /'(.*)'/.exec(forWord(method, everyMethod))?.[1])
  return meant.every((method) => method !== undefined) ? `, did you mean ${meant.join(', ')}?` : ''
}

function forOrigin (text: string): string {
  if (text === '*') return ' (leave allowedOrigins out to take any)'
  const origin = resolveOrigin(URL.canParse(text) && !/^[^:/]+:\d+$/.test(text) ? new URL(text).origin : `https://${text}`)
  return origin === undefined ? '' : `, did you mean '${origin}'?`
}

function isRef (upstream: Target['upstream'] | undefined): upstream is BalancerRef {
  return typeof upstream === 'object' && 'balancer' in upstream
}

/** Returns true if a target may serve WebSockets; for a function that is unknown before its call. */
function isWebSocket (upstream: Target['upstream'] | undefined, kinds: Kinds): boolean {
  if (typeof upstream !== 'object') return typeof upstream === 'function'
  return 'balancer' in upstream ? kinds.get(upstream.balancer) ?? false : upstream.webSocket
}

function resolveUpgrade (upgrade: CommonOptions['upgrade'], webSocket: boolean): Target['upgrade'] | undefined {
  if (upgrade === undefined) return webSocket ? webSocketOnly : noUpgrade
  if (upgrade === 'ANY' || upgrade === 'NONE') return upgrade
  const list = (typeof upgrade === 'string' ? [upgrade] : upgrade).map((token) => token.toLowerCase())
  return list.length > 0 && list.every((token) => isTunnelled(token) && token !== 'any' && token !== 'none') ? Object.freeze(list) : undefined
}

/** Returns the resolved option. In an object, a missing member is true. */
function resolveReverse (reverse: boolean | ReverseOptions, at: string, issues: Issues): Target['reverse'] {
  if (reverse === false) return false
  if (reverse !== true && !fits(reverseSchema, reverse, at, issues)) return false
  const { location = true, cookiePath = true, cookieDomain = true } = reverse === true ? {} : reverse
  return Object.freeze({ location, cookiePath, cookieDomain })
}

/** Returns an origin in lower case, without the scheme's default port (RFC 6454, 6.1). */
function resolveOrigin (origin: string): string | undefined {
  if (!URL.canParse(origin)) return undefined
  const url = new URL(origin)
  return url.origin !== 'null' && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
    ? url.origin
    : undefined
}

function settingsOf (own: CommonOptions): FastifyRouteSettings {
  const settings: Record<string, unknown> = {}
  for (const name of settingNames) if (own[name] !== undefined) settings[name] = own[name]
  return Object.freeze(settings) as FastifyRouteSettings
}

function isTracing (value: Partial<Tracing> | null): boolean {
  return Array.isArray(value?.fields) && typeof value.start === 'function'
}
