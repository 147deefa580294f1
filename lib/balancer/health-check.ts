/** Active health checks: asks one member, over and over, whether it is well. Every probe has a connection of its own. */
import { randomBytes } from 'node:crypto'
import { addAbortSignal } from 'node:stream'
import { AnswerBody } from './answer.ts'
import type { HealthCheck } from './balancing.ts'
import { dial, discard, type Dialled, type DialOptions } from './dial.ts'
import { ignoreErrors, TimeoutError, UpstreamError } from './errors.ts'
import { closeFrame } from './frames.ts'
import { Handshake, type Answer } from './handshake.ts'
import { serialise, type HeaderList } from './headers.ts'
import { isOriginForm } from './path.ts'
import { clock } from './tunnel.ts'

const mostOfBody = 65_536
const mostOfHead = 16_384

/** How long a member that has passed may take to end its side of the connection. */
const farewell = 1000

const longestDelay = 2 ** 31 - 1

/**
 * One probe: dialled, asked, ended. Resolves when it passes.
 * @param signal gives up
 * @throws WstunnelError why it did not pass; the signal's reason where it aborted
 */
export async function probe (check: HealthCheck, dialling: DialOptions, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => controller.abort(new TimeoutError()), check.timeout).unref()
  try {
    if (check.method === 'TCP') await knock(dialling, controller.signal)
    else if (check.method === 'WS') await shakeHands(check, dialling, controller.signal)
    else await ask(check, check.method, dialling, controller.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function knock (dialling: DialOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = dial(dialling, (error, dialled) => {
      signal.removeEventListener('abort', onAbort)
      if (dialled === null) reject(error)
      else hangUp(dialled, signal).then(resolve, reject)
    })
    function onAbort (): void {
      giveUp()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

async function shakeHands (check: HealthCheck, dialling: DialOptions, signal: AbortSignal): Promise<void> {
  const key = randomBytes(16).toString('base64')
  const answer = await exchange(check, 'GET', dialling, [
    'Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13', 'Sec-WebSocket-Key', key
  ], key, signal)
  if (answer.framing !== undefined) {
    discard(answer)
    throw failure(`answered a WebSocket handshake with ${answer.head.status}`)
  }
  await hangUp(answer, signal, closeFrame(1000, randomBytes(4)))
}

async function ask (check: HealthCheck, method: 'GET' | 'HEAD', dialling: DialOptions, signal: AbortSignal): Promise<void> {
  const answer = await exchange(check, method, dialling, ['Connection', 'close'], undefined, signal)
  const { head: { status }, framing, stream, transport, received, headEnd } = answer
  if (framing === undefined || !check.status.some(([from, to]) => status >= from && status <= to)) {
    discard(answer)
    throw failure(`answered with ${status}`)
  }
  const body = new AnswerBody({ stream, transport, framing, rest: received.subarray(headEnd), timeout: 0, raw: false })
  const text = await beginning(body, signal)
  if (check.body !== undefined && !holds(text, check.body)) throw failure('answered with another body')
}

async function exchange (
  { uri }: HealthCheck, method: string, dialling: DialOptions, headers: HeaderList, key: string | undefined, signal: AbortSignal
): Promise<Answer> {
  if (!isOriginForm(uri)) throw new TypeError('invalid request target')
  const head = serialise(`${method} ${uri} HTTP/1.1`, ['Host', dialling.address.authority, ...headers])
  signal.throwIfAborted()
  return await new Promise<Answer>((resolve, reject) => {
    const leave = (): void => signal.removeEventListener('abort', onAbort)
    const handshake = new Handshake({
      dialling, head, method, token: 'websocket', key, handshakeTimeout: 0, maxResponseHead: mostOfHead
    }, {
      shaken (answer) {
        // It is some turns until somebody listens again.
        answer.stream.pause()
        ignoreErrors(answer.stream)
        leave()
        resolve(answer)
      },
      failed (reason) {
        leave()
        reject(reason)
      }
    })
    const onAbort = (): void => handshake.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    handshake.run()
  })
}

/** The first 64 KiB of a body. What comes after them is not read. */
async function beginning (body: AnswerBody, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of addAbortSignal(signal, body) as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length >= mostOfBody) break
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
  return Buffer.concat(chunks).toString('utf8', 0, mostOfBody)
}

/** `search` leaves a RegExp's `lastIndex` as it was, and begins at 0 whatever its flags. */
function holds (text: string, rule: string | RegExp): boolean {
  return typeof rule === 'string' ? text.includes(rule) : text.search(rule) !== -1
}

function failure (what: string): Error {
  return new UpstreamError({ cause: new Error(`the member ${what}`) })
}

/** Ends a connection whose probe has passed: our end first, then the member's, which is not waited for for long. */
function hangUp (dialled: Dialled, signal: AbortSignal, lastWords?: Buffer): Promise<void> {
  const { stream } = dialled
  return new Promise((resolve) => {
    const onEnd = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onEnd)
      discard(dialled)
      resolve()
    }
    const timer = setTimeout(onEnd, farewell).unref()
    signal.addEventListener('abort', onEnd, { once: true })
    stream.once('error', onEnd)
    stream.once('end', onEnd)
    stream.once('close', onEnd)
    stream.resume()
    stream.end(lastWords)
  })
}

/**
 * Probes one member for ever: at once, then at each interval, give or take a tenth, so that the probes of many do not
 * fall together. One at a time: where one takes longer than the interval, the next follows it. A member is taken for
 * healthy until `fails` probes in a row say otherwise.
 */
export class HealthMonitor {
  readonly #check: HealthCheck
  readonly #dialling: DialOptions
  readonly #report: (healthy: boolean, error: Error | undefined) => void
  readonly #random: () => number
  #running: AbortController | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #healthy = true
  /** Results in a row that speak against `#healthy`. */
  #against = 0

  /**
   * @param report hears of changes only; `error` is that of the last probe, where it failed
   * @param random from 0 to 1
   */
  constructor (check: HealthCheck, dialling: DialOptions, report: (healthy: boolean, error: Error | undefined) => void, random: () => number = Math.random) {
    this.#check = check
    this.#dialling = dialling
    this.#report = report
    this.#random = random
  }

  /** Idempotent. */
  start (): void {
    if (this.#running !== undefined) return
    this.#running = new AbortController()
    void this.#probe(this.#running.signal)
  }

  /** Ends a probe under way, with its connection. Nothing is reported after that. */
  stop (): void {
    this.#running?.abort()
    this.#running = undefined
    clearTimeout(this.#timer)
    this.#against = 0
  }

  async #probe (signal: AbortSignal): Promise<void> {
    const startedAt = clock()
    let error: Error | undefined
    try {
      await probe(this.#check, this.#dialling, signal)
    } catch (cause) {
      error = cause as Error
    }
    if (signal.aborted) return
    this.#count(error)
    if (signal.aborted) return // by who was told
    const wait = this.#check.interval * (0.9 + 0.2 * this.#random()) - (clock() - startedAt)
    this.#timer = setTimeout(() => { void this.#probe(signal) }, Math.min(wait, longestDelay)).unref()
  }

  #count (error: Error | undefined): void {
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
