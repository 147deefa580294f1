/** Resolves the options: checks them against one schema, names the expectation for every bad value, and fills in the defaults. */
import type { BalancerConfig } from '../balancer/config.ts'
import { resolveBalancers } from '../balancer/resolve-options.ts'
import { parseDuration } from '../config/duration.ts'
import { durationHint, expectedDuration, Issues, soundPart } from '../config/schema.ts'
import { forPath } from '../config/suggestions.ts'
import type { LeaseStore } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import { defaultRules, type RouterRules } from '../http/path-pattern.ts'
import { http2Defaults } from '../http2/options.ts'
import { type Placement, placeRoutes } from '../routing/route-placement.ts'
import { checkPresence, checkPrefixTwice, warnOfEntries } from './likely-mistakes.ts'
import { drainTimeoutDefault } from './option-defaults.ts'
import type { Config, RouteOptions, WstunnelOptions } from './options.ts'
import { common, places, schema } from './options-schema.ts'
import { isPrefix, type Kinds, type Registration, resolveDefaults, resolveTarget } from './resolve-target.ts'
import type { ServerFacts } from './server-facts.ts'

export interface Resolved extends Config {
  /** The routes that Fastify gets. */
  readonly placements: readonly Placement[]
}

/**
 * Checks, copies, completes and freezes a registration's options.
 * @param base Fastify's prefix at the place of registration
 * @param others the balancers of earlier registrations
 * @param rules the rules of Fastify's router
 * @param server the server of the registration; without it, levels and constraints are not checked
 * @throws InvalidOptionsError with the path of every bad value and the expectation for it
 */
export function resolveOptions (
  input: WstunnelOptions, base: string, others: Balancers = new Map(), rules: RouterRules = defaultRules, server: ServerFacts = {}
): Resolved {
  const issues = new Issues()
  const sound = soundPart(schema, input, '', issues, places) ?? {}
  const { routes, prefix, drainTimeout, balancers: own, healthPath, http2, ...defaults } = sound
  const { store } = sound.limits ?? {}
  if (store !== undefined && !isStore(store)) issues.expected('limits.store', 'a lease store, such as the result of redisLeases()', store)
  const balancers = resolveBalancers(own, issues)
  for (const { name } of balancers) {
    if (others.has(name)) {
      issues.note(`balancers.${name}`, 'expected a name of its own on this server: an earlier registration has a balancer of this name')
    }
  }
  if (healthPath !== undefined && !isPrefix(healthPath)) issues.expected('healthPath', "a path such as '/health'", healthPath, forPath(healthPath))
  const kinds: Kinds = new Map([
    ...Object.keys(own ?? {}).map((name) => [name, false] as const), // those with findings of their own, too
    ...[...[...others.values()].map(({ config }) => config), ...balancers].map(({ name, webSocket }) => [name, webSocket] as const)
  ])
  checkPresence(input, Object.keys(common), issues)
  if (prefix !== undefined && /[*?#\s]/.test(prefix)) {
    issues.expected('prefix', "a path prefix such as '/ws', without wildcards and query", prefix, forPath(prefix))
  }
  const registration: Registration = { defaults, base, kinds, rules, server, issues }
  const inherited = resolveDefaults(registration)
  const targets = entriesOf(sound).map(({ entry, at }) => {
    checkPrefixTwice(base, prefix, entry.path ?? defaults.path, Object.hasOwn(entry, 'path') ? at : '', issues)
    return resolveTarget(entry, at, registration, inherited)
  })
  const placements = issues.areNone ? placeRoutes(targets, rules) : undefined
  if (placements?.fault !== undefined) issues.note('routes', placements.fault)
  const drain = parseDuration(drainTimeout ?? drainTimeoutDefault)
  if (drain === undefined) issues.expected('drainTimeout', expectedDuration, drainTimeout, durationHint(drainTimeout))
  issues.warnOfUnit('drainTimeout', drainTimeout)
  issues.throwIfAny()
  const { list = [], unreached = new Map<Target, Target>() } = placements ?? {}
  warnOfEntries(targets, unreached, issues)
  return Object.freeze({
    targets: Object.freeze(targets),
    placements: Object.freeze(list),
    balancers,
    healthPath,
    http2: http2 === undefined ? undefined : Object.freeze({ ...http2Defaults, ...defined(http2) }),
    drainTimeout: drain as number,
    warnings: Object.freeze(issues.warnings)
  })
}

/** Returns the options that have a value. */
function defined<T extends object> (options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
}

/** Returns the entries of the table that are objects, each with its place. */
function entriesOf ({ routes, upstream }: WstunnelOptions): Array<{ entry: RouteOptions, at: string }> {
  if (routes === undefined) return upstream === undefined ? [] : [{ entry: {}, at: '' }]
  return routes.flatMap((entry: RouteOptions | undefined, i) => entry === undefined ? [] : [{ entry, at: `routes[${i}].` }])
}

function isStore (value: Partial<LeaseStore> | null): boolean {
  const { ttl, acquire, renew, release } = value ?? {}
  return typeof ttl === 'number' && ttl > 0 && parseDuration(ttl) !== undefined && [acquire, renew, release].every((method) => typeof method === 'function')
}

type Balancers = ReadonlyMap<string, { readonly config: BalancerConfig }>
