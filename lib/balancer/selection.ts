/**
 * A selection: the candidates for one exchange, the chosen member, and the next one after a failure.
 * httpd: `ap_proxy_balancer_get_best_worker`, `find_session_route`.
 */
import type { FastifyRequest } from 'fastify'
import { whenRejected } from '../config/user-function.ts'
import { ClosedError, InvalidUpstreamError, isProxyError, LimitError, ShortageError, TimeoutError, TlsError } from '../errors.ts'
import { mapPath } from '../http/path-prefix.ts'
import type { TargetUpstreams } from '../upstream/target-upstreams.ts'
import type { Choice, Failure, Upstream, UpstreamAddress } from '../upstream/upstream.ts'
import type { Member } from './member.ts'
import type { BalancerConfig } from './config.ts'
import { advance, type PolicyContext } from './policies.ts'
import { cookieValue, queryValue, setCookie, stickyRoute } from './session-affinity.ts'

/** The failures after which another member is tried, beside all failures to connect. */
const failingOver = [TlsError, ClosedError, TimeoutError, LimitError, ShortageError]

/** The members that a selection chooses from. */
export interface MemberPool {
  readonly config: BalancerConfig
  /** The members in the order of their configuration; those in error whose time has come are up again. */
  readonly members: readonly Member[]
  /** Takes all members out of error. Returns true if any was in error. */
  forceRecovery (): boolean
  /** Returns the 503, with the time until a member in error is tried again. */
  noMember (): Error
}

/**
 * Returns the members among which a policy chooses: the usable ones of the lowest set that has any. In that set, spares replace unusable
 * members, one for one; hot standbys serve only if no other member is left.
 */
export function candidatesOf (members: readonly Member[], tried: readonly Member[]): readonly Member[] {
  let lbSet = -1
  for (;;) {
    const next = nextSet(members, lbSet)
    if (next === undefined) return []
    lbSet = next
    const found = candidatesIn(members, lbSet, tried)
    if (found.length > 0) return found
  }
}

function nextSet (members: readonly Member[], after: number): number | undefined {
  let next: number | undefined
  for (const { config: { lbSet } } of members) if (lbSet > after && (next === undefined || lbSet < next)) next = lbSet
  return next
}

function candidatesIn (members: readonly Member[], lbSet: number, tried: readonly Member[]): readonly Member[] {
  const found: Member[] = []
  const spares: Member[] = []
  const standbys: Member[] = []
  let unusable = 0
  for (const member of members) {
    const { lbSet: own, status } = member.config
    if (own !== lbSet) continue
    const usable = member.isUsable && !status.draining && !tried.includes(member)
    const kind = status.spare ? spares : status.standby ? standbys : found
    if (usable) kind.push(member)
    else if (kind === found) unusable++
  }
  found.push(...spares.slice(0, unusable))
  return found.length > 0 ? found : standbys
}

/** Returns the member that a route names, or the one that its redirect names; `undefined` if neither is usable. */
export function memberOf (members: readonly Member[], route: string, tried: readonly Member[]): Member | undefined {
  const seen: Member[] = []
  for (let wanted: string | undefined = route; wanted !== undefined;) {
    const member = members.find((other) => other.route === wanted)
    if (member === undefined || seen.includes(member)) return undefined
    if (member.isUsable && !tried.includes(member)) return member
    seen.push(member)
    wanted = member.config.redirect
  }
  return undefined
}

/** The choice of one exchange: a member, and others after a failure. */
export class Selection implements Choice, PolicyContext {
  upstream: Upstream
  readonly #pool: MemberPool
  readonly #request: FastifyRequest
  readonly #targetUpstreams: TargetUpstreams
  readonly #path: string
  /** The route that the request names. */
  readonly #route: string | undefined
  #member: Member
  readonly #tried: Member[] = []

  /** @throws NoMemberError */
  constructor (pool: MemberPool, request: FastifyRequest, targetUpstreams: TargetUpstreams, path: string) {
    this.#pool = pool
    this.#request = request
    this.#targetUpstreams = targetUpstreams
    this.#path = targetUpstreams.target.atRoot ? path.replace(/\/$/, '') : path
    const { stickiness } = pool.config
    const { url = '', headers } = request.raw
    this.#route = stickiness === undefined ? undefined : stickyRoute(stickiness, url, headers.cookie)
    const member = this.#first()
    if (member === undefined) throw pool.noMember()
    this.#member = member
    this.upstream = this.#enter(member)
  }

