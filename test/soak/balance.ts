// Tunnels over five upstream processes, while one is killed, one is drained, one is added and one goes down and up again.
// Prints figures and the seed; ends with 1 where anything is wrong.
//
//   npm run balance                                    1,000 tunnels
//   npm run balance -- --tunnels 200 --seed 42         fewer, repeated
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import Fastify from 'fastify'
import { WebSocket } from 'ws'
import wstunnel from '../../lib/index.ts'
import { deferred, event, within } from '../fixtures/wait.ts'
import { randomFrom, settles } from '../life/world.ts'

const patience = 60_000
/** Clients that dial at the same time. */
const dialling = 50

class Member {
  readonly name: string
  readonly process: ChildProcess
  url = ''

  constructor (name: string) {
    this.name = name
    this.process = fork(fileURLToPath(new URL('member.ts', import.meta.url)), [name], { execArgv: ['--import', 'tsx'] })
  }

  async started (): Promise<this> {
    const [port] = await event(this.process, 'message', patience)
    this.url = `ws://127.0.0.1:${port as number}/`
    return this
  }

  async order (what: 'down' | 'up'): Promise<void> {
    const done = event(this.process, 'message', patience)
    this.process.send(what)
    await done
  }
}

/** A client that wants one tunnel, and opens another where it loses it. */
class Client {
  socket: WebSocket | undefined
  member = ''
  /** Close codes of the tunnels that it lost. */
  readonly lost: Array<{ member: string, code: number }> = []
  opened = 0
  refused = 0
  echoes = 0
  /** Milliseconds from losing a tunnel to having another. */
  slowest = 0
  leaving = false
  readonly #url: string

  constructor (url: string) {
    this.#url = url
  }

  async open (): Promise<void> {
    const startedAt = performance.now()
    while (!await this.#dial() && !this.leaving) {
      this.refused++
      assert.ok(performance.now() - startedAt < patience, 'a client waited a minute for a tunnel')
      await pause(50)
    }
    if (this.lost.length > 0) this.slowest = Math.max(this.slowest, performance.now() - startedAt)
  }

  #dial (): Promise<boolean> {
    const socket = new WebSocket(this.#url, { perMessageDeflate: false })
    let member = ''
    socket.on('upgrade', (response: IncomingMessage) => { member = String(response.headers['x-member']) })
    return new Promise((resolve) => {
      socket.on('error', () => resolve(false))
      socket.once('open', () => {
        this.opened++
        this.member = member
        this.socket = socket
        socket.once('close', (code) => {
          this.lost.push({ member, code })
          this.socket = undefined
          if (!this.leaving) void this.open()
        })
        resolve(true)
      })
    })
  }

  /** One message there and back; false where the tunnel was lost meanwhile. */
  async echo (): Promise<boolean> {
    const { socket } = this
    if (socket === undefined) return false
    const sent = randomBytes(64)
    const came = deferred<boolean>()
    const onClose = (): void => came.resolve(false)
    socket.once('close', onClose)
    socket.once('message', (data) => came.resolve(sent.equals(data as Buffer)))
    socket.send(sent)
    const same = await within(came.promise, 'an echo', patience)
    socket.off('close', onClose)
    if (same) this.echoes++
    return same
  }
}

