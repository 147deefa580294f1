import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { HealthMonitor, probe } from '../../lib/balancer/health-check.ts'
import type { HealthCheck } from '../../lib/balancer/config.ts'
import { parseAddress } from '../../lib/config/upstream-url.ts'
import type { DialOptions } from '../../lib/upstream/connect.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { decodeFrames } from '../fixtures/frames.ts'
import type { RawConnection } from '../fixtures/raw.ts'
import { longTimers } from '../fixtures/timers.ts'
import { authority } from '../fixtures/tls.ts'
import { closedPort, headerOf, socketPath, startHttpUpstream, startRawUpstream, startWsUpstream, switching } from '../fixtures/upstream.ts'
import type { HttpUpstream } from '../fixtures/upstream.ts'
import { deferred, until, within } from '../fixtures/wait.ts'

const codes = {
  refused: 'FST_WSTUNNEL_UPSTREAM_UNAVAILABLE',
  tls: 'FST_WSTUNNEL_UPSTREAM_TLS',
  closed: 'FST_WSTUNNEL_UPSTREAM_CLOSED',
  invalid: 'FST_WSTUNNEL_UPSTREAM_INVALID_RESPONSE',
  timeout: 'FST_WSTUNNEL_UPSTREAM_TIMEOUT',
  failed: 'FST_WSTUNNEL_UPSTREAM_FAILED'
}

function check (own: Partial<HealthCheck> = {}): HealthCheck {
  return { method: 'GET', uri: '/', interval: 60_000, timeout: 10_000, passes: 1, fails: 1, status: [[200, 399]], body: undefined, ...own }
}

function dialling (url: string, tls: DialOptions['tls'] = {}): DialOptions {
  return { address: parseAddress(url) ?? assert.fail(url), tls, connectTimeout: 0, keepAlive: 0 }
}

function run (own: Partial<HealthCheck>, url: string, tls?: DialOptions['tls']): Promise<void> {
  return within(probe(check(own), dialling(url, tls), new AbortController().signal), 'the probe')
}

function endTogether (connection: RawConnection): void {
  connection.socket.once('end', () => connection.end())
}

/** A raw upstream that answers each head by script, and ends when its peer does. */
async function scripted (t: TestContext, script: (connection: RawConnection, head: string) => unknown): ReturnType<typeof startRawUpstream> {
  return await startRawUpstream(t, async (connection) => {
    endTogether(connection)
    await script(connection, await connection.head())
  })
}

/** Resolves when the peer has not only ended its side, but refuses what is sent to it. */
async function gone (connection: RawConnection): Promise<void> {
  await connection.ended
  await until(() => {
    connection.write('anybody there?') // a reset shows at the next write
    return connection.socket.destroyed
  }, 'the connection to be refused')
  await connection.closed
}

describe('a probe by TCP', () => {
  test('passes where a connection stands, and sends nothing', async (t) => {
    const upstream = await startRawUpstream(t, endTogether)
    await run({ method: 'TCP' }, upstream.url)
    const connection = await upstream.next()
    await connection.ended
    assert.equal(connection.received.length, 0)
  })

  test('passes over a unix socket', async (t) => {
    const upstream = await startRawUpstream(t, endTogether, { path: await socketPath(t) })
    await run({ method: 'TCP' }, upstream.url)
    await (await upstream.next()).ended
  })

  test('passes where the member does not end its side', async (t) => {
    const upstream = await startRawUpstream(t)
    await run({ method: 'TCP', timeout: 40_000 }, upstream.url)
    await gone(await upstream.next())
  })

  test('fails where nobody listens', async () => {
    await assert.rejects(run({ method: 'TCP' }, `http://127.0.0.1:${await closedPort()}`), { code: codes.refused })
  })

  test('verifies the TLS of a member that has it', async (t) => {
    const ca = authority()
    const upstream = await startRawUpstream(t, endTogether, { tls: ca.issue() })
    await run({ method: 'TCP' }, upstream.url, { ca: ca.cert })
    await assert.rejects(run({ method: 'TCP' }, upstream.url), { code: codes.tls })
  })
})

