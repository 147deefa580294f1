// A kept connection may be closed by its upstream at any time, also while a request is on its way there.
import assert from 'node:assert/strict'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { balanced, infoOf, scripted, states } from '../fixtures/balanced.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { RawConnection, RawResponse } from '../fixtures/raw.ts'
import { event } from '../fixtures/wait.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

async function ask (t: TestContext, { port }: { port: number }, method = 'GET', body?: string): Promise<RawResponse> {
  const client = await rawClient(t, port)
  client.write(requestHead(method, '/', { 'Content-Length': body === undefined ? undefined : String(body.length) }) + (body ?? ''))
  return await client.response(method)
}

/** An upstream that answers the first request of each connection, and does something else with the second. */
async function once (t: TestContext, second: (connection: RawConnection) => void): ReturnType<typeof scripted> {
  const seen = new Map<RawConnection, number>()
  return await scripted(t, (connection) => {
    const count = (seen.get(connection) ?? 0) + 1
    seen.set(connection, count)
    if (count === 1) connection.write(ok)
    else second(connection)
  })
}

for (const [how, close] of [
  ['ends', (connection: RawConnection) => connection.end()],
  ['resets', (connection: RawConnection) => connection.reset()]
] as const) {
  for (const method of ['GET', 'HEAD', 'DELETE', 'PUT', 'OPTIONS']) {
    test(`a ${method} on a kept connection that its upstream ${how} is sent once more, and no member is blamed`, async (t) => {
      const member = await once(t, close)
      const proxy = await balanced(t, [{ url: member.httpUrl }])
      assert.equal((await ask(t, proxy)).status, 200)
      assert.equal((await ask(t, proxy, method)).status, 200)
      assert.deepEqual([member.connections.length, states(proxy), infoOf(proxy).failures], [2, ['up'], 0])
    })
  }

  test(`a POST on a kept connection that its upstream ${how} is a 502`, async (t) => {
    const member = await once(t, close)
    const proxy = await balanced(t, [{ url: member.httpUrl }])
    assert.equal((await ask(t, proxy)).status, 200)
    assert.equal((await ask(t, proxy, 'POST', '')).status, 502)
    assert.deepEqual([member.connections.length, states(proxy)], [1, ['up']])
  })
}

test('a PUT with a body is not sent once more', async (t) => {
  const member = await once(t, (connection) => connection.end())
  const proxy = await balanced(t, [{ url: member.httpUrl }])
  assert.equal((await ask(t, proxy)).status, 200)
  assert.equal((await ask(t, proxy, 'PUT', 'abc')).status, 502)
  assert.equal(member.connections.length, 1)
})

test('a GET of whose answer a part has come is not sent once more', async (t) => {
  const member = await once(t, (connection) => connection.end('HTTP/1.1 2'))
  const proxy = await balanced(t, [{ url: member.httpUrl }])
  assert.equal((await ask(t, proxy)).status, 200)
  assert.equal((await ask(t, proxy)).status, 502)
  assert.equal(member.connections.length, 1)
})

test('it is sent once more and no oftener', async (t) => {
  let count = 0
  const member = await scripted(t, (connection) => {
    if (count++ === 0) connection.write(ok)
    else connection.end()
  })
  const proxy = await startProxy(t, { upstream: member.httpUrl })
  assert.equal((await ask(t, proxy)).status, 200)
  assert.equal((await ask(t, proxy)).status, 502)
  assert.equal(count, 3)
})

test('where one connection is all that may be, the second takes the place of the first', async (t) => {
  const member = await once(t, (connection) => connection.end())
  const proxy = await startProxy(t, { upstream: member.httpUrl, limits: { maxConnectionsPerUpstream: 1 } })
  assert.equal((await ask(t, proxy)).status, 200)
  assert.equal((await ask(t, proxy)).status, 200)
})

/** A relay that takes so many milliseconds for each way. */
async function far (t: TestContext, port: number, delay: number): Promise<number> {
  const sockets: Socket[] = []
  const pass = (from: Socket, to: Socket): void => {
    from.on('data', (chunk) => setTimeout(() => to.write(chunk), delay))
    from.on('end', () => setTimeout(() => to.end(), delay))
    from.on('error', () => to.destroy())
    sockets.push(from)
  }
  const relay = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const other = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    pass(near, other)
    pass(other, near)
  })
  cleanup(t, 'servers', () => {
    for (const socket of sockets) socket.destroy()
    relay.close()
  })
  relay.listen(0, '127.0.0.1')
  await event(relay, 'listening')
  return (relay.address() as AddressInfo).port
}

test('at an upstream 10 ms away that closes idle connections without having said when, no GET at the edge is a 502', async (t) => {
  const idle = 150
  const upstream = await scripted(t, (connection) => {
    connection.write(ok)
    connection.socket.setTimeout(idle, () => connection.end())
  })
  const proxy = await startProxy(t, { upstream: `http://127.0.0.1:${await far(t, upstream.port, 10)}/` })
  const found: number[] = []
  await Promise.all(Array.from({ length: 8 }, async (_, lane) => {
    const client = await rawClient(t, proxy.port)
    for (let i = 0; i < 8; i++) {
      client.write(requestHead('GET', '/'))
      found.push((await client.response()).status)
      await new Promise((resolve) => setTimeout(resolve, idle - 12 + lane * 4)) // from when the answer came: 10 ms less than the upstream counts
    }
  }))
  assert.deepEqual(found.filter((status) => status !== 200), [])
})

