/** Headers on their way to the upstream, and what the server itself refuses. */
import { response, send } from './steps.ts'
import { explained } from './explained.ts'
import { upstreamDate } from './normalise.ts'
import type { Scenario, Table } from './table.ts'
import { ask, handshake, head, http, ok, reply, says, willing, ws, wsOff } from './words.ts'

const lines: Record<string, readonly string[]> = {
  'hop-by-hop': ['Keep-Alive: timeout=5, passed', 'TE: trailers', 'Trailer: X-T', 'Proxy-Connection: keep-alive'],
  'X-Forwarded-For': ['X-Forwarded-For: 6.6.6.6'],
  'X-Forwarded-Host': ['X-Forwarded-Host: evil.example'],
  'X-Forwarded-Proto': ['X-Forwarded-Proto: https'],
  'X-Forwarded-Server': ['X-Forwarded-Server: evil.example'],
  Forwarded: ['Forwarded: for=6.6.6.6'],
  'X_Forwarded_For, with underscores': ['X_Forwarded_For: 6.6.6.6'],
  'X-Real-IP': ['X-Real-IP: 6.6.6.6'],
  Via: ['Via: 1.0 other'],
  Cookie: ['Cookie: a=1; b=2'],
  'Cookie on two lines': ['Cookie: a=1', 'Cookie: b=2'],
  Authorization: ['Authorization: Bearer abc'],
  'Proxy-Authorization': ['Proxy-Authorization: Basic abc'],
  'Max-Forwards': ['Max-Forwards: 5'],
  Origin: ['Origin: https://app.example'],
  'Accept-Encoding': ['Accept-Encoding: gzip, br'],
  'a subprotocol and an extension': ['Sec-WebSocket-Protocol: chat, superchat', 'Sec-WebSocket-Extensions: permessage-deflate'],
  'a header twice': ['X-Twice: 1', 'X-Twice: 2'],
  'an empty header': ['X-Empty:'],
  'latin-1': ['X-Name: caf\xe9'],
  'case and order': ['x-LOWER-upper: 1', 'A-First: 2'],
  Range: ['Range: bytes=0-1', 'If-None-Match: "x"'],
  Proxy: ['Proxy: http://evil.example'],
  'HTTP2-Settings': ['HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA'],
  Expect: ['Expect: 100-continue'],
  'another Expect': ['Expect: foo']
}

const named: readonly string[] = [
  'X-Mine', 'Cookie', 'Authorization', 'Host', 'X-Forwarded-For', 'X-Forwarded-Host', 'Sec-WebSocket-Version', 'Origin', 'Content-Length', 'close', 'keep-alive'
]

/** What a request or a response relies on. */
const needed: Record<'request' | 'response', Record<string, string>> = {
  request: {
    'Content-Length': '5',
    'Content-Type': 'text/plain',
    'Content-Encoding': 'identity',
    Via: '1.0 other',
    Forwarded: 'for=6.6.6.6',
    'X-Forwarded-For': '6.6.6.6',
    'X-Forwarded-Proto': 'https',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'a=b'
  },
  response: {
    'Set-Cookie': 'a=1',
    Location: '/elsewhere',
    'WWW-Authenticate': 'Basic realm="x"',
    'Content-Type': 'text/plain',
    'Content-Encoding': 'identity',
    Date: upstreamDate,
    ETag: '"x"'
  }
}

