// What clients and upstreams say: mostly as the RFCs have it, with faults put in on purpose.
import fc from 'fast-check'
import { servers } from './child.ts'
import type { Case } from './play.ts'
import type { Reply } from './upstream.ts'

const crlf = '\r\n'
const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code))
const anyByte = fc.integer({ min: 0, max: 0xff }).map((code) => String.fromCharCode(code))
/** Once in so many. */
const seldom = <T>(often: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: often, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
const nameChar = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!#$%&\'*+.^`|~')

export const value = fc.oneof(
  { weight: 6, arbitrary: fc.string({ unit: printable, maxLength: 20 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom('\t', ' ', '\xe9', '\xff', '"', ',', ';', 'a'), maxLength: 12 }) }
)
export const fieldName = fc.string({ unit: nameChar, minLength: 1, maxLength: 12 })

/** With a marker of its case, like every request: so that one which comes late is not taken for the next case's. */
const decoy = 'GET /f/~0000~99/evil HTTP/1.1\r\nHost: evil\r\nX-Evil: 1\r\n\r\n'

/** Bytes of a body: text, anything, what looks like a request or a response, or much. */
const content = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: printable, maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: anyByte, maxLength: 40 }) },
  { weight: 3, arbitrary: fc.constantFrom(decoy, `0\r\n\r\n${decoy}`, `\r\n${decoy}`, 'HTTP/1.1 200 OK\r\nX-Marker: evil\r\nContent-Length: 0\r\n\r\n') },
  { weight: 1, arbitrary: fc.nat({ max: 70_000 }).map((length) => 'x'.repeat(length)) }
)

/** A body in chunks, as structure. */
export interface Chunked {
  readonly chunks: ReadonlyArray<{ readonly data: string, readonly size: string, readonly extension: string }>
  readonly last: string
  readonly trailers: readonly string[]
}

const extension = fc.oneof(
  { weight: 6, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom(';a', ';a=b', ';a="b;c"', ';q="\\""', ';' + 'x'.repeat(300)) }
)
export const chunked: fc.Arbitrary<Chunked> = fc.record({
  chunks: fc.array(fc.record({
    data: content.filter((text) => text !== ''),
    size: fc.constantFrom('', '', '', '0', '000'),
    extension
  }), { maxLength: 4 }),
  last: fc.constantFrom('0', '0', '000'),
  trailers: fc.array(fc.constantFrom('X-Trailer: t', 'Host: evil', 'X-Evil: 1'), { maxLength: 2 })
})

export function renderChunks ({ chunks, last, trailers }: Chunked): string {
  const parts = chunks.map(({ data, size, extension }) => `${size}${data.length.toString(16)}${extension}${crlf}${data}${crlf}`)
  return `${parts.join('')}${last}${crlf}${trailers.map((line) => line + crlf).join('')}${crlf}`
}

/** Chunked framing that a careless reader might repair. */
export const oddChunks = fc.tuple(chunked, fc.nat(), fc.constantFrom(
  '0x', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', ' ', '+', '-', ';\n',
  '\n', '\r', '\0', 'g', 'fffffffffffff', ',', '\v', '_', '\r\n', ';\r', '\x85', '1 1'
), fc.nat({ max: 1 })).map(([structure, at, odd, drop]) => {
  const text = renderChunks(structure)
  const seam = [...text.matchAll(/[0-9a-f]+(?=[;\r])|\r\n/gi)].map(({ index }) => index)
  const where = seam[at % seam.length] ?? 0
  return text.slice(0, where) + odd + text.slice(where + drop)
})

/** Where a text is cut: nowhere, at some places, or at every byte of its beginning. */
const splits = fc.oneof(
  { weight: 5, arbitrary: fc.constant<number[]>([]) },
  { weight: 4, arbitrary: fc.array(fc.nat({ max: 600 }), { minLength: 1, maxLength: 5 }) },
  { weight: 1, arbitrary: fc.nat({ max: 150 }).map((from) => Array.from({ length: 100 }, (_, i) => from + i)) }
)

