/** The balancers of all registrations on one server, by name. */
import type { FastifyBaseLogger } from 'fastify'
import { withoutCredentials } from '../config/schema.ts'
import { forName } from '../config/suggestions.ts'
import type { Target } from '../config/target.ts'
import { InvalidOptionsError } from '../errors.ts'
import type { Registry } from '../lifecycle/registry.ts'
import { Balancer } from './balancer.ts'
import { controlOf } from './control.ts'
import type { BalancerConfig } from './config.ts'
import type { BalancerControl, MemberStateMessage } from './options.ts'

/** The number of members of each balancer, and of those that are up. */
export type BalancerHealth = Record<string, { up: number, members: number }>

export class Balancers {
  readonly byName: Map<string, Balancer> = new Map()
  readonly #registry: Registry
  readonly #report: (change: MemberStateMessage) => void

  /** @param report called for each change of a member's state, and when lookups begin or cease to fail */
  constructor (registry: Registry, report: (change: MemberStateMessage) => void) {
    this.#registry = registry
    this.#report = report
  }

  add (config: BalancerConfig): void {
    this.byName.set(config.name, new Balancer(config, this.#registry, this.#report))
  }

  /**
   * Starts the health checks and lookups of all balancers.
   * @param targets the targets of all registrations: the log warns of a balancer that none of them uses
   */
  async start (targets: readonly Target[], log: FastifyBaseLogger): Promise<void> {
    const upstreams = targets.map(({ upstream }) => upstream)
    const used = new Set(upstreams.flatMap((upstream) => typeof upstream === 'object' && 'balancer' in upstream ? [upstream.balancer] : []))
    const byFunction = upstreams.some((upstream) => typeof upstream === 'function')
    for (const name of this.byName.keys()) {
      if (!used.has(name) && !byFunction) log.warn(`balancer ${name} is used by no route`)
    }
    await Promise.all([...this.byName.values()].map((balancer) => balancer.start()))
  }

  async stop (): Promise<void> {
    await Promise.all([...this.byName.values()].map((balancer) => balancer.stop()))
  }

  health (): BalancerHealth {
    return Object.fromEntries([...this.byName].map(([name, { up, size }]) => [name, { up, members: size }]))
  }

  /**
   * Returns the control of a balancer.
   * @throws InvalidOptionsError if no balancer has this name
   */
  control (name: string): BalancerControl {
    const balancer = this.byName.get(name)
    if (balancer === undefined) {
      throw new InvalidOptionsError(`name: expected a balancer, got '${withoutCredentials(String(name))}'${forName(name, [...this.byName.keys()])}`)
    }
    return controlOf(balancer, this.#registry)
  }
}
