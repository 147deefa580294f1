/** One attempt of an upgrade at one upstream: counted there as pending, traced, and timed. */
import { randomBytes } from 'node:crypto'
import { fieldValue, type HeaderList } from '../http/header-list.ts'
import { isHttp2 } from '../http/version.ts'
import { Http1Exchange, type Http1ExchangeOwner } from '../upstream/http1-exchange.ts'
import { AttemptRecorder } from '../upstream/recorders.ts'
import type { Choice, Upstream } from '../upstream/upstream.ts'
import { AttemptTrace } from './attempt-trace.ts'
import type { AcceptedUpgrade } from './upgrade-answer.ts'
import { buildUpstreamRequest, serialiseUpgrade } from './upstream-request.ts'

export class UpgradeAttempt {
  readonly choice: Choice
  /** The upstream of the choice when the attempt began: after a failure the choice has another one. */
  readonly upstream: Upstream
  #exchange: Http1Exchange | undefined = undefined
  #trace: AttemptTrace | undefined = undefined
  readonly #recorder: AttemptRecorder

  constructor (choice: Choice) {
    this.choice = choice
    this.upstream = choice.upstream
    this.#recorder = new AttemptRecorder(this.upstream.counters)
  }

  /** True once a connection was established. */
  get connected (): boolean {
    return this.#exchange?.connected === true
  }

  /**
   * Builds the request for this upstream.
   * @param body the body of the request, if it has one
   * @param resend the number of earlier attempts
   * @throws InvalidHeaderError, and any error of a function of the options
   */
  prepare ({ request, decision: { target, matched, token } }: AcceptedUpgrade, body: Buffer | undefined, resend: number, owner: Http1ExchangeOwner): void {
    const { upstream } = this
    const method = request.raw.method as string
    const { path, headers: built } = buildUpstreamRequest(request, target, this.choice, matched, body !== undefined)
    const headers = token === 'websocket' && isHttp2(request.raw) ? withOwnKey(built) : built
    const trace = this.#trace = AttemptTrace.begin(request, target, { kind: 'upgrade', choice: this.choice, matched, resend })
    const head = serialiseUpgrade(method, path, trace === undefined ? headers : trace.inject(headers), token)
    this.#exchange = new Http1Exchange({
      dialOptions: upstream.dialOptions,
      head,
      body,
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
    this.#recorder.dialled()
    if (this.#trace === undefined) exchange.run()
    else this.#trace.within(() => exchange.run())
  }

  /** Ends the attempt: ends its trace and, if there was a connection, records its time. Without effect the second time. */
  end (outcome: { status?: number, error?: Error }): void {
    const trace = this.#trace
    this.#trace = undefined
    if (this.connected) this.#recorder.handshaken()
    trace?.end(outcome)
  }

  /** Gives up, unless there is a response. */
  abort (error: Error): void {
    this.end({ error })
    this.#exchange?.abort(error)
  }

  /** Removes the attempt from the upstream's pending upgrades, and releases both heads. Without effect the second time. */
  leave (): void {
    this.#exchange = undefined
    this.#recorder.end()
  }
}

/** A client of HTTP/2 has no key (RFC 8441, 5.1): the upstream is asked with one of ours, and proves that it has understood. */
function withOwnKey (headers: HeaderList): string[] {
  const others = headers.filter((_, i) => (headers[i - i % 2] as string).toLowerCase() !== 'sec-websocket-key')
  return [...others, 'Sec-WebSocket-Key', randomBytes(16).toString('base64')]
}