interface RequestParts {
  method: string
  target: string
  version: string
  fields: string[]
  body: string
}

const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
const webSocket = ['Connection: Upgrade', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 13']

const plainFields = fc.oneof(
  value.map((text) => `X-Keep: ${text}`),
  fc.constantFrom(
    'Cookie: a=b', 'Cookie: c="d"', 'Authorization: Basic YTpi', 'Origin: https://a.example', 'Accept: */*', 'Content-Type: text/plain',
    'X-Forwarded-For: 6.6.6.6', 'x-forwarded-for: 6.6.6.6, 7.7.7.7', 'X_Forwarded_For: 6.6.6.6', 'X-Forwarded-Host: evil', 'Forwarded: for=6.6.6.6',
    'Via: 1.0 x', 'Keep-Alive: 300', 'TE: trailers', 'TE: gzip', 'Trailer: X', 'Proxy-Authorization: Basic eDp5', 'HTTP2-Settings: AAMAAABkAAQAAP__',
    '__proto__: x', 'constructor: y', 'X-Hop: 1', 'Proxy-Connection: keep-alive', 'X-Empty:', 'User-Agent: a b (c)'
  ),
  fc.tuple(fieldName, value).filter(([name]) => !reserved.test(name)).map(([name, text]) => `${name}: ${text}`)
)
// A name by chance must not be one that means something.
const reserved = /^(?:x-.*|host|te|via|date|connection|upgrade|trailer|expect|cookie|origin|range|content-.*|transfer-.*|keep-alive|proxy-.*|sec-.*|forwarded)$/i

const connections = fc.constantFrom(
  'Connection: keep-alive', 'Connection: X-Hop', 'Connection: x-hop, keep-alive', 'Connection: X-Keep, Cookie, Authorization, X-Forwarded-For, Host',
  'Connection: Content-Length', 'Connection: Transfer-Encoding', 'Connection: close'
)
const offers = fc.oneof(
  { weight: 3, arbitrary: fc.constant(webSocket) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(['Connection: X-Hop, Upgrade, Cookie', 'X-Hop: 1', ...webSocket.slice(1)], ['connection: keep-alive', ...webSocket])
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('tcp/1', 'foo', 'WebSocket', 'h2c, websocket')
      .map((token) => ['Connection: upgrade', `Upgrade: ${token}`, ...webSocket.slice(2)])
  }
)
const oddOffers = fc.constantFrom(
  ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
  ['Connection: upgrade', 'Upgrade: h2c', 'Upgrade: websocket', key, 'Sec-WebSocket-Version: 13'],
  ['Connection: close, Upgrade', ...webSocket.slice(1)], ['Proxy-Connection: upgrade', 'Upgrade: websocket'], ['Proxy-Connection: upgrade', ...webSocket],
  ['Upgrade: websocket'], ['Connection: upgrade'], ['Connection: upgrade', 'Upgrade:'],
  ['Connection: upgrade', 'Upgrade: ,,'], ['Connection: upgrade', 'Upgrade: web socket'],
  ['Connection: upgrade', 'Upgrade: \x80\xff'], ['Connection: upgrade', 'Upgrade: TLS/1.0'], ['Connection: upgrade', `Upgrade: ${'a,'.repeat(60)}`],
  [...webSocket, key], [...webSocket, 'Sec-WebSocket-Version: 8'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: x', 'Sec-WebSocket-Version: 13'],
  ['Connection: upgrade', 'Upgrade: foo', ...Array.from({ length: 1040 }, () => 'a:')],
  ['Connection: \tupgrade ,', ...webSocket.slice(1)], ['Expect: 100-continue', ...webSocket]
)

type Message = [fields: string[], body: string]
const lengthBody: fc.Arbitrary<Message> = content.map((body) => [[`Content-Length: ${body.length}`], body])
const chunkBody: fc.Arbitrary<Message> = chunked.map((structure) => [['Transfer-Encoding: chunked'], renderChunks(structure)])
const noBody: fc.Arbitrary<Message> = fc.constant([[], ''])
const body = fc.oneof({ weight: 4, arbitrary: noBody }, { weight: 3, arbitrary: lengthBody }, { weight: 3, arbitrary: chunkBody })

/** Framing that two readers may take for two things. */
const oddBody: fc.Arbitrary<Message> = fc.oneof(
  oddChunks.map((text): Message => [['Transfer-Encoding: chunked'], text]),
  fc.tuple(fc.constantFrom(
    ['Content-Length: {n}', 'Transfer-Encoding: chunked'], ['Transfer-Encoding: chunked', 'Content-Length: {n}'],
    ['Content-Length: {n}', 'Content-Length: 0'], ['Content-Length: 0', 'Content-Length: {n}'],
    ['Content-Length: {n}', 'Content-Length: {n}'], ['Content-Length: {n}, {n}'], ['Content-Length: +{n}'],
    ['Content-Length: 0x{n}'], ['Content-Length: -1'], ['Content-Length: 1e1'], ['Content-Length: {n} 0'], ['Content-Length:'],
    ['Content-Length: 0{n}'], ['Content-Length: 18446744073709551616'], ['Content-Length : {n}'], ['Content-Length\t: {n}'], ['Content_Length: {n}'],
    ['Transfer-Encoding: xchunked'], ['Transfer-Encoding: chunked, identity'], ['Transfer-Encoding: identity'],
    ['Transfer-Encoding: gzip, chunked'], ['Transfer-Encoding: chunked, chunked'], ['Transfer-Encoding: CHUNKED'],
    ['Transfer-Encoding:\vchunked'], ['Transfer-Encoding: \x85chunked'], ['Transfer-Encoding: chunked\0'], ['Transfer-Encoding : chunked'],
    ['Transfer-Encoding', ' : chunked'], ['X: y', ' Transfer-Encoding: chunked'], ['Transfer-Encoding:', ' chunked'],
    ['Transfer-Encoding: "chunked"'], ['Transfer-Encoding: chunked;q=1'], ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], ['Transfer-Encoding:', 'Transfer-Encoding: chunked'],
    ['Foo: bar\nTransfer-Encoding: chunked'], ['Foo: bar\rTransfer-Encoding: chunked'], ['Connection: Transfer-Encoding', 'Transfer-Encoding: chunked']
  ), content, fc.boolean()).map(([fields, text, chunks]): Message => {
    const whole = chunks ? `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n` : text
    return [fields.map((line) => line.replaceAll('{n}', String(whole.length))), whole]
  })
)

/** Field lines that are none. */
export const oddFieldLines = fc.constantFrom(
  ' folded: x', 'X: a\r\n b', 'X: a\0b', 'X: a\nY: 1', 'X: a\rY: 1', ': empty',
  'no colon', 'X : space', 'X\xe9: high', 'X: \x7f', 'X:\x01', '', '\r\n', 'X: a\u0100'
)

const oddFields = fc.constantFrom(
  ' folded: x', 'X: a\r\n b', 'X: a\0b', 'X: a\nX-Evil: 1', 'X: a\rX-Evil: 1', ': empty', 'no colon',
  'X : space', 'X\xe9: high', 'Host: two', 'Host: a b', 'Host: u@h', 'Host: h:99999', 'X: \x7f', 'X:\x01',
  'Expect: 100-continue', 'Expect: y 100-continue', 'Expect: 200-ok', `X-Long: ${'x'.repeat(17_000)}`, 'Content-Type: no/thing; =', 'Content-Type: \xff'
)
const manyFields = fc.integer({ min: 900, max: 2100 }).map((count) => Array.from({ length: count }, () => 'a:'))

const suffixes = fc.constantFrom('', '', '', '?q=1', '/x', '/%41', '?a=/../b', '/a;b=c', '/...', '?')
const oddSuffixes = fc.constantFrom(
  '/../evil', '/%2e%2e/evil', '/..%2fevil', '/.%2e/', '/..;/evil', '\\..\\evil', '%00', '%zz', '%',
  '#f', '/\xe9', '//x', '/./x', '/%5c..%5cevil', '/%252e%252e/', '?\\', '?#', '/\x01', '?\x7f', ' HTTP/1.1'
)

const segment = fc.constantFrom(
  'app', '/', '//', '.', '..', '%2e', '%2E%2e', '%2f', '%2F', '%5c', '\\', ';', ';x', '%3b', '%25', '%252e',
  '%00', '%', '%zz', 'a', '#', '?', '@', 'evil', ':80', '%61pp', '\xe9', ' ', '\t', '~', 'http://h', 'y', '...'
)
/** Request targets, made of what paths are escaped with. */
export const oddTarget = fc.tuple(
  fc.constantFrom('/', '/app', '/app/', '/app/', '//', '/app/b/y', '/%61pp', '/app/b/y/', 'http://h/app', 'http://evil', '*', ''),
  fc.array(segment, { maxLength: 6 })
).map(([start, parts]) => start + parts.join(''))

const request = (odd: boolean): fc.Arbitrary<RequestParts> => fc.record({
  method: fc.oneof({ weight: 12, arbitrary: fc.constantFrom('GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS', 'PROPFIND') },
    { weight: odd ? 1 : 0, arbitrary: fc.constantFrom('get', 'TRACE', 'CONNECT', 'PRI', 'G\tET', 'QUERY', 'X') }),
  route: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('/f/', '/f/', '/w/', '/w/', '/l/', '/a/', '/n/', '/r/') },
    { weight: odd ? 2 : 0, arbitrary: fc.constantFrom('/own/', '/none/', '/%66/', '/%77/', '//f/', '/F/', '/f', 'f/', '/f/../w/') }
  ),
  authority: fc.oneof(
    { weight: 20, arbitrary: fc.constant('') },
    { weight: odd ? 2 : 0, arbitrary: fc.constantFrom('http://h', 'http://evil.example:1', 'https://h', 'http://u:p@h', 'ftp://h', 'http:/', 'h:80') }
  ),
  suffix: fc.oneof({ weight: 8, arbitrary: suffixes }, { weight: odd ? 2 : 0, arbitrary: oddSuffixes }),
  version: fc.oneof(
    { weight: 20, arbitrary: fc.constant('HTTP/1.1') },
    { weight: odd ? 2 : 0, arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', 'http/1.1', 'HTTP/0.9', 'HTTP/1.1 ', 'ICE/1.0') }
  ),
  host: fc.oneof(
    { weight: 20, arbitrary: fc.constant(['Host: h']) },
    { weight: odd ? 1 : 0, arbitrary: fc.constantFrom<string[]>([], ['Host:'], ['Host: h', 'Host: h'], ['host: evil, h']) }
  ),
  fields: fc.array(plainFields, { maxLength: 5 }),
  connection: seldom(4, connections),
  inject: seldom(3, fc.oneof(value, fc.constantFrom('a\r\nX-Evil: 1', 'a\nX-Evil: 1', 'a\0', '\r\n\r\nGET /f/evil HTTP/1.1\r\nHost: h\r\n\r\n'))),
  // Most offers with a body are refused: of the two, a valid request has one.
  what: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constant<string[]>([]), body) },
    { weight: 4, arbitrary: fc.tuple(offers, noBody) },
    { weight: odd ? 1 : 0, arbitrary: fc.tuple(fc.constantFrom('tcp/1', 'foo').map((token) => ['Connection: upgrade', `Upgrade: ${token}`]), lengthBody) },
    { weight: odd ? 3 : 0, arbitrary: fc.tuple(fc.oneof(fc.constant<string[]>([]), offers, oddOffers), fc.oneof(body, oddBody)) }
  ),
  odd: odd
    ? fc.oneof(
      { weight: 40, arbitrary: fc.constant<string[]>([]) },
      { weight: 10, arbitrary: oddFields.map((line) => [line]) },
      { weight: 1, arbitrary: manyFields }
    )
    : fc.constant<string[]>([])
}).map(({ method, route, authority, suffix, version, host, fields, connection, inject, what: [offer, [framing, text]], odd: oddLines }) => {
  const injected = inject === undefined || (route !== '/r/' && oddLines.length > 0) ? [] : [`X-Inject: ${Buffer.from(inject, 'latin1').toString('base64')}`]
  return {
    method: offer.length > 0 && !odd ? 'GET' : method,
    target: `${authority}${route}~0000~{i}${suffix}`,
    version,
    fields: [...host, ...fields, ...offer.length > 0 || connection === undefined ? [] : [connection], ...injected, ...framing, ...oddLines, ...offer],
    body: text
  }
})

