/** The limits on tunnels and forwards. A count exists only as long as the tunnels and forwards that it counts. */
import type { Limits } from '../config/options.ts'
import { ClientLimitError, LimitError } from '../errors.ts'
import type { Lease } from './leases.ts'

/** The counts of one upstream. */
export interface Counted {
  readonly label: string
}

/** The places of one server. Every refusal comes before a dial. */
export class TunnelLimits {
  #total = 0
  #forwards = 0
  readonly #clients: Map<string, number> = new Map()
  readonly #upstreams: Map<Counted, number> = new Map()

  /** The number of clients and upstreams with a count: those with a place, and no others. */
  get counted (): number {
    return this.#clients.size + this.#upstreams.size
  }

  /**
   * Takes a place for a client.
   * @throws LimitError 503, ClientLimitError 429
   */
  acquire (client: string, limits: Readonly<Required<Limits>>): TunnelSlot {
    const key = clientKey(client)
    const own = this.#clients.get(key) ?? 0
    if (own >= limits.maxTunnelsPerClient) throw new ClientLimitError()
    if (this.#total >= limits.maxTunnels) throw new LimitError('tunnels')
    this.#total++
    this.#clients.set(key, own + 1)
    return new TunnelSlot(this, key)
  }

  /**
   * Takes a place for a forward.
   * @returns an idempotent function that gives the place back
   * @throws LimitError 503
   */
  admitForward (limits: Readonly<Required<Limits>>): () => void {
    if (this.#forwards >= limits.maxForwards) throw new LimitError('requests')
    this.#forwards++
    let held = true
    return () => {
      if (held) this.#forwards--
      held = false
    }
  }

  /** @internal */
  acquireUpstream (upstream: Counted, limit: number): void {
    const count = this.#upstreams.get(upstream) ?? 0
    if (count >= limit) throw new LimitError('tunnels')
    this.#upstreams.set(upstream, count + 1)
  }

  /** @internal */
  releaseUpstream (upstream: Counted): void {
    decrement(this.#upstreams, upstream)
  }

  /** @internal */
  release (client: string): void {
    this.#total--
    decrement(this.#clients, client)
  }
}

/** A place among the live tunnels, held from before the dial until the tunnel has ended. */
export class TunnelSlot {
  readonly #limits: TunnelLimits
  readonly #client: string
  #upstream: Counted | undefined = undefined
  /** The lease of the place that all instances share. */
  #lease: Lease | undefined = undefined
  #released = false

  constructor (gate: TunnelLimits, client: string) {
    this.#limits = gate
    this.#client = client
  }

  /** The key by which the client is counted. */
  get client (): string {
    return this.#client
  }

  /** True if the slot has a place at an upstream as well. */
  get hasUpstream (): boolean {
    return this.#upstream !== undefined
  }

  /** Keeps a place shared by all instances, and gives it back with this one. */
  keep (lease: Lease): void {
    this.#lease = lease
  }

  /**
   * Takes a place at an upstream, and gives up the one at another.
   * @throws LimitError 503
   */
  acquireUpstream (upstream: Counted, limit: number): void {
    if (this.#upstream !== undefined) this.#limits.releaseUpstream(this.#upstream)
    this.#upstream = undefined
    this.#limits.acquireUpstream(upstream, limit)
    this.#upstream = upstream
  }

  /** Gives the place back. Idempotent. */
  release (): void {
    if (this.#released) return
    this.#released = true
    this.#lease?.release()
    this.#limits.release(this.#client)
    if (this.#upstream !== undefined) this.#limits.releaseUpstream(this.#upstream)
  }
}

function decrement<Key> (counts: Map<Key, number>, key: Key): void {
  const count = (counts.get(key) ?? 0) - 1
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}

/** Returns the key of one client: an IPv4 address, or the /64 of an IPv6 address, which is what a provider assigns to a single host. */
export function clientKey (address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1] as string
  if (!address.includes(':')) return address
  const [front = '', back] = (address.split('%')[0] as string).toLowerCase().split('::')
  const head = front === '' ? [] : front.split(':')
  const tail = back === undefined || back === '' ? [] : back.split(':')
  const gap = back === undefined ? 0 : Math.max(0, 8 - head.length - tail.length - (tail.at(-1)?.includes('.') === true ? 1 : 0))
  return [...head, ...Array.from({ length: gap }, () => '0'), ...tail].slice(0, 4).map((part) => part.replace(/^0+(?=.)/, '')).join(':')
}
