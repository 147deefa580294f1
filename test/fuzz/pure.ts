// Properties of what reads and writes bytes, against the reader in strict.ts.
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { serializeRequest } from '../../lib/downstream/reinject.ts'
import { BodyReader, responseFraming } from '../../lib/http/body-reader.ts'
import { droppedFields, forwardedHeaders } from '../../lib/http/forwarded.ts'
import { serialise } from '../../lib/http/header-list.ts'
import { fromMap, toMap } from '../../lib/http/header-map.ts'
import { requestHeaders, responseHeaders } from '../../lib/http/hop-by-hop.ts'
import { mapLocation } from '../../lib/http/location.ts'
import { defaultRules, parsePrefix, prefixLength } from '../../lib/http/path-pattern.ts'
import { mapPath } from '../../lib/http/path-prefix.ts'
import { parseTarget } from '../../lib/http/request-target.ts'
import { parseHead } from '../../lib/http/response-head.ts'
import { mapSetCookie } from '../../lib/http/set-cookie.ts'
import { closeFrame, FrameTracker } from '../../lib/tunnel/websocket-frames.ts'
import { chunked, fieldName, oddChunks, oddFieldLines, oddTarget, renderChunks, value } from './grammar.ts'
import { membersOf, readChunks, readFraming, readHead, valuesOf } from './strict.ts'

interface Pure<T> {
  readonly arbitrary: fc.Arbitrary<T>
  readonly check: (value: T) => void
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 6 })

function pieces (text: string, at: readonly number[]): Buffer[] {
  const ends = [...new Set([...at.filter((each) => each < text.length), text.length])].sort((a, b) => a - b)
  return ends.map((end, i) => bytes(text.slice(ends[i - 1] ?? 0, end)))
}

const field = fc.tuple(fieldName, value)
const oddText = fc.string({ unit: fc.integer({ min: 0, max: 0x17f }).map((code) => String.fromCharCode(code)), maxLength: 8 })
const anyField = fc.oneof(
  { weight: 6, arbitrary: field },
  { weight: 1, arbitrary: fc.tuple(oddText, value) },
  { weight: 1, arbitrary: fc.tuple(fieldName, oddText) }
)

/** A response head, whole or not quite. */
const headText = fc.record({
  line: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(fc.constantFrom('1.1', '1.0'), fc.integer({ min: 100, max: 599 }), value)
        .map(([version, status, reason]) => `HTTP/${version} ${status} ${reason}`)
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'HTTP/1.1 200', 'HTTP/1.1 20', 'HTTP/1.1 999 X', 'HTTP/2.0 200 OK', 'http/1.1 200 OK',
        'HTTP/1.1  200 X', 'HTTP/1.1 200\tX', 'SSH-2.0-x', '', 'HTTP/1.1 099 X', 'HTTP/1.10 200 X'
      )
    }
  ),
  fields: fc.array(
    fc.oneof({ weight: 5, arbitrary: field.map(([name, text]) => `${name}: ${text}`) }, { weight: 1, arbitrary: oddFieldLines }),
    { maxLength: 6 }
  ),
  end: fc.constantFrom('\r\n\r\n', '\r\n\r\n', '\r\n\r\nrest', '\n\n', '\r\n', '\r\n\n', '')
}).map(({ line, fields, end }) => [line, ...fields].join('\r\n') + end)

const limit = 16_384

const head: Pure<[string, number[]]> = {
  arbitrary: fc.tuple(headText, cuts),
  check ([text, at]) {
    // What it says of the whole it has to say of every beginning: wait for more, or no; never yes, and never no to what becomes a yes.
    const whole = attempt(() => parseHead(bytes(text), limit))
    for (const cut of at) {
      const part = attempt(() => parseHead(bytes(text.slice(0, cut)), limit))
      if (part instanceof Error) assert.ok(whole instanceof Error, 'refuses the beginning of what it takes')
      else if (part !== undefined) assert.deepEqual(part, whole)
    }
    const reference = readHead(text, 0)
    if (whole instanceof Error || whole === undefined) return
    assert.ok(typeof reference === 'object', `takes what is no head: ${String(reference)}`)
    const pairs = reference.fields.map(([name, text]) => [name, text])
    assert.deepEqual(pairsOf(whole.headers).map(([name, text]) => [name.toLowerCase(), text]), pairs)
    assert.equal(whole.size, reference.headEnd)
    assert.match(reference.start, /^HTTP\/1\.[01] [1-5][0-9][0-9](?: |$)/)
  }
}

