/** Checks the options against one schema, says of every bad value what was expected, and fills in the defaults. */
import { type TSchema, Type } from '@sinclair/typebox'
import { METHODS } from 'node:http'
import { balancersSchema } from '../balancer/options-schema.ts'
import type { BalancerConfig } from '../balancer/options.ts'
import { resolveBalancers } from '../balancer/resolve-options.ts'
import { parseDuration } from '../config/duration.ts'
import {
  anyObject, anything, count, duration, expectedDuration, fits, flag, func, hook, Issues, maybe, oneOf, some, soundPart, strictObject, text
} from '../config/schema.ts'
import { forName, forPath, forUpgrade, forUpstream, namesUnset } from '../config/suggestions.ts'
import type { CommonOptions, Durations, FastifyRouteSettings, LeaseStore, Limits, ReverseOptions, Target, Tracing } from '../config/target.ts'
import { tlsFault, tlsOptionNames } from '../config/tls-options.ts'
import { type BalancerRef, expectedUpstream, parseAddress, parseBalancerRef } from '../config/upstream-url.ts'
import { isTunnelled } from '../http/hop-by-hop.ts'
import { defaultRules, parsePrefix, type PathPrefix, type RouterRules } from '../http/path-pattern.ts'
import { type Placement, placeRoutes } from '../routing/route-placement.ts'
import type { Config, RouteOptions, WstunnelOptions } from './options.ts'

const durationDefaults: Durations = {
  asyncDelay: 0,
  idleTimeout: 0,
  connectTimeout: 10_000,
  timeout: 60_000,
  handshakeTimeout: 10_000,
  halfCloseTimeout: 30_000,
  maxLifetime: 0,
  stallTimeout: 60_000,
  keepAlive: 30_000
}

const limitDefaults: Required<Limits> = {
  maxTunnels: 10_000,
  maxTunnelsPerClient: Infinity,
  maxTunnelsPerUpstream: Infinity,
  maxForwards: 10_000,
  maxConnectionsPerUpstream: 1024,
  earlyData: 16_384,
  maxResponseHead: 16_384
}

const drainTimeoutDefault = 10_000

const getOnly: readonly string[] = Object.freeze(['GET'])

const settingNames = ['config', 'logLevel', 'logSerializers', 'onRequest', 'preValidation', 'preHandler'] as const

const expectedMethods = 'methods that Node parses, in upper case, but not CONNECT and TRACE'

