// A proxy in a process of its own that has few descriptors left once it has begun.
import { closeSync, openSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { devNull } from 'node:os'
import Fastify from 'fastify'
import wstunnel from '../../lib/index.ts'

const [left = '', ...members] = process.argv.slice(2)
const app = Fastify()
app.register(wstunnel, {
  routes: [{ path: '/app/', upstream: 'balancer://app/' }, { path: '/checked/', upstream: 'balancer://checked/' }],
  balancers: {
    app: { members: members.map((url) => ({ url })), retry: '1h' },
    checked: { members: members.map((url) => ({ url })), retry: '1h', healthCheck: { interval: '20ms' } }
  }
})
await app.listen({ port: 0, host: '127.0.0.1' })
const taken: number[] = []
try {
  for (;;) taken.push(openSync(devNull, 'r'))
} catch {
  for (const descriptor of taken.splice(-Number(left))) closeSync(descriptor)
}
process.on('message', (what) => {
  if (what === 'connections') {
    app.server.getConnections((_, count) => process.send?.(count))
    return
  }
  process.send?.(['app', 'checked'].map((name) => app.wstunnel.balancer(name).members().map(({ state, failures }) => `${state} ${failures}`)))
})
process.on('disconnect', () => process.exit())
process.send?.((app.server.address() as AddressInfo).port)