const validHead: Pure<{ status: number, reason: string, fields: Array<[string, string]>, rest: string }> = {
  arbitrary: fc.record({
    status: fc.integer({ min: 100, max: 599 }),
    reason: value.map((text) => text.replaceAll('\t', ' ')),
    fields: fc.array(field, { maxLength: 8 }),
    rest: value
  }),
  check ({ status, reason, fields, rest }) {
    const written = bytes(serialise(`HTTP/1.1 ${status} ${reason}`.trimEnd(), fields.flat()))
    const parsed = parseHead(Buffer.concat([written, bytes(rest)]), limit)
    assert.equal(parsed?.status, status)
    assert.equal(parsed?.size, written.length)
    assert.deepEqual(pairsOf(parsed?.headers ?? []), fields.map(([name, text]) => [name, trim(text)]))
    for (let end = 0; end < written.length; end += 7) assert.equal(parseHead(written.subarray(0, end), limit), undefined)
  }
}

/** All of our reader's verdict: how far it read, what it found, and whether that is all. */
function readAll (text: string, at: readonly number[]): { body: string, end: number, done: boolean } | Error {
  const reader = new BodyReader({ kind: 'chunked' })
  let body = ''
  let end = 0
  return attempt(() => {
    for (const piece of pieces(text, at)) {
      const taken = reader.read(piece, (data) => { body += data.toString('latin1') })
      end += taken
      if (taken < piece.length) assert.ok(reader.done, 'stops before the end')
    }
    return { body, end, done: reader.done }
  }) as { body: string, end: number, done: boolean } | Error
}

const chunks: Pure<[Parameters<typeof renderChunks>[0], string, number[]]> = {
  arbitrary: fc.tuple(chunked, fc.constantFrom('', 'GET / HTTP/1.1\r\n', '\r\n', '0'), cuts),
  check ([structure, rest, at]) {
    const text = renderChunks(structure)
    const body = structure.chunks.map(({ data }) => data).join('')
    assert.deepEqual(readAll(text + rest, at), { body, end: text.length, done: true })
  }
}

const brokenChunks: Pure<[string, number[]]> = {
  arbitrary: fc.tuple(oddChunks, cuts),
  check ([text, at]) {
    const reference = readChunks(text, 0)
    const ours = readAll(text, at)
    assert.deepEqual(ours, readAll(text, []), 'depends on how it is cut')
    if (ours instanceof Error) return // stricter is well
    assert.equal(reference.fault, undefined, 'reads what is malformed')
    assert.equal(ours.done, reference.complete)
    assert.equal(ours.body, reference.body)
    if (ours.done) assert.equal(ours.end, reference.end)
  }
}

const framingField = fc.tuple(fc.constantFrom('Content-Length', 'content-length', 'Transfer-Encoding', 'TRANSFER-ENCODING', 'X'), fc.constantFrom(
  '0', '5', '05', '+5', '5,5', '5, 5', '-1', '0x5', '1e3', '', '99999999999999999999', 'chunked',
  'Chunked', 'gzip, chunked', 'chunked, gzip', 'identity', 'chunked, chunked', 'xchunked', 'chunked;q=1'
))
const framing: Pure<{ method: string, status: number, fields: Array<[string, string]> }> = {
  arbitrary: fc.record({
    method: fc.constantFrom('GET', 'HEAD'),
    status: fc.constantFrom(200, 204, 304, 101, 426, 500),
    fields: fc.array(framingField, { maxLength: 3 })
  }),
  check ({ method, status, fields }) {
    const ours = responseFraming(method, status, fields.flat())
    const reference = readFraming({ fields: fields.map(([name, text]) => [name.toLowerCase(), text] as const) })
    if (ours === undefined) return // refused
    assert.ok(!(typeof reference === 'object' && 'fault' in reference), 'takes framing that contradicts itself')
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return assert.equal(ours.kind, 'none')
    assert.deepEqual(
      ours,
      reference === undefined ? { kind: 'close' } : reference === 'chunked' ? { kind: 'chunked' } : { kind: 'length', ...reference as object }
    )
  }
}

