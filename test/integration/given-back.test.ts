// What was read and written on is given back at once, where nobody else has it; and nothing of it is lost on the way.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Duplex, type Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import { givesBack } from '../fixtures/memory.ts'
import { startProxy, type ProxySetup } from '../fixtures/proxy.ts'
import { selfSigned } from '../fixtures/tls.ts'
import { openTunnel, roundTrip } from '../fixtures/tunnel.ts'
import { startHttpUpstream, startRawUpstream, switching } from '../fixtures/upstream.ts'
import { event, until } from '../fixtures/wait.ts'

const size = 4 * 1024 * 1024
const large = 16_384

/** Notes every large chunk that comes into a stream, as it comes, without reading it. Of TLS, Node 26 puts 16 KiB into 64 each time. */
function chunksOf (stream: Readable): Buffer[] {
  const chunks: Buffer[] = []
  const { push } = stream
  stream.push = (chunk, ...rest) => {
    if (Buffer.isBuffer(chunk) && chunk.length >= large && chunk.length === chunk.buffer.byteLength) chunks.push(chunk)
    return push.call(stream, chunk, ...rest)
  }
  return chunks
}

/** Two ends of a connection within this process: what is written to one is read at the other, the same Buffer. */
function pair (): [Duplex, Duplex] {
  const ends: Duplex[] = []
  for (const other of [1, 0]) {
    ends.push(new Duplex({
      read () {},
      write (chunk, _, callback) {
        ends[other]?.push(chunk)
        callback()
      },
      final (callback) {
        ends[other]?.push(null)
        callback()
      }
    }))
  }
  return ends as [Duplex, Duplex]
}

const isAway = (chunk: Buffer): boolean => chunk.length === 0

/** Those of which the kernel took a part only may be left to the collector. */
async function assertFate (chunks: Buffer[], given: boolean, least: number = 1): Promise<void> {
  assert.ok(chunks.length >= least, 'no large chunk was read')
  const away = (): number => chunks.filter(isAway).length
  if (given) await until(() => away() >= chunks.length / 2, () => `${away()} of ${chunks.length} chunks to be given back`)
  else assert.ok(!chunks.some(isAway), 'a chunk was taken away')
}

for (const secure of [false, true]) {
  describe(`a tunnel${secure ? ' over TLS' : ''}`, () => {
    const fastify = secure ? { https: selfSigned() } : {}

    test('gives back what the client has sent', async (t) => {
      const upstream = await startRawUpstream(t)
      let chunks: Buffer[] = []
      const setup: ProxySetup['setup'] = (app) => {
        app.server.on(secure ? 'secureConnection' : 'connection', (socket: Readable) => { chunks = chunksOf(socket) })
      }
      const proxy = await startProxy(t, { upstream: upstream.url }, { fastify, setup })
      const tunnel = await openTunnel(t, proxy, upstream, '/', secure ? { tls: { rejectUnauthorized: false } } : {})
      const sent = randomBytes(size)
      tunnel.client.write(sent)
      assert.deepEqual(await tunnel.upstream.read(size), sent)
      await roundTrip(tunnel)
      await assertFate(chunks, givesBack, secure ? 0 : 1)
    })

    test('leaves alone what somebody else reads, too', async (t) => {
      const upstream = await startRawUpstream(t)
      const kept: Buffer[] = []
      const setup: ProxySetup['setup'] = (app) => {
        app.server.on(secure ? 'secureConnection' : 'connection', (socket: Readable) => { socket.on('data', (chunk: Buffer) => kept.push(chunk)) })
      }
      const proxy = await startProxy(t, { upstream: upstream.url }, { fastify, setup })
      const tunnel = await openTunnel(t, proxy, upstream, '/', secure ? { tls: { rejectUnauthorized: false } } : {})
      const sent = randomBytes(size)
      tunnel.client.write(sent)
      assert.deepEqual(await tunnel.upstream.read(size), sent)
      await roundTrip(tunnel)
      const all = Buffer.concat(kept)
      assert.ok(all.includes(sent), 'a chunk was taken away')
    })
  })
}

