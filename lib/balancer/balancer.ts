/**
 * A running balancer: its members, and one selection for each exchange. httpd: mod_proxy_balancer. Unlike httpd, it counts a tunnel's
 * bytes, fails over from an upstream that closes or stays silent, and refuses at once, with a Retry-After, when all members are down.
 */
import type { FastifyRequest } from 'fastify'
import { setTimeout } from 'node:timers/promises'
import { withoutCredentials } from '../config/schema.ts'
import { forName } from '../config/suggestions.ts'
import { parseAddress } from '../config/upstream-url.ts'
import { InvalidOptionsError, noMemberFor } from '../errors.ts'
import { monotonicNow } from '../net/clock.ts'
import { finish } from '../net/steps.ts'
import { type TargetUpstreams, type UpstreamSelector } from '../upstream/target-upstreams.ts'
import { type Choice, tlsTowards, type Upstream } from '../upstream/upstream.ts'
import { Discovery, type Endpoint } from './dns-discovery.ts'
import { HealthMonitor } from './health-check.ts'
import { Member, type MemberSettings } from './member.ts'
import type { BalancerConfig, MemberConfig } from './config.ts'
import type { BalancerMetrics, MemberChanges, MemberInfo, MemberOptions, MemberState, MemberStateMessage } from './options.ts'
import { discoveredMember, joiningMember, parseStatus, reconfigured } from './resolve-member.ts'
import { type MemberPool, Selection } from './selection.ts'

/** The milliseconds that a starting server waits for the first lookup; Fastify's plugin timeout is 10 s. */
const firstLookupTimeoutMs = 5000

/** The maximum age of the byte counts of live tunnels at a selection, in milliseconds. */
const accountInterval = 100

/** Updates the byte counts of live tunnels. */
export interface Accounts {
  account (): void
}

/** The `Retry-After` in seconds if no member will be back at a known time. */
const retryAfterUnknown = 5

export class Balancer implements UpstreamSelector, MemberPool {
  readonly config: BalancerConfig
  readonly #settings: MemberSettings
  readonly #report: (message: MemberStateMessage) => void
  #members: Member[]
  /** The removed members that still have exchanges. */
  #leaving: Member[] = []
  readonly #monitors: Map<Member, HealthMonitor> = new Map()
  #discovery: Discovery | undefined = undefined
  #started = false
  readonly #accounts: Accounts
  #accountedAt = -Infinity

  /**
   * @param accounts updates the counters of members
   * @param report called for each change of a member's state, and when lookups begin or cease to fail
   */
  constructor (config: BalancerConfig, accounts: Accounts, report: (message: MemberStateMessage) => void) {
    const { retry, slowStart, clock } = config
    this.config = config
    this.#accounts = accounts
    this.#report = report
    this.#settings = { retry, slowStart, clock, onChange: (member, from, cause) => this.#changed(member, from, cause) }
    this.#members = config.members.map((member) => new Member(member, this.#settings))
  }

