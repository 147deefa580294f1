// An upstream that answers from a script and records every byte it gets.
import { createHash } from 'node:crypto'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { membersOf, readHead, readRequests, readResponses, valuesOf, type Request } from './strict.ts'

/** How one request is answered. `{marker}` stands for the request's marker, `{accept}` for its Sec-WebSocket-Accept. */
export interface Reply {
  readonly bytes: string
  /** Instead of them, for a request that asks for an upgrade. */
  readonly handshake?: string
  /** Where the bytes are cut into writes. */
  readonly splits?: readonly number[]
  /** What comes after the bytes. A connection whose response has not come to its end is never kept. */
  readonly end?: 'keep' | 'fin' | 'rst'
  /** Answers as soon as the head is there. */
  readonly early?: boolean
  /** Ends only when the next request has come. */
  readonly waits?: boolean
}

/** A request as it came. */
export interface Seen {
  readonly request: Request
  readonly handshake: boolean
  /** The script's bytes for it, as they were sent. */
  readonly reply: string
  /** Bytes behind the head of a handshake: before it was answered, and after. */
  before: string
  after: string
  answered: boolean
  closed: boolean
  /** Whether the script ends it with a reset. */
  readonly resets: boolean
}

const marker = /~[0-9a-z]{4}~\d+/
const markers = new RegExp(marker, 'g')
const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const plain: Reply = { bytes: 'HTTP/1.1 200 OK\r\nX-Marker: {marker}\r\nContent-Length: 2\r\n\r\nok' }

export function markerOf (target: string): string {
  return marker.exec(target)?.[0] ?? ''
}

/** As the bytes of a socket: latin1. */
export function bytesOf (text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

export function acceptFor (key: string): string {
  return createHash('sha1').update(key + webSocketGuid).digest('base64')
}

/** Writes text in pieces, each in a turn of its own. */
export async function writePieces (socket: Socket, text: string, splits: readonly number[], pause?: (written: number) => Promise<void>): Promise<void> {
  const ends = [...new Set([...splits.filter((at) => at > 0 && at < text.length), text.length])].sort((a, b) => a - b)
  let from = 0
  for (const end of ends) {
    if (from > 0) await turn()
    if (!socket.writable) return
    socket.write(bytesOf(text.slice(from, end)))
    from = end
    await pause?.(end)
  }
}

export function turn (): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export class Upstream {
  seen: Seen[] = []
  faults: string[] = []
  /** Markers of requests that came on a connection which the script had ended behind a whole response. */
  missed: string[] = []
  /** Answers by the last number of a marker. */
  #replies: readonly Reply[] = []
  #otherwise: Reply = plain
  /** Called whenever something has happened. */
  onEvent: () => void = () => {}
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor () {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#serve(socket))
  }

  listen (): Promise<number> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as AddressInfo).port)))
  }

  /** For the next case. */
  script (replies: readonly Reply[], otherwise: Reply = plain): void {
    this.seen = []
    this.faults = []
    this.missed = []
    this.#replies = replies
    this.#otherwise = otherwise
  }

  /** Connections of handshakes that are still open. */
  get tunnels (): number {
    return this.seen.filter(({ handshake, closed }) => handshake && !closed).length
  }

  close (): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #serve (socket: Socket): void {
    this.#sockets.add(socket)
    let text = ''
    let tunnel: Seen | undefined
    let current: Seen | undefined
    let writing = false
    let onProgress = (): void => {}
    const own: Seen[] = []
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#sockets.delete(socket)
      for (const seen of own) seen.closed = true
      onProgress()
      this.onEvent()
    })
    socket.on('end', () => {
      if (!writing) socket.end()
      onProgress()
      this.onEvent()
    })
    socket.on('data', (chunk) => {
      const data = chunk.toString('latin1')
      if (tunnel !== undefined) {
        tunnel[tunnel.answered ? 'after' : 'before'] += data
        return this.onEvent()
      }
      text += data
      look()
      onProgress()
      this.onEvent()
    })

    // One request at a time: what comes behind one that is not answered would be a pipeline, which nobody asked for.
    const look = (): void => {
      if (current?.answered === false) {
        const again = readRequests(text)
        Object.assign(current, { request: again.messages[0] ?? current.request })
        if (again.messages.length > 1) this.faults.push('a second request before the first was answered')
        return
      }
      if (current !== undefined) { // answered, and not to be kept
        this.missed.push(...text.slice(current.request.end).match(markers) ?? [])
        return
      }
      const { messages, fault } = readRequests(text)
      if (fault !== undefined && messages.length === 0) {
        this.faults.push(`${fault}: ${JSON.stringify(text.slice(0, 300))}`)
        socket.destroy()
        return
      }
      const request = messages[0]
      if (request === undefined) return
      const handshake = membersOf(request, 'connection').includes('upgrade')
      if (handshake && !request.complete && !socket.readableEnded) return // its small body comes with the head, or right behind it
      const reply = this.#replies[Number(/\d+$/.exec(markerOf(request.target))?.[0])] ?? this.#otherwise
      const bytes = (handshake ? reply.handshake ?? reply.bytes : reply.bytes)
        .replaceAll('{marker}', markerOf(request.target))
        .replaceAll('{accept}', acceptFor(valuesOf(request, 'sec-websocket-key')[0] ?? ''))
      const seen: Seen = {
        request,
        handshake,
        reply: bytes,
        before: text.slice(request.end),
        after: '',
        answered: false,
        closed: false,
        resets: reply.end === 'rst'
      }
      current = seen
      own.push(seen)
      this.seen.push(seen)
      if (handshake) tunnel = seen
      void answer(seen, reply)
    }

    const progress = (made: () => boolean): Promise<void> => new Promise((resolve) => {
      onProgress = () => { if (made() || socket.readableEnded || socket.destroyed) resolve() }
      onProgress()
    })

    const answer = async (seen: Seen, reply: Reply): Promise<void> => {
      // Time enough for bytes that should not come.
      if (seen.handshake) await new Promise((resolve) => setTimeout(resolve, 2))
      else if (reply.early !== true) await progress(() => seen.request.complete)
      if (seen.handshake) seen.answered = true
      writing = true
      await writePieces(socket, seen.reply, reply.splits ?? [])
      writing = false
      seen.answered = true // at once: the next request may be there before anything else is done here
      const { messages } = readResponses(seen.reply, [seen.request.method], false)
      const [response] = messages
      const whole = reply.end !== 'fin' && reply.end !== 'rst' && response?.complete === true && (seen.request.complete || seen.handshake)
      const kept = whole && !socket.readableEnded && (!seen.handshake || response.status === 101)
      if (!kept) {
        await turn()
        if (reply.waits === true) await progress(() => readRequests(text).messages[1]?.complete === true)
        if (reply.end === 'rst') socket.resetAndDestroy()
        else socket.end()
      } else if (!seen.handshake) {
        text = text.slice(seen.request.end)
        current = undefined
        if (text !== '') look()
      }
      this.onEvent()
    }
  }
}

/** The head of a final response, for what stands behind it. */
export function behindHead (reply: string): string {
  let at = 0
  for (;;) {
    const head = readHead(reply, at)
    if (head === undefined || typeof head === 'string') return ''
    at = head.headEnd
    if (!/^HTTP\/1\.[01] (?:10[02-9]|1[1-9]\d)/.test(head.start) && !head.start.startsWith('HTTP/1.1 100')) return reply.slice(at)
  }
}
