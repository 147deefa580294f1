// `timeout` is on time: never early, and late by at most 50 ms or a twentieth. undici's own timers are late by up to a second.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import type { RawClient } from '../fixtures/client.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { over } from '../fixtures/stage.ts'
import { startRawUpstream } from '../fixtures/upstream.ts'

type Script = (connection: RawConnection) => unknown

/** The shortest of a few takes, since a machine that is busy with others makes each of them longer. */
async function shortest (t: TestContext, timeout: number, script: Script, take: (client: RawClient) => Promise<number>): Promise<number> {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    await script(connection)
  })
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, timeout })
  let least = Infinity
  for (let i = 0; i < 5 && least > timeout + margin(timeout); i++) {
    const took = await take(await rawClient(t, proxy.port))
    assert.ok(took >= timeout - 2, `${took} ms is before ${timeout} ms`)
    least = Math.min(least, took)
  }
  return least
}

const margin = (timeout: number): number => Math.max(50, timeout / 20)

async function timedOut (client: RawClient): Promise<number> {
  const begun = performance.now()
  client.write(requestHead('GET', '/'))
  assert.equal((await client.response()).status, 504)
  return performance.now() - begun
}

for (const timeout of [100, 600, 1200]) {
  test(`a response head that does not come is a 504 after ${timeout} ms`, async (t) => {
    const took = await shortest(t, timeout, () => {}, timedOut)
    assert.ok(took <= timeout + margin(timeout), `${took} ms`)
  })

  test(`a response whose body does not go on is cut off after ${timeout} ms`, async (t) => {
    const took = await shortest(t, timeout, (connection) => connection.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'), async (client) => {
      // From the request on: when the last bytes of the body came here, the proxy has known for longer.
      const begun = performance.now()
      client.write(requestHead('GET', '/'))
      await client.head()
      await over(client)
      return performance.now() - begun
    })
    assert.ok(took <= timeout + margin(timeout), `${took} ms`)
  })
}

test('interim responses do not put the end of it off', async (t) => {
  const took = await shortest(t, 500, (connection) => {
    const timer = setInterval(() => connection.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'), 100)
    cleanup(t, 'connections', () => clearInterval(timer))
    connection.socket.on('close', () => clearInterval(timer))
  }, async (client) => {
    const begun = performance.now()
    client.write(requestHead('GET', '/'))
    while ((await client.response()).status !== 504);
    return performance.now() - begun
  })
  assert.ok(took <= 550, `${took} ms`)
})

test('an upstream that takes no more of a request is late after timeout', async (t) => {
  const took = await shortest(t, 500, (connection) => connection.socket.pause(), async (client) => {
    client.write(requestHead('POST', '/', { 'Content-Length': '64000000' }))
    client.write(Buffer.alloc(16_000_000))
    const begun = performance.now()
    assert.equal((await client.response()).status, 504)
    return performance.now() - begun
  })
  assert.ok(took <= 3000, `${took} ms`) // from the last bytes that its buffers took
})

test('a client that takes its time with its body does not make the upstream late', async (t) => {
  const upstream = await startRawUpstream(t)
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, timeout: 300 })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('POST', '/', { 'Content-Length': '6' }))
  for (const piece of ['ab', 'cd', 'ef']) {
    client.write(piece)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const connection = await upstream.next()
  await connection.head()
  connection.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  assert.equal((await client.response()).status, 200)
})
