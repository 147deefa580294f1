import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { describe, test, type TestContext } from 'node:test'
import type { Dispatcher } from 'undici'
import { ResponseBody } from '../../lib/proxy/response-body.ts'
import { givesBack } from '../fixtures/memory.ts'

/** What undici gives a handler, as far as a body needs it. */
class Controller {
  paused = false
  aborted = false
  readonly resumed: Array<() => void> = []
  pause (): void { this.paused = true }
  abort (): void { this.aborted = true }
  resume (): void {
    if (!this.paused) return
    this.paused = false
    for (const callback of this.resumed.splice(0)) callback()
  }
}

interface Exchange { readonly client: Socket, readonly response: ServerResponse, readonly body: ResponseBody, readonly controller: Controller }

async function exchange (t: TestContext): Promise<Exchange> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => {
    client.destroy()
    server.close()
  })
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const [, response] = await once(server, 'request') as [unknown, ServerResponse]
  const controller = new Controller()
  return { client, response, controller, body: new ResponseBody(controller as unknown as Dispatcher.DispatchController) }
}

async function received (client: Socket): Promise<string> {
  let text = ''
  for await (const chunk of client) text += String(chunk)
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}

const letters = 'abcdefgh'

describe('the body of a response', () => {
  test('arrives in order, what came before the response was there first', async (t) => {
    const { client, response, body } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.accept(Buffer.from('ab'))
    body.accept(Buffer.from('cd'))
    body.pipe(response)
    body.accept(Buffer.from('ef'))
    body.accept(Buffer.from('gh'))
    body.push(null)
    assert.equal(await received(client), letters)
  })

  test('that was whole before the response was there ends', async (t) => {
    const { client, response, body } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.accept(Buffer.from(letters))
    body.push(null)
    body.pipe(response)
    assert.equal(await received(client), letters)
  })

  test('stops the upstream while much of it waits for the client, and goes on once it is taken', async (t) => {
    const { client, response, body, controller } = await exchange(t)
    client.pause()
    const chunk = (): Buffer => Buffer.alloc(65_536, 'x') // each its own, as undici's are: it is given back
    let sent = 0
    body.pipe(response)
    for (let waits = 0; waits < 20; waits = controller.paused ? waits + 1 : 0) {
      if (!controller.paused) {
        if (!body.accept(chunk())) controller.pause()
        sent += 65_536
      }
      assert.ok(response.writableLength <= 131_072 + 65_536 + 1024, `${response.writableLength} bytes wait`)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const resumed = new Promise<void>((resolve) => controller.resumed.push(resolve))
    const all = received(client)
    await resumed
    body.push(null)
    assert.ok((await all).length >= sent)
  })

  test('is given back once it is written, and not where somebody else reads it, too', async (t) => {
    for (const watched of [false, true]) {
      const { client, response, body } = await exchange(t)
      const chunk = Buffer.alloc(65_536, 'x')
      let seen = ''
      body.pipe(response)
      if (watched) body.on('data', (bytes) => { seen += String(bytes) })
      body.accept(chunk)
      body.push(null)
      assert.ok((await received(client)).includes('x'.repeat(16_384)))
      assert.equal(chunk.length, givesBack && !watched ? 0 : 65_536)
      assert.equal(seen.length, watched ? 65_536 : 0)
    }
  })

  // Where Node can give memory back: before 22 nothing is taken away.
  test('is left as it is where the connection is no socket, which hands on the chunk itself', async (t) => {
    const server = createServer()
    const got: Buffer[] = []
    const connection = new Duplex({
      read () {},
      write (chunk, _, callback) {
        got.push(chunk)
        callback()
      }
    })
    t.after(() => connection.destroy())
    server.emit('connection', connection)
    connection.push('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const [, response] = await once(server, 'request') as [unknown, ServerResponse]
    const body = new ResponseBody(new Controller() as unknown as Dispatcher.DispatchController)
    response.setHeader('content-length', 65_536)
    body.pipe(response)
    body.accept(Buffer.alloc(65_536, 'x'))
    body.push(null)
    await once(response, 'finish')
    assert.ok(Buffer.concat(got).includes('x'.repeat(65_536)), 'the chunk was taken away')
  })

  test('is a stream for whoever begins to read it later', async (t) => {
    const { client, response, body, controller } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.pipe(response)
    body.accept(Buffer.from('abcd'))
    let seen = ''
    controller.pause()
    body.on('data', (chunk) => { seen += String(chunk) })
    assert.equal(controller.paused, false)
    body.accept(Buffer.from('efgh'))
    body.push(null)
    assert.equal(await received(client), letters)
    assert.equal(seen, 'efgh')
  })

  test('stays where it is while a hook has paused it', async (t) => {
    const { client, response, body } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.pipe(response)
    body.accept(Buffer.from('ab'))
    body.pause()
    body.accept(Buffer.from('cdef'))
    assert.equal(body.readableLength, 4)
    body.resume()
    body.accept(Buffer.from('gh'))
    body.push(null)
    assert.equal(await received(client), letters)
  })

  test('believes a response whose `write` is not its own that there is no room', async (t) => {
    const { response, body } = await exchange(t)
    response.write = () => false // a compressing middleware's, whose client takes nothing
    body.pipe(response)
    let sent = 0
    for (; sent < 10; sent++) {
      if (!body.accept(Buffer.alloc(65_536, 'x'))) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(sent < 3, 'the upstream is told to wait')
  })

  test('goes through what a hook puts between', async (t) => {
    const { client, response, body } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.pipe(new PassThrough()).pipe(response)
    body.accept(Buffer.from(letters))
    body.push(null)
    assert.equal(await received(client), letters)
  })

  test('can be piped elsewhere, and back', async (t) => {
    const { client, response, body } = await exchange(t)
    response.setHeader('content-length', letters.length)
    body.pipe(response)
    body.accept(Buffer.from('abcd'))
    body.unpipe(response)
    body.accept(Buffer.from('efgh'))
    assert.equal(body.readableLength, 4)
    body.pipe(response)
    body.push(null)
    assert.equal(await received(client), letters)
  })

  test('leaves no listener on the response, and aborts the upstream, when it is destroyed', async (t) => {
    const { response, body, controller } = await exchange(t)
    const before = response.listenerCount('drain')
    body.pipe(response)
    const closed = new Promise((resolve) => body.on('close', resolve))
    body.destroy(new Error('cut'))
    await closed
    assert.equal(response.listenerCount('drain'), before)
    assert.equal(controller.aborted, true)
  })
})
