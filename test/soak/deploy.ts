// A rolling restart: two proxies before one chat server, replaced one after the other, while clients chat and reconnect.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { event, until } from '../fixtures/wait.ts'
import { ProxyProcess } from '../life/child.ts'
import { randomFrom } from '../life/world.ts'

interface Figures {
  sent: number
  /** At the chat server. */
  arrived: number
  echoed: number
  sessions: number
  /** Sessions by the code that the client saw. */
  codes: Record<string, number>
  /** Attempts that found no server, or one that drains. */
  retried: number
  /** Sessions of a fixed number of messages that came to their end, and those that were told to go before it. */
  finished: number
  interrupted: number
  lost: number
}

/** Throws where a message did not arrive at the server, one was not echoed to a client that was not told to go, or a session ended unasked. */
export async function deploy (clients: number, seed: number): Promise<void> {
  const random = randomFrom(seed)
  const figures: Figures = { sent: 0, arrived: 0, echoed: 0, sessions: 0, codes: {}, retried: 0, finished: 0, interrupted: 0, lost: 0 }
  const server = createServer()
  const chat = new WebSocketServer({ server })
  chat.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => {
      figures.arrived++
      socket.send(data, { binary: isBinary })
    })
  })
  server.listen(0, '127.0.0.1')
  await event(server, 'listening')
  const options = { upstream: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`, drainTimeout: '8s' as const }
  const proxies: ProxyProcess[] = []
  const spawn = async (): Promise<ProxyProcess> => {
    const proxy = new ProxyProcess()
    proxies.push(proxy)
    await proxy.start({ options })
    return proxy
  }
  const balanced = [await spawn(), await spawn()]
  const state = { over: false }

  /** One session of up to 20 messages, each sent when the one before it has come back. False: there was none. */
  const session = async (name: number): Promise<boolean> => {
    const proxy = balanced[Math.floor(random() * balanced.length)] as ProxyProcess
    const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/`)
    const opened = await new Promise<boolean>((resolve) => {
      socket.once('open', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.on('error', () => {})
    if (!opened) return false
    figures.sessions++
    const planned = 1 + Math.floor(random() * 20)
    let count = 0
    let waiting = ''
    const speak = (): void => {
      if (socket.readyState !== WebSocket.OPEN) return
      if (count === planned) return socket.close(1000)
      waiting = `${name} says ${count++}`
      figures.sent++
      socket.send(waiting)
    }
    socket.on('message', (data) => {
      if (String(data) !== waiting) throw new Error(`another message than ${waiting}`)
      waiting = ''
      figures.echoed++
      setTimeout(speak, 100 + random() * 400)
    })
    speak()
    const [code] = await new Promise<[number]>((resolve) => socket.once('close', (...args) => resolve([args[0]])))
    figures.codes[code] = (figures.codes[code] ?? 0) + 1
    if (code === 1000 && count === planned) figures.finished++
    else figures.interrupted++
    // Nothing may follow a Close (RFC 6455, 5.5.1): an answer that comes after the 1001 is the one thing that is cut off.
    if (waiting !== '' && code !== 1001) figures.lost++
    return true
  }
  const client = async (name: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, random() * 3 * clients)) // not all at once
    while (!state.over) {
      if (await session(name)) continue
      figures.retried++
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 50))
    }
  }
  try {
    const chatting = Promise.all(Array.from({ length: clients }, (_, name) => client(name)))
    await until(() => figures.sessions >= clients, () => `${clients} sessions, ${figures.sessions} so far`, 60_000)
    const took: number[] = []
    for (const slot of [0, 1]) {
      const old = balanced[slot] as ProxyProcess
      balanced[slot] = await spawn() // listens before the old one goes
      took.push(await old.close())
    }
    state.over = true
    await chatting
    await until(() => figures.arrived === figures.sent, () => `${figures.sent} messages at the server, ${figures.arrived} so far`).catch(() => {})
    const { sent, arrived, echoed, sessions, finished, interrupted, codes, retried, lost } = figures
    console.log(`deploy: ${clients} clients, two processes replaced (close() took ${took.map((ms) => ms.toFixed(0)).join(' and ')} ms): ` +
      `${sessions} sessions, ${finished} finished, ${interrupted} told to go; ${sent} messages, ${arrived} arrived at the server, ${echoed} echoed, ` +
      `${sent - echoed - lost} echoes after a 1001; ${retried} reconnects repeated; codes ${JSON.stringify(codes)}; ` +
      `lost: ${sent - arrived} messages to the server, ${lost} echoes to clients that were not told to go, ${interrupted - (codes['1001'] ?? 0)} sessions`)
    if (arrived !== sent || lost > 0 || interrupted !== (codes['1001'] ?? 0)) throw new Error('a rolling restart lost something')
  } finally {
    state.over = true
    await Promise.all(proxies.map((proxy) => proxy.stop()))
    for (const socket of chat.clients) socket.terminate()
    server.close()
  }
}
