// What each socket leaves in the old generation of a process that has registered the plugin.
import Fastify from 'fastify'
import { Socket } from 'node:net'
import { getHeapSpaceStatistics } from 'node:v8'
import wstunnel from '../../lib/index.ts'

/** So many that what compilers leave behind meanwhile is little of it. */
const count = 4000

function oldSpace (): number {
  const space = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')
  if (space === undefined) throw new Error('this V8 has no old space')
  return space.space_used_size
}

const sockets: Socket[] = []

/** With options as Node's server gives them. They have no handle: there is nothing to be released. */
function makeSockets (): void {
  const options = { allowHalfOpen: true, pauseOnCreate: false, readable: true, writable: true, readableHighWaterMark: 65_536, writableHighWaterMark: 65_536 }
  for (let i = 0; i < count; i++) sockets[i % 8] = new Socket(options)
}

const app = Fastify()
app.register(wstunnel, { upstream: 'http://127.0.0.1' })
await app.ready()
makeSockets()
const rounds: number[] = []
for (let i = 0; i < 5; i++) {
  globalThis.gc?.()
  const before = oldSpace()
  makeSockets()
  rounds.push((oldSpace() - before) / count)
}
process.send?.(rounds, () => process.disconnect())
