// What is sent to each of the three servers: raw bytes. `/app/` is proxied to `/base/`, and nothing else is.

export interface Input {
  readonly name: string
  /** As latin1. */
  readonly bytes: string
  /** What the upstream answers to an upgrade, instead of a proper 101. */
  readonly handshake?: string
  /** We let through what neither of the others does: the row of docs/second-opinion.md that says why. */
  readonly row?: string
}

const head = (line: string, ...fields: string[]): string => [line, ...fields, '', ''].join('\r\n')
const get = (path: string, ...fields: string[]): string => head(`GET ${path} HTTP/1.1`, 'Host: h', ...fields)
const post = (...fields: string[]): string => head('POST /app/x HTTP/1.1', 'Host: h', ...fields)

const smuggled = head('GET /app/smuggled HTTP/1.1', 'Host: h')
const inside = `0\r\n\r\n${smuggled}`
const webSocket = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13']
const upgrade = (...fields: string[]): string => get('/app/ws', ...webSocket, ...fields)
const refused = (status: string): string => `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`

function named (group: string, inputs: Record<string, string | Omit<Input, 'name'>>): Input[] {
  return Object.entries(inputs).map(([name, input]) => ({ name: `${group}: ${name}`, ...typeof input === 'string' ? { bytes: input } : input }))
}

/** The body is read as chunks, or as so many bytes, or not at all: it holds a request for whoever is wrong. */
const framing = named('framing', {
  'Content-Length and Transfer-Encoding': post(`Content-Length: ${inside.length}`, 'Transfer-Encoding: chunked') + inside,
  'Transfer-Encoding and Content-Length': post('Transfer-Encoding: chunked', `Content-Length: ${inside.length}`) + inside,
  'a short Content-Length and Transfer-Encoding': post('Content-Length: 5', 'Transfer-Encoding: chunked') + inside,
  'two Content-Lengths': post('Content-Length: 0', `Content-Length: ${smuggled.length}`) + smuggled,
  'the same Content-Length twice': post('Content-Length: 2', 'Content-Length: 2') + 'hi',
  'a list of Content-Lengths': post('Content-Length: 2, 2') + 'hi',
  'Content-Length with a plus': post('Content-Length: +2') + 'hi',
  'Content-Length with a minus': post('Content-Length: -2') + 'hi',
  'Content-Length in hex': post('Content-Length: 0x2') + 'hi',
  'Content-Length with a zero before it': post('Content-Length: 02') + 'hi',
  'Content-Length with two numbers': post('Content-Length: 0 2') + smuggled,
  'an empty Content-Length': post('Content-Length:') + smuggled,
  'Content-Length of 2 to the 64': post('Content-Length: 18446744073709551616') + smuggled,
  'Content-Length with a space before the colon': post(`Content-Length : ${smuggled.length}`) + smuggled,
  'Content-Length with an underscore': post(`Content_Length: ${smuggled.length}`) + smuggled,
  'Content-Length in Connection': post('Connection: Content-Length', `Content-Length: ${smuggled.length}`) + smuggled,
  'Transfer-Encoding in Connection': post('Connection: Transfer-Encoding', 'Transfer-Encoding: chunked') + inside,
  xchunked: post('Transfer-Encoding: xchunked') + inside,
  'chunked, identity': post('Transfer-Encoding: chunked, identity') + inside,
  identity: post('Transfer-Encoding: identity') + inside,
  'gzip, chunked': post('Transfer-Encoding: gzip, chunked') + inside,
  'chunked twice': post('Transfer-Encoding: chunked, chunked') + inside,
  'two Transfer-Encodings': post('Transfer-Encoding: identity', 'Transfer-Encoding: chunked') + inside,
  'CHUNKED in capitals': post('Transfer-Encoding: CHUNKED') + inside,
  'a vertical tab before chunked': post('Transfer-Encoding:\vchunked') + inside,
  'a NEL before chunked': post('Transfer-Encoding: \x85chunked') + inside,
  'Transfer-Encoding with a space before the colon': post('Transfer-Encoding : chunked') + inside,
  'Transfer-Encoding folded': post('Transfer-Encoding:', ' chunked') + inside,
  'Transfer-Encoding folded into another field': post('X: y', ' Transfer-Encoding: chunked') + inside,
  'Transfer-Encoding quoted': post('Transfer-Encoding: "chunked"') + inside,
  'Transfer-Encoding behind a bare LF': post('X: y\nTransfer-Encoding: chunked') + inside,
  'Transfer-Encoding behind a bare CR': post('X: y\rTransfer-Encoding: chunked') + inside,
  'Transfer-Encoding with a NUL': post('Transfer-Encoding: chunked\0') + inside,
  'Transfer-Encoding in HTTP/1.0': head('POST /app/x HTTP/1.0', 'Host: h', 'Transfer-Encoding: chunked') + inside,
  'a body with GET': get('/app/x', `Content-Length: ${smuggled.length}`) + smuggled,
  'a chunked body with HEAD': head('HEAD /app/x HTTP/1.1', 'Host: h', 'Transfer-Encoding: chunked') + inside,
  'Expect with a body': post('Expect: 100-continue', 'Content-Length: 2') + 'hi',
  'another Expect': post('Expect: y 100-continue', `Content-Length: ${smuggled.length}`) + smuggled
})