const serialised: Pure<{ line: string, fields: Array<[string, string]> }> = {
  arbitrary: fc.record({ line: fc.oneof(fc.constant('GET / HTTP/1.1'), oddText), fields: fc.array(anyField, { maxLength: 6 }) }),
  check ({ line, fields }) {
    const written = attempt(() => serialise(line, fields.flat()))
    const fine = /^[\x20-\x7e\x80-\xff]+$/.test(line) &&
      fields.every(([name, text]) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(text))
    assert.equal(!(written instanceof Error), fine, fine ? 'refuses what is a head' : 'writes what is none')
    if (written instanceof Error) return
    const read = readHead(written, 0)
    assert.ok(typeof read === 'object')
    assert.equal(read.start, line)
    assert.deepEqual(read.fields, fields.map(([name, text]) => [name.toLowerCase(), trim(text)]))
    assert.equal(read.headEnd, written.length)
  }
}

const requestField = fc.oneof(
  { weight: 2, arbitrary: field },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constantFrom(
        'Connection', 'connection', 'Host', 'Upgrade', 'TE', 'Trailer', 'Keep-Alive', 'Proxy-Connection', 'Proxy-Authorization',
        'HTTP2-Settings', 'Transfer-Encoding', 'Content-Length', 'Cookie', 'cookie', 'X-Forwarded-For', 'X_Forwarded_For',
        'x-forwarded_for', 'Forwarded', 'Via', 'Expect', 'X-Hop', 'Sec-WebSocket-Key', '__proto__', 'Authorization'
      ),
      fc.constantFrom(
        'x', 'upgrade', 'close', 'X-Hop', 'x-hop, Cookie', 'Host, Content-Length, Authorization',
        'X-Forwarded-For, sec-websocket-key', ',,', '5', ''
      )
    )
  }
)
const gone = [
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding',
  'upgrade', 'http2-settings', 'proxy-authorization', 'proxy-authenticate'
]

const requests: Pure<{
  fields: Array<[string, string]>
  body: boolean
  mode: 'x-forwarded' | 'forwarded' | 'both' | false
  trusted: boolean
  via: 'off' | 'on' | 'full' | 'block'
}> = {
  arbitrary: fc.record({
    fields: fc.array(requestField, { maxLength: 10 }),
    body: fc.boolean(),
    mode: fc.constantFrom('x-forwarded' as const, 'forwarded' as const, 'both' as const, false as const),
    trusted: fc.boolean(),
    via: fc.constantFrom('off' as const, 'on' as const, 'full' as const, 'block' as const)
  }),
  check ({ fields, body, mode, trusted, via }) {
    const added = forwardedHeaders(mode, { addresses: ['192.0.2.1'], host: 'front', protocol: 'http' })
    const rules = { host: 'up:1', body, forwarded: added, isDropped: droppedFields(mode, trusted), via }
    const out = asMessage(requestHeaders(fields.flat(), rules))
    const given = asMessage(fields.flat())
    assert.deepEqual(valuesOf(out, 'host'), ['up:1'])
    for (const name of [...gone, 'expect']) assert.deepEqual(valuesOf(out, name), [], name)
    if (!body) assert.deepEqual(valuesOf(out, 'content-length'), [])
    else assert.deepEqual(valuesOf(out, 'content-length'), valuesOf(given, 'content-length'))
    if (mode !== false) {
      for (const name of ['x-forwarded-for', 'forwarded']) {
        if (!trusted) assert.deepEqual(valuesOf(out, name), valuesOf(asMessage(added), name), name)
      }
      if (!trusted) for (const [name] of out.fields) assert.ok(!/^x[-_]forwarded[-_]for$/.test(name) || name === 'x-forwarded-for', name)
    }
    const named = membersOf(given, 'connection')
    assert.deepEqual(valuesOf(out, 'x-hop'), named.includes('x-hop') ? [] : valuesOf(given, 'x-hop'))
    for (const name of ['sec-websocket-key', 'authorization']) assert.deepEqual(valuesOf(out, name), valuesOf(given, name), name)
    assert.deepEqual(valuesOf(out, 'cookie').join('; '), valuesOf(given, 'cookie').join('; '))
    assert.ok(valuesOf(out, 'cookie').length <= 1)
    assert.equal(valuesOf(out, 'via').length > 0, via === 'on' || via === 'full' || (via === 'off' && valuesOf(given, 'via').length > 0))
    serialise('GET / HTTP/1.1', out.fields.flat())
    assert.equal(Object.getPrototypeOf({}), Object.prototype)
    const responses = asMessage(responseHeaders(fields.flat(), via))
    for (const name of gone) assert.deepEqual(valuesOf(responses, name), [], name)
    assert.deepEqual(valuesOf(responses, 'x-hop'), named.includes('x-hop') ? [] : valuesOf(given, 'x-hop'))
  }
}

