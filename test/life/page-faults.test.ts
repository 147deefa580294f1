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

const elsewhere = process.platform === 'linux' ? false : 'glibc is meant'

test('the memory of what was read is there for the next read', { timeout: 60_000, skip: elsewhere }, async (t) => {
  for (const name of Object.keys(process.env)) if (name.startsWith('MALLOC_') || name === 'GLIBC_TUNABLES') delete process.env[name] // glibc would learn nothing
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
  // With the 128 KiB of glibc's own most rounds have 150 to 250, with 62 MiB none has more than a few.
  assert.ok((rounds.toSorted((a, b) => a - b)[2] as number) < most, told)
})