const requests: Record<string, string> = {
  'no Host': 'GET /x HTTP/1.1\r\n\r\n',
  'two Hosts': 'GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'a Host with a space': 'GET /x HTTP/1.1\r\nHost: a b\r\n\r\n',
  'a Host with a user': 'GET /x HTTP/1.1\r\nHost: u@h\r\n\r\n',
  'an empty Host': 'GET /x HTTP/1.1\r\nHost:\r\n\r\n',
  'a Host with a port': 'GET /x HTTP/1.1\r\nHost: front.example:8080\r\n\r\n',
  'no Host in HTTP/1.0': 'GET /x HTTP/1.0\r\n\r\n',
  'HTTP/1.0': 'GET /x HTTP/1.0\r\nHost: front.example\r\n\r\n',
  'HTTP/1.0 that wants to be kept': 'GET /x HTTP/1.0\r\nHost: front.example\r\nConnection: keep-alive\r\n\r\n',
  'HTTP/1.2': 'GET /x HTTP/1.2\r\nHost: a\r\n\r\n',
  'HTTP/2.0': 'GET /x HTTP/2.0\r\nHost: a\r\n\r\n',
  'HTTP/0.9': 'GET /x HTTP/0.9\r\nHost: a\r\n\r\n',
  'http/1.1 in lower case': 'GET /x http/1.1\r\nHost: a\r\n\r\n',
  'two spaces': 'GET  /x HTTP/1.1\r\nHost: a\r\n\r\n',
  'bare LF': 'GET /x HTTP/1.1\nHost: a\n\n',
  'a bare CR in a value': 'GET /x HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n',
  'a NUL in a value': 'GET /x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n',
  'a control character in a value': 'GET /x HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n',
  'a space before the colon': 'GET /x HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n',
  'no colon': 'GET /x HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n',
  'an empty name': 'GET /x HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n',
  'a folded header': 'GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n',
  'an empty line first': '\r\nGET /x HTTP/1.1\r\nHost: front.example\r\n\r\n',
  'a header of 9 kB': `GET /x HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(9000)}\r\n\r\n`,
  'a request target of 9 kB': `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  '101 headers': `GET /x HTTP/1.1\r\nHost: a\r\n${'X-Many: 1\r\n'.repeat(101)}\r\n`,
  garbage: 'garbage\r\n\r\n',
  'a TLS hello': '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n'
}

const preserved: Table = { ...ws, preserveHost: true }
const withVia: Table = { ...http, via: 'on' }
const withoutVia: Table = { ...http, via: 'block' }
const unforwarded: Table = { ...http, forwarded: false }

export const headers: readonly Scenario[] = explained([
  ...Object.entries(lines).flatMap(([name, each]): Scenario[] => [
    { name: `headers / plain / ${name}`, table: http, client: ask(head('GET /x', ...each)), upstream: willing },
    { name: `headers / upgrade / ${name}`, table: ws, client: ask(handshake('/x', ...each)), upstream: willing }
  ]),
  ...['hop-by-hop', 'X-Forwarded-For', 'Cookie on two lines', 'Proxy-Authorization'].map((name): Scenario => ({
    name: `headers / no fallback / ${name}`, table: wsOff, client: ask(handshake('/x', ...lines[name] ?? [])), upstream: willing
  })),
  ...named.map((name): Scenario => ({
    name: `headers / Connection names ${name}`,
    table: ws,
    client: ask(handshake('/x', `Connection: ${name}`, 'X-Mine: 1', 'X-Other: 2', 'Cookie: a=1', 'Authorization: Bearer abc', 'Origin: https://app.example')),
    upstream: willing
  })),
  ...Object.entries(needed.request).map(([name, value]): Scenario => ({
    name: `headers / Connection names ${name}, plain`,
    table: { ...http, trustProxy: true },
    client: ask(head('POST /x', `Connection: ${name}`, `${name}: ${value}`, ...(name === 'Content-Length' ? [] : ['Content-Length: 5'])) + 'hello', 'POST'),
    upstream: willing
  })),
  ...Object.entries(needed.response).map(([name, value]): Scenario => ({
    name: `headers / Connection of a response names ${name}`,
    table: http,
    client: ask(head('GET /x')),
    upstream: says(ok('hi', `Connection: ${name}`, `${name}: ${value}`))
  })),
  {
    name: 'headers / Connection names X-Mine, plain',
    table: http,
    client: ask(head('GET /x', 'Connection: X-Mine', 'X-Mine: 1', 'X-Other: 2')),
    upstream: willing
  },
  ...Object.entries(requests).map(([name, bytes]): Scenario => ({ name: `requests / ${name}`, table: http, client: ask(bytes), upstream: willing })),
  { name: 'headers / preserveHost, plain', table: preserved, client: ask(head('GET /x')), upstream: willing },
  { name: 'headers / preserveHost, upgrade', table: preserved, client: ask(handshake()), upstream: willing },
  { name: 'headers / forwarded: false, plain', table: unforwarded, client: ask(head('GET /x', 'X-Forwarded-For: 6.6.6.6')), upstream: willing },
  { name: 'headers / via: on', table: withVia, client: ask(head('GET /x')), upstream: says(ok('hi', 'Via: 1.1 upstream')) },
  { name: 'headers / via: block', table: withoutVia, client: ask(head('GET /x', 'Via: 1.0 other')), upstream: says(ok('hi')) },
  {
    name: 'headers / the forwarded fields, as they are', table: http, client: ask(head('GET /x')), upstream: willing, exact: ['forwarded-fields']
  },
  {
    name: 'headers / the protocol, as it is spelled',
    table: wsOff,
    client: ask(handshake()),
    upstream: willing,
    exact: ['protocol-name-case']
  },
  {
    name: "headers / the client's spelling of the protocol",
    table: ws,
    client: ask(handshake().replace('Upgrade: websocket', 'Upgrade: WebSocket')),
    upstream: willing,
    exact: ['protocol-name-case']
  },
  {
    name: 'requests / two, one after the other',
    table: http,
    client: [send(head('GET /1')), response(), send(head('GET /2')), response()],
    upstream: says(ok('one'), ok('two'))
  },
  {
    name: 'requests / two at once',
    table: http,
    client: [send(head('GET /1') + head('GET /2')), response(), response()],
    upstream: says(ok('one'), ok('two'))
  },
  {
    name: 'requests / an upgrade on a connection that was used',
    table: ws,
    client: [send(head('GET /1')), response(), ...ask(handshake())],
    upstream: willing
  },
  {
    name: 'requests / a request after a refused upgrade',
    table: ws,
    client: [send(handshake()), response(), send(head('GET /2')), response()],
    upstream: says(reply('403 Forbidden', 'no'), ok('two'))
  },
  {
    name: 'requests / an upgrade after a refused upgrade',
    table: ws,
    client: [send(handshake('/1')), response(), ...ask(handshake('/2'))],
    upstream: [[send(reply('403 Forbidden', 'no'))], ...willing]
  },
  {
    name: 'requests / an upgrade behind a request that is not answered yet',
    table: ws,
    client: [send(head('GET /1') + handshake('/2')), response(), ...ask('')],
    upstream: [...says(ok('one')), ...willing]
  },
  { name: 'requests / Connection: close', table: http, client: ask(head('GET /x', 'Connection: close')), upstream: willing },
  {
    name: 'requests / a refused upgrade with Connection: close',
    table: ws,
    client: ask(handshake('/x', 'Connection: close')),
    upstream: says(reply('403 Forbidden', 'no'))
  },
  {
    name: 'requests / no fallback / a request after a refused upgrade',
    table: wsOff,
    client: [send(handshake()), response(), send(head('GET /admin')), response()],
    upstream: says(reply('403 Forbidden', 'no'), ok('secret'))
  }
])