function renderRequest ({ method, target, version, fields, body }: RequestParts, i: number): string {
  return `${method} ${target.replace('{i}', String(i))} ${version}\r\n${fields.map((line) => line + crlf).join('')}\r\n${body}`
}

const marker = 'X-Marker: {marker}'
const replyFields = fc.array(fc.oneof(
  value.map((text) => `X-Some: ${text}`),
  fc.constantFrom(
    'Set-Cookie: a=b', 'Set-Cookie: c=d; Path=/', 'Keep-Alive: timeout=666', 'Proxy-Authenticate: Basic', 'TE: x', 'Trailer: x',
    'Content-Type: text/plain', 'Via: 1.1 up', 'Date: x', 'ETag: "1"', '__proto__: x', 'Proxy-Connection: close', 'X-Hop: 1'
  ),
  fc.constantFrom('Connection: x-hop', 'Connection: keep-alive', 'Connection: X-Marker2, Set-Cookie')
), { maxLength: 4 })
const statuses = fc.oneof(
  { weight: 5, arbitrary: fc.constant(200) },
  { weight: 4, arbitrary: fc.constantFrom(201, 204, 206, 301, 304, 400, 401, 403, 404, 426, 429, 500, 503, 599) }
)
const interims = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n') }
)

interface ReplyParts { line: string, fields: string[], message: Message, end: 'keep' | 'fin' }

