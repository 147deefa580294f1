// What a tunnel reads is not to cost new pages all the time. On Node 20 glibc gave its own back to the system at each scavenge.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { openTunnel } from '../fixtures/tunnel.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'
import { ProxyProcess } from './child.ts'

const mebibytes = 256
/** For a mebibyte, which has 256 pages. */
const most = 32

test('the memory of what was read is there for the next read', { timeout: 60_000 }, async (t) => {
  const proxy = new ProxyProcess()
  t.after(async () => await proxy.stop())
  const upstream = await startRawUpstream(t)
  await proxy.start({ options: { upstream: upstream.url } })
  const tunnel = await openTunnel(t, proxy, upstream)
  tunnel.upstream.socket.removeAllListeners('data').resume()
  const chunk = Buffer.alloc(65_536)
  const flood = async (): Promise<void> => {
    const { socket } = tunnel.client
    const until = tunnel.upstream.socket.bytesRead + mebibytes * 2 ** 20
    for (let i = 0; i < mebibytes * 16; i++) if (!socket.write(chunk)) await once(socket, 'drain')
    while (tunnel.upstream.socket.bytesRead < until) await once(tunnel.upstream.socket, 'data')
  }
  await flood()
  const rounds: number[] = []
  for (let round = 0; round < 4; round++) {
    const before = await proxy.faults()
    await flood()
    rounds.push((await proxy.faults() - before) / mebibytes)
  }
  const told = `${rounds.map(Math.round).join(', ')} for each mebibyte`
  // With the 128 KiB of glibc's own some rounds have 200 and some none, with 62 MiB none has more than a few.
  assert.ok((rounds.toSorted((a, b) => a - b)[2] as number) < most, told)
})