const chunked = post('Transfer-Encoding: chunked')
const chunks = named('chunks', {
  'an extension': `${chunked}2;a=b\r\nhi\r\n${inside}`,
  'a quoted extension': `${chunked}2;a="b\\"c"\r\nhi\r\n${inside}`,
  'an extension of 20 kB': `${chunked}2;${'a'.repeat(20_000)}\r\nhi\r\n${inside}`,
  'a bare LF in an extension': `${chunked}2;a\nhi\r\n${inside}`,
  'a bare CR in an extension': `${chunked}2;a\rb\r\nhi\r\n${inside}`,
  'a bare LF behind the size': `${chunked}2\nhi\r\n${inside}`,
  'a bare LF behind the data': { bytes: `${chunked}2\r\nhi\n${inside}`, row: 'streamed-bodies' },
  'a size with 0x': `${chunked}0x2\r\nhi\r\n${inside}`,
  'a size with a plus': `${chunked}+2\r\nhi\r\n${inside}`,
  'a size with a minus': `${chunked}-2\r\nhi\r\n${inside}`,
  'a size with a space before it': `${chunked} 2\r\nhi\r\n${inside}`,
  'a size with a space behind it': `${chunked}2 \r\nhi\r\n${inside}`,
  'a size with an underscore': `${chunked}0_2\r\nhi\r\n${inside}`,
  'a size of 17 digits': `${chunked}10000000000000002\r\nhi\r\n${inside}`,
  'a size with zeros before it': `${chunked}0000000000000002\r\nhi\r\n${inside}`,
  'no size': `${chunked}\r\nhi\r\n${inside}`,
  'a chunk longer than its size': { bytes: `${chunked}2\r\nhij\r\n${inside}`, row: 'streamed-bodies' },
  'a last chunk that is cut': `${chunked}2\r\nhi\r\n0\r\n`,
  'a trailer': `${chunked}2\r\nhi\r\n0\r\nHost: evil\r\n\r\n${smuggled}`,
  'a trailer with framing': `${chunked}2\r\nhi\r\n0\r\nContent-Length: 50\r\n\r\n${smuggled}`
})

const fields = named('fields', {
  'two Hosts': get('/app/x', 'Host: evil'),
  'no Host': head('GET /app/x HTTP/1.1'),
  'an empty Host': head('GET /app/x HTTP/1.1', 'Host:'),
  'a Host with a path': head('GET /app/x HTTP/1.1', 'Host: h/../x'),
  'a Host with a user': head('GET /app/x HTTP/1.1', 'Host: u@h'),
  'a Host with a port that is none': head('GET /app/x HTTP/1.1', 'Host: h:99999'),
  'a folded field': get('/app/x', 'X: a', ' b'),
  'a space before the colon': get('/app/x', 'X : a'),
  'a field without a colon': get('/app/x', 'X'),
  'a field without a name': get('/app/x', ': x'),
  'a NUL in a value': get('/app/x', 'X: a\0b'),
  'a NUL in a name': get('/app/x', 'X\0: a'),
  'a bare CR in a value': get('/app/x', 'X: a\rY: b'),
  'a bare LF between fields': 'GET /app/x HTTP/1.1\r\nHost: h\nX: y\r\n\r\n',
  'bare LFs only': 'GET /app/x HTTP/1.1\nHost: h\n\n',
  'a bare LF that ends the head': `GET /app/x HTTP/1.1\r\nHost: h\n\n${smuggled}`,
  'a space before the first field': 'GET /app/x HTTP/1.1\r\n Host: h\r\n\r\n',
  'a control character in a value': get('/app/x', 'X: a\x01b'),
  'a name with a high byte': get('/app/x', 'X\xe9: a'),
  'many fields': get('/app/x', ...Array.from({ length: 1500 }, () => 'a:')),
  'a field of 40 kB': get('/app/x', `X: ${'a'.repeat(40_000)}`)
})

const lines = named('request line', {
  'HTTP/1.2': head('GET /app/x HTTP/1.2', 'Host: h'),
  'HTTP/2.0': head('GET /app/x HTTP/2.0', 'Host: h'),
  'HTTP/0.9': head('GET /app/x HTTP/0.9', 'Host: h'),
  'http/1.1': head('GET /app/x http/1.1', 'Host: h'),
  'no version': 'GET /app/x\r\n\r\n',
  'two spaces': head('GET  /app/x HTTP/1.1', 'Host: h'),
  'a tab': head('GET\t/app/x\tHTTP/1.1', 'Host: h'),
  'a space in the target': head('GET /app/x y HTTP/1.1', 'Host: h'),
  'an empty line before it': `\r\n${get('/app/x')}`,
  'a method in small letters': head('get /app/x HTTP/1.1', 'Host: h'),
  CONNECT: head('CONNECT /app/x HTTP/1.1', 'Host: h') + smuggled,
  TRACE: head('TRACE /app/x HTTP/1.1', 'Host: h'),
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'two requests': get('/app/x') + get('/app/y'),
  'a request behind Connection: close': get('/app/x', 'Connection: close') + smuggled
})

