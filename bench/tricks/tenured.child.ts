// A proxy in a process of its own, whose old generation can be looked at.
import type { AddressInfo } from 'node:net'
import { getHeapSpaceStatistics } from 'node:v8'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'

const minor = (): void => { (globalThis.gc as unknown as (options: { type: 'minor' }) => void)({ type: 'minor' }) }

/** Bytes. */
function oldSpace (): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? NaN
}

const app = Fastify()
app.register(wstunnel, { upstream: process.argv[2] as string })
await app.listen({ port: 0, host: '127.0.0.1' })
process.on('message', (what: 'collect' | 'scavenge') => {
  if (what === 'collect') globalThis.gc?.()
  minor()
  process.send?.(oldSpace())
})
process.on('disconnect', () => process.exit())
process.send?.((app.server.address() as AddressInfo).port)
