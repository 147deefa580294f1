/** Likely mistakes in the options: a missing option is an error, an allowed but unlikely value is a line in the log. */
import type { Issues } from '../config/schema.ts'
import { forUpstream } from '../config/suggestions.ts'
import type { Target } from '../config/target.ts'
import { isUpstream } from '../config/upstream-url.ts'
import type { WstunnelOptions } from './options.ts'
import { expectedTarget } from './options-schema.ts'

/**
 * Checks that an upstream or a table is present. An option that is set to `undefined` would register nothing: most likely an environment
 * variable is unset.
 * @param routeOptions the names of options that only a route uses
 */
export function checkPresence (input: WstunnelOptions, routeOptions: readonly string[], issues: Issues): void {
  if (typeof input !== 'object' || input === null) return
  const { upstream, routes } = input
  if (routes?.length === 0) issues.warn(`routes has no entries: nothing is proxied${upstream === undefined ? '' : ', and upstream is only their default'}`)
  if (upstream !== undefined) return
  const names = (Object.keys(input) as Array<keyof WstunnelOptions>).filter((name) => input[name] !== undefined)
  const needing = names.filter((name) => routeOptions.includes(name))
  if (names.every((name) => name === 'prefix' || needing.includes(name))) needing.unshift(...names.filter((name) => name === 'prefix'))
  if (Object.hasOwn(input, 'upstream')) issues.expected('upstream', expectedTarget, upstream, forUpstream(upstream, [], isUpstream))
  else if (routes === undefined && Object.hasOwn(input, 'routes')) issues.expected('routes', 'an array of routes', routes, ' (leave it out to register none)')
  else if (routes === undefined && needing.length > 0) {
    issues.note('upstream', `expected ${expectedTarget}, or routes, beside ${needing.join(', ')}, got neither${forUpstream(undefined, [], isUpstream)}`)
  }
}

/** Warns of a prefix that is also in the path. Fastify puts its prefixes before the path: the one of these options, and those of the scopes around them. */
export function checkPrefixTwice (base: string, prefix: string | undefined, path: string | undefined, at: string, issues: Issues): void {
  const own = segmentsOf(prefix ?? '')
  if (own !== '' && path !== undefined && isBelow(path, own)) {
    issues.note(`${at}path`, `expected a path below the prefix, got '${path}', which repeats the prefix '${prefix ?? ''}': ` +
      `it would be served at ${own}${path}, did you mean '${path.slice(own.length) || '/'}'?`)
    return
  }
  const whole = segmentsOf(base)
  const outer = whole.endsWith(own) ? whole.slice(0, whole.length - own.length) : ''
  const inner = own + (path ?? '')
  if (outer !== '' && isBelow(inner, outer)) issues.warn(`${outer}${inner}: the prefix of the scope around it, ${outer}, is repeated in it`)
}

function segmentsOf (prefix: string): string {
  return prefix.replace(/^\/?/, '/').replace(/\/$/, '')
}

function isBelow (path: string, prefix: string): boolean {
  return `${path}/`.startsWith(`${prefix}/`)
}

const almostWebSocket = /^(wss?|web-?sockets?)$/

/** Warns of likely mistakes in valid entries. */
export function warnOfEntries (targets: readonly Target[], unreached: ReadonlyMap<Target, Target>, issues: Issues): void {
  targets.forEach((target, i) => {
    const { upstream, route, upgrade } = target
    const address = typeof upstream === 'object' ? upstream : undefined
    if (address !== undefined && !target.atRoot && route.endsWith('/') !== address.path.endsWith('/') && address.path !== '' && address.path !== '/') {
      issues.warn(`route ${route}: as in httpd, ${route} is replaced by ${address.path} literally; end both with a slash, or neither`)
    }
    const almost = typeof upgrade === 'string' ? undefined : upgrade.find((token) => token !== 'websocket' && almostWebSocket.test(token))
    if (almost !== undefined) issues.warn(`route ${route}: the token '${almost}' is not what WebSocket clients send, which is 'websocket'`)
    const shadow = unreached.get(target)
    if (shadow !== undefined) issues.warn(`route ${route} (entry ${i}) is never reached: the entry for ${shadow.route} before it takes every request`)
  })
}
