/** Request bodies in each framing, with and without an offer. */
import { bytes, ended, fin, raw, response, send, signal, switching, when } from './steps.ts'
import { explained } from './explained.ts'
import type { Scenario } from './table.ts'
import { ask, head, http, key, ok, says, willing, ws, wsOff } from './words.ts'

const chunked = '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n'

const framings: Record<string, readonly [lines: readonly string[], body: string]> = {
  'a length': [['Content-Length: 5'], 'hello'],
  'a length of 0': [['Content-Length: 0'], ''],
  chunks: [['Transfer-Encoding: chunked'], chunked],
  'chunks with an extension and a trailer': [['Transfer-Encoding: chunked', 'Trailer: X-T'], '3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n'],
  'no chunk at all': [['Transfer-Encoding: chunked'], '0\r\n\r\n'],
  'length and chunks': [['Content-Length: 5', 'Transfer-Encoding: chunked'], chunked],
  'gzip and chunks': [['Transfer-Encoding: gzip, chunked'], chunked],
  identity: [['Transfer-Encoding: identity'], ''],
  'a bad chunk': [['Transfer-Encoding: chunked'], 'zz\r\nabc\r\n0\r\n\r\n'],
  'a length of +5': [['Content-Length: +5'], 'hello'],
  'a length of -1': [['Content-Length: -1'], ''],
  'the same length twice': [['Content-Length: 5', 'Content-Length: 5'], 'hello'],
  'two lengths': [['Content-Length: 5', 'Content-Length: 6'], 'hello!'],
  'a length that is too long': [['Content-Length: 99999999999999999999'], 'hello'],
  '100 kB': [['Content-Length: 100000'], 'x'.repeat(100_000)],
  '100 kB in chunks': [['Transfer-Encoding: chunked'], `186a0\r\n${'x'.repeat(100_000)}\r\n0\r\n\r\n`]
}

const offer = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Version: 13']
const foreign = ['Upgrade: foo', 'Connection: Upgrade']

/** Node 26 does not tell of a bad chunk there: the row of the differences has a test. */
const untold = Number.parseInt(process.versions.node, 10) >= 26 ? 'bodies / with an offer that is not accepted / a bad chunk' : undefined

export const bodies: readonly Scenario[] = explained([
  ...Object.entries(framings).flatMap(([name, [lines, content]]): Scenario[] => [
    { name: `bodies / plain / ${name}`, table: http, client: ask(head('POST /x', ...lines) + content, 'POST'), upstream: willing },
    {
      name: `bodies / with an offer that is not accepted / ${name}`,
      table: ws,
      client: ask(head('POST /x', ...foreign, ...lines) + content, 'POST'),
      upstream: willing
    },
    { name: `bodies / with an upgrade / ${name}`, table: ws, client: ask(head('GET /x', ...offer, ...lines) + content), upstream: willing }
  ]).filter(({ name }) => name !== untold),
  ...['a length', 'chunks', 'length and chunks'].map((name): Scenario => {
    const [lines, content] = framings[name] ?? [[], '']
    return {
      name: `bodies / no fallback / ${name}`,
      table: wsOff,
      client: ask(head('GET /x', ...offer, ...lines) + content),
      upstream: [[switching({}, 'hello'), bytes(4), send('pong'), ended(), fin()]]
    }
  }),
  { name: 'bodies / GET with a length', table: http, client: ask(head('GET /x', 'Content-Length: 5') + 'hello'), upstream: willing },
  { name: 'bodies / DELETE with a length', table: http, client: ask(head('DELETE /x', 'Content-Length: 5') + 'hello', 'DELETE'), upstream: willing },
  { name: 'bodies / POST without a length', table: http, client: ask(head('POST /x'), 'POST'), upstream: willing },
  {
    name: 'bodies / Expect: 100-continue',
    table: http,
    client: [send(head('POST /x', 'Content-Length: 5', 'Expect: 100-continue')), bytes(12), send('hello'), response('POST')],
    upstream: [[send('HTTP/1.1 100 Continue\r\n\r\n'), ...says(ok())[0] ?? []]]
  },
  {
    name: 'bodies / in two parts',
    table: http,
    client: [send(head('POST /x', 'Content-Length: 10') + 'hello'), send('world'), response('POST')],
    upstream: says(ok())
  },
  {
    name: 'bodies / smuggled in an upgrade without fallback',
    table: wsOff,
    client: [
      send(head('GET /ok', ...offer, 'Content-Length: 45')), when('request or answer'),
      send('GET /admin HTTP/1.1\r\nHost: inner.example\r\n\r\n'), response(), fin(), ended()
    ],
    upstream: [[raw(), signal('request or answer'), bytes(20), send(ok('who got this?')), fin()]]
  }
])
