/** Checks the options of a balancer's members: those of its configuration, and those that join or change while the server runs. */
import { isIPv6 } from 'node:net'
import { parseDuration } from '../config/duration.ts'
import { durationHint, expectedDuration, fits, Issues, soundPart } from '../config/schema.ts'
import { forMisread, forUpstream, forWord, namesUnset } from '../config/suggestions.ts'
import type { ConnectionOverrides } from '../config/target.ts'
import { tlsFaults } from '../config/tls-options.ts'
import { type Address, expectedAddress, isAddress, parseAddress } from '../config/upstream-url.ts'
import type { BalancerConfig, MemberConfig, MemberTemplate, StatusFlags } from './config.ts'
import type { Endpoint } from './dns-discovery.ts'
import type { MemberChanges, MemberConnection, MemberDefaults, MemberOptions } from './options.ts'
import { changesSchema, connectionTimeouts, expectedRoute, expectedStatus, memberSchema } from './options-schema.ts'
import { hash32 } from './policies.ts'
import { isRoute } from './session-affinity.ts'

/** Checks and completes the members that a balancer is configured with. */
export function resolveMembers (list: readonly MemberOptions[], digests: boolean, at: string, issues: Issues): MemberConfig[] {
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
    if (redirect === undefined || (redirect !== route && routes.includes(redirect))) return
    const hint = forWord(redirect, routes.filter((other) => other !== route))
    issues.expected(`${at}.members[${i}].redirect`, 'the route of another member', redirect, hint)
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
  else if (namesUnset(address.label)) issues.expected(below(at, 'url'), 'a complete upstream', own.url, forUpstream(undefined, [], isAddress))
  else checkMisread(below(at, 'url'), own.url, issues)
  for (const name of ['route', 'redirect'] as const) {
    const value = own[name]
    if (value !== undefined && !isRoute(value)) issues.expected(below(at, name), expectedRoute, value)
  }
  const common = resolveMemberDefaults(own, at, issues)
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

/** Checks and completes the options that members may share. */
export function resolveMemberDefaults (own: MemberDefaults, at: string, issues: Issues): Omit<MemberConfig, 'address' | 'route' | 'redirect'> {
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

/** Returns a duration in milliseconds. */
export function durationOf (value: unknown, byDefault: number, at: string, issues: Issues): number {
  if (value === undefined) return byDefault
  const ms = parseDuration(value)
  if (ms === undefined) issues.expected(at, expectedDuration, value, durationHint(value))
  issues.warnOfUnit(at, value)
  return ms ?? byDefault
}

function below (at: string, name: string): string {
  return at === '' ? name : `${at}.${name}`
}
