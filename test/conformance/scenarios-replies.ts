/** What an upstream may answer, to an upgrade and to a plain request. */
import { body, bytes, ended, fin, ifRelayed, raw, reset, send, switching } from './steps.ts'
import type { UpstreamStep } from './ends.ts'
import { explained } from './explained.ts'
import { fromUpstream, upstreamDate, upstreamServer } from './normalise.ts'
import type { Scenario, Table } from './table.ts'
import { accept, ask, handshake, head, httpUp, http, reply, ws, wsOff } from './words.ts'

const crlf = (...lines: string[]): string => lines.join('\r\n') + '\r\n'
const message = (first: string, ...rest: string[]): string => crlf(first, fromUpstream, ...rest)
const early = message('HTTP/1.1 103 Early Hints', 'Link: </a.css>; rel=preload', '')
const chunks = '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n'

/** Replies that leave the connection as it is. */
const whole: Record<string, string> = {
  '200 with a length': reply('200 OK', 'hello', 'Content-Type: text/plain'),
  '200 in chunks': message('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '') + chunks,
  '200 in chunks with an extension and a trailer':
    message('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Trailer: X-T', '') + '3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  '200 without a body': message('HTTP/1.1 200 OK', 'Content-Length: 0', ''),
  '201 with Location': reply('201 Created', 'made', 'Location: /new'),
  204: message('HTTP/1.1 204 No Content', ''),
  206: reply('206 Partial Content', 'ell', 'Content-Range: bytes 1-3/5'),
  301: reply('301 Moved Permanently', '', 'Location: http://other.example/x'),
  302: reply('302 Found', 'there', 'Location: /elsewhere'),
  304: message('HTTP/1.1 304 Not Modified', 'ETag: "x"', ''),
  400: reply('400 Bad Request', 'bad'),
  401: reply('401 Unauthorized', 'who?', 'WWW-Authenticate: Basic realm="x"'),
  403: reply('403 Forbidden', 'no'),
  404: reply('404 Not Found', 'nothing'),
  407: reply('407 Proxy Authentication Required', 'who?', 'Proxy-Authenticate: Basic realm="x"'),
  '426 with websocket': reply('426 Upgrade Required', 'up', 'Upgrade: websocket', 'Connection: Upgrade'),
  '426 with h2c': reply('426 Upgrade Required', 'up', 'Upgrade: h2c', 'Connection: Upgrade'),
  '200 that advertises websocket': reply('200 OK', 'hi', 'Upgrade: websocket', 'Connection: Upgrade'),
  429: reply('429 Too Many Requests', 'slowly', 'Retry-After: 3'),
  500: reply('500 Internal Server Error', 'oops'),
  502: reply('502 Bad Gateway', 'gone'),
  503: reply('503 Service Unavailable', 'later', 'Retry-After: 3'),
  504: reply('504 Gateway Timeout', 'late'),
  'a reason of its own': reply('200 All Is Well', 'hi'),
  'an empty reason': reply('200 ', 'hi'),
  'no reason at all': reply('200', 'hi'),
  'an unknown status': reply('299 Whatever', 'hi'),
  'its own Date and Server': reply('200 OK', 'hi', `Date: ${upstreamDate}`, `Server: ${upstreamServer}`),
  'Connection names a header': reply('200 OK', 'hi', 'X-Secret: 1', 'X-Open: 2', 'Connection: X-Secret'),
  'hop-by-hop headers': reply('200 OK', 'hi', 'Keep-Alive: timeout=5, passed', 'TE: trailers', 'Proxy-Connection: keep-alive'),
  'three cookies': reply('200 OK', 'hi', 'Set-Cookie: a=1; Path=/', 'Set-Cookie: b=2', 'Set-Cookie: c=3; Secure'),
  'a header twice': reply('200 OK', 'hi', 'X-Twice: 1', 'X-Twice: 2'),
  'an empty header': reply('200 OK', 'hi', 'X-Empty:'),
  'latin-1 in a header': reply('200 OK', 'hi', 'X-Name: caf\xe9'),
  'Connection: close': reply('200 OK', 'hi', 'Connection: close'),
  'HTTP/1.0 with a length': reply('200 OK', 'hi').replace('HTTP/1.1', 'HTTP/1.0'),
  '103 before': early + reply('200 OK', 'hi'),
  '100 before': 'HTTP/1.1 100 Continue\r\n\r\n' + reply('200 OK', 'hi'),
  '102 before': message('HTTP/1.1 102 Processing', '') + reply('200 OK', 'hi'),
  'two interim replies before': early + early + reply('200 OK', 'hi'),
  'ten interim replies before': early.repeat(10) + reply('200 OK', 'hi'),
  'length and chunks': message('HTTP/1.1 200 OK', 'Content-Length: 3', 'Transfer-Encoding: chunked', '') + chunks,
  'the same length twice': message('HTTP/1.1 200 OK', 'Content-Length: 2', 'Content-Length: 2', '') + 'hi',
  'two lengths': message('HTTP/1.1 200 OK', 'Content-Length: 2', 'Content-Length: 3', '') + 'hi!',
  'a length that is none': message('HTTP/1.1 200 OK', 'Content-Length: x', '') + 'hi',
  'another coding': message('HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked', '') + chunks,
  'a folded header': message('HTTP/1.1 200 OK', 'X-Folded: a', ' b', 'Content-Length: 2', '') + 'hi',
  'bare LF': `HTTP/1.1 200 OK\n${fromUpstream}\nContent-Length: 2\n\nhi`,
  'a header without a colon': message('HTTP/1.1 200 OK', 'nonsense', 'Content-Length: 2', '') + 'hi',
  'a space before the colon': message('HTTP/1.1 200 OK', 'X-Sp : a', 'Content-Length: 2', '') + 'hi',
  'a control character in a header': message('HTTP/1.1 200 OK', 'X-Ctl: a\x01b', 'Content-Length: 2', '') + 'hi',
  'a header of 9 kB': message('HTTP/1.1 200 OK', `X-Long: ${'a'.repeat(9000)}`, 'Content-Length: 2', '') + 'hi',
  'a header of 20 kB': message('HTTP/1.1 200 OK', `X-Long: ${'a'.repeat(20_000)}`, 'Content-Length: 2', '') + 'hi',
  'status 600': reply('600 Odd', 'hi'),
  'a body of 100 kB': reply('200 OK', 'x'.repeat(100_000)),
  'more than its length': reply('200 OK', 'hi') + 'more'
}

/** Replies that end the connection. */
const ending: Record<string, readonly UpstreamStep[]> = {
  'a body until the end': [send(message('HTTP/1.1 200 OK', '') + 'until the end'), fin()],
  'HTTP/1.0 until the end': [send(message('HTTP/1.0 200 OK', '') + 'until the end'), fin()],
  'a body that is cut short': [send(message('HTTP/1.1 200 OK', 'Content-Length: 10', '') + 'short'), fin()],
  'chunks that are cut short': [send(message('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '') + '5\r\nhel'), fin()],
  'a chunk size that is none': [send(message('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '') + 'zz\r\nhel\r\n'), fin()],
  'an end without a byte': [fin()],
  'a reset without a byte': [reset()],
  'half a head': [send('HTTP/1.1 200 OK\r\nX-Ha'), fin()],
  'no HTTP': [send('NOT HTTP AT ALL\r\n'), fin()],
  'no HTTP, and no line': [send('banner'), fin()],
  'HTTP/2 in the status line': [send('HTTP/2 200\r\n\r\nhello'), fin()],
  'an SSH banner': [send('SSH-2.0-OpenSSH_9.2\r\n'), fin()]
}

/** 101s, right and wrong. */
const switches: Record<string, readonly UpstreamStep[]> = {
  'a right 101': [switching({}, 'hello')],
  'without Upgrade': [switching({ Upgrade: undefined }, 'hello')],
  'Upgrade: h2c': [switching({ Upgrade: 'h2c' }, 'hello')],
  'Upgrade: websocket, foo': [switching({ Upgrade: 'websocket, foo' }, 'hello')],
  'Upgrade: WebSocket': [switching({ Upgrade: 'WebSocket' }, 'hello')],
  'without Connection': [switching({ Connection: undefined }, 'hello')],
  'Connection: keep-alive, Upgrade': [switching({ Connection: 'keep-alive, Upgrade' }, 'hello')],
  'a wrong Accept': [switching({ 'Sec-WebSocket-Accept': 'AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }, 'hello')],
  'no Accept': [switching({ 'Sec-WebSocket-Accept': undefined }, 'hello')],
  'Connection names Accept': [switching({ Connection: 'Upgrade, Sec-WebSocket-Accept' }, 'hello')],
  'a subprotocol that was not offered': [switching({ 'Sec-WebSocket-Protocol': 'chat' }, 'hello')],
  'a length': [switching({ 'Content-Length': '5' }, 'hello')],
  chunked: [switching({ 'Transfer-Encoding': 'chunked' }, 'hello')],
  'Set-Cookie and Location': [switching({ 'Set-Cookie': 'a=1', Location: '/x', 'X-Other': 'kept' }, 'hello')],
  'Date and Server': [switching({ Date: upstreamDate, Server: upstreamServer }, 'hello')],
  'Keep-Alive and Proxy-Connection': [switching({ 'Keep-Alive': 'timeout=5, passed', 'Proxy-Connection': 'x' }, 'hello')],
  'a reason of its own': [
    raw(), send(crlf('HTTP/1.1 101 Totally Custom', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, '') + 'hello')
  ],
  'no reason': [raw(), send(crlf('HTTP/1.1 101', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, '') + 'hello')],
  'HTTP/1.0': [
    raw(),
    send(crlf('HTTP/1.0 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, '') + 'hello')
  ],
  'bare LF': [raw(), send(`HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: ${accept}\n\nhello`)],
  'a 100 before': [send('HTTP/1.1 100 Continue\r\n\r\n'), switching({}, 'hello')],
  'a 103 before': [send(early), switching({}, 'hello')],
  'bytes that begin like a response': [switching({}, 'HTTP/')]
}

const modes: Record<string, Table> = { ws, 'ws, no fallback': wsOff, 'http, upgrade': httpUp }
const unreachable = (scheme: string, name: string): Table => ({ routes: [{ path: '/', upstream: `${scheme}://${name}/` }] })
const slow: Table = { ...ws, timeout: 1 }
const slowOff: Table = { ...wsOff, timeout: 1 }

export const replies: readonly Scenario[] = explained([
  ...Object.entries(whole).flatMap(([name, text]): Scenario[] => [
    { name: `replies / plain / ${name}`, table: http, client: ask(head('GET /x')), upstream: [[body(), send(text)]] },
    { name: `replies / upgrade / ${name}`, table: ws, client: ask(handshake()), upstream: [[body(), send(text)]] }
  ]),
  ...[
    '200 with a length', '200 in chunks', '204', '304', '302', '403', '426 with websocket', '503', '103 before', '100 before',
    'length and chunks', 'two lengths', 'status 600', 'a header without a colon', 'Connection: close', 'hop-by-hop headers'
  ].map((name): Scenario => ({
    name: `replies / no fallback / ${name}`, table: wsOff, client: [...ask(handshake()), ifRelayed(ended())], upstream: [[send(whole[name] ?? ''), fin()]]
  })),
  ...['200 with a length', '204', '304', '404', '200 in chunks'].map((name): Scenario => ({
    name: `replies / HEAD / ${name}`,
    table: http,
    client: ask(head('HEAD /x'), 'HEAD'),
    upstream: [[send((whole[name] ?? '').replace(/\r\n\r\n[^]*$/, '\r\n\r\n'))]]
  })),
  ...Object.entries(ending).flatMap(([name, steps]): Scenario[] => [
    { name: `replies / plain / ${name}`, table: http, client: ask(head('GET /x')), upstream: [[body(), ...steps]] },
    { name: `replies / upgrade / ${name}`, table: ws, client: ask(handshake()), upstream: [steps] },
    { name: `replies / no fallback / ${name}`, table: wsOff, client: ask(handshake()), upstream: [steps] }
  ]),
  ...Object.entries(modes).flatMap(([mode, table]) => Object.entries(switches).map(([name, steps]): Scenario => ({
    name: `replies / 101 / ${mode} / ${name}`, table, client: ask(handshake()), upstream: [[...steps, bytes(4), send('pong'), ended(), fin()]]
  }))),
  { name: 'replies / a 101 that nobody asked for', table: http, client: ask(head('GET /x')), upstream: [[switching()]] },
  { name: 'replies / a 101 to an http target without upgrade', table: http, client: ask(handshake()), upstream: [[switching()]] },
  { name: 'replies / a POST that is cut off', table: http, client: ask(head('POST /x', 'Content-Length: 2') + 'hi', 'POST'), upstream: [[body(), fin()]] },
  ...[['plain', head('GET /x')], ['upgrade', handshake()]].flatMap(([what, bytes]): Scenario[] => [
    { name: `replies / ${what as string} / nobody listens`, table: unreachable('ws', 'refused'), client: ask(bytes as string), upstream: [] },
    { name: `replies / ${what as string} / no such name`, table: unreachable('ws', 'nowhere'), client: ask(bytes as string), upstream: [] },
    { name: `replies / ${what as string} / silence`, table: slow, client: ask(bytes as string), upstream: [[]] },
    { name: `replies / ${what as string} / silence in the head`, table: slow, client: ask(bytes as string), upstream: [[send('HTTP/1.1 200 OK\r\nX-Ha')]] }
  ]),
  { name: 'replies / no fallback / nobody listens', table: { ...unreachable('ws', 'refused'), fallbackToHttp: false }, client: ask(handshake()), upstream: [] },
  { name: 'replies / no fallback / silence', table: slowOff, client: ask(handshake()), upstream: [[]] },
  {
    name: 'replies / plain / silence in the body',
    table: slow,
    client: ask(head('GET /x')),
    upstream: [[send(message('HTTP/1.1 200 OK', 'Content-Length: 10', '') + 'short')]]
  }
])
