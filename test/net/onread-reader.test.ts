import assert from 'node:assert/strict'
import { createServer, Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { type Address, parseAddress } from '../../lib/config/upstream-url.ts'
import { monotonicNow } from '../../lib/net/clock.ts'
import { onReadReaderOf } from '../../lib/net/onread-reader.ts'
import { Tunnel } from '../../lib/tunnel/tunnel.ts'
import { dial } from '../../lib/upstream/connect.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { event, until, within } from '../fixtures/wait.ts'

// What a dialled socket has read lies in memory that is read into again: whoever still needs it must have it to himself.

const noTimers = { idle: 0, halfClose: 0, lifetime: 0, stall: 0 }

/** Takes what is written to it, but has written none of it before it is let go: a socket whose kernel buffer is full. */
class FullSocket extends Socket {
  readonly written: Buffer[] = []
  readonly #held: Array<() => void> = []

  constructor () {
    super({ highWaterMark: 1024 * 1024 } as object)
  }

  override _write (chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this._writev([{ chunk }], callback)
  }

  override _writev (pieces: ReadonlyArray<{ chunk: Buffer }>, callback: () => void): void {
    this.#held.push(() => {
      for (const { chunk } of pieces) this.written.push(Buffer.from(chunk))
      callback()
    })
  }

  letGo (): void {
    for (let next = this.#held.shift(); next !== undefined; next = this.#held.shift()) next()
  }
}

interface Leg { tunnel: Tunnel, client: FullSocket, far: Socket }

/** A tunnel from a client that takes nothing yet to an upstream that was dialled as for a tunnel. */
async function leg (t: TestContext): Promise<Leg> {
  const server = createServer()
  cleanup(t, 'servers', () => server.close())
  server.listen(0, '127.0.0.1')
  await event(server, 'listening')
  const accepted = event<[Socket]>(server, 'connection')
  const address = parseAddress(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`) as Address
  const upstream = await new Promise<Socket>((resolve, reject) => {
    dial({ address, tls: {}, connectTimeout: 5000, keepAlive: 0 }, (error, dialled) => {
      if (dialled !== null) resolve(dialled.transport)
      else reject(new Error('not dialled', { cause: error }))
    }, true)
  })
  const [far] = await within(accepted, 'the upstream to be dialled')
  const client = new FullSocket()
  cleanup(t, 'connections', () => {
    client.destroy()
    upstream.destroy()
    far.destroy()
  })
  assert.notEqual(onReadReaderOf(upstream), undefined)
  const tunnel = new Tunnel({ client, upstream }, noTimers, { tunnelEnded () {} }, monotonicNow())
  tunnel.start(undefined, undefined)
  return { tunnel, client, far }
}

/** Sends a piece and waits until the tunnel has read it. */
async function pass ({ tunnel, far }: Leg, piece: Buffer): Promise<void> {
  const awaited = tunnel.upstream.bytes + piece.length
  far.write(piece)
  await until(() => tunnel.upstream.bytes === awaited, 'the piece to be read')
}

test('what a client has not taken yet is not overwritten by what comes after it', async (t) => {
  const only = await leg(t)
  const pieces = [...'abcdef'].map((letter) => Buffer.alloc(30_000, letter))
  for (const piece of pieces) await pass(only, piece)
  only.client.letGo()
  assert.ok(Buffer.concat(only.client.written).equals(Buffer.concat(pieces)))
})

test('nor is it by what another connection reads', async (t) => {
  const one = await leg(t)
  const other = await leg(t)
  await pass(one, Buffer.from('of one'))
  await pass(other, Buffer.from('of the other'))
  one.client.letGo()
  other.client.letGo()
  assert.equal(String(Buffer.concat(one.client.written)), 'of one')
  assert.equal(String(Buffer.concat(other.client.written)), 'of the other')
})

test('memory that nobody needs any more is read into again', async (t) => {
  const only = await leg(t)
  const upstream = only.tunnel.upstream.stream as Socket
  const onReadReader = onReadReaderOf(upstream)
  assert.ok(onReadReader !== undefined)
  const seen = new Set<ArrayBufferLike>()
  let bytes = 0
  onReadReader.reader = {
    take (chunk) {
      seen.add(chunk.buffer)
      bytes += chunk.length
      return false
    }
  }
  for (let i = 1; i <= 10; i++) {
    only.far.write(Buffer.alloc(40_000))
    await until(() => bytes === i * 40_000, 'the bytes to be read')
  }
  // The first lay in the shared memory and was copied; a piece may come in two reads.
  assert.ok(seen.size < 10, `${seen.size} buffers for 10 reads`)
})
