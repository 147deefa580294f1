// A response without a length ended with the close of an HTTP/1.0 client's connection, which did not say so if a hook or a 426 had set `Connection`; and
// a close with unread bytes of the request could reset it.

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { rawClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import { startHttpUpstream } from '../fixtures/upstream.ts'
import { within } from '../fixtures/wait.ts'

const get = 'GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n'

test('a streamed 426 says close beside Upgrade', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => {
    response.writeHead(426, { Upgrade: 'websocket', Connection: 'upgrade' })
    response.end('without a length')
  })
  const proxy = await startProxy(t, { upstream: upstream.url.replace('http', 'ws') })
  const client = await rawClient(t, proxy.port)
  client.write(get)
  await within(client.ended, 'the end')
  const text = String(client.received)
  assert.match(text, /^HTTP\/1\.1 426/)
  assert.match(text, /\r\nconnection: Upgrade, close\r\n/i)
  assert.ok(text.endsWith('without a length'))
})

for (const [name, hook] of Object.entries({
  'a field of a hook': async (_: FastifyRequest, reply: FastifyReply) => { reply.header('connection', 'keep-alive') },
  'a stream of a hook': async (_: FastifyRequest, reply: FastifyReply) => await reply.header('connection', 'x').send(Readable.from(['own']))
})) {
  test(`${name} does not hide that the connection closes`, async (t) => {
    const upstream = await startHttpUpstream(t, (_, response) => {
      response.write('streamed')
      setImmediate(() => response.end())
    })
    const proxy = await startProxy(t, { upstream: upstream.url, preHandler: hook })
    const client = await rawClient(t, proxy.port)
    client.write(get)
    await within(client.ended, 'the end')
    assert.match(String(client.received), /\r\nconnection: (?:.*, )?close\r\n/i)
  })
}

test('a response with a length keeps the connection', async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => response.end('whole'))
  const proxy = await startProxy(t, { upstream: upstream.url })
  const client = await rawClient(t, proxy.port)
  for (let i = 0; i < 2; i++) {
    client.write(get)
    const response = await client.response()
    assert.equal(String(response.body), 'whole')
    assert.match(String(response.headers['connection']), /keep-alive/i)
  }
})