const paths = named('path', Object.fromEntries([
  '/app/../x', '/app/%2e%2e/x', '/app/%2E%2E%2Fx', '/app/..%2fx', '/app/..%5cx', '/app/%5c..%5cx', '/app\\..\\x', '/app/..;/x', '/app/..;a=b/x', '/app/.%2e/x',
  '/app/./x', '/app/x/..', '/app/x/../y', '/app//x', '/app//..//x', '//app/x', '//evil/app/x',
  '/app/%252e%252e/x', '/app/%00', '/app/x%00.txt', '/app/%', '/app/%zz', '/app/%c0%ae%c0%ae/x',
  '/app/x#f', '/app/x?a=/../b', '/app/x?#', '/app/x;a=b', '/%61pp/x', '/APP/x', '/app', '/app%2fx',
  '/app/%2fx', '/app/x%2f..%2fy', '/app/...', '/app/\xe9', '/app/x%20HTTP/1.1', '/app/x%0d%0aX:y',
  'http://h/app/x', 'http://evil/app/x', 'http://u:p@evil/app/x', 'ftp://h/app/x', 'app/x', '*', '?', 'http://h\\app/x', 'http://h/app/../x'
].map((target) => [JSON.stringify(target), get(target)])))

const upgrades = named('upgrade', {
  'a WebSocket': upgrade() + 'data',
  'refused with 200': { bytes: upgrade() + smuggled, handshake: refused('200 OK') },
  'refused with 426': {
    bytes: get('/app/ws', ...webSocket.slice(0, 3), 'Sec-WebSocket-Version: 1337') + smuggled,
    handshake: refused('426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade')
  },
  'a 101 with a wrong accept': {
    bytes: upgrade() + smuggled,
    handshake: 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n'
  },
  'a 101 to another protocol': { bytes: upgrade() + smuggled, handshake: 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n' },
  'a 101 without Upgrade': { bytes: upgrade() + smuggled, handshake: 'HTTP/1.1 101 X\r\n\r\n' },
  'a 200 with Upgrade': { bytes: upgrade() + smuggled, handshake: 'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n' },
  'with POST': head('POST /app/ws HTTP/1.1', 'Host: h', ...webSocket) + smuggled,
  'with a Content-Length': upgrade(`Content-Length: ${smuggled.length}`) + smuggled,
  'with chunks': upgrade('Transfer-Encoding: chunked') + inside,
  'with both': upgrade('Transfer-Encoding: chunked', 'Content-Length: 5') + inside,
  'in HTTP/1.0': { bytes: head('GET /app/ws HTTP/1.0', 'Host: h', ...webSocket) + smuggled, row: 'declined-offers' },
  'without Host': head('GET /app/ws HTTP/1.1', ...webSocket) + smuggled,
  'with two Hosts': upgrade('Host: evil') + smuggled,
  'in absolute-form': head('GET http://evil/app/ws HTTP/1.1', 'Host: h', ...webSocket) + smuggled,
  'out of its prefix': head('GET /app/../ws HTTP/1.1', 'Host: h', ...webSocket) + smuggled,
  'out of its prefix, encoded': head('GET /app/%2e%2e/ws HTTP/1.1', 'Host: h', ...webSocket) + smuggled,
  'without a key': get('/app/ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13') + smuggled,
  'to h2c': {
    bytes: get('/app/ws', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__') + smuggled,
    row: 'declined-offers'
  },
  'to h2c or WebSocket': get(
    '/app/ws',
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c, websocket',
    ...webSocket.slice(2),
    'HTTP2-Settings: AAMAAABkAAQAAP__'
  ) + smuggled,
  'to TLS': { bytes: get('/app/ws', 'Connection: Upgrade', 'Upgrade: TLS/1.0') + smuggled, row: 'declined-offers' },
  'to a protocol of high bytes': { bytes: get('/app/ws', 'Connection: Upgrade', 'Upgrade: \x80\xff') + smuggled, row: 'declined-offers' },
  'without Upgrade': get('/app/ws', 'Connection: Upgrade') + smuggled,
  'without Connection': get('/app/ws', 'Upgrade: websocket', ...webSocket.slice(2)) + smuggled,
  'by Proxy-Connection': get('/app/ws', 'Proxy-Connection: Upgrade', 'Upgrade: websocket', ...webSocket.slice(2)) + smuggled,
  'behind a request': get('/app/x') + upgrade() + 'data',
  'whose Connection takes the key away': get('/app/ws', 'Connection: Upgrade, Sec-WebSocket-Key', ...webSocket.slice(1)),
  'with 60 protocols': get('/app/ws', 'Connection: Upgrade', `Upgrade: ${'a, '.repeat(60)}websocket`, ...webSocket.slice(2)) + smuggled
})

export const inputs: readonly Input[] = [...framing, ...chunks, ...fields, ...lines, ...paths, ...upgrades]
