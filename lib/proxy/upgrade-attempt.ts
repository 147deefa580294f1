/** One attempt of an upgrade at one upstream: counted there as pending, traced, and timed. */
import { randomBytes } from 'node:crypto'
import type { TracedAttempt } from '../config/target.ts'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/version.ts'
import { monotonicNow } from '../net/clock.ts'
import { Http1Exchange, type Http1ExchangeOwner } from '../upstream/http1-exchange.ts'
import type { Choice, Upstream } from '../upstream/upstream.ts'
import type { AcceptedUpgrade } from './upgrade-answer.ts'
import { buildUpstreamRequest, serialiseUpgrade } from './upstream-request.ts'

export class UpgradeAttempt {
  readonly choice: Choice
  /** That of the choice when the attempt began: a choice that fails has another one. */
  readonly upstream: Upstream
  #exchange: Http1Exchange | undefined = undefined
  #traced: TracedAttempt | undefined = undefined
  /** 0 before the dial, and once the attempt is timed. */
  #startedAt = 0
  #isPending = true

  constructor (choice: Choice) {
    this.choice = choice
    this.upstream = choice.upstream
    this.upstream.counters.pending++
  }

  /** Whether a connection stood. */
  get connected (): boolean {
    return this.#exchange?.connected === true
  }

  /**
   * Makes the request as this upstream is to get it.
   * @param resend how many attempts there were before
   * @throws whatever a function of the options throws, and InvalidHeaderError
   */
  prepare ({ request, decision: { target, matched, token } }: AcceptedUpgrade, resend: number, owner: Http1ExchangeOwner): void {
    const { upstream } = this
    const method = request.raw.method as string
    this.#traced = target.tracing?.start(request, { kind: 'upgrade', route: target.route, upstream: upstream.label, resend })
    const { path, headers: built } = buildUpstreamRequest(request, target, this.choice, matched, false, false, this.#traced)
    const headers = token === 'websocket' && isHttp2(request.raw) ? withOwnKey(built) : built
    this.#exchange = new Http1Exchange({
      dialOptions: upstream.dialOptions,
      head: serialiseUpgrade(method, path, headers, token),
      method,
      token,
      key: token === 'websocket' ? fieldValue(headers, 'sec-websocket-key') ?? '' : undefined,
      handshakeTimeout: upstream.handshakeTimeout,
      maxResponseHead: target.limits.maxResponseHead
    }, owner)
  }

  /** Dials, and sends the request. Called once, after `prepare`. */
  run (): void {
    const exchange = this.#exchange as Http1Exchange
    this.#startedAt = monotonicNow()
    if (this.#traced === undefined) exchange.run()
    else this.#traced.within(() => exchange.run())
  }

  /** It has an outcome: traced and, if a connection stood, timed. Without effect the second time. */
  end (outcome: Parameters<TracedAttempt['end']>[0]): void {
    const traced = this.#traced
    this.#traced = undefined
    if (this.connected && this.#startedAt > 0) this.upstream.counters.handshake.observe(monotonicNow() - this.#startedAt)
    this.#startedAt = 0
    traced?.end(outcome)
  }

  /** Gives up, unless there is an answer. */
  abort (error: Error): void {
    this.end({ error })
    this.#exchange?.abort(error)
  }

  /** The upgrade is pending there no more, and both heads are let go of. Without effect the second time. */
  leave (): void {
    this.#exchange = undefined
    if (this.#isPending) this.upstream.counters.pending--
    this.#isPending = false
  }
}

/** A client of HTTP/2 has no key (RFC 8441, 5.1): the upstream is asked with one of ours, and proves that it has understood. */
function withOwnKey (headers: HeaderList): string[] {
  const others = headers.filter((_, i) => (headers[i - i % 2] as string).toLowerCase() !== 'sec-websocket-key')
  return [...others, 'Sec-WebSocket-Key', randomBytes(16).toString('base64')]
}