const maps: Pure<Array<[string, string]>> = {
  arbitrary: fc.array(field.filter(([name]) => !gone.includes(name.toLowerCase())), { maxLength: 8 }),
  check (fields) {
    const back = pairsOf(fromMap(toMap(fields.flat())))
    const sorted = (pairs: Array<[string, string]>): string[] => pairs.map(([name, text]) => `${name.toLowerCase()}: ${text}`).sort()
    assert.deepEqual(sorted(back), sorted(fields))
  }
}

const rebuilt: Pure<Array<[string, string]>> = {
  arbitrary: fc.array(field, { maxLength: 8 }),
  check (fields) {
    const request = { method: 'GET', url: '/x', httpVersion: '1.1', rawHeaders: fields.flat(), headers: {}, read: () => null }
    const text = serializeRequest(request as unknown as IncomingMessage).toString('latin1')
    const read = readHead(text, 0)
    assert.ok(typeof read === 'object')
    assert.equal(read.start, 'GET /x HTTP/1.1')
    assert.deepEqual(read.fields, fields.map(([name, text]) => [name.toLowerCase(), trim(text)]))
  }
}

interface Frame { readonly opcode: number, readonly length: number, readonly code: number, readonly wide: 0 | 126 | 127 }

const frame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 9, 10, 8),
  length: fc.nat({ max: 300 }),
  code: fc.constantFrom(1000, 1001, 1009, 4999),
  wide: fc.constantFrom(0 as const, 126 as const, 127 as const)
})

function renderFrame ({ opcode, length, code, wide }: Frame, masked: boolean): { text: string, closes?: number } {
  const size = opcode === 8 ? (length % 2 === 0 ? 0 : 2 + length % 100) : length
  const kind = wide !== 0 ? wide : size > 125 ? 126 : size
  const extended = Buffer.alloc(kind === 127 ? 8 : kind === 126 ? 2 : 0)
  if (kind === 127) extended.writeBigUInt64BE(BigInt(size))
  else if (kind === 126) extended.writeUInt16BE(size)
  const mask = Buffer.from(masked ? [1, 2, 3, 4] : [])
  const payload = Buffer.alloc(size, 0x7a)
  if (size >= 2) payload.writeUInt16BE(code)
  if (masked) for (let i = 0; i < size; i++) payload[i] = (payload[i] as number) ^ (mask[i % 4] as number)
  const text = Buffer.concat([Buffer.from([0x80 | opcode, (masked ? 0x80 : 0) | kind]), extended, mask, payload]).toString('latin1')
  return opcode === 8 ? { text, closes: size >= 2 ? code : 1005 } : { text }
}

