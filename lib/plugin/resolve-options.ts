/** Checks the options against one schema, says of every bad value what was expected, and fills in the defaults. */
import type { BalancerConfig } from '../balancer/options.ts'
import { resolveBalancers } from '../balancer/resolve-options.ts'
import { parseDuration } from '../config/duration.ts'
import { expectedDuration, Issues, soundPart } from '../config/schema.ts'
import { forPath, forUpstream } from '../config/suggestions.ts'
import type { LeaseStore, Target } from '../config/target.ts'
import { defaultRules, type RouterRules } from '../http/path-pattern.ts'
import { http2Defaults } from '../http2/options.ts'
import { type Placement, placeRoutes } from '../routing/route-placement.ts'
import { drainTimeoutDefault } from './option-defaults.ts'
import type { Config, RouteOptions, WstunnelOptions } from './options.ts'
import { common, expectedTarget, schema, topOnly } from './options-schema.ts'
import { isPrefix, isUpstream, type Kinds, type Registration, resolveDefaults, resolveTarget } from './resolve-target.ts'

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
  const { routes, prefix, drainTimeout, balancers: own, healthPath, http2, ...defaults } = sound
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
  const registration: Registration = { defaults, base, kinds, rules, issues }
  const inherited = resolveDefaults(registration)
  const targets = entriesOf(sound).map(({ entry, at }) => {
    checkPrefixTwice(prefix, entry.path ?? defaults.path, Object.hasOwn(entry, 'path') ? at : '', issues)
    return resolveTarget(entry, at, registration, inherited)
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
    http2: http2 === undefined ? undefined : Object.freeze({ ...http2Defaults, ...defined(http2) }),
    drainTimeout: drain as number,
    warnings: Object.freeze(warningsOf(targets, unreached))
  })
}

/** Without what is there by name only. */
function defined<T extends object> (options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
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

function isStore ({ ttl, acquire, renew, release }: Partial<LeaseStore>): boolean {
  return typeof ttl === 'number' && ttl > 0 && [acquire, renew, release].every((method) => typeof method === 'function')
}

type Balancers = ReadonlyMap<string, { readonly config: BalancerConfig }>

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
