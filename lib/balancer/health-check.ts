/** Active health checks: probes one member at intervals. Every probe has a connection of its own. */
import { randomBytes } from 'node:crypto'
import { addAbortSignal } from 'node:stream'
import { longestDelay } from '../config/duration.ts'
import { ShortageError, TimeoutError, UpstreamError } from '../errors.ts'
import { type HeaderList, serialise } from '../http/header-list.ts'
import { isOriginForm } from '../http/request-target.ts'
import { outsideRequests } from '../net/async-context.ts'
import { monotonicNow } from '../net/clock.ts'
import { ignoreErrors } from '../net/socket.ts'
import { closeFrame } from '../tunnel/websocket-frames.ts'
import { dial, type DialOptions, discard, type UpstreamConnection } from '../upstream/connect.ts'
import { Http1Exchange, type UpgradeResult } from '../upstream/http1-exchange.ts'
import { RawResponseBody } from '../upstream/http1-response-body.ts'
import type { HealthCheck } from './config.ts'

const maxBodyBytes = 65_536
const maxHeadBytes = 16_384

/** The milliseconds that a member has to end its side of the connection after a probe that passed. */
const closeTimeoutMs = 1000

/**
 * Runs one probe: dials, requests, ends. Resolves if it passes.
 * @param signal cancels the probe
 * @throws WstunnelError the reason why it did not pass; the signal's reason if it aborted
 */
