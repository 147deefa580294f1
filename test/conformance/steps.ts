/** The words that scripts are written in. */
import { setTimeout as sleep } from 'node:timers/promises'
import { acceptOf, headerOf } from '../fixtures/upstream.ts'
import { Client, UpstreamEnd } from './ends.ts'
import type { ClientStep, UpstreamStep } from './ends.ts'

type Bytes = string | Uint8Array

/** Writes these bytes. */
export function send (data: Bytes | ((end: UpstreamEnd) => Bytes)): (end: Client | UpstreamEnd) => void {
  return (end) => end.write(typeof data === 'function' ? data(end as UpstreamEnd) : data)
}

export function response (method: string = 'GET'): ClientStep {
  return (client) => client.response(method)
}

/** Only where the last response was a 101. */
export function ifSwitched (...steps: ClientStep[]): ClientStep {
  return async (client) => {
    if (!client.switched && !client.unparsed) return
    for (const step of steps) await step(client)
  }
}

/** Only where the last response is the upstream's. */
export function ifRelayed (...steps: ClientStep[]): ClientStep {
  return async (client) => {
    if (client.responses.at(-1)?.headers.some(([name]) => name.toLowerCase() === 'x-from') !== true) return
    for (const step of steps) await step(client)
  }
}

export function bytes (count: number): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => end.bytes(count)
}

export function fin (): (end: Client | UpstreamEnd) => void {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    end.connection.socket.end()
  }
}

export function reset (): (end: Client | UpstreamEnd) => void {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    end.connection.reset()
    end.end = 'reset by itself'
  }
}

/** Waits for the proxy to end this connection; what comes before that is recorded. */
export function ended (): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => {
    if (end instanceof UpstreamEnd) end.over = true
    return end.ended()
  }
}

export function when (name: string): (end: Client | UpstreamEnd) => Promise<void> {
  return (end) => end.when(name)
}

export function signal (name: string): (end: Client | UpstreamEnd) => void {
  return (end) => end.signals.get(name).resolve()
}

/** Goes on only where the proxy does not end the connection now. */
export function unlessEnded (...steps: UpstreamStep[]): UpstreamStep {
  return async (end) => {
    if (await end.endsWithin(500)) return await end.ended()
    for (const step of steps) await step(end)
  }
}

/** Reads the request's body by its framing. */
export function body (): UpstreamStep {
  return (end) => end.readBody()
}

/** What follows the request is bytes of a tunnel. */
export function raw (): UpstreamStep {
  return (end) => { end.over = true }
}

/** One script for a request that asks for an upgrade, and one for others. */
export function either (upgrade: readonly UpstreamStep[], plain: readonly UpstreamStep[]): UpstreamStep {
  return async (end) => {
    for (const step of end.asksForUpgrade ? upgrade : plain) await step(end)
  }
}

/** A right 101 for what the upstream was asked. */
export function switching (headers: Record<string, string | undefined> = {}, after: string = ''): UpstreamStep {
  return (end) => {
    const key = headerOf(end.head, 'sec-websocket-key')
    const all: Record<string, string | undefined> = {
      Upgrade: headerOf(end.head, 'upgrade') ?? 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Accept': key === undefined ? undefined : acceptOf(key),
      ...headers
    }
    const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`)
    end.over = true
    end.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n${after}`)
  }
}

/** Has less patience in this step. */
export function soon<E extends Client | UpstreamEnd> (ms: number, step: (end: E) => void | Promise<void>): (end: E) => Promise<void> {
  return async (end) => {
    const { patience } = end
    end.patience = ms
    await step(end)
    end.patience = patience
  }
}

/** Lets time pass, where time is what a scenario is about. */
export function pass (ms: number): () => Promise<void> {
  return async () => { await sleep(ms) }
}

/**
 * So many requests, one after the other; a connection that was closed is replaced. What is compared is who answered each: the
 * first letter of its body where it is a 200, its status where it is not.
 */
export function sequence (count: number, request: (i: number) => string): ClientStep {
  return async (client) => {
    client.sequence ??= ''
    let connection = client.connection
    for (let i = 0; i < count; i++) {
      if (connection.socket.readableEnded || connection.socket.destroyed) connection = await client.another()
      connection.write(request(i))
      const answer = await client.answer(connection)
      if (answer === undefined) {
        client.sequence += '!'
        return
      }
      client.sequence += answer.status === 200 ? answer.body.toString('latin1', 0, 1) : `(${answer.status})`
      if (/close/i.test(answer.headers.connection?.[0] ?? '')) connection = await client.another()
    }
  }
}

/** A tunnel on a connection of its own, which stays open; what is compared is the first letter that comes through it. */
export function hold (request: string): ClientStep {
  return async (client) => {
    const connection = await client.another()
    client.held.push(connection)
    connection.write(request)
    const status = (await client.answer(connection))?.status
    client.sequence = `${client.sequence ?? ''}+${status === 101 ? (await connection.read(1)).toString('latin1') : `(${status})`}`
  }
}

/** Sends so many bytes through the tunnel that is held longest, and lets time pass, in which they are counted. */
export function through (count: number): ClientStep {
  return async (client) => {
    client.held[0]?.write('x'.repeat(count))
    await sleep(300)
  }
}

/** Ends the tunnel that is held longest, and lets time pass, in which both forget it. */
export function release (): ClientStep {
  return async (client) => {
    const connection = client.held.shift()
    connection?.socket.end()
    await connection?.ended
    client.sequence += '-'
    await sleep(300)
  }
}

/** Answers with its name, and with the status that the path says, if any; does not write the request down. A tunnel it opens with its name. */
export function name (): UpstreamStep {
  return async (end) => {
    end.recorded = false
    const { upstream } = end.request
    if (end.asksForUpgrade) {
      await switching({}, upstream)(end)
      await end.connection.ended.catch(() => {})
      end.connection.socket.end()
      return
    }
    const [, status = '200'] = /^\S+ \/(\d{3})\b/.exec(end.head) ?? []
    end.write(`HTTP/1.1 ${status} Said\r\nContent-Length: ${upstream.length}\r\n\r\n${upstream}`)
  }
}

/** What only the upstream of this name does. */
export function only (upstream: string, ...steps: UpstreamStep[]): UpstreamStep {
  return async (end) => {
    if (end.request.upstream !== upstream) return await name()(end)
    end.recorded = false
    for (const step of steps) await step(end)
  }
}