test('a tunnel leaves alone what somebody read once, before it began', async (t) => {
  const upstream = await startRawUpstream(t)
  const kept: Buffer[] = []
  const setup: ProxySetup['setup'] = (app) => {
    app.server.on('connection', (socket: Readable) => {
      const onData = (chunk: Buffer): void => {
        if (chunk.length < large) return
        socket.off('data', onData)
        kept.push(chunk)
      }
      socket.on('data', onData)
    })
  }
  const proxy = await startProxy(t, { upstream: upstream.url }, { setup })
  const tunnel = await openTunnel(t, proxy, upstream)
  const sent = randomBytes(size)
  tunnel.client.write(sent)
  assert.deepEqual(await tunnel.upstream.read(size), sent)
  await roundTrip(tunnel)
  await assertFate(kept, false)
})

test('a tunnel leaves alone what comes from no socket: it is the sender\'s own', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.url })
  const [client, server] = pair()
  t.after(() => client.destroy())
  proxy.app.server.emit('connection', server)
  client.write(upgradeHead('/'))
  const connection = await upstream.next()
  connection.write(switching(await connection.head()))
  await event(client, 'data')
  const sent = randomBytes(65_536)
  const expected = Buffer.from(sent)
  client.write(sent)
  assert.deepEqual(await connection.read(65_536), expected)
  connection.write('there')
  await event(client, 'data')
  assert.equal(sent.length, 65_536)
})

test('what inject() is given is the caller\'s', async (t) => {
  const upstream = await startHttpUpstream(t, (request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => { bytes += chunk.length }).on('end', () => response.end(String(bytes)))
  })
  const proxy = await startProxy(t, { upstream: upstream.url })
  const payload = randomBytes(65_536)
  for (let i = 0; i < 2; i++) {
    const { body } = await proxy.app.inject({ method: 'POST', url: '/', payload, headers: { 'content-type': 'application/octet-stream' } })
    assert.deepEqual([body, payload.length], ['65536', 65_536])
  }
})

describe('a request', () => {
  for (const [title, watch] of [
    ['gives its body back', undefined],
    ['leaves its body alone where somebody else reads it, too', 'on'],
    ['leaves its body alone where somebody has read of it once', 'once']
  ] as const) {
    test(title, async (t) => {
      const upstream = await startRawUpstream(t)
      let chunks: Buffer[] = []
      const kept: Buffer[] = []
      let raw: Readable | undefined
      const proxy = await startProxy(t, { upstream: upstream.httpUrl }, {
        setup: (app) => app.addHook('preHandler', (request, _, done) => {
          raw = request.raw
          chunks = chunksOf(raw)
          done()
        })
      })
      const client = await rawClient(t, proxy.port)
      const sent = randomBytes(size)
      client.write(requestHead('POST', '/', { 'Content-Length': String(size), 'Content-Type': 'application/octet-stream' }))
      client.write(sent.subarray(0, 1)) // the head goes out with it
      const connection = await upstream.next()
      await connection.head()
      if (watch !== undefined) raw?.[watch]('data', (chunk: Buffer) => kept.push(chunk))
      client.write(sent.subarray(1))
      assert.deepEqual(await connection.read(size), sent)
      connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      assert.equal((await client.response()).status, 200)
      await assertFate(chunks, givesBack && watch === undefined)
      if (watch === 'on') assert.deepEqual(Buffer.concat(kept), sent.subarray(1))
    })
  }

  // A piece that the kernel did not take is not asked to wait for by undici, where it is a small one.
  test('arrives whole where the upstream begins to read when all of it was sent', { timeout: 30_000 }, async (t) => {
    const upstream = await startRawUpstream(t)
    const proxy = await startProxy(t, { upstream: upstream.httpUrl })
    const client = await rawClient(t, proxy.port)
    const piece = 20_000
    const sent = randomBytes(1000 * piece)
    client.write(requestHead('POST', '/', { 'Content-Length': String(sent.length), 'Content-Type': 'application/octet-stream' }))
    client.write(sent.subarray(0, piece))
    const connection = await upstream.next()
    await connection.head()
    const body = connection.takeOver()
    for (let at = piece; at < sent.length; at += piece) {
      client.write(sent.subarray(at, at + piece))
      await new Promise((resolve) => setImmediate(resolve)) // so that it is read by itself
    }
    const got: Buffer[] = []
    let bytes = 0
    for await (const chunk of body) {
      got.push(chunk)
      bytes += chunk.length
      if (bytes >= sent.length) break
    }
    assert.ok(Buffer.concat(got).equals(sent), 'a piece was taken away before it was written')
  })
})