  /** Starts health checks and lookups. Resolves after the first lookup, or after 5 seconds without one. */
  async start (): Promise<void> {
    this.#started = true
    for (const member of this.#members) this.#watch(member)
    const { dns } = this.config
    if (dns === undefined) return
    this.#discovery = new Discovery(dns.source, (endpoints) => this.#follow(endpoints), (error) => {
      this.#report({ balancer: this.config.name, name: dns.source.dns, error })
    })
    const enough = new AbortController()
    await Promise.race([this.#discovery.start(), setTimeout(firstLookupTimeoutMs, undefined, { signal: enough.signal, ref: false }).catch(() => {})])
    enough.abort()
  }

  async stop (): Promise<void> {
    this.#started = false
    this.#discovery?.stop()
    for (const monitor of this.#monitors.values()) monitor.stop()
    this.#monitors.clear()
    await Promise.all([...this.#members, ...this.#leaving].map(async (member) => member.leave()))
  }

  select (request: FastifyRequest, targetUpstreams: TargetUpstreams, path: string): Choice {
    this.#dismiss()
    if (this.config.byTraffic) this.#account()
    return new Selection(this, request, targetUpstreams, path)
  }

  /** Counts the bytes of live tunnels, but not for each selection. */
  #account (): void {
    const now = monotonicNow()
    if (now - this.#accountedAt < accountInterval) return
    this.#accountedAt = now
    this.#accounts.account()
  }

  * upstreamsOf (targetUpstreams: TargetUpstreams): Generator<Upstream> {
    this.#dismiss()
    for (const members of [this.#members, this.#leaving]) {
      for (const member of members) {
        const upstream = member.upstreamOf(targetUpstreams)
        if (upstream !== undefined) yield upstream
      }
    }
  }

  metrics (): BalancerMetrics {
    return finish(this.metricsSteps())
  }

  /** Like `metrics`, one member for each step. */
  * metricsSteps (): Generator<undefined, BalancerMetrics> {
    const { name, lbMethod } = this.config
    this.#accounts.account()
    const members: MemberInfo[] = []
    for (const member of [...this.members]) {
      members.push(member.info())
      yield
    }
    return { balancer: name, lbMethod, up: this.up, members }
  }

  /** The number of members that any exchange may choose. */
  get up (): number {
    return this.members.filter((member) => member.isUsable && !member.isDraining).length
  }

  get size (): number { return this.#members.length }

  /** @internal Returns the upstreams of a member's exchanges, including those from before it was removed. */
  upstreamsAt (url: string): Upstream[] {
    const label = labelOf(url)
    return [...this.#members, ...this.#leaving].filter((member) => member.url === label).flatMap((member) => member.upstreams)
  }

  add (options: MemberOptions): MemberInfo {
    const config = joiningMember(options, this.config, this.#members.map((member) => member.config))
    return this.#join(config).info()
  }

  #join (config: MemberConfig): Member {
    const { label } = config.address
    // A member that still has tunnels keeps its counters, so that least busy stays right for tunnels that last for days.
    const known = this.#leaving.find(({ url }) => url === label)
    const member = known ?? new Member(config, this.#settings)
    this.#leaving = this.#leaving.filter((leaving) => leaving !== known)
    member.configure(config)
    member.setHealth(true, undefined) // its health checks start anew
    member.join(this.#trafficBeside(member))
    this.#members.push(member)
    if (this.#started) this.#watch(member)
    return member
  }

  remove (url: string): void {
    const member = this.#member(url)
    this.#members = this.#members.filter((other) => other !== member)
    this.#monitors.get(member)?.stop()
    this.#monitors.delete(member)
    this.#leaving.push(member)
    this.#dismiss()
  }

  set (url: string, changes: MemberChanges): MemberInfo {
    const member = this.#member(url)
    member.configure(reconfigured(member.config, changes))
    return member.info()
  }

  /** Adds and removes status letters of a member. */
  mark (url: string, letters: string): void {
    const member = this.#member(url)
    member.configure({ ...member.config, status: parseStatus(letters, member.config.status) ?? member.config.status })
  }

  enable (url: string): void {
    const member = this.#member(url)
    this.mark(url, '-D-S-N')
    member.recover()
  }

  /** Returns the member with a URL, in any spelling of the same address. */
  #member (url: string): Member {
    const label = labelOf(url)
    const found = this.#members.find((member) => member.url === label)
    if (found !== undefined) return found
    const known = this.#members.map((member) => member.url)
    throw new InvalidOptionsError(`url: expected a member of balancer ${this.config.name}, got '${withoutCredentials(String(url))}'${forName('', known)}`)
  }

  /** Dismisses removed members that have no exchange any more. */
  #dismiss (): void {
    if (this.#leaving.length === 0) return
    const idle = this.#leaving.filter(({ busy }) => busy === 0)
    this.#leaving = this.#leaving.filter((member) => !idle.includes(member))
    for (const member of idle) void member.leave()
  }

  /** Replaces the members after DNS has returned other addresses. */
  #follow (endpoints: readonly Endpoint[]): void {
    const { dns, name, stickyCookie } = this.config
    if (dns === undefined) return
    const priorities = [...new Set(endpoints.map(({ priority }) => priority))].sort((a, b) => a - b)
    const wanted = new Map(endpoints.map((endpoint) => {
      const member = discoveredMember(endpoint, priorities.indexOf(endpoint.priority), dns.template, stickyCookie !== undefined)
      return [member.address.label, member]
    }))
    for (const { url } of [...this.#members]) if (!wanted.has(url)) this.remove(url)
    for (const member of this.#members) {
      const { loadFactor, lbSet, address, connection } = wanted.get(member.url) as MemberConfig
      const renamed = address.authority === member.config.address.authority ? {} : { address, connection }
      member.configure({ ...member.config, loadFactor, lbSet, ...renamed })
      wanted.delete(member.url)
    }
    for (const config of wanted.values()) this.#join(config)
    this.#report({ balancer: name, name: dns.source.dns, members: this.#members.map(({ url }) => url) })
  }

  #watch (member: Member): void {
    const { healthCheck, random } = this.config
    if (healthCheck === undefined) return
    const { address, connection } = member.config
    const dialOptions = { address, tls: tlsTowards(connection, {}), connectTimeout: healthCheck.timeout, keepAlive: 0 }
    const monitor = new HealthMonitor(healthCheck, dialOptions, (healthy, error) => member.setHealth(healthy, error), random)
    this.#monitors.set(member, monitor)
    monitor.start()
  }

  #changed (member: Member, from: MemberState, error: Error | undefined): void {
    if (member.state === 'up') member.join(this.#trafficBeside(member))
    this.#report({ balancer: this.config.name, member: member.url, from, to: member.state, error })
  }

  /** Returns the traffic for its weight of the usable member with the least, other than this one. */
  #trafficBeside (member: Member): number {
    const shares = this.#members.filter((other) => other !== member && other.isUsable).map(({ traffic, weight }) => traffic / weight)
    return shares.length === 0 ? 0 : Math.min(...shares)
  }

  get members (): readonly Member[] {
    for (const member of this.#members) if (member.retryAt !== undefined) member.recover(this.config.clock())
    return this.#members
  }

  forceRecovery (): boolean {
    let any = false
    for (const member of this.#members) {
      if (member.retryAt === undefined) continue
      any = true
      member.recover()
    }
    return any
  }

  noMember (): Error {
    const now = this.config.clock()
    const waits = this.#members.flatMap(({ state, retryAt }) => {
      return state !== 'error' || retryAt === undefined ? [] : [Math.max(1, Math.ceil((retryAt - now) / 1000))]
    })
    return noMemberFor(waits.length === 0 ? retryAfterUnknown : Math.min(...waits))
  }
}

function labelOf (url: string): string {
  return parseAddress(url)?.label ?? url
}
