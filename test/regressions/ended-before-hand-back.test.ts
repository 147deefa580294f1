// A connection whose FIN came while an upgrade waited for its hooks was given back to Node, which then waited for that FIN.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawClient, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { event } from '../fixtures/wait.ts'
import { Gate } from './gate.ts'

for (const [over, https] of [['TCP', undefined], ['TLS', selfSigned()]] as const) {
  test(`a client over ${over} that has ended when its upgrade is refused is answered, and its connection closed`, async (t) => {
    const gate = new Gate<Parameters<typeof event>[0]>()
    const proxy = await startProxy(t, {
      upstream: 'ws://127.0.0.1:1/',
      preHandler: async ({ raw }, reply) => {
        await gate.pass(raw.socket)
        return reply.code(401).send()
      }
    }, https === undefined ? {} : { fastify: { https } })
    const client = await rawClient(t, proxy.port, https === undefined ? {} : { tls: { rejectUnauthorized: false } })
    client.write(upgradeHead('/'))
    const socket = await gate.reached
    client.end()
    await event(socket, 'end')
    gate.open()
    assert.equal((await client.response()).status, 401)
    await client.closed
  })
}