// NTLM and Negotiate authenticate a connection.

/** How many connections three requests take, the first with this field and answered with that. */
async function connectionsOf (t: TestContext, field: Record<string, string>, said: string): Promise<number> {
  let count = 0
  const upstream = await scripted(t, (connection) => connection.write(count++ === 0 ? said : ok))
  const proxy = await startProxy(t, { upstream: upstream.httpUrl })
  const client = await rawClient(t, proxy.port)
  for (const headers of [field, {}, {}]) {
    client.write(requestHead('GET', '/', headers))
    await client.response()
  }
  return upstream.connections.length
}

for (const value of ['NTLM', 'Negotiate', 'negotiate YII=', 'Basic realm="x", NTLM', 'Digest realm="a", Negotiate']) {
  test(`a connection on which an upstream has asked for "${value}" is for nobody else`, async (t) => {
    const said = `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${value}\r\nContent-Length: 0\r\n\r\n`
    assert.equal(await connectionsOf(t, {}, said), 2)
  })
}

for (const [how, said] of Object.entries({
  'in the second of two fields': 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nwww-authenticate: nTLM\r\nContent-Length: 0\r\n\r\n',
  'among others in one field': 'HTTP/1.1 401 Unauthorized\r\n' +
    'WWW-Authenticate: Digest realm="a, b", nonce="c" ,\tNEGOTIATE , Basic realm="d"\r\nContent-Length: 0\r\n\r\n',
  'as a proxy': 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n',
  'with what proves it to the client': 'HTTP/1.1 200 OK\r\nWWW-Authenticate: Negotiate oYG=\r\nContent-Length: 0\r\n\r\n'
})) {
  test(`a connection on which an upstream has asked for one of them ${how} is for nobody else`, async (t) => {
    assert.equal(await connectionsOf(t, {}, said), 2)
  })
}

for (const field of ['authorization', 'AUTHORIZATION']) {
  test(`what ${field} has proved on a connection is nobody else's, whoever comes next`, async (t) => {
    // As IIS does: whoever has proved it once on a connection is known on it from then on.
    const upstream = await scripted(t, async (connection) => {
      const heads = String(connection.received)
      connection.write(/^authorization: ntlm/im.test(heads)
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret'
        : 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n')
    })
    const proxy = await startProxy(t, { upstream: upstream.httpUrl })
    const known = await rawClient(t, proxy.port)
    const unknown = await rawClient(t, proxy.port)
    for (let i = 0; i < 10; i++) {
      known.write(requestHead('GET', '/', { [field]: 'NTLM TlRMTVNTUAAD' }))
      if (i % 2 === 0) assert.equal((await known.response()).status, 200)
      unknown.write(requestHead('GET', '/'))
      assert.equal((await unknown.response()).status, 401)
      if (i % 2 === 1) assert.equal((await known.response()).status, 200)
    }
  })
}

test('credentials of one of them that a function of the options adds are for one request, too', async (t) => {
  const upstream = await scripted(t, (connection) => connection.write(ok))
  const proxy = await startProxy(t, { upstream: upstream.httpUrl, rewriteRequestHeaders: (_, headers) => ({ ...headers, Authorization: 'Negotiate YII=' }) })
  const client = await rawClient(t, proxy.port)
  for (let i = 0; i < 3; i++) {
    client.write(requestHead('GET', '/'))
    await client.response()
  }
  assert.equal(upstream.connections.length, 3)
})

for (const value of ['NTLM TlRMTVNTUAAB', 'Negotiate YII=', 'NEGOTIATE YII=']) {
  test(`a connection on which a client has sent "${value}" is for nobody else`, async (t) => {
    assert.equal(await connectionsOf(t, { Authorization: value }, ok), 2)
  })
}

for (const value of ['Basic eDp5', 'Bearer negotiate', 'Digest username="ntlm"']) {
  test(`a connection on which a client has sent "${value}" is kept`, async (t) => {
    assert.equal(await connectionsOf(t, { Authorization: value }, ok), 1)
  })
}

for (const fields of [
  'Proxy-Connection: close', 'Connection: keep-alive\r\nProxy-Connection: close',
  'Connection: keep-alive\r\nConnection: close', 'Connection: close, keep-alive',
  'Content-Length: 2\r\nProxy-Connection: close', 'Transfer-Encoding: chunked\r\nProxy-Connection: Close', 'Proxy-Connection: keep-alive', ''
]) {
  for (const version of ['1.0', '1.1']) {
    test(`whoever comes after a HEAD whose answer of HTTP/${version} has ${JSON.stringify(fields)} gets an answer`, async (t) => {
      const member = await scripted(t, (connection, head) => {
        connection.write(head.startsWith('HEAD ') ? `HTTP/${version} 200 OK\r\n${fields}${fields === '' ? '' : '\r\n'}\r\n` : ok)
      })
      const proxy = await balanced(t, [{ url: member.httpUrl }])
      assert.equal((await ask(t, proxy, 'HEAD')).status, 200)
      assert.equal((await ask(t, proxy)).status, 200)
      assert.equal((await ask(t, proxy)).status, 200)
    })
  }
}