const frames: Pure<{ frames: Frame[], masked: boolean, cut: number, at: number[] }> = {
  arbitrary: fc.record({ frames: fc.array(frame, { maxLength: 8 }), masked: fc.boolean(), cut: fc.nat({ max: 2000 }), at: cuts }),
  check ({ frames, masked, cut, at }) {
    const rendered = frames.map((each) => renderFrame(each, masked))
    const whole = rendered.map(({ text }) => text).join('')
    const text = whole.slice(0, Math.max(cut, 1))
    const boundaries = new Set([0])
    let end = 0
    for (const each of rendered) boundaries.add(end += each.text.length)
    const tracker = new FrameTracker(masked)
    for (const piece of pieces(text, at)) assert.equal(tracker.push(piece), piece.length)
    assert.equal(tracker.malformed, false)
    assert.equal(tracker.atBoundary, boundaries.has(text.length))
    if (text === whole) assert.equal(tracker.closeCode, rendered.find(({ closes }) => closes !== undefined)?.closes)
    // With `stop` it goes from boundary to boundary, and says of all bytes where they belong.
    const stopping = new FrameTracker(masked)
    let position = 0
    while (position < text.length) {
      const taken = stopping.push(bytes(text.slice(position)), true)
      assert.ok(taken > 0)
      position += taken
      assert.ok(position === text.length || boundaries.has(position))
    }
    const close = new FrameTracker(masked)
    close.push(closeFrame(1001, masked ? Buffer.from([9, 8, 7, 6]) : undefined))
    assert.equal(close.closeCode, 1001)
    assert.ok(close.atBoundary)
  }
}

const noise: Pure<{ text: string, masked: boolean, at: number[] }> = {
  arbitrary: fc.record({
    text: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 200 }),
    masked: fc.boolean(),
    at: cuts
  }),
  check ({ text, masked, at }) {
    const whole = new FrameTracker(masked)
    assert.equal(whole.push(bytes(text)), text.length)
    const cut = new FrameTracker(masked)
    for (const piece of pieces(text, at)) assert.equal(cut.push(piece), piece.length)
    assert.deepEqual([cut.atBoundary, cut.closeCode, cut.closing, cut.malformed], [whole.atBoundary, whole.closeCode, whole.closing, whole.malformed])
  }
}

/** Every way in which a server may read a path once: percent-decoded, backslashes as slashes, parameters cut off, dot segments removed. */
function readPath (path: string): string | undefined {
  const decoded = path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))).replaceAll('\\', '/')
  const out: string[] = []
  for (const segment of decoded.split('/').map((each) => each.replace(/;.*$/s, ''))) {
    if (segment === '..') {
      if (out.length <= 1) return undefined
      out.pop()
    } else if (segment !== '.') out.push(segment)
  }
  return out.join('/')
}