const finalReply: fc.Arbitrary<ReplyParts> = fc.record({
  status: statuses,
  reason: fc.constantFrom(' OK', ' ', ' N\xe9', ''),
  fields: replyFields,
  message: body,
  end: fc.constantFrom('keep' as const, 'fin' as const)
})
  .map(({ status, reason, fields, message, end }) => {
    const empty = status === 204 || status === 304
    return {
      line: `HTTP/1.1 ${status}${reason}`,
      fields: [...fields, ...status === 426 ? ['Upgrade: websocket', 'Connection: upgrade'] : []],
      message: empty ? [[], ''] : message,
      end: !empty && message[0].length === 0 ? 'fin' as const : end
    }
  })

const renderReply = ({ line, fields, message: [framing, text] }: ReplyParts): string =>
  `${line}\r\n${[marker, ...fields, ...framing].map((each) => each + crlf).join('')}\r\n${text}`

const token = fc.constantFrom('websocket', 'WebSocket')
const switching = fc.tuple(token, replyFields, content).map(([upgrade, fields, text]) =>
  `HTTP/1.1 101 Switching Protocols\r\n${[
    marker, ...fields.filter((line) => !/^Connection/.test(line)),
    'Connection: Upgrade', `Upgrade: ${upgrade}`, 'Sec-WebSocket-Accept: {accept}'
  ].join(crlf)}\r\n\r\n${text}`)

