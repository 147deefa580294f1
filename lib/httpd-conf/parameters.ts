/** The `key=value` parameters of ProxyPass, BalancerMember and ProxySet. */
import type { Duration } from '../index.ts'
import type { Notes, Place } from './notes.ts'
import { shorten } from './notes.ts'

/** Parameters by key, in lower case. A keyword without a value has an empty one. */
export type Parameters = ReadonlyMap<string, string>

/** The parameters without effect here: they concern connections that the plugin makes in another way, or need nothing. */
const withoutEffect: ReadonlySet<string> = new Set([
  'retry', 'keepalive', 'nocanon', 'noquery', 'smax', 'min', 'ttl', 'flushpackets', 'flushwait', 'iobuffersize', 'receivebuffersize', 'addressttl',
  'acquire', 'ping', 'enablereuse', 'scolonpathdelim', 'nonce', 'growth', 'mapping'
])

const worker: ReadonlySet<string> = new Set(['upgrade', 'timeout', 'connectiontimeout', 'disablereuse', 'max', 'responsefieldsize'])

const balancer: ReadonlySet<string> = new Set([
  'lbmethod', 'stickysession', 'stickysessionsep', 'nofailover', 'maxattempts', 'failonstatus', 'failontimeout', 'forcerecovery', 'timeout'
])

const member: ReadonlySet<string> = new Set([
  ...worker, 'loadfactor', 'route', 'redirect', 'lbset', 'status', 'hcmethod', 'hcpasses', 'hcfails', 'hcinterval', 'hcuri', 'hcexpr', 'hctemplate'
])

/** The owner of the parameters. */
type Owner = 'worker' | 'balancer' | 'member'

const known: Readonly<Record<Owner, ReadonlySet<string>>> = { worker, balancer, member }

/** Reads parameters, and notes each one that is not translated. */
export function readParameters (words: readonly string[], kind: Owner, place: Place, notes: Notes): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const key = (equals === -1 ? word : word.slice(0, equals)).toLowerCase()
    const value = equals === -1 ? '' : word.slice(equals + 1)
    if (known[kind].has(key)) parameters.set(key, value)
    else if (key === 'mapping') parameters.set(key, value)
    else if (key === 'interpolate') notes.error(place, 'not translated: interpolate, which puts environment variables into the URL')
    else if (key === 'secret') notes.error(place, 'not translated: secret=, which is for ajp:')
    else if (kind === 'member' && key === 'retry') parameters.set(key, value)
    else if (!withoutEffect.has(key)) notes.error(place, `not translated: the parameter ${shorten(key)}, which is unknown to httpd here, too`)
  }
  return parameters
}

/** Parses whole seconds, as `atoi` does; like httpd, it ignores a unit. */
export function wholeSeconds (text: string, name: string, place: Place, notes: Notes): number | undefined {
  const match = /^\s*(\d{1,7})/.exec(text)
  if (match === null || Number(match[1]) === 0) {
    notes.error(place, `not translated: ${name} ${shorten(text)}, which is not a number of seconds above 0`)
    return undefined
  }
  if (!/^\s*\d+s?$/.test(text)) notes.check(place, `httpd reads ${shorten(text)} as ${match[1]} seconds, whatever follows; so does this translation`)
  return Number(match[1])
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, mi: 60_000, h: 3_600_000 }

/** Parses a time with a unit, `ms`, `s`, `mi` or `h`; without one the unit is `byDefault`. Returns milliseconds. */
export function timeWithUnit (text: string, byDefault: 's' | 'ms', name: string, place: Place, notes: Notes): number | undefined {
  const match = /^(-?\d{1,9})(ms|s|mi|m|h)?$/i.exec(text)
  const unit = match?.[2]?.toLowerCase() ?? byDefault
  const ms = match === null ? NaN : Number(match[1]) * (units[unit === 'm' ? 'mi' : unit] ?? NaN)
  if (ms >= 0 && ms < 2 ** 31) return ms
  if (ms < 0) return 0 // httpd's value for "no limit"
  notes.error(place, `not translated: ${name} ${shorten(text)}, which is not a time such as 30, 500ms, 5mi or 1h`)
  return undefined
}

/** Returns a duration in the form that a person would write. */
export function duration (ms: number): Duration {
  if (ms === 0) return 0
  const whole = BigInt(ms)
  if (whole % 3_600_000n === 0n) return `${whole / 3_600_000n}h`
  if (whole % 60_000n === 0n) return `${whole / 60_000n}m`
  return whole % 1000n === 0n ? `${whole / 1000n}s` : `${whole}ms`
}

/** Parses `On` or `Off`. */
export function onOff (text: string | undefined): boolean | undefined {
  const word = text?.toLowerCase()
  return word === 'on' ? true : word === 'off' ? false : undefined
}
