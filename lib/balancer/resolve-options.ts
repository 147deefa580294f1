/** Checks the options of balancers, and those of members that join while the server runs. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { parseDuration } from '../config/duration.ts'
import { durationHint, expectedDuration, fits, Issues, soundPart } from '../config/schema.ts'
import { forMisread, forUpstream, forWord, namesUnset } from '../config/suggestions.ts'
import type { ConnectionOverrides } from '../config/target.ts'
import { tlsFaults } from '../config/tls-options.ts'
import { type Address, expectedAddress, isAddress, parseAddress } from '../config/upstream-url.ts'
import { isOriginForm, parseTarget } from '../http/request-target.ts'
import { monotonicNow } from '../net/clock.ts'
import type { Endpoint } from './dns-discovery.ts'
import {
  balancerSchema, changesSchema, connectionTimeouts, dnsSchema, expectedRoute, expectedStatus, memberSchema
} from './options-schema.ts'
import type {
  BalancerConfig, BalancerOptions, DnsMembers, HealthCheck, HealthCheckOptions, MemberChanges, MemberConfig, MemberConnection,
  MemberDefaults, MemberOptions, MemberTemplate, StatusFlags
} from './options.ts'
import { hash32, policies } from './policies.ts'
import { type HashSource, isRoute, isStickyCookie, parseHashBy, parseStickySession } from './session-affinity.ts'

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
    if (own.stickySession === undefined) bad('stickyCookie', 'stickySession beside it, for its name', own.stickyCookie)
    else if (!isStickyCookie(own.stickyCookie)) bad('stickyCookie', 'attributes that can be written', own.stickyCookie)
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

function resolveMembers (list: readonly MemberOptions[], digests: boolean, at: string, issues: Issues): MemberConfig[] {
  if (list.length === 0) issues.expected(`${at}.members`, 'at least one member', list)
  const members: MemberConfig[] = []
  list.forEach((options, i) => {
    const where = `${at}.members[${i}]`
    const sound = soundPart(memberSchema, options, where, issues)
    const member = sound === undefined ? undefined : resolveMember(sound, digests, where, issues)
    if (member === undefined) return
    checkBeside(member, members, where, issues)
    members.push(member)
  })
  const routes = members.flatMap(({ route }) => route ?? [])
  members.forEach(({ route, redirect }, i) => {
    if (redirect !== undefined && (redirect === route || !routes.includes(redirect))) issues.expected(`${at}.members[${i}].redirect`, 'the route of another member', redirect, forWord(redirect, routes.filter((other) => other !== route)))
  })
  return members
}

/** Checks the options in which members of one balancer must agree, and those in which they must differ. */
function checkBeside (member: MemberConfig, others: readonly MemberConfig[], at: string, issues: Issues): void {
  const { label, webSocket } = member.address
  if (others.some(({ address }) => address.label === label)) issues.note(below(at, 'url'), `expected each member once, got '${label}' again`)
  if (others.some(({ address }) => address.webSocket !== webSocket)) {
    issues.note(below(at, 'url'), 'expected ws and wss members only, or http and https members only')
  }
  const { route } = member
  if (route !== undefined && others.some((other) => other.route === route)) issues.note(below(at, 'route'), `expected each route once, got '${route}' again`)
}

/**
 * Returns a member's options with some changed.
 * @throws InvalidOptionsError
 */
export function reconfigured (member: MemberConfig, changes: MemberChanges): MemberConfig {
  const issues = new Issues()
  const { address, route, redirect, connection, status: before } = member
  if (fits(changesSchema, changes, '', issues)) {
    const { loadFactor = member.loadFactor, lbSet = member.lbSet, max = member.max } = changes
    const status = parseStatus(changes.status ?? '', before)
    if (changes.redirect !== undefined && !isRoute(changes.redirect)) issues.expected('redirect', expectedRoute, changes.redirect)
    if (status === undefined) issues.expected('status', expectedStatus, changes.status)
    else if (issues.areNone) return Object.freeze({ address, route, connection, loadFactor, lbSet, max, status, redirect: changes.redirect ?? redirect })
  }
  issues.throwIfAny()
  return member
}

/**
 * Checks and returns the options of a member that joins while the server runs.
 * @throws InvalidOptionsError
 */
export function joiningMember (options: MemberOptions, { webSocket, stickyCookie }: BalancerConfig, others: readonly MemberConfig[]): MemberConfig {
  const issues = new Issues()
  const sound = soundPart(memberSchema, options, '', issues)
  const member = sound === undefined ? undefined : resolveMember(sound, stickyCookie !== undefined, '', issues)
  if (member !== undefined) {
    checkBeside(member, others, '', issues)
    if (member.address.webSocket !== webSocket) issues.note('url', `expected a ${webSocket ? 'ws or wss' : 'http or https'} URL, as the others`)
  }
  issues.throwIfAny()
  return member as MemberConfig
}