const validReply: fc.Arbitrary<Reply> = fc.record({ interim: interims, final: finalReply, handshake: switching, splits })
  .map(({ interim, final, handshake, splits }) => ({ bytes: interim + renderReply(final), handshake, splits, end: final.end }))

const oddLines = fc.constantFrom(
  'HTTP/2.0 200 OK', 'HTTP/1.0 200 OK', 'RTSP/1.0 200 OK', 'HTTP/1.1 000 Zero', 'HTTP/1.1 099 X', 'HTTP/1.1 1000 X',
  'HTTP/1.1 20 X', 'HTTP/1.1  200 OK', 'HTTP/1.1 200 O\0K', 'HTTP/1.1\t200 OK', ' HTTP/1.1 200 OK', 'HTTP/1.1 100 Continue',
  'HTTP/1.1 101 Switching Protocols', 'HTTP/1.1 199 X', 'HTTP/1.1 204 No Content', 'HTTP/1.1 304 X', 'HTTP/1.1 600 X',
  'HTTP/1.1 999 X', 'HELLO', '', 'HTTP/1.1 200 a\rb', 'HTTP/1.1 200 a\nX-Evil: 1', 'ICY 200 OK', 'HTTP/1.1 200 OK\r\n'
)
const oddReplyFields = fc.oneof(
  oddFields.filter((line) => !line.startsWith('Host') && !line.startsWith('Expect')).map((line) => [line]),
  manyFields,
  fc.constantFrom(
    ['Upgrade: websocket', 'Connection: Upgrade'], ['Upgrade: h2c', 'Connection: Upgrade'],
    ['X-Inject: YQ0KWC1FdmlsOiAx'], ['X-Inject: YQA='], ['Set-Cookie: a\r\n b'], [`Link: ${'x'.repeat(20_000)}`]
  )
)
const behind = fc.constantFrom('HTTP/1.1 200 OK\r\nX-Marker: evil\r\nContent-Length: 0\r\n\r\n', '\r\n', 'garbage', '0\r\n\r\n')

