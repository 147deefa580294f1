// Plays a case: a client's bytes against the plugin, and a script of the upstream behind it.
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { selfSigned } from '../fixtures/tls.ts'
import { Bounds } from './bounds.ts'
import { Child, type Server } from './child.ts'
import { isUnparsable, judge, mappedTarget, type Played } from './judge.ts'
import { readRequests, readResponses, type Request } from './strict.ts'
import { markerOf, turn, Upstream, writePieces, type Reply } from './upstream.ts'

/** All of it plain data, so that it can be kept as JSON. */
export interface Case {
  readonly server?: Server
  /** Every byte of the client, as latin1. `~0000~` becomes `~`, four letters of the case's own, `~`. */
  readonly bytes: string
  /** Where they are cut into writes. */
  readonly splits?: readonly number[]
  /** Whether each request waits for the answer to the one before. */
  readonly polite?: boolean
  /** The client leaves after so many bytes. */
  readonly leave?: { readonly at: number, readonly by: 'fin' | 'rst' }
  readonly replies?: readonly Reply[]
  /** Every request is valid and every reply, too: each has to come through. */
  readonly valid?: boolean
}

export const laneCount = 8
const patience = 6000

export class World {
  readonly bounds: Bounds = new Bounds()
  #child: Child | undefined
  #ports: Array<Record<Server, number>> = []
  readonly #upstreams: Upstream[] = []
  #upstreamPorts: number[] = []
  readonly #credentials = selfSigned()
  #count = 0
  #last: Promise<void> = Promise.resolve()
  /** What the last cases have sent: of a connection that has ended, a request may still be on its way upstream. */
  readonly #recent: Array<{ nonce: string, sent: string }> = []
  /** The same of requests without a marker: those that the case before has sent, by lane. */
  readonly #before: Array<readonly Request[]> = []
  /** What came of the cases, so that it can be seen that they do not all die early. */
  readonly tally: Record<string, number> = {}

  /**
   * One batch after the other: fast-check does not wait for one that its time limit overtakes.
   * @throws Error with everything that went wrong
   */
  play (cases: readonly Case[]): Promise<void> {
    const playing = this.#last.then(() => this.#playAll(cases))
    this.#last = playing.catch(() => {})
    return playing
  }

