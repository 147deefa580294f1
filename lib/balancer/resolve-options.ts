/** Checks the options of balancers. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { type Issues, soundPart } from '../config/schema.ts'
import { parseAddress } from '../config/upstream-url.ts'
import { isOriginForm, parseTarget } from '../http/request-target.ts'
import { monotonicNow } from '../net/clock.ts'
import type { BalancerConfig, HealthCheck } from './config.ts'
import type { BalancerOptions, DnsMembers, HealthCheckOptions, MemberOptions } from './options.ts'
import { balancerSchema, dnsSchema } from './options-schema.ts'
import { policies } from './policies.ts'
import { durationOf, resolveMemberDefaults, resolveMembers } from './resolve-member.ts'
import { type HashSource, isStickyCookie, parseHashBy, parseStickySession } from './session-affinity.ts'

const expectedAboveZero = 'a duration above 0'

/** Checks, completes and freezes the balancers of a registration. */
export function resolveBalancers (input: Readonly<Record<string, BalancerOptions>> | undefined, issues: Issues): readonly BalancerConfig[] {
  const resolved: BalancerConfig[] = []
  for (const [name, options] of Object.entries(input ?? {})) {
    const at = `balancers.${name}`
    if (!/^[a-z0-9][a-z0-9_.-]*$/i.test(name)) issues.expected(at, 'a name of letters, digits and . _ -', name)
    else {
      const sound = soundPart(balancerSchema, options, at, issues)
      if (sound !== undefined) resolved.push(resolveBalancer(name, sound, at, issues))
    }
  }
  return Object.freeze(resolved)
}

function resolveBalancer (name: string, own: BalancerOptions, at: string, issues: Issues): BalancerConfig {
  const bad = (option: string, expected: string, value: unknown): void => issues.expected(`${at}.${option}`, expected, value)
  const stickiness = own.stickySession === undefined ? undefined : parseStickySession(own.stickySession, own.stickySessionSep)
  if (own.stickySession !== undefined && stickiness === undefined) {
    bad('stickySession', "a cookie's name, or 'COOKIE|parameter', and a separator of one character or 'Off'", own.stickySession)
  }
  if (own.stickyCookie !== undefined) {
    if (own.stickySession === undefined) bad('stickyCookie', 'stickySession beside it, which names the cookie', own.stickyCookie)
    else if (!isStickyCookie(own.stickyCookie)) bad('stickyCookie', 'valid cookie attributes', own.stickyCookie)
  }
  const hashBy = parseHashBy(own.hashBy ?? 'client')
  if (hashBy === undefined) bad('hashBy', "'client', 'header:name', 'cookie:name' or 'query:name'", own.hashBy)
  const digests = own.stickyCookie !== undefined
  const list = Array.isArray(own.members) ? own.members as MemberOptions[] : undefined
  const members = list === undefined ? [] : resolveMembers(list, digests, at, issues)
  const dns = list === undefined ? resolveDns(own.members as DnsMembers, `${at}.members`, issues) : undefined
  return Object.freeze({
    name,
    webSocket: dns === undefined ? members[0]?.address.webSocket ?? false : dns.template.scheme.startsWith('ws'),
    lbMethod: typeof own.lbMethod === 'function' ? 'custom' : own.lbMethod ?? 'bybusyness',
    byTraffic: own.lbMethod === 'bytraffic' || typeof own.lbMethod === 'function',
    policy: typeof own.lbMethod === 'function' ? own.lbMethod : policies[own.lbMethod ?? 'bybusyness'],
    hashBy: hashBy ?? byClient,
    stickiness,
    stickyCookie: own.stickyCookie === undefined ? undefined : Object.freeze({ ...own.stickyCookie }),
    members: Object.freeze(members),
    dns,
    retry: durationOf(own.retry, 60_000, `${at}.retry`, issues),
    failOnStatus: Object.freeze([...own.failOnStatus ?? []]),
    failOnTimeout: own.failOnTimeout ?? false,
    maxAttempts: own.maxAttempts ?? Infinity,
    noFailover: own.noFailover ?? false,
    forceRecovery: own.forceRecovery ?? false,
    healthCheck: own.healthCheck === undefined ? undefined : resolveHealthCheck(own.healthCheck, `${at}.healthCheck`, issues),
    slowStart: durationOf(own.slowStart, 0, `${at}.slowStart`, issues),
    random: own.random ?? Math.random,
    clock: own.clock ?? monotonicNow
  })
}

