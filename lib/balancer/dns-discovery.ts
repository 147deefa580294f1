/** Members that follow DNS: looks a name up again and again, and tells when what it stands for has changed. */
import { Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { NameError } from '../errors.ts'
import { outsideRequests } from '../net/async-context.ts'

/** Where members come from. */
export interface DnsSource {
  /** The name. Asked of DNS itself: a hosts file has no say. */
  readonly dns: string
  readonly type: 'A' | 'AAAA' | 'SRV'
  /** Milliseconds from the end of one look-up to the beginning of the next, above 0. Default 30,000. A record's TTL has no say. */
  readonly refresh: number
  /** Such as `127.0.0.1:5353`. Default: the system's. */
  readonly servers: readonly string[] | undefined
}

/** One place to dial. */
export interface Endpoint {
  /** An IP address. */
  readonly address: string
  /** Of SRV; undefined for A and AAAA. */
  readonly port: number | undefined
  /** The name whose address this is, in lower case: the SRV record's target, or `dns`. */
  readonly name: string
  /** SRV's: lower ones first (RFC 2782). 0 for A and AAAA. */
  readonly priority: number
  /** SRV's share among the same priority, which may be 0. 1 for A and AAAA. */
  readonly weight: number
}

/** Milliseconds that a DNS server has for its first answer; c-ares gives the second try more. */
const lookupTimeoutMs = 2000
const tries = 2

/** What DNS answers where it has nothing, as opposed to no answer. */
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
   * @param found hears of each set that differs from the last one, sorted. It is empty only where the service is
   *   declared not to exist: one SRV record with the target `.`
   * @param failed hears of a look-up that failed or found nothing, once until one succeeds. The last set stands
   * @throws TypeError where a server is no address
   */
  constructor (source: DnsSource, found: (endpoints: readonly Endpoint[]) => void, failed: (error: Error) => void) {
    this.#source = source
    this.#found = found
    this.#failed = failed
    this.#resolver = new Resolver({ timeout: lookupTimeoutMs, tries })
    if (source.servers !== undefined) this.#resolver.setServers(source.servers)
  }

  /** Settles after the first look-up, whatever its result. Idempotent. */
  start (): Promise<void> {
    this.#first ??= outsideRequests(() => this.#lookUp())
    return this.#first
  }

  /** For good. Ends a look-up under way; nothing is reported after that. */
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
    if (this.#stopped) return // by who was told
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

  /** Both families of an SRV target. None for a target that does not exist, which is no reason to lose the others. */
  async #addressesOf (name: string): Promise<string[]> {
    const answers = await Promise.allSettled([this.#resolver.resolve4(name), this.#resolver.resolve6(name)])
    const broken = answers.map((answer) => answer.status === 'rejected' && !negative.has((answer.reason as { code?: unknown }).code))
    if (broken.every(Boolean)) throw new Error(`no answer for ${name}`, { cause: (answers[0] as PromiseRejectedResult).reason })
    // One family that goes unanswered keeps what is known of it: some servers never answer for AAAA.
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
  if (endpoints.length === 0) throw new Error('the answer holds no address')
  return endpoints
}

/** In an order of their own, as servers shuffle their answers; of what is there twice, the first in that order. */
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
