// On a server that listens on a unix socket no request has an address: upgrades were 500, and so was all with `Forwarded`.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { cleanup } from '../fixtures/cleanup.ts'
import { requestHead, upgradeHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { RawConnection } from '../fixtures/raw.ts'
import { recordTunnels, roundTrip } from '../fixtures/tunnel.ts'
import { headersOf, startRawUpstream, switching } from '../fixtures/upstream.ts'
import type { RawUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

const skip = process.platform === 'win32'

async function start (t: TestContext, upstream: RawUpstream, options: Partial<ProxyOptions>): Promise<() => Promise<RawConnection>> {
  const folder = await mkdtemp(join(tmpdir(), 'wstunnel-'))
  cleanup(t, 'servers', () => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'front')
  await startProxy(t, { upstream: `${upstream.url}/`, ...options }, { listen: { path } })
  return async () => {
    const socket = connect({ path, allowHalfOpen: true })
    cleanup(t, 'connections', () => socket.destroy())
    await event(socket, 'connect')
    return new RawConnection(socket)
  }
}

for (const forwarded of ['x-forwarded', 'forwarded', 'both', false] as const) {
  test(`on a unix socket, an upgrade and a forward go through with forwarded: ${forwarded}`, { skip }, async (t) => {
    const upstream = await startRawUpstream(t)
    const record = recordTunnels()
    const dial = await start(t, upstream, { forwarded, limits: { maxTunnelsPerClient: 5 }, ...record.hooks })
    const dialled = async (head: string): Promise<{ client: RawConnection, connection: RawConnection, seen: string }> => {
      const client = await dial()
      client.write(head)
      const connection = await within(upstream.next(), 'a connection at the upstream', 2000)
      const seen = await connection.head()
      assert.deepEqual(headersOf(seen, 'x-forwarded-for'), [])
      const fields = headersOf(seen, 'forwarded')
      assert.equal(fields.length, forwarded === 'forwarded' || forwarded === 'both' ? 1 : 0)
      for (const field of fields) assert.match(field, /^for=unknown;/)
      return { client, connection, seen }
    }

    const { client, connection, seen } = await dialled(upgradeHead('/x'))
    connection.write(switching(seen))
    assert.equal((await client.response()).status, 101)
    await roundTrip({ client, upstream: connection })
    assert.deepEqual(record.opened.map((tunnel) => typeof tunnel.client), ['string'])

    const plain = await dialled(requestHead('GET', '/x'))
    plain.connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    assert.equal((await plain.client.response()).status, 200)
  })
}
