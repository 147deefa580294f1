// close() with thousands of tunnels, with Fastify's own pluginTimeout and the default drainTimeout of ten seconds.
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { upgradeHead } from '../fixtures/client.ts'
import { encodeFrame } from '../fixtures/frames.ts'
import { switching } from '../fixtures/upstream.ts'
import { event } from '../fixtures/wait.ts'
import { ProxyProcess } from '../life/child.ts'
import { headOn } from '../life/world.ts'

const frame = encodeFrame(2, Buffer.alloc(60_000), { masked: true })

/** Throws where it takes longer than a second more than the drain. */
export async function closing (tunnels: number): Promise<void> {
  const sockets: Socket[] = []
  const upstream = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    headOn(socket).then((head) => socket.write(switching(head)), () => socket.destroy()) // and is not read any more
  })
  upstream.listen(0, '127.0.0.1', 4096)
  await event(upstream, 'listening')
  const url = `ws://127.0.0.1:${(upstream.address() as AddressInfo).port}/`
  const proxy = new ProxyProcess()
  try {
    await proxy.start({ options: { upstream: url } })
    const open = async (i: number): Promise<void> => {
      const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
      sockets.push(socket)
      socket.on('error', () => {})
      socket.write(upgradeHead('/'))
      if (!(await headOn(socket)).startsWith('HTTP/1.1 101')) throw new Error('no tunnel')
      if (i % 10 === 0) for (let n = 0; n < 3; n++) socket.write(frame) // to a side that does not read
      if (i % 10 === 1) socket.write(frame.subarray(0, 100)) // a frame that never ends
    }
    for (let i = 0; i < tunnels; i += 50) {
      await Promise.all(Array.from({ length: Math.min(50, tunnels - i) }, (_, n) => open(i + n)))
    }
    const { tunnels: live, rss } = await proxy.memory()
    const took = await proxy.close()
    console.log(`closing: ${live} tunnels (${(rss / 1024 / 1024).toFixed(0)} MiB RSS), all of them with peers that do not read; ` +
      `close() took ${took.toFixed(0)} ms with a drainTimeout of 10000 ms`)
    if (live !== tunnels) throw new Error(`${live} tunnels of ${tunnels}`)
    if (took > 11_000) throw new Error(`close() took ${took} ms`)
  } finally {
    await proxy.stop()
    for (const socket of sockets) socket.destroy()
    upstream.close()
  }
}