const paths: Pure<{ target: string, prefix: string, base: string }> = {
  arbitrary: fc.record({ target: oddTarget, prefix: fc.constantFrom('/', '/app', '/app/', '/app/:x/y'), base: fc.constantFrom('/', '/base', '/base/', '') }),
  check ({ target, prefix, base }) {
    const parsed = parseTarget(target)
    if (parsed === undefined) return
    assert.match(parsed.path + parsed.query, /^\/[\x21-\x7e]*$/)
    assert.ok(!parsed.path.startsWith('//') && !/[#\\]/.test(parsed.path) && !parsed.path.toLowerCase().includes('%00'))
    assert.ok(target.endsWith(parsed.query))
    assert.ok(readPath(parsed.path) !== undefined, 'climbs out')
    const matched = prefixLength(parsePrefix(prefix), parsed.path, defaultRules)
    if (matched === undefined) return
    const mapped = mapPath(parsed.path, matched, base)
    assert.ok(mapped.startsWith('/') && !mapped.startsWith('//'), mapped)
    assert.equal(new URL(mapped, 'http://upstream:1/').host, 'upstream:1')
    assert.ok(readPath(mapped)?.startsWith(readPath(base.replace(/\/$/, '')) ?? ''), `${mapped} leaves ${base}`)
  }
}

const mappedRoutes = [
  ['', '/base'], ['', ''], ['/app', ''], ['/app', '/base'], ['/app/', '/base/'], ['/app/', '/'],
  ['/a%70p', '/base/x'], ['/app;x=1', '/%62ase'], ['/base', '/base'], ['/a/b', '/a']
] as const
const authorities = [
  'up:9080', 'UP:9080', 'up', 'up:80801', 'up:908', 'x@up:9080', 'up:9080@evil',
  'evil', 'front.example', '[::1]:9080', '', 'up:9080\\evil', 'other:1'
] as const
const segment = fc.constantFrom(
  'base', 'app', 'a', 'b', 'x', '..', '.', '%2e%2E', '', '%62ase', 'basement', '%2F', 'a b', '\\', '\t', '\xe9', ';', ':', 'http:', '//evil'
)
const rests = fc.constantFrom('', '?next=http://up:9080/base/x', '#/base', '?a#b', '\\x')
const targets = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc.constantFrom('http://', 'https://', 'HTTP://', 'ws://', '//', '', '', 'http:/', 'ftp://', '/\\'),
      fc.constantFrom(...authorities),
      fc.array(segment, { maxLength: 4 }),
      rests
    )
      .map(([scheme, authority, segments, rest]) => (scheme === '' ? '' : scheme + authority) + segments.map((each) => `/${each}`).join('') + rest)
  },
  { weight: 1, arbitrary: oddText.map((text) => `/base${text}`) },
  { weight: 1, arbitrary: oddText }
)
const answerer = { secure: false, authority: 'up:9080', hostname: 'up' }

/** Where a browser goes by a Location, from a page of the origin; `undefined` where it goes nowhere. */
function follow (location: string, page: string): URL | undefined {
  return URL.canParse(location, page) ? new URL(location, page) : undefined
}