export async function probe (check: HealthCheck, dialOptions: DialOptions, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => controller.abort(new TimeoutError()), check.timeout).unref()
  try {
    if (check.method === 'TCP') await probeTcp(dialOptions, controller.signal)
    else if (check.method === 'WS') await probeWebSocket(check, dialOptions, controller.signal)
    else await probeHttp(check, check.method, dialOptions, controller.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function probeTcp (dialOptions: DialOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = dial(dialOptions, (error, dialled) => {
      signal.removeEventListener('abort', onAbort)
      if (dialled === null) reject(error)
      else closeProbe(dialled, signal).then(resolve, reject)
    })
    function onAbort (): void {
      giveUp()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

async function probeWebSocket (check: HealthCheck, dialOptions: DialOptions, signal: AbortSignal): Promise<void> {
  const key = randomBytes(16).toString('base64')
  const answer = await exchange(check, 'GET', dialOptions, [
    'Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13', 'Sec-WebSocket-Key', key
  ], key, signal)
  if (answer.framing !== undefined) {
    discard(answer)
    throw failure(`answered a WebSocket handshake with ${answer.head.status}`)
  }
  await closeProbe(answer, signal, closeFrame(1000, randomBytes(4)))
}

async function probeHttp (check: HealthCheck, method: 'GET' | 'HEAD', dialOptions: DialOptions, signal: AbortSignal): Promise<void> {
  const answer = await exchange(check, method, dialOptions, ['Connection', 'close'], undefined, signal)
  const { head: { status }, framing, stream, transport, received, headEnd } = answer
  if (framing === undefined || !check.status.some(([from, to]) => status >= from && status <= to)) {
    discard(answer)
    throw failure(`answered with ${status}`)
  }
  const body = new RawResponseBody({ stream, transport, framing, rest: received.subarray(headEnd), timeout: 0, raw: false })
  const text = await readPrefix(body, signal)
  if (check.body !== undefined && !matches(text, check.body)) throw failure('answered with another body')
}

async function exchange (
  { uri }: HealthCheck, method: string, dialOptions: DialOptions, headers: HeaderList, key: string | undefined, signal: AbortSignal
): Promise<UpgradeResult> {
  if (!isOriginForm(uri)) throw new TypeError('invalid request target')
  const head = serialise(`${method} ${uri} HTTP/1.1`, ['Host', dialOptions.address.authority, ...headers])
  signal.throwIfAborted()
  return await new Promise<UpgradeResult>((resolve, reject) => {
    const leave = (): void => signal.removeEventListener('abort', onAbort)
    const attempt = new Http1Exchange({
      dialOptions, head, method, token: 'websocket', key, handshakeTimeout: 0, maxResponseHead: maxHeadBytes
    }, {
      onResponse (answer) {
        // The next listener follows some turns later.
        answer.stream.pause()
        ignoreErrors(answer.stream)
        leave()
        resolve(answer)
      },
      onError (reason) {
        leave()
        reject(reason)
      }
    })
    const onAbort = (): void => attempt.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    attempt.run()
  })
}

/** Returns the first 64 KiB of a body, and does not read the rest. */
async function readPrefix (body: RawResponseBody, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of addAbortSignal(signal, body) as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= maxBodyBytes) break
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
  return Buffer.concat(chunks).toString('utf8', 0, maxBodyBytes)
}

/** Returns true if the text matches. `search` keeps a RegExp's `lastIndex`, and begins at 0 whatever its flags. */
function matches (text: string, rule: string | RegExp): boolean {
  return typeof rule === 'string' ? text.includes(rule) : text.search(rule) !== -1
}

function failure (what: string): Error {
  return new UpstreamError({ cause: new Error(`the member ${what}`) })
}

/** Ends a connection whose probe has passed: our side first, then the member's, within a short time. */
function closeProbe (dialled: UpstreamConnection, signal: AbortSignal, lastWords?: Buffer): Promise<void> {
  const { stream } = dialled
  return new Promise((resolve) => {
    const onEnd = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onEnd)
      discard(dialled)
      resolve()
    }
    const timer = setTimeout(onEnd, closeTimeoutMs).unref()
    signal.addEventListener('abort', onEnd, { once: true })
    stream.once('error', onEnd)
    stream.once('end', onEnd)
    stream.once('close', onEnd)
    stream.resume()
    stream.end(lastWords)
  })
}

/**
 * Probes one member repeatedly: at once, then at each interval ± 10 %, so that the probes of many members spread. One probe runs at a time:
 * if one takes longer than the interval, the next follows it. A member counts as healthy until `fails` probes in a row fail.
 */
export class HealthMonitor {
  readonly #check: HealthCheck
  readonly #dialOptions: DialOptions
  readonly #report: (healthy: boolean, error: Error | undefined) => void
  readonly #random: () => number
  #running: AbortController | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #healthy = true
  /** The number of results in a row that contradict `#healthy`. */
  #against = 0

  /**
   * @param report called for changes only; `error` is the error of the last probe if it failed
   * @param random returns a number from 0 to 1
   */
  constructor (check: HealthCheck, dialOptions: DialOptions, report: (healthy: boolean, error: Error | undefined) => void, random: () => number = Math.random) {
    this.#check = check
    this.#dialOptions = dialOptions
    this.#report = report
    this.#random = random
  }

  /** Starts probing. Idempotent. */
  start (): void {
    if (this.#running !== undefined) return
    this.#running = new AbortController()
    const { signal } = this.#running
    void outsideRequests(() => this.#probe(signal)) // a request may add a member
  }

  /** Stops probing, and cancels a probe in flight with its connection. No report follows. */
  stop (): void {
    this.#running?.abort()
    this.#running = undefined
    clearTimeout(this.#timer)
    this.#against = 0
  }

  async #probe (signal: AbortSignal): Promise<void> {
    const startedAt = monotonicNow()
    let error: Error | undefined
    try {
      await probe(this.#check, this.#dialOptions, signal)
    } catch (cause) {
      error = cause as Error
    }
    if (signal.aborted) return
    this.#count(error)
    if (signal.aborted) return // the report may have called `stop`
    const wait = this.#check.interval * (0.9 + 0.2 * this.#random()) - (monotonicNow() - startedAt)
    this.#timer = setTimeout(() => { void this.#probe(signal) }, Math.min(wait, longestDelay)).unref()
  }

  #count (error: Error | undefined): void {
    if (error instanceof ShortageError) return // a shortage of this process says nothing about the member
    const passed = error === undefined
    if (passed === this.#healthy) {
      this.#against = 0
      return
    }
    if (++this.#against < (passed ? this.#check.passes : this.#check.fails)) return
    this.#against = 0
    this.#healthy = passed
    this.#report(passed, error)
  }
}
