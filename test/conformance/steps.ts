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

/** So many requests, one after the other on one connection. What is compared is who answered each: the first letter of its body, or its status. */
export function sequence (count: number, request: (i: number) => string): ClientStep {
  return async (client) => {
    client.sequence ??= ''
    for (let i = 0; i < count; i++) {
      const before = client.responses.length
      client.write(request(i))
      await client.response('GET')
      const last = client.responses.splice(before).at(-1)
      if (last === undefined) {
        client.sequence += '!'
        return
      }
      client.sequence += last.start.startsWith('200 ') ? last.body.slice(0, 1) : `(${last.start.slice(0, 3)})`
    }
  }
}

/** Answers with its name, and does not write the request down. */
export function name (): UpstreamStep {
  return (end) => {
    end.recorded = false
    end.write(`HTTP/1.1 200 OK\r\nContent-Length: ${end.request.upstream.length}\r\n\r\n${end.request.upstream}`)
  }
}