function resolveMember (own: MemberOptions, digests: boolean, at: string, issues: Issues): MemberConfig | undefined {
  const address = parseUrl(own.url)
  if (address === undefined) issues.expected(below(at, 'url'), expectedAddress, own.url, forUpstream(own.url, [], isAddress))
  else if (namesUnset(address.label)) issues.expected(below(at, 'url'), 'an upstream with all its parts', own.url, forUpstream(undefined, [], isAddress))
  else checkMisread(below(at, 'url'), own.url, issues)
  for (const name of ['route', 'redirect'] as const) {
    const value = own[name]
    if (value !== undefined && !isRoute(value)) issues.expected(below(at, name), expectedRoute, value)
  }
  const common = resolveDefaults(own, at, issues)
  if (address === undefined) return undefined
  // A digest is the same in every process, and does not reveal the address.
  const route = own.route ?? (digests ? hash32(address.label).toString(36) : undefined)
  return Object.freeze({ ...common, address, route, redirect: own.redirect })
}

function checkMisread (at: string, url: unknown, issues: Issues): void {
  const hint = typeof url === 'string' ? forMisread(url, isAddress) : ''
  if (hint !== '') issues.expected(at, expectedAddress, url, hint)
}

function parseUrl (url: unknown): Address | undefined {
  const text = url instanceof URL ? url.href : url
  return typeof text === 'string' ? parseAddress(text) : undefined
}

function resolveDefaults (own: MemberDefaults, at: string, issues: Issues): Omit<MemberConfig, 'address' | 'route' | 'redirect'> {
  const status = parseStatus(own.status ?? '')
  if (status === undefined) issues.expected(below(at, 'status'), expectedStatus, own.status)
  return {
    loadFactor: own.loadFactor ?? 1,
    lbSet: own.lbSet ?? 0,
    max: own.max ?? Infinity,
    status: status ?? noFlags,
    connection: resolveConnection(own, at, issues)
  }
}

function resolveConnection (own: MemberConnection, at: string, issues: Issues): ConnectionOverrides {
  const connection: Record<string, unknown> = {}
  for (const name of connectionTimeouts) {
    if (own[name] !== undefined) connection[name] = durationOf(own[name], 0, below(at, name), issues)
  }
  if (own.tls !== undefined) {
    for (const [path, finding] of tlsFaults(own.tls, below(at, 'tls'))) issues.note(path, finding)
    connection.tls = Object.freeze({ ...own.tls })
  }
  return Object.freeze(connection)
}

const noFlags: StatusFlags = Object.freeze({
  disabled: false, stopped: false, ignoreErrors: false, spare: false, standby: false, draining: false
})

const flagOf: Readonly<Record<string, keyof StatusFlags>> = {
  D: 'disabled', S: 'stopped', I: 'ignoreErrors', R: 'spare', H: 'standby', N: 'draining'
}

/** Parses httpd's `status=`: letters, each after its sign or `+`. Returns `undefined` if a letter is unknown. */
export function parseStatus (text: string, before: StatusFlags = noFlags): StatusFlags | undefined {
  if (!/^([+-]?[DSIRHN])*$/i.test(text)) return undefined
  const flags = { ...before }
  for (const [, sign, letter] of text.matchAll(/([+-]?)(\w)/g)) {
    flags[flagOf[(letter as string).toUpperCase()] as keyof StatusFlags] = sign !== '-'
  }
  return Object.freeze(flags)
}

/** Returns flags as letters, for metrics. */
export function statusLetters (flags: StatusFlags): string {
  return Object.entries(flagOf).filter(([, name]) => flags[name]).map(([letter]) => letter).join('')
}

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
  if (type === 'SRV' && sound.port !== undefined) issues.note(`${at}.port`, 'expected none: SRV records bring it')
  servers?.forEach((server: string | undefined, i) => {
    if (server !== undefined && !isDnsServer(server)) issues.expected(`${at}.servers[${i}]`, "an address such as '127.0.0.1:53'", server)
  })
  const template = Object.freeze({ ...resolveDefaults(sound, at, issues), scheme, port: sound.port, path })
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

/** Returns the options of a member at an address found in DNS. Its name is sent as Host and verified by TLS; only the address is dialled. */
export function discoveredMember ({ address, port, name, weight }: Endpoint, lbSet: number, template: MemberTemplate, digests: boolean): MemberConfig {
  const { scheme, path, connection } = template
  const at = port ?? template.port
  const suffix = at === undefined ? '' : `:${at}`
  const dialled = parseAddress(`${scheme}://${isIPv6(address) ? `[${address}]` : address}${suffix}${path}`) as Address
  const named = parseAddress(`${scheme}://${name}${suffix}${path}`)
  return Object.freeze({
    ...template,
    address: Object.freeze({ ...dialled, authority: named?.authority ?? dialled.authority }),
    // RFC 2782: a weight of 0 is for a service with little to choose.
    loadFactor: port === undefined ? template.loadFactor : Math.max(weight, 0.1),
    lbSet: template.lbSet + lbSet,
    connection: Object.freeze({ ...connection, servername: name }),
    route: digests ? hash32(dialled.label).toString(36) : undefined,
    redirect: undefined
  })
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

function durationOf (value: unknown, byDefault: number, at: string, issues: Issues): number {
  if (value === undefined) return byDefault
  const ms = parseDuration(value)
  if (ms === undefined) issues.expected(at, expectedDuration, value, durationHint(value))
  issues.warnOfUnit(at, value)
  return ms ?? byDefault
}

function durationAboveZero (value: unknown, byDefault: number, at: string, issues: Issues): number {
  const ms = durationOf(value, byDefault, at, issues)
  if (ms === 0) issues.expected(at, expectedAboveZero, value)
  return ms
}

function below (at: string, name: string): string {
  return at === '' ? name : `${at}.${name}`
}
