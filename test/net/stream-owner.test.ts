import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ownerOf } from '../../lib/net/stream-owner.ts'
import { type Ending, Tunnel } from '../../lib/tunnel/tunnel.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { event, within } from '../fixtures/wait.ts'

/** Returns both ends of a connection. */
async function pair (t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true })
  cleanup(t, 'servers', () => server.close())
  server.listen(0, '127.0.0.1')
  await event(server, 'listening')
  const accepted = event<[Socket]>(server, 'connection')
  const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  cleanup(t, 'connections', () => far.destroy())
  const [near] = await accepted
  return [near, far]
}

test('a socket has its end of the tunnel for an owner, and none once the tunnel has ended: a closed socket lives on for a while', async (t) => {
  const [client, farClient] = await pair(t)
  const [upstream, farUpstream] = await pair(t)
  let tunnel: Tunnel | undefined
  const ended = new Promise<Ending>((resolve) => {
    tunnel = new Tunnel({ client, upstream }, { idle: 0, halfClose: 0, lifetime: 0, stall: 0 }, { tunnelEnded: resolve }, 0)
    tunnel.start(undefined, undefined)
  })
  assert.equal(ownerOf(client), tunnel?.client)
  assert.equal(ownerOf(upstream), tunnel?.upstream)
  farUpstream.end('whole')
  const [chunk] = await event<[Buffer]>(farClient, 'data')
  assert.equal(String(chunk), 'whole')
  farClient.end()
  farUpstream.resume()
  await within(ended, 'the tunnel to end')
  assert.deepEqual([ownerOf(client), ownerOf(upstream)], [undefined, undefined])
})