  #first (): Member | undefined {
    const { noFailover, forceRecovery } = this.#pool.config
    return this.#find() ?? (forceRecovery && !(noFailover && this.#isBound) && this.#pool.forceRecovery() ? this.#find() : undefined)
  }

  #find (tried: readonly Member[] = this.#tried): Member | undefined {
    const { config: { policy, noFailover }, members } = this.#pool
    const bound = this.#route === undefined ? undefined : memberOf(members, this.#route, tried)
    if (bound !== undefined) {
      // The session still counts as that member's turn, so the other members gain their weights.
      advance(members.filter((member) => member.isUsable && !tried.includes(member)), bound)
      return bound
    }
    if (noFailover && this.#isBound) return undefined
    const candidates = candidatesOf(members, tried)
    if (candidates.length === 0) return undefined
    const chosen = policy(candidates, this) as Member
    if (!candidates.includes(chosen)) {
      // An async function cannot choose; its rejection is ignored.
      void whenRejected(chosen, () => {})
      throw new InvalidUpstreamError()
    }
    advance(candidates, chosen)
    return chosen
  }

  /** True if the request names the route of a member. */
  get #isBound (): boolean {
    return this.#route !== undefined && this.#pool.members.some(({ route }) => route === this.#route)
  }

  #enter (member: Member): Upstream {
    member.elected++
    return member.upstreamFor(this.#targetUpstreams)
  }

  random (): number {
    return this.#pool.config.random()
  }

  /** Returns the value that `hashBy` names, or the client's address if that is missing or empty: else all requests without it would go to one member. */
  key (): string {
    return this.#named || (this.#request.ip ?? '')
  }

  get #named (): string | undefined {
    const { kind, name } = this.#pool.config.hashBy
    const { url = '', headers } = this.#request.raw
    switch (kind) {
      case 'client': return undefined
      case 'header': return headers[name]?.toString()
      case 'cookie': return cookieValue(headers.cookie, name)
      case 'query': return queryValue(url, name)
    }
  }

  get cookie (): string | undefined {
    const { stickiness, stickyCookie } = this.#pool.config
    const { route } = this.#member
    if (stickiness === undefined || stickyCookie === undefined || route === undefined || route === this.#route) return undefined
    return setCookie(stickiness, route, stickyCookie)
  }

  /** Returns the path below the member's own: the balancer's path, then the rest of the request's, with one slash between them. */
  pathFor (path: string, matched: number): string {
    return this.upstream.address.path.replace(/\/$/, '') + mapPath(path, matched, this.#path)
  }

  withRoom (): Choice {
    if (!this.upstream.isFull) return this
    const full = [this.#member]
    for (;;) {
      const next = this.#find([...this.#tried, ...full])
      if (next === undefined) return this
      if (!next.upstreamFor(this.#targetUpstreams).isFull) {
        this.#member = next
        this.upstream = this.#enter(next)
        return this
      }
      full.push(next)
    }
  }

  get bases (): readonly UpstreamAddress[] {
    const others = this.#pool.members.filter((member) => member !== this.#member).map(({ config }) => config.address)
    return [this.upstream.address, ...others].map(({ secure, authority, hostname, path }) => (
      { secure, authority, hostname, path: path.replace(/\/$/, '') + (this.#path === '' ? '/' : this.#path) }
    ))
  }

  answered (status: number): void {
    if (!this.#pool.config.failOnStatus.includes(status)) return this.#member.succeed()
    this.#member.failures++
    this.#member.fail(undefined)
  }

  failed (error: unknown, failure: Failure): Choice | undefined {
    const { config } = this.#pool
    const member = this.#member
    const isIts = isProxyError(error) && error.source === 'upstream'
    if (isIts) {
      member.failures++
      if (isBlamed(error, failure, config.failOnTimeout)) member.fail(error)
    }
    this.#tried.push(member)
    if (!failure.again || member.config.status.ignoreErrors || this.#tried.length > config.maxAttempts) return undefined
    if (!(isIts && !failure.sent) && !failingOver.some((Known) => error instanceof Known)) return undefined
    const next = this.#find()
    if (next === undefined) return undefined
    this.#member = next
    this.upstream = this.#enter(next)
    return this
  }
}

/** Returns true if a failure puts the member in error: no connection, or one that closed before the first byte of a response. */
function isBlamed (error: Error, { sent, fresh }: Failure, failOnTimeout: boolean): boolean {
  if (error instanceof TimeoutError) return !sent || failOnTimeout
  return !sent || error instanceof TlsError || (error instanceof ClosedError && fresh)
}
