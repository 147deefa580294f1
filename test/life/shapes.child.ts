// What each socket leaves in the old generation of a process that has registered the plugin.
import Fastify from 'fastify'
import { Socket } from 'node:net'
import { getHeapSpaceStatistics } from 'node:v8'
import wstunnel from '../../lib/index.ts'

/** Bytes. */
function oldSpace (): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? NaN
}

/** With options as Node's server gives them. */
function makeSockets (count: number): void {
  const options = { allowHalfOpen: true, pauseOnCreate: false, readable: true, writable: true, readableHighWaterMark: 65_536, writableHighWaterMark: 65_536 }
  for (let i = 0; i < count; i++) new Socket(options).destroy()
}

const app = Fastify()
app.register(wstunnel, { upstream: 'http://127.0.0.1' })
await app.ready()
makeSockets(1000)
globalThis.gc?.()
const before = oldSpace()
makeSockets(1000)
process.send?.((oldSpace() - before) / 1000)
process.disconnect?.()
