/** The upstreams of one target: the one that its URL names, those that its function has named, or its balancer's members. */
import type { FastifyRequest } from 'fastify'
import { expectation } from '../config/schema.ts'
import { forUpstream } from '../config/suggestions.ts'
import type { UpstreamFunction } from '../config/options.ts'
import type { Target } from '../config/target.ts'
import { type Address, type BalancerRef, expectedUpstream, parseAddress, parseBalancerRef } from '../config/upstream-url.ts'
import { InvalidUpstreamError, timedOut } from '../errors.ts'
import { Counters } from './counters.ts'
import { type Choice, Upstream } from './upstream.ts'

/** A balancer, as seen by the targets that use it. */
export interface UpstreamSelector {
  /** @throws WstunnelError 503 if no member is usable */
  select (request: FastifyRequest, targetUpstreams: TargetUpstreams, path: string): Choice
  /** Returns the upstreams that carried a target's exchanges. */
  upstreamsOf (targetUpstreams: TargetUpstreams): Iterable<Upstream>
}

/** The maximum number of upstreams of one function that are remembered; beyond it, those without an exchange are forgotten, oldest first. */
const maxRemembered = 1000

/** The upstreams of one target: one, those of its balancer, or those that its function has named so far. */
export class TargetUpstreams {
  #unattributed: Counters | undefined = undefined
  readonly target: Target
  readonly #known: Map<string, Upstream> = new Map()
  readonly #balancers: ReadonlyMap<string, UpstreamSelector>
  #forgetting: NodeJS.Immediate | undefined = undefined

  /** @param balancers the balancers of the whole server */
  constructor (target: Target, balancers: ReadonlyMap<string, UpstreamSelector> = new Map()) {
    this.target = target
    this.#balancers = balancers
    const { upstream } = target
    if (typeof upstream === 'object' && 'label' in upstream) this.#remember(upstream)
  }

  /** The counters of forgotten upstreams, and of exchanges that never had one. */
  get unattributed (): Counters {
    this.#unattributed ??= new Counters()
    return this.#unattributed
  }

  /**
   * Chooses the upstream of one exchange.
   * @throws InvalidUpstreamError if the function returned no upstream, TimeoutError if it took longer than `connectTimeout`; an error that
   * the function throws is passed on
   * @throws WstunnelError 503 if a balancer has no usable member
   */
  choose (request: FastifyRequest, signal: () => AbortSignal): Choice | Promise<Choice> {
    const { upstream } = this.target
    if (typeof upstream === 'function') return this.#ask(upstream, request, signal())
    if (typeof upstream === 'object' && 'balancer' in upstream) return this.#select(upstream, request)
    return this.#known.values().next().value as Upstream
  }

  #select ({ balancer: name, path }: BalancerRef, request: FastifyRequest): Choice {
    const balancer = this.#balancers.get(name)
    if (balancer === undefined) throw noUpstream(`balancer://${name}/`, [...this.#balancers.keys()])
    return balancer.select(request, this, path)
  }

  async #ask (choose: UpstreamFunction, request: FastifyRequest, signal: AbortSignal): Promise<Choice> {
    const chosen: unknown = await inTime(choose(request, signal), this.target.connectTimeout)
    const text = chosen instanceof URL ? chosen.href : chosen
    if (typeof text !== 'string') throw noUpstream(chosen, [...this.#balancers.keys()])
    const known = this.#known.get(text)
    if (known !== undefined) {
      // The map's last entry is the most recently used one.
      this.#known.delete(text)
      this.#known.set(text, known)
      return known
    }
    const ref = parseBalancerRef(text)
    if (ref !== undefined) return this.#select(ref, request)
    const address = parseAddress(text)
    if (address === undefined) throw noUpstream(text, [...this.#balancers.keys()])
    return this.#remember(address, text)
  }

  #remember (address: Address, key: string = address.label): Upstream {
    const upstream = new Upstream(address, this.target)
    this.#known.set(key, upstream)
    if (this.#known.size > maxRemembered) this.#forgetSome()
    return upstream
  }

  /** Forgets upstreams, but not at once: in the few microtasks between its choice and its use, an upstream looks idle. */
  #forgetSome (): void {
    this.#forgetting ??= setImmediate(() => {
      this.#forgetting = undefined
      for (const [key, upstream] of this.#known) {
        if (this.#known.size <= maxRemembered) return
        if (upstream.counters.busy > 0) continue
        this.#known.delete(key)
        void this.retire(upstream)
      }
    })
  }

  /** Keeps the counters of an upstream that is removed, and ends its pool. */
  async retire (upstream: Upstream): Promise<void> {
    this.unattributed.add(upstream.counters)
    await upstream.destroy()
  }

  * values (): Generator<Upstream> {
    yield * this.#known.values()
    for (const balancer of this.#balancers.values()) yield * balancer.upstreamsOf(this)
  }

  async destroy (): Promise<void> {
    clearImmediate(this.#forgetting)
    this.#forgetting = undefined
    await Promise.all([...this.#known.values()].map((upstream) => upstream.destroy()))
  }
}

/** Returns the error for a result of an `upstream` function that is no upstream. The result is in the cause, for the log: the client does not see it. */
function noUpstream (value: unknown, balancers: readonly string[]): Error {
  const hint = forUpstream(value, balancers, (text) => (parseBalancerRef(text) ?? parseAddress(text)) !== undefined)
  return new InvalidUpstreamError({ cause: new TypeError(expectation(`${expectedUpstream}, from the upstream function`, value, hint)) })
}

/** Waits for a promise, at most `timeout` milliseconds; 0 is no limit. */
async function inTime<T> (answer: T | Promise<T>, timeout: number): Promise<T> {
  if (typeof answer === 'string' || timeout === 0) return await answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(timedOut('connectTimeout')), timeout) })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
