// A request of 33 bytes made lines of 1 to 2 KB, with the stack of an error that only says what the client sent; a header field stood in a line, of whatever
// length; and what a function of the options threw stood in ours twice over, beside Fastify's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawClient, requestHead } from '../fixtures/client.ts'
import { recordLog, type LogLine } from '../fixtures/log.ts'
import { startProxy, type ProxyOptions } from '../fixtures/proxy.ts'
import { over } from '../fixtures/stage.ts'
import { closedPort, startRawUpstream } from '../fixtures/upstream.ts'
import { until } from '../fixtures/wait.ts'

const handshake = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' }
/** Each is two bytes in JSON. */
const quotes = '"'.repeat(15_000)
const letters = 'x'.repeat(15_000)
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

interface Asked { options?: Partial<ProxyOptions>, down?: boolean, bytes: string, said?: string }

/** Lines of one exchange, but Fastify's own of each request. */
async function linesOf (t: TestContext, { options, down, bytes, said = ok }: Asked): Promise<LogLine[]> {
  const log = recordLog('debug')
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end(said)
  })
  const port = down === true ? await closedPort() : upstream.port
  const proxy = await startProxy(t, { upstream: `ws://127.0.0.1:${port}/`, timeout: 300, ...options }, { fastify: { logger: log.logger } })
  const client = await rawClient(t, proxy.port)
  client.write(bytes)
  await client.response()
  client.destroy()
  await over(client)
  await until(() => log.lines.some(({ msg }) => msg === 'request completed'), 'the request to be complete')
  return log.lines.filter(({ msg, level }) =>
    level > 20 && !['incoming request', 'request completed'].includes(msg ?? '') && !(msg ?? '').startsWith('Server listening'))
}

const sizeOf = (line: LogLine): number => Buffer.byteLength(JSON.stringify({ ...line, pid: undefined, hostname: undefined }))