const byClient: HashSource = Object.freeze({ kind: 'client', name: '' })

function resolveDns (own: DnsMembers, at: string, issues: Issues): BalancerConfig['dns'] {
  if (typeof own !== 'object' || own === null || !('dns' in own)) {
    issues.expected(at, "an array of members, or { dns: 'name' }", own)
    return undefined
  }
  const sound = soundPart(dnsSchema, own, at, issues)
  if (sound === undefined) return undefined
  const { dns, type = 'A', scheme = 'ws', path = '', servers } = sound
  if (typeof dns !== 'string') return undefined
  if (isIP(dns) !== 0 || parseAddress(`${scheme}://${dns}/`)?.hostname !== dns.toLowerCase()) issues.expected(`${at}.dns`, 'a name', dns)
  if (path !== '' && parseTarget(path)?.path !== path) issues.expected(`${at}.path`, "a path such as '/app'", path)
  if (type === 'SRV' && sound.port !== undefined) issues.note(`${at}.port`, 'expected none: SRV records contain it')
  servers?.forEach((server: string | undefined, i) => {
    if (server !== undefined && !isDnsServer(server)) issues.expected(`${at}.servers[${i}]`, "an address such as '127.0.0.1:53'", server)
  })
  const template = Object.freeze({ ...resolveMemberDefaults(sound, at, issues), scheme, port: sound.port, path })
  const refresh = durationAboveZero(sound.refresh, 30_000, `${at}.refresh`, issues)
  return Object.freeze({ source: Object.freeze({ dns, type, refresh, servers }), template })
}

/**
 * Returns true for an IP address, perhaps with a port, which follows an IPv6 address in brackets. Some malformed addresses make Node's
 * resolver end the process.
 */
function isDnsServer (text: string): boolean {
  if (isIP(text) !== 0) return true
  const [, v6 = '', v4 = '', port = '53'] = /^(?:\[(.+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  return (isIPv6(v6) || isIPv4(v4)) && Number(port) > 0 && Number(port) < 65_536
}

function resolveHealthCheck (own: HealthCheckOptions, at: string, issues: Issues): HealthCheck {
  const uri = own.uri ?? '/'
  if (!isOriginForm(uri)) issues.expected(`${at}.uri`, "a path such as '/health'", uri)
  const status = (own.status ?? ['200-399']).filter((item: unknown) => item !== undefined).map((item) => {
    const range = /^(\d{3})(?:-(\d{3}))?$/.exec(String(item))
    const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])]
    if (!(from <= to)) issues.expected(`${at}.status`, "statuses and ranges such as [200, '300-399']", item)
    return [from, to] as const
  })
  const { body } = own
  if (body !== undefined && typeof body !== 'string' && !(body instanceof RegExp)) issues.expected(`${at}.body`, 'a string or a RegExp', body)
  if (body !== undefined && own.method !== 'GET') issues.expected(`${at}.body`, "the method 'GET' beside it", body)
  for (const name of ['passes', 'fails'] as const) if (own[name] === 0) issues.expected(`${at}.${name}`, 'a whole number of at least 1', 0)
  const interval = durationAboveZero(own.interval, 30_000, `${at}.interval`, issues)
  const timeout = durationAboveZero(own.timeout, 5_000, `${at}.timeout`, issues)
  return Object.freeze({
    method: own.method ?? 'TCP', uri, interval, timeout, passes: own.passes ?? 1, fails: own.fails ?? 1, status: Object.freeze(status), body
  })
}

function durationAboveZero (value: unknown, byDefault: number, at: string, issues: Issues): number {
  const ms = durationOf(value, byDefault, at, issues)
  if (ms === 0) issues.expected(at, expectedAboveZero, value)
  return ms
}
