/** Members that follow DNS: it looks a name up at intervals and reports each change of its addresses. */
import { Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { NameError } from '../errors.ts'
import { outsideRequests } from '../net/async-context.ts'

/** The source of the members. */
export interface DnsSource {
  /** The name. The lookup asks DNS itself and ignores hosts files. */
  readonly dns: string
  readonly type: 'A' | 'AAAA' | 'SRV'
  /** The milliseconds from the end of one lookup to the beginning of the next, above 0. Default 30,000. The TTL of a record is ignored. */
  readonly refresh: number
  /** The DNS servers, such as `127.0.0.1:5353`. Default: the system's. */
  readonly servers: readonly string[] | undefined
}

/** An address to dial. */
export interface Endpoint {
  /** An IP address. */
  readonly address: string
  /** The port of an SRV record; `undefined` for A and AAAA. */
  readonly port: number | undefined
  /** The name with this address, in lower case: the SRV record's target, or `dns`. */
  readonly name: string
  /** The priority of an SRV record, lower ones first (RFC 2782). 0 for A and AAAA. */
  readonly priority: number
  /** The weight of an SRV record among those of its priority; it may be 0. 1 for A and AAAA. */
  readonly weight: number
}

/** The milliseconds that a DNS server has for its first answer; c-ares waits longer at the second try. */
const lookupTimeoutMs = 2000
const tries = 2

/** The codes of an answer without records, unlike those of no answer. */
const negative: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

export class Discovery {
  readonly #source: DnsSource
  readonly #found: (endpoints: readonly Endpoint[]) => void
  readonly #failed: (error: Error) => void
  readonly #resolver: Resolver
  #first: Promise<void> | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #stopped = false
  #last: readonly Endpoint[] = []
  #known = ''
  #failing = false

  /**
   * @param found called with each set that differs from the last one, sorted. The set is empty only if DNS declares that the service does
   * not exist: one SRV record with the target `.`
   * @param failed called when a lookup fails or finds nothing, once until one succeeds. The last set stands
   * @throws TypeError if a server is no address
   */
  constructor (source: DnsSource, found: (endpoints: readonly Endpoint[]) => void, failed: (error: Error) => void) {
    this.#source = source
    this.#found = found
    this.#failed = failed
    this.#resolver = new Resolver({ timeout: lookupTimeoutMs, tries })
    if (source.servers !== undefined) this.#resolver.setServers(source.servers)
  }

  /** Starts the lookups. Settles after the first one, whatever its result. Idempotent. */
  start (): Promise<void> {
    this.#first ??= outsideRequests(() => this.#lookUp())
    return this.#first
  }

  /** Stops permanently, and cancels a lookup in flight. No callback follows. */
  stop (): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#resolver.cancel()
  }

  async #lookUp (): Promise<void> {
    let report: () => void
    let failing = false
    try {
      const endpoints = distinct(await this.#resolve())
      report = () => this.#tell(endpoints)
    } catch (cause) {
      failing = true
      report = () => { if (!this.#failing) this.#failed(new NameError({ cause })) }
    }
    if (this.#stopped) return
    report()
    this.#failing = failing
    if (this.#stopped) return // a callback may have called `stop`
    this.#timer = setTimeout(() => { void this.#lookUp() }, this.#source.refresh).unref()
  }

  #tell (endpoints: readonly Endpoint[]): void {
    const known = JSON.stringify(endpoints)
    if (known === this.#known) return
    this.#known = known
    this.#last = endpoints
    this.#found(endpoints)
  }

  async #resolve (): Promise<Endpoint[]> {
    const { dns, type } = this.#source
    if (type === 'SRV') return await this.#resolveService(dns)
    const addresses = type === 'A' ? await this.#resolver.resolve4(dns) : await this.#resolver.resolve6(dns)
    return some(addresses.map((address) => ({ address, port: undefined, name: normal(dns), priority: 0, weight: 1 })))
  }

  async #resolveService (dns: string): Promise<Endpoint[]> {
    const records = (await this.#resolver.resolveSrv(dns)).map((record) => ({ ...record, name: normal(record.name) }))
    const targets = records.filter(({ name }) => name !== '')
    if (records.length > 0 && targets.length === 0) return []
    const names = [...new Set(targets.map(({ name }) => name))]
    const addresses = new Map(await Promise.all(names.map(async (name) => [name, await this.#addressesOf(name)] as const)))
    return some(targets.flatMap(({ name, port, priority, weight }) =>
      (addresses.get(name) ?? []).map((address) => ({ address, port, name, priority, weight }))))
  }

  /** Returns the addresses of an SRV target, of both families. A target that does not exist has none; the others stay usable. */
  async #addressesOf (name: string): Promise<string[]> {
    const answers = await Promise.allSettled([this.#resolver.resolve4(name), this.#resolver.resolve6(name)])
    const broken = answers.map((answer) => answer.status === 'rejected' && !negative.has((answer.reason as { code?: unknown }).code))
    if (broken.every(Boolean)) throw new Error(`no answer for ${name}`, { cause: (answers[0] as PromiseRejectedResult).reason })
    // A family without an answer keeps its last addresses: some servers never answer for AAAA.
    return answers.flatMap((answer, family) => answer.status === 'fulfilled'
      ? answer.value
      : broken[family] === true ? this.#knownOf(name, family === 1) : [])
  }

  #knownOf (name: string, v6: boolean): string[] {
    return this.#last.filter((endpoint) => endpoint.name === name && isIPv6(endpoint.address) === v6).map(({ address }) => address)
  }
}

function normal (name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

function some (endpoints: Endpoint[]): Endpoint[] {
  if (endpoints.length === 0) throw new Error('the answer contains no address')
  return endpoints
}

/** Returns the endpoints sorted, since servers shuffle their answers, and without duplicates: the first in that order stays. */
function distinct (endpoints: Endpoint[]): readonly Endpoint[] {
  const sorted = endpoints.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight || compare(placeOf(a), placeOf(b)) || compare(a.name, b.name))
  const places = new Map<string, Endpoint>()
  for (const endpoint of sorted) if (!places.has(placeOf(endpoint))) places.set(placeOf(endpoint), endpoint)
  return Object.freeze([...places.values()])
}

function placeOf ({ address, port }: Endpoint): string {
  return `${address} ${port ?? ''}`
}

function compare (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
