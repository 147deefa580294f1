// What an idle tunnel costs with `async: true` (its request is released) against `async: false`.
//
//   npm run bench:suspension              2,000 tunnels
//   npm run bench:suspension -- 5000
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { upgradeHead } from '../test/fixtures/client.ts'
import { switching } from '../test/fixtures/upstream.ts'
import { event } from '../test/fixtures/wait.ts'
import { ProxyProcess } from '../test/life/child.ts'
import { headOn } from '../test/life/world.ts'

const count = Number(process.argv[2] ?? 2000)
const warmUp = 200

const sockets: Socket[] = []
const upstream = createServer((socket) => {
  sockets.push(socket)
  socket.on('error', () => {})
  headOn(socket).then((head) => socket.write(switching(head)), () => socket.destroy())
})
upstream.listen(0, '127.0.0.1', 1024)
await event(upstream, 'listening')
const url = `ws://127.0.0.1:${(upstream.address() as AddressInfo).port}/`

async function measure (async: boolean): Promise<{ heap: number, rss: number }> {
  const proxy = new ProxyProcess()
  await proxy.start({ options: { upstream: url, async } })
  const open = async (): Promise<void> => {
    const socket = connect(proxy.port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => {})
    socket.write(upgradeHead('/'))
    if (!(await headOn(socket)).startsWith('HTTP/1.1 101')) throw new Error('no tunnel')
  }
  const openMany = async (tunnels: number): Promise<void> => {
    for (let i = 0; i < tunnels; i += 20) await Promise.all(Array.from({ length: Math.min(20, tunnels - i) }, open))
  }
  await openMany(warmUp)
  const before = await proxy.memory()
  await openMany(count)
  const after = await proxy.memory()
  await proxy.stop()
  for (const socket of sockets.splice(0)) socket.destroy()
  return { heap: (after.heap - before.heap) / count, rss: (after.rss - before.rss) / count }
}

function kib (bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`
}

const kept = await measure(false)
const released = await measure(true)
upstream.close()
console.log(`${process.version}, ${count} idle tunnels after ${warmUp} for warming up, per tunnel:`)
console.log(`  async: false  heap ${kib(kept.heap)}  RSS ${kib(kept.rss)}`)
console.log(`  async: true   heap ${kib(released.heap)}  RSS ${kib(released.rss)}`)
console.log(`  released      heap ${kib(kept.heap - released.heap)}  RSS ${kib(kept.rss - released.rss)}`)
