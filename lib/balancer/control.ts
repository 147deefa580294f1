/** `app.wstunnel.balancer(name)`: the control of a running balancer and the tunnels of its members. */
import { type Duration, parseDuration } from '../config/duration.ts'
import { InvalidOptionsError } from '../errors.ts'
import type { Registry } from '../lifecycle/registry.ts'
import type { Balancer } from './balancer.ts'
import type { BalancerControl } from './options.ts'

export function controlOf (balancer: Balancer, registry: Registry): BalancerControl {
  /** Applies a change to a member, and closes its tunnels over `closeTunnels` if that is given. */
  const close = async (url: string, closeTunnels: Duration | undefined, change: () => void): Promise<void> => {
    const window = closeTunnels === undefined ? undefined : parseDuration(closeTunnels)
    if (closeTunnels !== undefined && window === undefined) {
      throw new InvalidOptionsError(`closeTunnels: expected a duration such as '30s', got '${closeTunnels}'`)
    }
    const upstreams = balancer.upstreamsAt(url)
    change()
    if (window !== undefined) await registry.retire(upstreams, window)
  }
  return {
    name: balancer.config.name,
    members: () => balancer.metrics().members,
    add: (member) => balancer.add(member),
    remove: async (url, { closeTunnels } = {}) => close(url, closeTunnels, () => balancer.remove(url)),
    drain: async (url, { closeTunnels } = {}) => close(url, closeTunnels, () => balancer.mark(url, '+N')),
    disable: (url) => balancer.mark(url, '+D'),
    enable: (url) => balancer.enable(url),
    set: (url, changes) => balancer.set(url, changes)
  }
}