for (const [what, asked] of Object.entries({
  'a bad path': { bytes: requestHead('GET', '/../x') },
  'a bad path of an upgrade': { bytes: requestHead('GET', '/../x', handshake) },
  'a long bad path': { bytes: requestHead('GET', `/../${quotes}`) },
  'a handshake without a key': { bytes: requestHead('GET', '/', { ...handshake, 'Sec-WebSocket-Key': undefined }) },
  'a handshake with a long key': { bytes: requestHead('GET', '/', { ...handshake, 'Sec-WebSocket-Key': quotes }) },
  'an origin that may not': { options: { allowedOrigins: ['https://a.example'] }, bytes: requestHead('GET', '/', { ...handshake, Origin: quotes }) },
  'an offer that is not accepted': { options: { fallbackToHttp: false }, bytes: requestHead('GET', '/', { ...handshake, Upgrade: quotes }) },
  // From 22 on Node answers so many by itself, and logs nothing.
  ...Number.parseInt(process.versions.node, 10) < 22 ? { 'too many fields': { bytes: requestHead('GET', '/', { a: Array(1001).fill('') as string[] }) } } : {},
  'a coding': { bytes: requestHead('POST', '/', { 'Transfer-Encoding': 'gzip, chunked' }) },
  'two Hosts': { bytes: requestHead('GET', '/', { Host: ['a', 'b'] }) },
  'a limit for forwards': { options: { limits: { maxForwards: 0 } }, bytes: requestHead('GET', '/') },
  'a limit for tunnels': { options: { limits: { maxTunnels: 0 } }, bytes: requestHead('GET', '/', handshake) },
  'an upstream that is down': { down: true, bytes: requestHead('GET', '/') },
  'an upstream that is down, for an upgrade': { down: true, bytes: requestHead('GET', '/', handshake) },
  'an upstream that closes': { bytes: requestHead('GET', '/'), said: '' },
  'an upstream that closes, for an upgrade': { bytes: requestHead('GET', '/', handshake), said: '' },
  'a response that is none': { bytes: requestHead('GET', '/'), said: letters },
  'a response that is none, to an upgrade': { bytes: requestHead('GET', '/', handshake), said: letters },
  'a status with a long reason': { bytes: requestHead('GET', '/'), said: `HTTP/1.1 600 ${quotes}\r\n\r\n` },
  'a field with a bad name': { bytes: requestHead('GET', '/'), said: `HTTP/1.1 200 OK\r\n${letters} \x01: x\r\n\r\n` },
  'a field with a bad name, to an upgrade': { bytes: requestHead('GET', '/', handshake), said: `HTTP/1.1 200 OK\r\n${letters} \x01: x\r\n\r\n` },
  'a head that is too long': { bytes: requestHead('GET', '/'), said: `HTTP/1.1 200 OK\r\nX: ${letters}${letters}\r\n\r\n` },
  'a 403 to an upgrade': { bytes: requestHead('GET', '/', { ...handshake, Origin: quotes }), said: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' },
  'a 200 to an upgrade': { bytes: requestHead('GET', `/${quotes}`, handshake) },
  'a body that breaks off': {
    bytes: requestHead('GET', '/'),
    said: `HTTP/1.1 200 ${letters.slice(0, 5000)}\r\nContent-Length: 4\r\nX: ${letters.slice(0, 5000)}\r\n\r\nokok`
  },
  'a WebSocket that is forwarded': { options: { upgrade: 'tcp' }, bytes: requestHead('GET', `/${quotes}`, handshake) },
  'a body of an upgrade': { bytes: requestHead('POST', '/', { ...handshake, 'Content-Length': '3' }) }
} as Record<string, Asked>)) {
  test(`a line of ${what} is not longer than the request, as JSON has it, by more than 2,000 bytes`, async (t) => {
    const lines = await linesOf(t, asked)
    const request = Buffer.byteLength(JSON.stringify(asked.bytes))
    for (const line of lines) {
      assert.ok(
        sizeOf(line) <= (line.level <= 30 ? 800 : 2000) + (line['req'] === undefined ? 0 : request),
        `${sizeOf(line)} bytes: ${JSON.stringify(line).slice(0, 3000)}`
      )
      if (line.level <= 30) assert.doesNotMatch(JSON.stringify(line), /\\n {4}at /)
      assert.ok(!JSON.stringify({ ...line, req: undefined }).includes('""""'.slice(0, 2).repeat(20)), 'a header field, or a path')
    }
  })
}

const long = (request: { raw: { url?: string | undefined } }): string => `no upstream for ${String(request.raw.url)}${letters}${letters}`

for (const [what, options] of Object.entries({
  'an error that a function throws': { upstream: (request) => { throw new TypeError(long(request)) } },
  'a cause of an error that a function throws': { upstream: (request) => { throw new Error('outer', { cause: new TypeError(long(request)) }) } },
  'what a function throws that is no error': {
    upstream: (request) => { throw { statusCode: 503, big: long(request) } } // eslint-disable-line no-throw-literal
  },
  'an error with properties': {
    upstream: (request) => { throw Object.assign(new Error('short'), { config: { url: long(request) }, response: [long(request)] }) }
  },
  'an upstream that is none': { upstream: long },
  'a field that cannot be written': { rewriteRequestHeaders: (request, headers) => ({ ...headers, 'x-url': `a\r\n${long(request)}`, [long(request)]: 'x' }) }
} as Record<string, Partial<ProxyOptions>>)) {
  for (const kind of ['forward', 'upgrade']) {
    test(`the line of a failed ${kind} holds a beginning of ${what}`, async (t) => {
      const lines = await linesOf(t, { options, bytes: requestHead('GET', '/a', kind === 'upgrade' ? handshake : {}) })
      const own = lines.filter(({ msg }) => msg === `${kind} failed`)
      assert.equal(own.length, 1, JSON.stringify(lines).slice(0, 2000))
      assert.ok(sizeOf(own[0] as LogLine) < 4000, `${sizeOf(own[0] as LogLine)} bytes`)
      assert.match(JSON.stringify(own[0]), /no upstream for|short|function in the options|is invalid|No valid upstream|invalid header/)
    })
  }
}

test('a logger that throws at the hint for a 403 changes nothing', async (t) => {
  const upstream = await startRawUpstream(t, async (connection) => {
    await connection.head()
    connection.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  })
  const log = recordLog()
  const proxy = await startProxy(t, { upstream: upstream.url }, {
    fastify: {
      logger: {
        level: 'info',
        stream: {
          write: (text: string) => {
            if (text.includes('preserveHost')) throw new Error('full')
            log.logger.stream.write(text)
          }
        }
      }
    } as never
  })
  const client = await rawClient(t, proxy.port)
  client.write(requestHead('GET', '/', { ...handshake, Origin: 'https://a.example' }))
  const { status, body } = await client.response()
  assert.deepEqual([status, String(body)], [403, 'no'])
})