const oddHandshakes = fc.tuple(fc.constantFrom(
  ['Connection: Upgrade', 'Upgrade: h2c', 'Sec-WebSocket-Accept: {accept}'],
  ['Connection: Upgrade', 'Upgrade: websocket'], ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: wrong'],
  ['Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}'], ['Connection: Upgrade', 'Sec-WebSocket-Accept: {accept}'],
  [], ['Connection: Upgrade', 'Upgrade: websocket, foo', 'Sec-WebSocket-Accept: {accept}'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}', 'Content-Length: 5'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}', 'Transfer-Encoding: chunked'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}', 'Sec-WebSocket-Accept: {accept}'],
  ['Connection: Upgrade', 'Upgrade: tcp/1', 'Sec-WebSocket-Accept: {accept}'], ['Connection: Upgrade', 'Upgrade: foo'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}', 'X: a\nX-Evil: 1'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: {accept}', 'X-Inject: YQ0KWC1FdmlsOiAx']
), fc.constantFrom('HTTP/1.1 101 X', 'HTTP/1.1 101 X', 'HTTP/1.1 101', 'HTTP/1.0 101 X', 'HTTP/1.1 200 OK', 'HTTP/2.0 101 X'), interims, content)
  .map(([fields, line, interim, text]) => `${interim}${line}\r\n${[marker, ...fields].join(crlf)}\r\n\r\n${text}`)