/** TRACE would show an upstream's view of credentials; CONNECT asks for another server. */
const everyMethod: readonly string[] = Object.freeze(METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE'))

const expectedUpgrade = "a protocol token, a list of them, 'ANY' or 'NONE'"

const expectedReverse = 'true, false or an object of location, cookiePath and cookieDomain'

const reverseSchema: TSchema = strictObject({
  location: some("true, false or 'absolute'", Type.Boolean(), Type.Literal('absolute')),
  cookiePath: flag,
  cookieDomain: flag
}, expectedReverse)
const expectedTarget = `${expectedUpstream}, a function, or false`

const limitSchemas: Record<string, TSchema> = Object.fromEntries(Object.keys(limitDefaults).map((name) => [name, count]))

const common: Record<string, TSchema> = {
  // Of objects only a URL is one, which no schema can say.
  upstream: some(expectedTarget, Type.String(), func, Type.Literal(false as unknown as string), Type.Object({})),
  methods: maybe(Type.Array(Type.String(), { minItems: 1, description: expectedMethods })),
  upgrade: some(expectedUpgrade, Type.String(), Type.Array(Type.String())),
  fallbackToHttp: flag,
  async: flag,
  ...Object.fromEntries(Object.keys(durationDefaults).map((name) => [name, duration])),
  preserveHost: flag,
  reverse: some(expectedReverse, Type.Boolean(), Type.Object({}, { additionalProperties: true })),
  forwarded: oneOf('x-forwarded', 'forwarded', 'both', false),
  via: oneOf('off', 'on', 'full', 'block'),
  rewriteRequestHeaders: maybe(func),
  rewriteHeaders: maybe(func),
  tls: maybe(strictObject(anything(tlsOptionNames), 'an object of TLS options')),
  allowedOrigins: maybe(Type.Array(Type.String(), { description: "an array of origins such as 'https://app.example'" })),
  limits: maybe(strictObject(limitSchemas, 'an object of limits')),
  disableReuse: flag,
  tracing: maybe(Type.Unknown()),
  constraints: anyObject('an object of route constraints'),
  config: anyObject('an object'),
  logLevel: text('a log level'),
  logSerializers: anyObject('an object of serializers'),
  onRequest: hook,
  preValidation: hook,
  preHandler: hook,
  onTunnelOpen: maybe(func),
  onTunnelClose: maybe(func),
  path: text("a path prefix such as '/ws/'")
}

const topOnly: Record<string, TSchema> = {
  prefix: text("Fastify's prefix"),
  drainTimeout: duration,
  balancers: balancersSchema,
  healthPath: text("a path such as '/health'"),
  routes: maybe(Type.Array(strictObject(common, 'an object'), { description: 'an array of routes' }))
}

const topLimits: TSchema = maybe(strictObject({ ...limitSchemas, store: maybe(Type.Unknown()) }, 'an object of limits'))

const schema: TSchema = strictObject({ ...common, limits: topLimits, ...topOnly }, 'an object')

export interface Resolved extends Config {
  /** The routes that Fastify is to have. */
  readonly placements: readonly Placement[]
}

/**
 * Checks, copies, completes and freezes a registration's options.
 * @param base Fastify's prefix at the place of registration
 * @param others the balancers of the registrations before
 * @param rules those of Fastify's router
 * @throws InvalidOptionsError naming the path of every bad value and what was expected there
 */
export function resolveOptions (input: WstunnelOptions, base: string, others: Balancers = new Map(), rules: RouterRules = defaultRules): Resolved {
  const issues = new Issues()
  const sound = soundPart(schema, input, '', issues, Object.keys(topOnly)) ?? {}
  const { routes, prefix, drainTimeout, balancers: own, healthPath, ...defaults } = sound
  const { store } = sound.limits ?? {}
  if (store !== undefined && !isStore(store)) issues.expected('limits.store', 'a store of leases, such as redisLeases() makes', store)
  const balancers = resolveBalancers(own, issues)
  for (const { name } of balancers) if (others.has(name)) issues.note(`balancers.${name}`, 'expected a name of its own on this server')
  if (healthPath !== undefined && !isPrefix(healthPath)) issues.expected('healthPath', "a path such as '/health'", healthPath, forPath(healthPath))
  const kinds: Kinds = new Map([
    ...Object.keys(own ?? {}).map((name) => [name, false] as const), // also those with findings of their own
    ...[...[...others.values()].map(({ config }) => config), ...balancers].map(({ name, webSocket }) => [name, webSocket] as const)
  ])
  checkPresence(input, issues)
  // What every entry overrides, or none is there to have, is looked at as well.
  resolveTarget({ upstream: false }, defaults, base, '', issues, kinds, rules)
  const targets = entriesOf(sound).map(({ entry, at }) => {
    checkPrefixTwice(prefix, entry.path ?? defaults.path, Object.hasOwn(entry, 'path') ? at : '', issues)
    return resolveTarget(entry, defaults, base, at, issues, kinds, rules)
  })
  const placements = issues.areNone ? placeRoutes(targets, rules) : undefined
  if (placements?.fault !== undefined) issues.note('routes', placements.fault)
  const drain = parseDuration(drainTimeout ?? drainTimeoutDefault)
  if (drain === undefined) issues.expected('drainTimeout', expectedDuration, drainTimeout)
  issues.throwIfAny()
  const { list = [], unreached = new Map<Target, Target>() } = placements ?? {}
  return Object.freeze({
    targets: Object.freeze(targets),
    placements: Object.freeze(list),
    balancers,
    healthPath,
    drainTimeout: drain as number,
    warnings: Object.freeze(warningsOf(targets, unreached))
  })
}

/** The entries of the table that are objects, each with where it stands. */
function entriesOf ({ routes, upstream }: WstunnelOptions): Array<{ entry: RouteOptions, at: string }> {
  if (routes === undefined) return upstream === undefined ? [] : [{ entry: {}, at: '' }]
  return routes.flatMap((entry: RouteOptions | undefined, i) => entry === undefined ? [] : [{ entry, at: `routes[${i}].` }])
}

/** An upstream that is there by name only is most likely an environment variable that is unset: nothing would be registered. */
function checkPresence (input: WstunnelOptions, issues: Issues): void {
  if (typeof input !== 'object' || input === null) return
  const { upstream, routes } = input
  if (upstream !== undefined) return
  const names = (Object.keys(input) as Array<keyof WstunnelOptions>).filter((name) => input[name] !== undefined)
  const needing = names.filter((name) => Object.hasOwn(common, name))
  if (names.every((name) => name === 'prefix' || needing.includes(name))) needing.unshift(...names.filter((name) => name === 'prefix'))
  if (Object.hasOwn(input, 'upstream')) issues.expected('upstream', expectedTarget, upstream, forUpstream(upstream, [], isUpstream))
  else if (routes === undefined && needing.length > 0) {
    issues.note('upstream', `expected ${expectedTarget}, or routes, beside ${needing.join(', ')}, got neither${forUpstream(undefined, [], isUpstream)}`)
  }
}

/** Fastify puts its prefix before the path. */
function checkPrefixTwice (prefix: string | undefined, path: string | undefined, at: string, issues: Issues): void {
  const outer = prefix?.replace(/^\/?/, '/').replace(/\/$/, '') ?? ''
  if (outer === '' || path === undefined || !`${path}/`.startsWith(`${outer}/`)) return
  issues.note(`${at}path`, `expected a path below the prefix, got '${path}', which repeats the prefix '${prefix}': it would be served at ${outer}${path}, did you mean '${path.slice(outer.length) || '/'}'?`)
}

function resolveTarget (entry: RouteOptions, defaults: RouteOptions, base: string, at: string, issues: Issues, kinds: Kinds, rules: RouterRules): Target {
  const own: CommonOptions & RouteOptions = { ...defaults, ...entry }
  const where = (name: string): string => `${Object.hasOwn(entry, name) ? at : ''}${name}`
  const bad = (name: string, expected: string, value: unknown, hint?: string): void => issues.expected(where(name), expected, value, hint)

  const path = own.path ?? '/'
  if (!isPrefix(path)) bad('path', "a path prefix such as '/ws/', without wildcards, query or dot segments", path, forPath(path))
  const upstream = resolveUpstream(own.upstream)
  const names = [...kinds.keys()]
  if (upstream === undefined) {
    const inherited = !Object.hasOwn(entry, 'upstream')
    if (!inherited || !issues.has('upstream')) issues.expected(`${at}upstream`, expectedTarget, own.upstream, forUpstream(own.upstream, names, isUpstream))
  } else if (isRef(upstream)) {
    if (!kinds.has(upstream.balancer)) issues.expected(`${at}upstream`, 'one of the balancers', own.upstream, forUpstream(own.upstream, names, () => false) || forName('', names))
  } else if (typeof upstream === 'object' && namesUnset(upstream.label)) {
    issues.expected(`${at}upstream`, 'the host of an upstream', own.upstream, forUpstream(undefined, [], isUpstream))
  }
  const webSocket = isWebSocket(upstream, kinds)
  const upgrade = resolveUpgrade(own.upgrade, webSocket)
  if (upgrade === undefined) bad('upgrade', `${expectedUpgrade} (HTTP in any version, h2c, h2, h3 and TLS are never tunnelled)`, own.upgrade, forUpgrade(own.upgrade))
  // Those that are no strings have findings already, and are left out here.
  const methods = own.methods === undefined ? undefined : Object.freeze(own.methods.filter((method: string | undefined) => method !== undefined))
  if (methods?.every((method) => everyMethod.includes(method)) === false) bad('methods', expectedMethods, methods.join(', '), forMethods(methods))
  const fallbackToHttp = own.fallbackToHttp ?? true
  // RFC 6455, 4.1: a WebSocket is asked for by GET. Other protocols may be by any method.
  const webSocketsOnly = webSocket && !fallbackToHttp && Array.isArray(upgrade) && upgrade.every((token) => token === 'websocket')
  const durations: Record<string, number> = {}
  for (const [name, byDefault] of Object.entries(durationDefaults)) {
    const value = own[name as keyof Durations]
    const ms = value === undefined ? byDefault : parseDuration(value)
    if (ms === undefined) bad(name, expectedDuration, value)
    durations[name] = ms ?? 0
  }
  const fault = tlsFault(own.tls)
  if (fault !== undefined) issues.note(where('tls'), fault)
  if (own.tracing !== undefined && !isTracing(own.tracing)) bad('tracing', 'what tracing() of fastify-wstunnel/otel returns', own.tracing)
  const origins = own.allowedOrigins?.filter((origin: string | undefined) => origin !== undefined).map((origin) => resolveOrigin(origin))
  if (origins?.includes(undefined) === true) bad('allowedOrigins', "origins such as 'https://app.example'", own.allowedOrigins)

  // A prefix of Fastify's own has no slash at its end; the root of a registration is the whole of it.
  const atRoot = path === '/'
  const below = base.replace(/\/$/, '')
  const text = atRoot ? below : below + path
  return Object.freeze({
    ...durations as unknown as Durations,
    route: text === '' ? '/' : text,
    prefix: parsePrefix(text),
    path: pathOf(path, base),
    rules,
    methods,
    allMethods: methods ?? (webSocketsOnly ? getOnly : everyMethod),
    constraints: own.constraints === undefined ? undefined : Object.freeze(constraintsOf(own.constraints)),
    upstream: upstream ?? false,
    webSocket,
    atRoot,
    upgrade: upgrade ?? [],
    fallbackToHttp,
    async: own.async ?? true,
    preserveHost: own.preserveHost ?? false,
    reverse: resolveReverse(own.reverse ?? true, where('reverse'), issues),
    forwarded: own.forwarded ?? 'x-forwarded',
    via: own.via ?? 'off',
    rewriteRequestHeaders: own.rewriteRequestHeaders,
    rewriteHeaders: own.rewriteHeaders,
    tls: Object.freeze({ ...own.tls }),
    allowedOrigins: origins === undefined ? undefined : Object.freeze(origins) as readonly string[],
    limits: Object.freeze({ ...limitDefaults, ...withoutStore(defaults.limits), ...entry.limits }),
    store: (defaults as WstunnelOptions).limits?.store,
    tracing: own.tracing,
    disableReuse: own.disableReuse ?? false,
    timers: Object.freeze({
      idle: durations.idleTimeout as number,
      halfClose: durations.halfCloseTimeout as number,
      lifetime: durations.maxLifetime as number,
      stall: durations.stallTimeout as number
    }),
    settings: settingsOf(own),
    onTunnelOpen: own.onTunnelOpen,
    onTunnelClose: own.onTunnelClose
  })
}

function isTracing (value: Partial<Tracing> | null): boolean {
  return Array.isArray(value?.fields) && typeof value.start === 'function'
}

function isStore ({ ttl, acquire, renew, release }: Partial<LeaseStore>): boolean {
  return typeof ttl === 'number' && ttl > 0 && [acquire, renew, release].every((method) => typeof method === 'function')
}

function withoutStore (limits: WstunnelOptions['limits']): Limits {
  const { store: _, ...own } = limits ?? {}
  return own
}

function isPrefix (path: string): boolean {
  return /^\/[^\s\p{C}]*$/u.test(path) && !/[?#*\\()%]|\/\/|\/\.{1,2}(\/|$)/.test(path)
}

/** A copy; of an expression for hosts one whose `test()` keeps no state, as find-my-way makes it. */
function constraintsOf (constraints: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { host } = constraints
  if (!(host instanceof RegExp)) return { ...constraints }
  return { ...constraints, host: new RegExp(host.source, host.flags.replace(/[gy]/g, '')) }
}

/** The root of a registration is the whole of what lies below Fastify's prefix, that prefix itself included. */
function pathOf (path: string, base: string): PathPrefix {
  return parsePrefix(path === '/' && base !== '' && !base.endsWith('/') ? '' : path)
}

function resolveUpstream (upstream: CommonOptions['upstream']): Target['upstream'] | undefined {
  if (upstream instanceof URL) return resolveUpstream(upstream.href)
  if (typeof upstream === 'string') return parseBalancerRef(upstream) ?? parseAddress(upstream)
  return typeof upstream === 'function' || upstream === false ? upstream : undefined
}

function isUpstream (text: string): boolean {
  return resolveUpstream(text) !== undefined
}

function forMethods (methods: readonly string[]): string {
  const upper = methods.map((method) => method.toUpperCase())
  return upper.every((method) => everyMethod.includes(method)) ? `, did you mean ${upper.join(', ')}?` : ''
}

type Balancers = ReadonlyMap<string, { readonly config: BalancerConfig }>

/** Balancers, and whether their members are ws and wss. */
type Kinds = ReadonlyMap<string, boolean>

function isRef (upstream: Target['upstream'] | undefined): upstream is BalancerRef {
  return typeof upstream === 'object' && 'balancer' in upstream
}

/** Whether a target may be asked for a WebSocket; of a function this is not known before it is called. */
function isWebSocket (upstream: Target['upstream'] | undefined, kinds: Kinds): boolean {
  if (typeof upstream !== 'object') return typeof upstream === 'function'
  return 'balancer' in upstream ? kinds.get(upstream.balancer) ?? false : upstream.webSocket
}

function resolveUpgrade (upgrade: CommonOptions['upgrade'], webSocket: boolean): Target['upgrade'] | undefined {
  if (upgrade === undefined) return Object.freeze(webSocket ? ['websocket'] : [])
  if (upgrade === 'ANY' || upgrade === 'NONE') return upgrade
  const list = (typeof upgrade === 'string' ? [upgrade] : upgrade).map((token) => token.toLowerCase())
  return list.length > 0 && list.every((token) => isTunnelled(token) && token !== 'any' && token !== 'none') ? Object.freeze(list) : undefined
}

/** An object says all of it: what it leaves out is true. */
function resolveReverse (reverse: boolean | ReverseOptions, at: string, issues: Issues): Target['reverse'] {
  if (reverse === false) return false
  if (reverse !== true && !fits(reverseSchema, reverse, at, issues)) return false
  const { location = true, cookiePath = true, cookieDomain = true } = reverse === true ? {} : reverse
  return Object.freeze({ location, cookiePath, cookieDomain })
}

/** RFC 6454, 6.1: lower case, without the scheme's default port. */
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

function warningsOf (targets: readonly Target[], unreached: ReadonlyMap<Target, Target>): string[] {
  const warnings: string[] = []
  targets.forEach((target, i) => {
    const { upstream, route } = target
    const address = typeof upstream === 'object' ? upstream : undefined
    if (address !== undefined && !target.atRoot && route.endsWith('/') !== address.path.endsWith('/') && address.path !== '' && address.path !== '/') {
      warnings.push(`route ${route}: as in httpd, ${route} is replaced by ${address.path} literally; end both with a slash, or neither`)
    }
    const shadow = unreached.get(target)
    if (shadow !== undefined) warnings.push(`route ${route} (entry ${i}) is never reached: the entry for ${shadow.route} before it takes every request`)
  })
  return warnings
}