/** @returns the figures, for who wants to print them */
export async function balance (tunnels: number, seed: number, retry = 5000): Promise<Record<string, unknown>> {
  const random = randomFrom(seed)
  const all = await Promise.all(['killed', 'drained', 'steady', 'flapping', 'calm', 'added'].map((name) => new Member(name).started()))
  const [killed, drained, , flapping, , added] = all as [Member, Member, Member, Member, Member, Member]
  const app = Fastify()
  try {
    app.register(wstunnel, {
      balancers: { app: { retry, random, members: all.filter((member) => member !== added).map(({ url }) => ({ url })) } },
      upstream: 'balancer://app/',
      drainTimeout: '2s'
    })
    await app.listen({ port: 0, host: '127.0.0.1', backlog: 2048 })
    const control = app.wstunnel.balancer('app')
    const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/`
    const clients = Array.from({ length: tunnels }, () => new Client(url))
    for (let at = 0; at < tunnels; at += dialling) await Promise.all(clients.slice(at, at + dialling).map((client) => client.open()))
    const shares = control.members().map((member) => member.tunnels)
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `unequal shares: ${shares.join()}`)

    const healthy = clients.filter(({ member }) => member === 'steady' || member === 'calm')
    const untouched = async (when: string): Promise<void> => {
      const echoed = await Promise.all(healthy.map((client) => client.echo()))
      const touched = healthy.filter(({ lost }, i) => lost.length > 0 || echoed[i] !== true)
      assert.equal(touched.length, 0, `${when}: ${touched.length} tunnels on healthy members were touched`)
    }
    await untouched('before')
    const echoing = { rounds: 0, over: false }
    const during = (async () => {
      while (!echoing.over) {
        await untouched('during')
        echoing.rounds++
        await pause(50) // the others are to have their turn on a busy machine
      }
    })()

    const flaps = (async () => {
      for (let i = 0; i < 3; i++) {
        await flapping.order('down')
        await pause(200 + 300 * random())
        await flapping.order('up')
        await pause(200 + 300 * random())
      }
    })()
    killed.process.kill('SIGKILL')
    control.add({ url: added.url })
    await control.drain(drained.url, { closeTunnels: 1500 })
    await flaps
    echoing.over = true
    await during
    await settles(
      () => clients.every(({ socket }) => socket !== undefined),
      () => `${clients.filter(({ socket }) => socket === undefined).length} clients to have a tunnel again`,
      patience
    )
    assert.ok((await Promise.all(clients.map((client) => client.echo()))).every(Boolean), 'a tunnel does not echo')
    await untouched('after')

    const sum = (count: (client: Client) => number): number => clients.reduce((total, client) => total + count(client), 0)
    const lostAt = (name: string): number[] => clients.flatMap(({ lost }) => lost.filter(({ member }) => member === name).map(({ code }) => code))
    const slowest = Math.max(...clients.map((client) => client.slowest))
    assert.ok(slowest < retry, `a client waited ${slowest} ms for another tunnel, and retry is ${retry} ms`)
    const told = lostAt('drained')
    assert.equal(told.filter((code) => code === 1001).length, told.length, 'a drained tunnel was not told why')
    assert.ok(lostAt('killed').length >= Math.floor(tunnels / 5) && told.length >= Math.floor(tunnels / 5))
    assert.ok(clients.some(({ member }) => member === 'added'), 'nobody went to the member that was added')
    assert.ok(clients.every(({ member }) => member !== 'drained' && member !== 'killed'))

    const addUp = (open: number): void => {
      const { tunnels: total, routes: [route], balancers: [metrics] } = app.wstunnel.metrics()
      const closed = Object.values(total.closed).reduce((a, b) => a + b, 0)
      assert.deepEqual([total.open, total.opened, closed], [open, sum((client) => client.opened), sum((client) => client.lost.length)])
      assert.equal(total.opened, closed + total.open)
      const list = metrics?.members ?? []
      assert.equal(list.reduce((a, { tunnels: own }) => a + own, 0), open)
      assert.equal(list.reduce((a, { busy }) => a + busy, 0), open)
      for (const member of list) {
        const own = route?.upstreams.find(({ upstream }) => upstream === member.url)?.tunnels
        const { length } = clients.filter((client) => client.member === all.find(({ url: its }) => its === member.url)?.name && client.socket !== undefined)
        assert.deepEqual([member.tunnels, own?.open], [length, length], member.url)
        assert.ok(member.elected >= (own?.opened ?? 0) && member.elected <= (own?.opened ?? 0) + member.failures, `${member.url}: elected ${member.elected}`)
      }
    }
    addUp(tunnels)
    const lost = { killed: lostAt('killed').length, drained: told.length, flapping: lostAt('flapping').length }
    const elected = Object.fromEntries(control.members().map(({ url, elected, failures, tunnels }) =>
      [all.find((each) => each.url === url)?.name, `${elected} elected, ${failures} failed, ${tunnels} live`]))
    for (const client of clients) {
      client.leaving = true
      client.socket?.close()
    }
    await settles(
      () => app.wstunnel.metrics().tunnels.open === 0 && clients.every(({ socket }) => socket === undefined),
      () => 'all tunnels to close',
      patience
    )
    addUp(0)
    return {
      tunnels,
      opened: sum((client) => client.opened),
      refused: sum((client) => client.refused),
      echoes: sum((client) => client.echoes),
      rounds: echoing.rounds,
      lost,
      slowest: `${Math.round(slowest)} ms`,
      ...elected
    }
  } finally {
    await app.close()
    for (const member of all) member.process.kill('SIGKILL')
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { tunnels: { type: 'string', default: '1000' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } } })
  console.log(`balance on ${process.version}: --tunnels ${values.tunnels} --seed ${values.seed}`)
  try {
    console.log(await balance(Number(values.tunnels), Number(values.seed)))
    console.log('balance: all well')
  } catch (error) {
    console.error(error)
    process.exit(1) // whatever is still open
  }
}