const locations: Pure<{ value: string, route: number, host: string, mapsPaths: boolean }> = {
  arbitrary: fc.record({
    value: targets,
    route: fc.nat({ max: mappedRoutes.length - 1 }),
    host: fc.constantFrom('front.example', '', 'a b', '[::1]:1'),
    mapsPaths: fc.boolean()
  }),
  check ({ value, route, host, mapsPaths }) {
    const [prefix, path] = mappedRoutes[route] as (typeof mappedRoutes)[number]
    const mapping = { prefix, protocol: 'https', host, ownHosts: [], mapsPaths, bases: [{ ...answerer, path }] }
    const mapped = mapLocation(value, mapping)
    const known = host === 'front.example' || host === '[::1]:1'
    const front = known ? host : 'front.example'
    const page = `https://${front}/page`
    // Where the browser would be led without us, if it were the upstream's client.
    const meant = follow(value, 'http://up:9080/page')
    if (mapped === value) {
      // It may stay only if it is none of the upstream's URLs below the base, or a path that leads there as it is.
      if (meant === undefined || !/^http:\/\//i.test(value) || /[\t\\%@]|\/\./.test(value) || !known) return
      const inside = meant.host === 'up:9080' && `${meant.pathname}/`.startsWith(`${path.replace(/\/$/, '')}/`)
      assert.ok(!inside || /%/.test(path), `${value} is not led back`)
      return
    }
    assert.ok(meant !== undefined && meant.host === 'up:9080' && meant.protocol !== 'https:', `${value} is not the upstream's, and was changed to ${mapped}`)
    if (!mapsPaths) assert.match(value, /^(?:http:|ws:)?\/\//i)
    const led = follow(mapped, page)
    assert.ok(led !== undefined && led.host === new URL(page).host, `${mapped} leads to another server`)
    assert.ok(mapped.endsWith(/[?#][^]*$/.exec(value)?.[0] ?? ''), 'query and fragment keep their bytes')
    // There and back: the client's next request is mapped to where the upstream wanted it.
    const stays = (path === '' || path === '/') && `${meant.pathname}/`.startsWith(`${readPath(prefix.replace(/\/$/, '')) ?? ''}/`)
    if (stays || /%/.test(value + prefix + path) || led.pathname.startsWith('//')) return
    const isBelow = prefix.endsWith('/') ? led.pathname.startsWith(prefix) : `${led.pathname}/`.startsWith(`${prefix}/`)
    if (!isBelow) return assert.equal(led.pathname, prefix.replace(/\/$/, '') || '/', `${mapped} leaves ${prefix}`)
    // The base itself is asked for with a slash where the prefix has one, or is the root.
    const wanted = meant.pathname.replace(/^\/+/, '/') // as every request of ours
    const again = mapPath(led.pathname, prefix.length, path)
    assert.equal(`${wanted}/` === again ? wanted : again, wanted, `${value} by ${mapped}`)
  }
}

const attributes = fc.constantFrom(
  'Path=/base', ' Path=/base/x', ' path = /base ', ' Path=/', ' Path="/base"', ' Path', ' Path=/basement',
  ' PATH=\t/app', ' Domain=up', ' domain=.UP ', ' Domain=up.example', ' Secure', ' HttpOnly', ' X="a',
  ' b"', '', ' =', ' Expires=Wed, 21 Oct 2026 07:28:00 GMT', ' Domain', '\xa0Path=/base'
)
const cookies: Pure<{ pair: string, attributes: string[], route: number, host: string }> = {
  arbitrary: fc.record({
    pair: fc.oneof(fc.constantFrom('a=1', '__Host-a=1', '__Secure-a=1', 'Path=/base', '', '=', 'a="1'), oddText.map((text) => text.replaceAll(';', ''))),
    attributes: fc.array(attributes, { maxLength: 6 }),
    route: fc.nat({ max: mappedRoutes.length - 1 }),
    host: fc.constantFrom('front.example', 'up', 'x.up:1', '')
  }),
  check ({ pair, attributes, route, host }) {
    const [prefix, path] = mappedRoutes[route] as (typeof mappedRoutes)[number]
    const mapping = { prefix, host, bases: [{ ...answerer, path }] }
    const value = [pair, ...attributes].join(';')
    assert.equal(mapSetCookie(value, mapping, { cookiePath: false, cookieDomain: false }), value)
    const mapped = mapSetCookie(value, mapping, { cookiePath: true, cookieDomain: true }).split(';')
    const kept = attributes.filter((text) => !/^ domain=\.?up ?$/i.test(text) || host === 'up' || host === 'x.up:1')
    assert.equal(mapped[0], pair)
    assert.equal(mapped.length - 1, kept.length, 'an attribute came or went')
    kept.forEach((text, i) => {
      if (mapped[i + 1] === text) return
      const [, name, wanted] = /^( ?path ?=[ \t]?)(\/[^ ]*) ?$/i.exec(text) ?? []
      assert.ok(name !== undefined && wanted !== undefined && !/^__host-/i.test(pair), `${text} is no Path, and was changed to ${String(mapped[i + 1])}`)
      assert.ok((mapped[i + 1] ?? '').startsWith(`${name}${prefix.replace(/\/$/, '') || '/'}`), `${String(mapped[i + 1])} is not below ${prefix}`)
    })
  }
}

function attempt<T> (action: () => T): T | Error {
  try {
    return action()
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return error as Error
  }
}

function pairsOf (list: readonly string[]): Array<[string, string]> {
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i] as string, list[2 * i + 1] as string])
}

function asMessage (list: readonly string[]): { fields: Array<[string, string]> } {
  return { fields: pairsOf(list).map(([name, text]) => [name.toLowerCase(), text]) }
}

function trim (text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '')
}

export const properties: Record<string, Pure<never>> = {
  'response heads': head,
  'heads, written and read': validHead,
  chunks,
  'broken chunks': brokenChunks,
  framing,
  'heads, written': serialised,
  'request and response fields': requests,
  'fields as a map': maps,
  'heads, rebuilt': rebuilt,
  frames,
  'frames of noise': noise,
  paths,
  'redirects, led back': locations,
  'cookies, led back': cookies
} as unknown as Record<string, Pure<never>>
