// A peer that does not read while the other floods: the proxy, in a process of its own, keeps next to nothing of it, and
// every byte arrives when the peer reads again. `npm run soak -- --only flood` does it with 1 GiB.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { cleanup } from '../fixtures/cleanup.ts'
import { upgradeHead } from '../fixtures/client.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { switching } from '../fixtures/upstream.ts'
import { deferred, event, within } from '../fixtures/wait.ts'
import type { Deferred } from '../fixtures/wait.ts'
import { ProxyProcess } from './child.ts'
import { headOn } from './world.ts'

const mib = 1024 * 1024
const size = Number(process.env.FLOOD_MIB ?? 32) * mib
const bound = 4 * mib
const count = 16

interface Ends {
  client: Socket
  upstream: Socket
}

async function begin (t: TestContext, secure: boolean): Promise<{ proxy: ProxyProcess, open: () => Promise<Ends> }> {
  const credentials = selfSigned()
  const arrivals: Array<Deferred<Socket>> = []
  const accept = (socket: Socket): void => {
    cleanup(t, 'connections', () => socket.destroy())
    socket.on('error', () => {})
    arrivals.shift()?.resolve(socket)
  }
  const server = secure ? createTlsServer({ ...credentials, allowHalfOpen: true }, accept) : createServer({ allowHalfOpen: true }, accept)
  server.listen(0, '127.0.0.1')
  await event(server, 'listening')
  cleanup(t, 'servers', () => { server.close() })
  const { port } = server.address() as AddressInfo
  const proxy = new ProxyProcess()
  cleanup(t, 'proxies', () => proxy.stop())
  await proxy.start({
    options: { upstream: `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}/`, tls: secure ? { ca: credentials.cert } : {}, stallTimeout: 0 },
    ...(secure ? { https: credentials } : {})
  })
  const open = async (): Promise<Ends> => {
    const client = secure
      ? connectTls({ port: proxy.port, host: '127.0.0.1', ca: credentials.cert, servername: 'localhost' })
      : connect({ port: proxy.port, host: '127.0.0.1' })
    cleanup(t, 'connections', () => client.destroy())
    await event(client, secure ? 'secureConnect' : 'connect')
    client.on('error', () => {})
    const arrival = deferred<Socket>()
    arrivals.push(arrival)
    client.write(upgradeHead('/'))
    const upstream = await within(arrival.promise, 'a connection at the upstream')
    upstream.write(switching(await headOn(upstream)))
    assert.match(await headOn(client), / 101 /)
    return { client, upstream }
  }
  return { proxy, open }
}

/** Writes as fast as it may. Calls back when the peer has stopped it, once. */
async function flood (proxy: ProxyProcess, socket: Socket, total: number, onStuck: () => Promise<void>): Promise<string> {
  const hash = createHash('sha1')
  const block = randomBytes(256 * 1024)
  let asked = false
  for (let sent = 0; sent < total; sent += block.length) {
    block.writeUInt32LE(sent / block.length)
    const piece = Buffer.from(block)
    hash.update(piece)
    if (socket.write(piece)) continue
    const drained = new Promise((resolve) => socket.once('drain', resolve))
    if (!asked && await proxy.isStill(drained)) {
      asked = true
      await onStuck()
    }
    await drained
  }
  return hash.digest('hex')
}

/** Writes until nothing moves any more. */
async function fill (proxy: ProxyProcess, socket: Socket): Promise<void> {
  const piece = Buffer.alloc(256 * 1024)
  let stuck = false
  while (!stuck) {
    while (socket.write(piece));
    const drained = new Promise((resolve) => socket.once('drain', resolve))
    stuck = await proxy.isStill(drained)
  }
}

async function digest (socket: Socket, total: number): Promise<string> {
  const hash = createHash('sha1')
  const all = deferred<string>()
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    received += chunk.length
    if (received >= total) all.resolve(hash.digest('hex'))
  })
  socket.once('close', () => all.reject(new Error(`closed after ${received} of ${total} bytes`)))
  socket.resume()
  return within(all.promise, () => `${total} bytes, ${received} so far`, 300_000)
}

for (const secure of [false, true]) {
  for (const deaf of ['client', 'upstream'] as const) {
    test(`a ${deaf} that does not read costs less than 4 MiB over ${secure ? 'TLS' : 'TCP'}, and gets every byte`, { timeout: 300_000 }, async (t) => {
      const { proxy, open } = await begin(t, secure)
      const role = ({ client, upstream }: Ends): [silent: Socket, flooder: Socket] => deaf === 'client' ? [client, upstream] : [upstream, client]
      const several = async (number: number): Promise<Array<[Socket, Socket]>> => {
        const list: Array<[Socket, Socket]> = []
        while (list.length < number) list.push(role(await open()))
        return list
      }
      const [warmTo, warmFrom] = role(await open())
      await Promise.all([digest(warmTo, 32 * mib), flood(proxy, warmFrom, 32 * mib, async () => {})])
      const warm = [[warmTo, warmFrom], ...await several(count)] as const
      for (const [to] of warm) to.pause()
      await Promise.all(warm.map(([, from]) => fill(proxy, from)))
      for (const [to, from] of warm) for (const socket of [to, from]) socket.destroy()
      const before = await proxy.memory()
      const [silent, flooder] = role(await open())
      silent.pause()
      // More of the kind, so that what the process takes once does not count as what a tunnel takes.
      const others = await several(count - 1)
      await Promise.all(others.map(([, from]) => fill(proxy, from)))
      let received: Promise<string> | undefined
      const sent = await flood(proxy, flooder, size, async () => {
        const now = await proxy.memory()
        const used = now.used - before.used
        const rss = now.rss - before.rss
        t.diagnostic(`${count} stopped: ${(used / mib).toFixed(2)} MiB used, ${(rss / mib).toFixed(2)} MiB RSS more than before, for all of them`)
        for (const [to, from] of others) for (const socket of [to, from]) socket.destroy()
        assert.ok(used < count * mib, `${used} bytes kept`)
        assert.ok(rss < count * bound, `${rss} bytes of RSS more`)
        received = digest(silent, size)
      })
      assert.notEqual(received, undefined, 'the flood was never stopped')
      assert.equal(await received, sent)
      const after = await proxy.memory()
      const used = after.used - before.used
      t.diagnostic(`${size / mib} MiB arrived: ${(used / mib).toFixed(2)} MiB used, ${((after.rss - before.rss) / mib).toFixed(2)} MiB RSS more than before`)
      assert.ok(used < bound, `${used} bytes kept`)
    })
  }
}
