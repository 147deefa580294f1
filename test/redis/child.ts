// An instance of its own: argv is the upstream, the port of Redis, the ttl. Prints its port.
import Fastify from 'fastify'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import wstunnel from '../../lib/index.ts'
import { redisLeases } from '../../lib/redis/index.ts'

const [upstream = '', redisPort = '', ttl = ''] = process.argv.slice(2)
const app = Fastify()
app.register(wstunnel, { upstream, limits: { maxTunnelsPerClient: 3, store: redisLeases(new Redis(Number(redisPort)), { ttl: Number(ttl) }) } })
await app.listen({ port: 0, host: '127.0.0.1' })
console.log((app.server.address() as AddressInfo).port)