const oddReply: fc.Arbitrary<Reply> = fc.record({
  final: finalReply,
  line: seldom(3, oddLines),
  fields: seldom(3, oddReplyFields),
  message: seldom(3, oddBody),
  behind: seldom(4, behind),
  interim: fc.oneof(interims, fc.constantFrom(
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 103 X\r\nX-Evil: a\r\n\r\n'.repeat(12),
    'HTTP/1.1 103 X\r\nLink: a\0\r\n\r\n',
    'HTTP/1.1 101 X\r\n\r\n'
  )),
  handshake: fc.oneof(switching, oddHandshakes),
  same: fc.boolean(),
  cut: seldom(4, fc.nat({ max: 400 })),
  splits,
  end: fc.constantFrom('keep' as const, 'fin' as const, 'rst' as const),
  early: fc.boolean()
}).map(({ final, line, fields, message, behind, interim, handshake, same, cut, splits, end, early }) => {
  const parts = { ...final, line: line ?? final.line, fields: [...final.fields, ...fields ?? []], message: message ?? final.message }
  const bytes = (interim + renderReply(parts) + (behind ?? '')).slice(0, cut)
  return { bytes, ...same ? {} : { handshake }, splits, end, early }
})

const server = fc.constantFrom(...servers)

/** A connection whose requests and replies are all valid. */
export const validCase: fc.Arbitrary<Case> = fc.record({
  server,
  requests: fc.array(request(false), { minLength: 1, maxLength: 3 }),
  replies: fc.array(validReply, { minLength: 1, maxLength: 3 }),
  splits,
  polite: fc.boolean(),
  data: content
}).map(({ server, requests, replies, splits, polite, data }) => {
  // What switches a connection comes last.
  const first = requests.findIndex(isOffer)
  const used = requests.slice(0, first === -1 ? undefined : first + 1).map(acceptable)
  const bytes = used.map(renderRequest).join('') + (first === -1 ? '' : data)
  return { server, bytes, splits, polite: polite || first !== -1, replies: used.map((_, i) => replies[i % replies.length] as Reply), valid: true }
})

function isOffer ({ fields }: RequestParts): boolean {
  return fields.some((line) => /^Upgrade:/i.test(line))
}

/** On a route that takes it, without what ends a connection, and without values that cannot be written. */
function acceptable (parts: RequestParts): RequestParts {
  const fields = parts.fields.filter((line) => !/^(?:Connection: close|X-Inject)/.test(line))
  if (!isOffer(parts)) return { ...parts, fields, target: parts.target.replace(/^\/[ln]\//, '/f/') }
  const rest = fields.filter((line) => !/^(?:Upgrade|Connection|Sec-WebSocket-.*):/i.test(line))
  return { ...parts, fields: [...rest, ...webSocket], target: parts.target.replace(/^\/f\//, '/w/') }
}

/** A connection on which anything may happen. */
export const anyCase: fc.Arbitrary<Case> = fc.record({
  server,
  requests: fc.array(fc.oneof({ weight: 2, arbitrary: request(true) }, { weight: 1, arbitrary: request(false) }), { minLength: 1, maxLength: 4 }),
  replies: fc.array(fc.oneof({ weight: 1, arbitrary: validReply }, { weight: 1, arbitrary: oddReply }), { maxLength: 3 }),
  splits,
  polite: fc.boolean(),
  tail: fc.oneof({ weight: 4, arbitrary: fc.constant('') }, { weight: 1, arbitrary: content }),
  edit: seldom(4, fc.record({
    at: fc.nat({ max: 1500 }),
    drop: fc.nat({ max: 3 }),
    put: fc.oneof(anyByte, fc.constantFrom('\r\n', '\n', '\r', '\0', ' ', '\t', '', '\r\n\r\n', ':', '0'))
  })),
  leave: seldom(3, fc.record({ at: fc.oneof(fc.nat({ max: 600 }), fc.constant(100_000)), by: fc.constantFrom('fin' as const, 'rst' as const) }))
}).map(({ server, requests, replies, splits, polite, tail, edit, leave }) => {
  let bytes = requests.map(renderRequest).join('') + tail
  if (edit !== undefined) bytes = bytes.slice(0, edit.at % (bytes.length + 1)) + edit.put + bytes.slice(edit.at % (bytes.length + 1) + edit.drop)
  return { server, bytes, splits, polite, replies, ...leave === undefined ? {} : { leave } }
})