describe('a probe by GET or HEAD', () => {
  for (const method of ['GET', 'HEAD'] as const) {
    test(`sends a ${method} with the member's own Host, on a connection of its own`, async (t) => {
      const upstream = await scripted(t, (connection) => connection.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
      for (let i = 0; i < 2; i++) {
        await run({ method, uri: '/health?deep=1' }, upstream.url)
        const connection = await upstream.next()
        await connection.closed
        assert.equal(
          connection.received.toString('latin1'),
          `${method} /health?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:${upstream.port}\r\nConnection: close\r\n\r\n`
        )
      }
      assert.equal(upstream.connections.length, 2)
    })

    for (const [status, passes] of [[200, true], [204, true], [302, true], [399, true], [400, false], [404, false], [503, false]] as const) {
      test(`${passes ? 'passes' : 'fails'} by ${method} with ${status}`, async (t) => {
        const upstream = await startHttpUpstream(t, (_request, response) => response.writeHead(status, { location: '/elsewhere' }).end())
        const result = run({ method }, upstream.url)
        if (passes) await result
        else {
          await assert.rejects(result, (error: Error) =>
            'code' in error && error.code === codes.failed && (error.cause as Error).message.endsWith(` ${status}`))
        }
        assert.equal(upstream.requests.length, 1)
        assert.equal(upstream.requests[0]?.method, method)
      })
    }
  }

  for (const [status, passes] of [[200, false], [401, true], [403, true], [404, false], [503, true]] as const) {
    test(`with ranges of its own ${passes ? 'passes' : 'fails'} with ${status}`, async (t) => {
      const upstream = await startHttpUpstream(t, (_request, response) => response.writeHead(status).end())
      const result = run({ status: [[401, 403], [503, 503]] }, upstream.url)
      await (passes ? result : assert.rejects(result, { code: codes.failed }))
    })
  }

  test('does not wait for the body that a HEAD announces', async (t) => {
    const upstream = await scripted(t, (connection) => connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'))
    await run({ method: 'HEAD' }, upstream.url)
  })

  test('fails with a switch that nobody asked for', async (t) => {
    const upstream = await scripted(t, (connection, head) => connection.write(switching(head)))
    await assert.rejects(run({ status: [[100, 599]] }, upstream.url), { code: codes.failed })
    await (await upstream.next()).closed
  })

  for (const [what, answer, code] of [
    ['no HTTP', '220 smtp.example ESMTP\r\n', codes.invalid],
    ['nothing at all', '', codes.closed],
    ['half a body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', codes.closed],
    ['ambiguous framing', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n', codes.invalid]
  ] as const) {
    test(`fails with ${what}`, async (t) => {
      const upstream = await scripted(t, (connection) => connection.end(answer))
      await assert.rejects(run({}, upstream.url), { code })
      await (await upstream.next()).closed
    })
  }

  test('verifies TLS', async (t) => {
    const ca = authority()
    const upstream = await startHttpUpstream(t, (_request, response) => response.end('well'), ca.issue())
    await run({ body: 'well' }, upstream.url, { ca: ca.cert })
    await assert.rejects(run({}, upstream.url), { code: codes.tls })
    await assert.rejects(run({}, upstream.url, { ca: ca.cert, servername: 'other.example' }), { code: codes.tls })
    assert.equal(upstream.requests.length, 1)
  })

  for (const uri of ['/a b', '/a\r\nX-Evil: 1', '/a#b', 'http://other.example/', '*', '']) {
    test(`writes nothing for the uri ${JSON.stringify(uri)}`, async (t) => {
      const upstream = await startRawUpstream(t)
      for (const method of ['GET', 'WS'] as const) await assert.rejects(run({ method, uri }, upstream.url), { name: 'TypeError' })
      assert.equal(upstream.connections.length, 0)
    })
  }
})

describe('a rule for the body', () => {
  const page = 'one: up\ntwo: up\n'
  for (const [rule, passes] of [
    ['two: up', true], ['three', false], [/^two: up$/m, true], [/^two: down$/m, false], [/up/g, true], [/one/y, true], [/two/y, false]
  ] as const) {
    test(`${rule} ${passes ? 'passes' : 'fails'}, each time, and keeps no state`, async (t) => {
      const upstream = await startHttpUpstream(t, (_request, response) => response.end(page))
      for (let i = 0; i < 3; i++) {
        const result = run({ body: rule }, upstream.url)
        await (passes ? result : assert.rejects(result, { code: codes.failed }))
      }
      if (rule instanceof RegExp) assert.equal(rule.lastIndex, 0)
    })
  }

  test('is put to a body in chunks, and to its UTF-8', async (t) => {
    const upstream = await scripted(t, (connection) => {
      connection.end(Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nstatus=\r\n4\r\ngr\u{fc}\r\n2\r\nn!\r\n0\r\n\r\n'))
    })
    await run({ body: 'status=gr\u{fc}n' }, upstream.url)
  })

  test('does not make up for a status that fails', async (t) => {
    const upstream = await startHttpUpstream(t, (_request, response) => response.writeHead(500).end(page))
    await assert.rejects(run({ body: 'up' }, upstream.url), { code: codes.failed })
  })

  test('looks at 64 KiB and no more', async (t) => {
    const upstream = await startHttpUpstream(t, (request, response) => response.end(`${'x'.repeat(Number(request.url?.slice(1)))}needle${'x'.repeat(100_000)}`))
    await run({ body: 'needle', uri: `/${65_536 - 6}` }, upstream.url)
    await assert.rejects(run({ body: 'needle', uri: `/${65_536 - 5}` }, upstream.url), { code: codes.failed })
  })

  test('lets a body without an end go after them', async (t) => {
    let written = 0
    const endless: RequestListener = (_request, response) => {
      const more = (): void => {
        while (!response.destroyed && (written += 16_384) && response.write(Buffer.alloc(16_384, 'x')));
      }
      response.on('drain', more)
      more()
    }
    const upstream = await startHttpUpstream(t, endless)
    await assert.rejects(run({ body: 'needle' }, upstream.url), { code: codes.failed })
    await run({}, upstream.url)
    await until(() => upstream.sockets.every(({ destroyed }) => destroyed), 'the connections to end')
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes were written`)
  })
})

describe('a probe by WebSocket handshake', () => {
  test('passes with a real WebSocket server, which sees it close with 1000', async (t) => {
    const upstream = await startWsUpstream(t)
    const keys = new Set<unknown>()
    for (let i = 0; i < 2; i++) {
      const closed = deferred<number>()
      upstream.wss.once('connection', (socket) => socket.once('close', closed.resolve))
      await run({ method: 'WS', uri: '/socket?probe' }, upstream.url)
      const { request } = await upstream.next()
      assert.equal(await within(closed.promise, 'the close code'), 1000)
      assert.equal(request.url, '/socket?probe')
      assert.equal(request.headers.host, `127.0.0.1:${upstream.port}`)
      keys.add(request.headers['sec-websocket-key'])
    }
    assert.equal(keys.size, 2)
  })

  test('sends one masked Close frame after the head, then its end', async (t) => {
    const upstream = await scripted(t, (connection, head) => connection.write(switching(head)))
    await run({ method: 'WS' }, upstream.url)
    const connection = await upstream.next()
    await connection.ended
    assert.equal(headerOf(connection.received.toString('latin1'), 'sec-websocket-version'), '13')
    const [frame, ...more] = decodeFrames(connection.unread)
    assert.deepEqual(more, [])
    assert.deepEqual([frame?.opcode, frame?.masked, frame?.payload.readUInt16BE(0)], [8, true, 1000])
  })

  test('passes where the member answers no Close', async (t) => {
    const upstream = await startRawUpstream(t, async (connection) => { connection.write(switching(await connection.head())) })
    await run({ method: 'WS', timeout: 40_000 }, upstream.url)
    await gone(await upstream.next())
  })

  for (const [what, answer, code] of [
    ['a refusal', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', codes.failed],
    ['a page', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', codes.failed],
    ['a bare 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', codes.invalid],
    [
      'a 101 for another key',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
      codes.invalid
    ]
  ] as const) {
    test(`fails with ${what}`, async (t) => {
      const upstream = await scripted(t, (connection) => connection.write(answer))
      await assert.rejects(run({ method: 'WS' }, upstream.url), { code })
      const connection = await upstream.next()
      await connection.closed
      assert.equal(connection.unread.length, 0)
    })
  }

  test('verifies TLS', async (t) => {
    const ca = authority()
    const upstream = await startWsUpstream(t, { tls: ca.issue() })
    await run({ method: 'WS' }, upstream.url, { ca: ca.cert })
    await assert.rejects(run({ method: 'WS' }, upstream.url), { code: codes.tls })
    assert.equal(upstream.wss.listenerCount('connection'), 1)
  })
})

describe('the end of a probe', () => {
  for (const [what, method, answer] of [
    ['a member that never answers', 'GET', ''],
    ['a member that never answers a handshake', 'WS', ''],
    ['a body that never ends', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf']
  ] as const) {
    test(`comes by its timeout with ${what}`, async (t) => {
      const upstream = await startRawUpstream(t, (connection) => connection.write(answer))
      await assert.rejects(run({ method, timeout: 200 }, upstream.url), { code: codes.timeout })
      await gone(await upstream.next())
    })

    test(`comes by its signal with ${what}`, async (t) => {
      const upstream = await startRawUpstream(t, (connection) => connection.write(answer))
      const controller = new AbortController()
      const reason = new Error('enough')
      const result = probe(check({ method }), dialling(upstream.url), controller.signal)
      const connection = await upstream.next()
      await connection.waitFor('\r\n\r\n')
      controller.abort(reason)
      await assert.rejects(within(result, 'the probe'), reason)
      await gone(connection)
    })
  }

  test('comes by its timeout while TLS does not begin', async (t) => {
    const upstream = await startRawUpstream(t)
    for (const method of ['TCP', 'GET'] as const) {
      await assert.rejects(run({ method, timeout: 100 }, `https://127.0.0.1:${upstream.port}`), { code: codes.timeout })
      await gone(await upstream.next())
    }
  })

  test('is its beginning where the signal has aborted before', async (t) => {
    const upstream = await startRawUpstream(t)
    const reason = new Error('enough')
    for (const method of ['TCP', 'GET', 'WS'] as const) {
      await assert.rejects(probe(check({ method }), dialling(upstream.url), AbortSignal.abort(reason)), reason)
    }
    assert.equal(upstream.connections.length, 0)
  })
})

interface Watched {
  monitor: HealthMonitor
  /** 'up', or 'down' with the error's code. */
  reports: string[]
}

function watch (t: TestContext, own: Partial<HealthCheck>, url: string, random: () => number = () => 0.5): Watched {
  const reports: string[] = []
  const monitor = new HealthMonitor(check({ interval: 5, ...own }), dialling(url), (healthy, error) => {
    assert.equal(healthy, error === undefined)
    reports.push(healthy ? 'up' : `down ${(error as Error & { code?: string }).code}`)
  }, random)
  cleanup(t, 'proxies', () => monitor.stop())
  return { monitor, reports }
}

/** Answers by script: 'x' fails, anything else passes; then as the last of them, for ever. */
async function flapping (t: TestContext, script: string): Promise<HttpUpstream> {
  let at = 0
  return await startHttpUpstream(t, (_request, response) => {
    response.writeHead(script[Math.min(at++, script.length - 1)] === 'x' ? 503 : 200).end()
  })
}

/** Waits until another monitor has probed so often, from now on: time enough for the one at hand to have done so. */
async function meanwhile (t: TestContext, times: number): Promise<void> {
  const upstream = await flapping(t, '.')
  watch(t, {}, upstream.url).monitor.start()
  await until(() => upstream.requests.length >= times, `${times} other probes`)
}

describe('a monitor', () => {
  const down = `down ${codes.failed}`
  for (const [script, fails, passes, reports] of [
    ['....', 1, 1, []],
    ['x...', 1, 1, [down, 'up']],
    ['.x.x..', 1, 1, [down, 'up', down, 'up']],
    ['xx.xx.xx.', 3, 1, []],
    ['xxx', 3, 1, [down]],
    ['xxxxxxx', 3, 1, [down]],
    ['xx.xxx.', 3, 1, [down, 'up']],
    ['xx..x..x...', 2, 3, [down, 'up']],
    ['xx...xx...', 2, 3, [down, 'up', down, 'up']]
  ] as const) {
    const told = reports.length === 0 ? 'nothing' : reports.map((report) => report.split(' ')[0]).join(', ')
    test(`with fails ${fails} and passes ${passes} tells of ${script} ${told}`, async (t) => {
      const upstream = await flapping(t, script)
      const watched = watch(t, { fails, passes }, upstream.url)
      watched.monitor.start()
      await until(() => upstream.requests.length >= script.length + 3, 'the script to end')
      assert.deepEqual(watched.reports, reports)
    })
  }

  test('probes at once, and once, however often it is started', async (t) => {
    const upstream = await flapping(t, 'x')
    const { monitor, reports } = watch(t, { interval: 60_000 }, upstream.url)
    monitor.start()
    monitor.start()
    await until(() => reports.length > 0, 'a report')
    monitor.start()
    await meanwhile(t, 3)
    assert.deepEqual(reports, [down])
    assert.equal(upstream.requests.length, 1)
  })

  test('has one probe in flight, however slow the member is, and then the next', async (t) => {
    const answer = deferred<string>()
    const upstream = await scripted(t, async (connection) => connection.end(await answer.promise))
    const { monitor, reports } = watch(t, { interval: 1 }, upstream.url)
    monitor.start()
    await (await upstream.next()).waitFor('\r\n\r\n')
    await meanwhile(t, 5)
    assert.equal(upstream.connections.length, 1)
    answer.resolve('HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n')
    await until(() => upstream.connections.length > 1, 'the next probe')
    assert.deepEqual(reports, [down])
  })

  test('takes a timeout for a failure, and goes on', async (t) => {
    const upstream = await startRawUpstream(t)
    const { monitor, reports } = watch(t, { fails: 2, timeout: 50 }, upstream.url)
    monitor.start()
    await until(() => reports.length > 0, 'a report')
    assert.deepEqual(reports, [`down ${codes.timeout}`])
    assert.ok(upstream.connections.length >= 2)
  })

  for (const method of ['TCP', 'GET', 'WS'] as const) {
    test(`that is stopped during a probe by ${method} leaves no connection and tells nothing`, async (t) => {
      const upstream = await startRawUpstream(t)
      const { monitor, reports } = watch(t, { method, fails: 1 }, method === 'TCP' ? `https://127.0.0.1:${upstream.port}` : upstream.url)
      monitor.start()
      const connection = await upstream.next()
      await connection.waitFor(1)
      monitor.stop()
      await gone(connection)
      await meanwhile(t, 3)
      assert.deepEqual(reports, [])
      assert.equal(upstream.connections.length, 1)
    })
  }

  test('that is stopped between two probes does not make the second', async (t) => {
    const upstream = await flapping(t, 'x')
    const { monitor, reports } = watch(t, { interval: 20 }, upstream.url)
    monitor.start()
    await until(() => reports.length > 0, 'a report')
    monitor.stop()
    const { length } = upstream.requests
    await meanwhile(t, 20)
    assert.equal(upstream.requests.length, length)
  })

  test('can be stopped by who is told', async (t) => {
    const upstream = await flapping(t, 'x')
    const timers = longTimers(t)
    const told = deferred()
    const monitor = new HealthMonitor(check({ interval: 100_000 }), dialling(upstream.url), () => {
      monitor.stop()
      told.resolve()
    })
    monitor.start()
    await within(told.promise, 'the report')
    await meanwhile(t, 3)
    assert.deepEqual(timers.set, [])
  })

  test('that is started again goes on from what it told last', async (t) => {
    const upstream = await flapping(t, 'x..')
    const { monitor, reports } = watch(t, { interval: 60_000 }, upstream.url)
    monitor.start()
    await until(() => reports.length > 0, 'a report')
    monitor.stop()
    monitor.start()
    await until(() => reports.length > 1, 'another report')
    assert.deepEqual(reports, [down, 'up'])
  })

  for (const [random, interval, delay] of [
    [0, 100_000, 90_000], [0.5, 100_000, 100_000], [1, 100_000, 110_000], [1, 2 ** 31 - 1, 2 ** 31 - 1]
  ] as const) {
    test(`waits ${delay} ms for an interval of ${interval} ms where chance is ${random}, and holds no process up`, async (t) => {
      const timers = longTimers(t)
      const upstream = await flapping(t, '.')
      const { monitor } = watch(t, { interval }, upstream.url, () => random)
      monitor.start()
      await until(() => timers.set.length > 0, 'the wait for the next probe')
      const [wait] = timers.set
      assert.ok(wait !== undefined && wait.ms <= delay && wait.ms > delay - 20_000, `${wait?.ms} ms`) // less what the probe took
      assert.equal(wait.held, false)
      monitor.stop()
      assert.equal(timers.set[0]?.cleared, true)
    })
  }
})