  async #playAll (cases: readonly Case[]): Promise<void> {
    await this.#start()
    const child = this.#child as Child
    const problems: string[] = []
    const queue = [...cases.entries()]
    await Promise.all(this.#upstreams.map(async (upstream, lane) => {
      for (let next = queue.shift(); next !== undefined && child.failure === undefined; next = queue.shift()) {
        const problem = await this.#playOne(child, next[1], lane, upstream)
        if (problem !== undefined) problems.push(`case ${next[0]}: ${problem}`)
      }
    }))
    if (child.failure !== undefined) problems.unshift(child.failure)
    if (problems.length === 0) return
    // What is left of a failure must not be the next one's.
    child.kill()
    this.#child = undefined
    throw new Error(problems.join('\n'))
  }

  /** Ends the child as a user would. Returns what is wrong with its end. */
  async close (): Promise<string | undefined> {
    await this.#last
    await this.bounds.close()
    const left = await this.#child?.close()
    this.#child = undefined
    for (const upstream of this.#upstreams) upstream.close()
    return left
  }

  async #start (): Promise<void> {
    if (this.#upstreams.length === 0) {
      for (let i = 0; i < laneCount; i++) this.#upstreams.push(new Upstream())
      this.#upstreamPorts = await Promise.all(this.#upstreams.map((upstream) => upstream.listen()))
    }
    if (this.#child !== undefined) return
    this.#child = new Child()
    this.#ports = await this.#child.start(this.#upstreamPorts, this.#credentials)
  }

  async #playOne (child: Child, each: Case, lane: number, upstream: Upstream): Promise<string | undefined> {
    const begin = Date.now()
    const { server = 'plain', leave } = each
    const nonce = (this.#count++ % 36 ** 4).toString(36).padStart(4, '0')
    const whole = each.bytes.replaceAll('~0000~', `~${nonce}~`)
    const sent = leave === undefined ? whole : whole.slice(0, leave.at)
    upstream.script(each.replies ?? [])
    const requests = readRequests(sent)
    this.#recent[this.#count % 256] = { nonce, sent }
    const client = new Client((this.#ports[lane] as Record<Server, number>)[server], server === 'tls', methodsOf(sent, requests))
    upstream.onEvent = () => client.wake()
    const hang = await converse(client, upstream, each, sent, requests)
    client.destroy()
    const { left, paused, errors } = await child.settle(lane, server, leave?.by === 'rst')
    const open = await client.until(() => upstream.tunnels === 0)
    const played: Played = {
      sent,
      requests,
      polite: each.polite === true,
      leaves: leave?.by,
      valid: each.valid === true,
      reset: client.reset,
      paused,
      ...client.answers(isUnparsable(requests, sent)),
      seen: upstream.seen.filter(({ request }) => !this.#isLate(request, nonce, lane)),
      faults: upstream.faults,
      missed: upstream.missed,
      upstreamPort: this.#upstreamPorts[lane] as number
    }
    this.#before[lane] = requests.messages
    this.#tell(played)
    const problem = left !== '' ? left : (hang ?? (open ? judge(played) : 'a connection of a handshake stays open at the upstream'))
    if (problem === undefined) return undefined
    const seen = upstream.seen.map(({ request }) => sent.includes(request.target) ? request.start : `${request.start} (!)`)
    const error = client.error === undefined ? '' : `, ${client.error.code ?? client.error.message}`
    return `${problem}\n  server   ${server}, ${Date.now() - begin} ms${error}\n  sent     ${show(sent)}\n` +
      `  received ${show(client.received)}\n  upstream ${JSON.stringify(seen)}\n  errors   ${JSON.stringify(errors)}`
  }

  #isLate ({ method, target }: Request, nonce: string, lane: number): boolean {
    const marker = markerOf(target)
    if (marker === '') return this.#before[lane]?.some((each) => each.method === method && mappedTarget(each.target) === target) === true
    return !marker.includes(nonce) && this.#recent.some((each) => marker.includes(each.nonce) && each.sent.includes(marker))
  }

  #tell ({ responses, seen, leaves }: Played): void {
    const add = (what: string): void => { this.tally[what] = (this.tally[what] ?? 0) + 1 }
    for (const { status } of responses.messages) add(`client got ${Math.trunc(status / 100)}xx`)
    for (const { status } of responses.messages) if (status === 101) add('tunnels')
    for (const { handshake } of seen) add(handshake ? 'handshakes upstream' : 'forwards upstream')
    if (leaves !== undefined) add('clients left')
  }
}

/** Also of one whose framing is at fault: Node may hand it on, and find that out thereafter. */
function methodsOf (sent: string, { messages, fault, end }: ReturnType<typeof readRequests>): string[] {
  const methods = messages.map(({ method }) => method)
  return fault !== undefined && sent.startsWith('HEAD ', end) ? [...methods, 'HEAD'] : methods
}

/** Without what only makes it long. */
function show (text: string): string {
  const short = text.replace(/(.|a:\r\n)\1{30,}/gs, (run, unit: string) => `${unit}{${run.length / unit.length}}`)
  const visible = JSON.stringify(short.length < 3000 ? short : `${short.slice(0, 1500)} ... ${short.slice(-1500)}`)
  return visible.replace(/[\x7f-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
}

/** Returns what did not happen in time. */
async function converse (
  client: Client, upstream: Upstream, each: Case, sent: string, { messages }: ReturnType<typeof readRequests>
): Promise<string | undefined> {
  const { splits = [], polite = false, leave } = each
  const starts = polite ? messages.map(({ at }) => at) : []
  await client.connected
  await writePieces(client.socket, sent, [...splits, ...starts], async (written) => {
    if (!starts.includes(written)) return
    const before = messages.filter(({ end }) => end <= written).length
    await client.until(() => client.closed || client.ended || client.switched || client.finished >= before)
  })
  if (leave !== undefined) {
    await turn()
    client.leave(leave.by)
    return await client.until(() => client.closed) ? undefined : 'a hang: the connection of a client that has left is not closed'
  }
  const complete = messages.filter((message) => message.complete).length
  if (!await client.until(() => client.closed || client.ended || client.switched || client.finished >= complete)) {
    return `a hang: ${client.finished} of ${complete} requests are answered`
  }
  if (client.switched) {
    const tunnelled = sent.length - (messages[client.finished - 1]?.end ?? 0)
    const carried = (): number => upstream.seen.reduce((sum, { after }) => sum + after.length, 0)
    if (!await client.until(() => client.closed || client.ended || carried() >= tunnelled || upstream.seen.at(-1)?.closed === true)) {
      return 'a hang: the tunnel does not carry all bytes'
    }
  }
  // Not within a read: Node's TLS loses the records behind it then.
  await turn()
  client.leave('fin')
  return await client.until(() => client.closed) ? undefined : 'a hang: the connection is not closed after the client\'s FIN'
}

/** What Fastify's `clientErrorHandler` writes. */
const refusal = /HTTP\/1\.1 4\d\d [^\r\n]*\r\nContent-Length: \d+\r\nContent-Type: application\/json\r\n\r\n\{"error":"[^"]*","message":"[^"]*","statusCode":4\d\d\}$/

class Client {
  received = ''
  closed = false
  ended = false
  readonly socket: Socket
  readonly connected: Promise<void>
  readonly #transport: Socket
  readonly #methods: readonly string[]
  readonly #waiting = new Set<() => void>()
  /** What its socket failed with, for the report. */
  error: NodeJS.ErrnoException | undefined
  #parsed: { length: number, ended: boolean, responses: ReturnType<typeof readResponses> } | undefined

  constructor (port: number, secure: boolean, methods: readonly string[]) {
    this.#methods = methods
    this.#transport = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.socket = secure ? connectTls({ socket: this.#transport, rejectUnauthorized: false }) : this.#transport
    this.socket.allowHalfOpen = true
    this.connected = new Promise((resolve) => this.socket.once(secure ? 'secureConnect' : 'connect', resolve).once('close', resolve))
    const onError = (error: Error): void => { this.error ??= error }
    this.socket.on('error', onError)
    if (secure) this.#transport.on('error', onError)
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
      this.wake()
    })
    this.socket.on('end', () => {
      this.ended = true
      this.wake()
    })
    this.socket.on('close', () => {
      this.closed = true
      this.wake()
    })
  }

  get reset (): boolean {
    return this.error !== undefined
  }

  responses (): ReturnType<typeof readResponses> {
    const { length } = this.received
    const ended = this.ended && !this.reset
    if (this.#parsed?.length !== length || this.#parsed.ended !== ended) {
      this.#parsed = { length, ended, responses: readResponses(this.received, this.#methods, ended) }
    }
    return this.#parsed.responses
  }

  /**
   * What it got, without Fastify's answer to what is no request: that comes at once, be it in the middle of another response.
   * @param faulty whether there may be one
   */
  answers (faulty: boolean): Pick<Played, 'received' | 'responses'> {
    const received = faulty ? this.received.replace(refusal, '') : this.received
    if (received === this.received) return { received, responses: this.responses() }
    return { received, responses: readResponses(received, this.#methods, this.ended && !this.reset) }
  }

  /** Final responses that are complete. */
  get finished (): number {
    return this.responses().messages.filter(({ complete }) => complete).length
  }

  get switched (): boolean {
    return this.responses().messages.at(-1 as number)?.status === 101
  }

  /** Whether `probe` came to hold, in time. */
  until (probe: () => boolean): Promise<boolean> {
    if (probe()) return Promise.resolve(true)
    return new Promise((resolve) => {
      const stop = (holds: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(holds)
      }
      const look = (): void => { if (probe()) stop(true) }
      const timer = setTimeout(stop, patience, false)
      this.#waiting.add(look)
    })
  }

  wake (): void {
    for (const look of [...this.#waiting]) look()
  }

  leave (by: 'fin' | 'rst'): void {
    if (by === 'fin') this.socket.end()
    else if (!this.#transport.destroyed) this.#transport.resetAndDestroy()
    if (by === 'rst') this.socket.destroy()
  }

  destroy (): void {
    this.socket.destroy()
    this.#transport.destroy()
  }
}
