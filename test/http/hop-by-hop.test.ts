import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { droppedFields, forwardedHeaders } from '../../lib/http/forwarded.ts'
import type { ForwardedMode } from '../../lib/http/forwarded.ts'
import { fieldValue, isField, serialise, tokens } from '../../lib/http/header-list.ts'
import { isToken } from '../../lib/http/syntax.ts'
import { fromMap, toMap } from '../../lib/http/header-map.ts'
import type { HeaderMap } from '../../lib/http/header-map.ts'
import { replaceUpgradeToken, requestHeaders, responseHeaders } from '../../lib/http/hop-by-hop.ts'
import type { RequestRules } from '../../lib/http/hop-by-hop.ts'
import { parseHead } from '../../lib/http/response-head.ts'

const rules: RequestRules = { host: 'up.example', body: true, forwarded: [], isDropped: () => false, via: 'off' }

function sent (raw: string[], more: Partial<RequestRules> = {}): string[] {
  return requestHeaders(raw, { ...rules, ...more })
}

const hopByHop = ['Connection', 'Keep-Alive', 'Proxy-Connection', 'TE', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'HTTP2-Settings',
  'Proxy-Authenticate', 'Proxy-Authorization']
const notToBeNamed = ['Content-Length', 'Content-Type', 'Cookie', 'Authorization', 'Origin', 'Forwarded', 'Via', 'traceparent', 'tracestate',
  'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Port', 'X-Forwarded-Server', 'Sec-WebSocket-Key',
  'Sec-WebSocket-Version', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions']

describe('the members of a list', () => {
  for (const [value, expected] of [
    ['', []], [' ', []], [',, ,', []], ['Upgrade', ['upgrade']], ['close, Upgrade', ['close', 'upgrade']], ['a,\tb ,c', ['a', 'b', 'c']],
    ['upgrade\xa0', ['upgrade\xa0']], ['a,\xa0b', ['a', '\xa0b']], ['a b', ['a b']]
  ] as const) test(`of '${value}'`, () => assert.deepEqual(tokens(value), expected))
})

describe('the value of a field', () => {
  const list = ['A', '1', 'b', '2', 'a', '3', 'AA', '4', 'C', '']
  test('joined', () => assert.equal(fieldValue(list, 'a'), '1, 3'))
  test('single', () => assert.equal(fieldValue(list, 'b'), '2'))
  test('empty', () => assert.equal(fieldValue(list, 'c'), ''))
  test('absent', () => assert.equal(fieldValue(list, 'd'), undefined))
  test('is not what another field\'s value is called', () => assert.equal(fieldValue(['x', 'a', 'y', 'z'], 'a'), undefined))
})

describe('a request', () => {
  test('keeps order, case and repetitions', () => {
    assert.deepEqual(sent(['B', '1', 'host', 'front.example', 'a', '2', 'B', '3']), ['Host', 'up.example', 'B', '1', 'a', '2', 'B', '3'])
  })
  test('is not changed', () => {
    const raw = Object.freeze(['Host', 'a', 'Cookie', 'b', 'Cookie', 'c', 'Via', 'x']) as string[]
    sent(raw, { via: 'on' })
  })
  for (const name of hopByHop) {
    test(`loses ${name}, in any case`, () => {
      assert.deepEqual(sent([name, 'x', name.toUpperCase(), 'y', name.toLowerCase(), 'z', 'A', 'b']), ['Host', 'up.example', 'A', 'b'])
    })
  }
  test('loses Expect, every Host, and what HTTP/2 calls its own', () => {
    assert.deepEqual(sent(['Expect', '100-continue', 'HOST', 'a', 'Host', 'b', ':authority', 'c', ':path', '/']), ['Host', 'up.example'])
  })
  test('loses what Connection names, in any case, from any line', () => {
    const raw = ['X-Hop', '1', 'Connection', 'close, X-HOP', 'connection', 'x-other , upgrade', 'X-Other', '2', 'x-hop', '3', 'Stays', '4']
    assert.deepEqual(sent(raw), ['Host', 'up.example', 'Stays', '4'])
  })
  for (const name of notToBeNamed) {
    test(`keeps ${name}, although Connection names it`, () => {
      assert.deepEqual(sent(['Connection', `Upgrade, ${name}`, name, 'x']), ['Host', 'up.example', name, 'x'])
    })
  }
  test('keeps the Host that we send, although Connection names it', () => {
    assert.deepEqual(sent(['Connection', 'Host', 'Host', 'a']), ['Host', 'up.example'])
  })
  test('keeps what we add, although Connection names it', () => {
    const forwarded = ['X-Forwarded-For', '10.0.0.1', 'X-Real-IP', '10.0.0.1']
    assert.deepEqual(sent(['Connection', 'X-Forwarded-For, X-Real-IP, Via', 'X-Real-IP', '6.6.6.6'], { forwarded, via: 'on' }),
      ['Host', 'up.example', 'Via', '1.1 fastify-wstunnel', ...forwarded])
  })
  test('has its Content-Length only with a body', () => {
    assert.deepEqual(sent(['Content-Length', '5']), ['Host', 'up.example', 'Content-Length', '5'])
    assert.deepEqual(sent(['Content-Length', '0'], { body: false }), ['Host', 'up.example'])
  })
  test('has one Cookie field, joined by semicolons, where the first one was', () => {
    assert.deepEqual(sent(['Cookie', 'a=1', 'X', 'y', 'cookie', 'b=2', 'COOKIE', 'c=3']), ['Host', 'up.example', 'Cookie', 'a=1; b=2; c=3', 'X', 'y'])
  })
  test('names that only look like others pass', () => {
    assert.deepEqual(sent(['__proto__', 'v', 'constructor', 'w', 'Connections', 'x', 'Upgrade-Insecure-Requests', '1']),
      ['Host', 'up.example', '__proto__', 'v', 'constructor', 'w', 'Connections', 'x', 'Upgrade-Insecure-Requests', '1'])
  })
})

describe('fields that say who asked', () => {
  const spoofed = [
    'X-Forwarded-For', '6.6.6.6', 'x-FORWARDED-for', '6.6.6.6', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil', 'X-Forwarded-Port', '1',
    'X-Forwarded-Server', 'evil', 'Forwarded', 'for=6.6.6.6', 'X_Forwarded_For', '6.6.6.6', 'X-Forwarded_For', '6.6.6.6', 'x_forwarded_proto', 'https'
  ]
  const names = (mode: ForwardedMode, trusted: boolean): string[] =>
    sent(spoofed, { isDropped: droppedFields(mode, trusted) }).filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()).slice(1)

  for (const mode of ['x-forwarded', 'forwarded', 'both'] as const) {
    test(`of an untrusted client do not pass: ${mode}`, () => assert.deepEqual(names(mode, false), []))
  }
  test('pass where they are nobody\'s business', () => {
    assert.equal(names(false, false).length, spoofed.length / 2)
    assert.equal(names(false, true).length, spoofed.length / 2)
  })
  test('of a trusted proxy: those that are written anew do not pass', () => {
    assert.deepEqual(names('x-forwarded', true), ['x-forwarded-port', 'x-forwarded-server', 'forwarded'])
    assert.deepEqual(names('both', true), [])
    const kept = names('forwarded', true)
    assert.ok(!kept.includes('forwarded') && kept.includes('x-forwarded-for'))
  })

  const client = { addresses: ['10.0.0.2', '192.0.2.7'], host: 'front.example:8080', protocol: 'https' }
  test('are written: x-forwarded, the farthest first', () => {
    assert.deepEqual(forwardedHeaders('x-forwarded', client),
      ['X-Forwarded-For', '192.0.2.7, 10.0.0.2', 'X-Forwarded-Host', 'front.example:8080', 'X-Forwarded-Proto', 'https'])
  })
  test('are written: forwarded', () => {
    assert.deepEqual(forwardedHeaders('forwarded', client), ['Forwarded', 'for=192.0.2.7;host="front.example:8080";proto=https, for=10.0.0.2'])
  })
  test('are written: both, and none', () => {
    assert.deepEqual(forwardedHeaders('both', client), [...forwardedHeaders('x-forwarded', client), ...forwardedHeaders('forwarded', client)])
    assert.deepEqual(forwardedHeaders(false, client), [])
  })
  for (const [address, expected] of [
    ['::1', '"[::1]"'], ['2001:DB8::1', '"[2001:DB8::1]"'], ['::ffff:10.0.0.1', '"[::ffff:10.0.0.1]"'], ['10.0.0.1', '10.0.0.1'],
    ['1.1.1.1\r\nX: y', 'unknown'], ['"', 'unknown'], ['_hidden', 'unknown'],
    ['a;b', 'unknown'], ['fe80::1%eth0', 'unknown'], ['::1"', 'unknown'], ['', 'unknown']
  ] as const) {
    test(`an element for ${JSON.stringify(address)}`, () => {
      assert.deepEqual(forwardedHeaders('forwarded', { addresses: [address], host: '', protocol: 'http' }), ['Forwarded', `for=${expected};proto=http`])
    })
  }
  test('a host is quoted where it has to be', () => {
    const host = (value: string): string => forwardedHeaders('forwarded', { addresses: ['1.1.1.1'], host: value, protocol: 'http' })[1] as string
    assert.equal(host('a.example'), 'for=1.1.1.1;host=a.example;proto=http')
    assert.equal(host('a";for=6.6.6.6;x="\\'), 'for=1.1.1.1;host="a\\";for=6.6.6.6;x=\\"\\\\";proto=http')
  })
  test('no Host, no field of it', () => {
    assert.deepEqual(
      forwardedHeaders('x-forwarded', { addresses: ['::1'], host: '', protocol: 'http' }),
      ['X-Forwarded-For', '::1', 'X-Forwarded-Proto', 'http']
    )
  })
})

describe('Via', () => {
  const own = '1.1 fastify-wstunnel'
  const received = ['Via', '1.0 a', 'X', 'y', 'via', '1.1 b']
  test('off: as it came', () => {
    assert.deepEqual(sent(received), ['Host', 'up.example', ...received])
    assert.deepEqual(responseHeaders(received, 'off'), received)
  })
  test('on: one field, ours last', () => {
    assert.deepEqual(sent(received, { via: 'on' }), ['Host', 'up.example', 'X', 'y', 'Via', `1.0 a, 1.1 b, ${own}`])
    assert.deepEqual(responseHeaders(received, 'on'), ['X', 'y', 'Via', `1.0 a, 1.1 b, ${own}`])
    assert.deepEqual(responseHeaders([], 'on'), ['Via', own])
  })
  test('full: with what we are', () => {
    assert.match(sent([], { via: 'full' })[3] as string, /^1\.1 fastify-wstunnel \(.+\)$/)
    assert.match(responseHeaders([], 'full')[1] as string, /^1\.1 fastify-wstunnel \(.+\)$/)
  })
  test('block: none at all', () => {
    assert.deepEqual(sent(received, { via: 'block' }), ['Host', 'up.example', 'X', 'y'])
    assert.deepEqual(responseHeaders(received, 'block'), ['X', 'y'])
  })
})

describe('a response', () => {
  for (const name of hopByHop) {
    test(`loses ${name}`, () => assert.deepEqual(responseHeaders([name, 'x', 'A', 'b', name.toUpperCase(), 'y'], 'off'), ['A', 'b']))
  }
  test('loses what Connection names, but for what must pass', () => {
    assert.deepEqual(responseHeaders(['Connection', 'X-Hop, Set-Cookie, Sec-WebSocket-Accept, Location, Content-Length, close', 'X-Hop', '1', 'Set-Cookie', 'a',
      'Sec-WebSocket-Accept', 'b', 'Location', 'c', 'Content-Length', '3'], 'off'),
    ['Set-Cookie', 'a', 'Sec-WebSocket-Accept', 'b', 'Location', 'c', 'Content-Length', '3'])
  })
  test('keeps every Set-Cookie by itself, and the order', () => {
    const raw = ['Set-Cookie', 'a=1', 'X', 'y', 'set-cookie', 'b=2']
    assert.deepEqual(responseHeaders(raw, 'off'), raw)
  })
})

describe('what can be written', () => {
  for (const name of ['A', 'x-1', "!#$%&'*+-.^_`|~", '__proto__']) {
    test(`the name ${name}`, () => {
      assert.equal(isField(name, ''), true)
      assert.equal(isToken(name), true)
    })
  }
  for (const name of ['', ' ', 'a b', 'a:', 'a\r\nb', 'a\n', '\xe9', 'a"', '(a)', 'a/b', 'a\0', 'a\t', '\u0130']) {
    test(`not the name ${JSON.stringify(name)}`, () => {
      assert.equal(isField(name, ''), false)
      assert.equal(isToken(name), false)
    })
  }
  for (const value of ['', ' a b ', 'a\tb', '\x80\xff', '"<>"', 'x'.repeat(100_000)]) {
    test(`the value ${JSON.stringify(value.slice(0, 10))}`, () => assert.equal(isField('a', value), true))
  }
  for (const value of [
    'a\r\nB: c', 'a\n', '\n', 'a\r', 'a\0', '\x01', '\x0b', '\x7f', '\u0100', '\u{1f600}',
    '\u2028', undefined, null, 5, {}, ['a'], Symbol('a'), { toString: () => 'a' }
  ]) {
    test(`not the value ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`, () => assert.equal(isField('a', value), false))
  }
  test('not a name that is no text', () => {
    for (const name of [undefined, null, 5, {}, ['a']]) assert.equal(isField(name, 'a'), false)
  })
})

describe('a head as bytes', () => {
  test('is that head', () => {
    assert.equal(serialise('GET /a HTTP/1.1', ['Host', 'a', 'X', '', 'y', '\xe9']), 'GET /a HTTP/1.1\r\nHost: a\r\nX: \r\ny: \xe9\r\n\r\n')
    assert.equal(serialise('HTTP/1.1 200 OK', []), 'HTTP/1.1 200 OK\r\n\r\n')
  })
  for (const line of [
    '', 'GET / HTTP/1.1\r\nX: y', 'GET /\n HTTP/1.1', 'GET /\0 HTTP/1.1',
    'GET /\t HTTP/1.1', 'GET /\u0100 HTTP/1.1', 'GET / HTTP/1.1\r', '\n'
  ]) {
    test(`not with the start line ${JSON.stringify(line)}`, () => assert.throws(() => serialise(line, []), TypeError))
  }
  for (const [name, value] of [
    ['a\r\nb', 'c'], ['', 'a'], ['a:', 'b'], ['a', 'b\r\nC: d'], ['a', 'b\n'], ['a', '\0'], ['a', '\u0100'], ['a b', 'c']
  ] as const) {
    test(`not with the field ${JSON.stringify([name, value])}`, () => {
      assert.throws(() => serialise('GET / HTTP/1.1', ['Host', 'a', name, value]), { name: 'TypeError', message: /^invalid header field / })
    })
  }
  test('not with a name that has no value', () => assert.throws(() => serialise('GET / HTTP/1.1', ['Host']), TypeError))
  test('does not show values in its errors', () => {
    assert.throws(() => serialise('GET / HTTP/1.1', ['Authorization', 'secret\r\n']), (error: Error) => !error.message.includes('secret'))
  })
  test('is read as what was written: property', () => {
    const anything = fc.string({ unit: fc.integer({ min: 0, max: 0x17f }).map((code) => String.fromCharCode(code)), maxLength: 12 })
    fc.assert(fc.property(fc.array(fc.tuple(anything, anything), { maxLength: 5 }), (fields) => {
      let bytes: Buffer
      try {
        bytes = Buffer.from(serialise('HTTP/1.1 200 OK', fields.flat()), 'latin1')
      } catch {
        assert.ok(fields.some(([name, value]) => !isField(name, value)))
        return
      }
      const head = parseHead(bytes, 100_000)
      assert.equal(head?.size, bytes.length)
      assert.deepEqual(head?.headers, fields.flatMap(([name, value]) => [name, value.replace(/^[\t ]+|[\t ]+$/g, '')]))
    }))
  })
})

describe('headers as an object', () => {
  test('by lower-case name, repetitions as an array', () => {
    assert.deepEqual({ ...toMap(['A', '1', 'b', '2', 'a', '3', 'A', '4']) }, { a: ['1', '3', '4'], b: '2' })
  })
  test('without a prototype, so that no name is special', () => {
    const map = toMap(['__proto__', 'x', 'constructor', 'y', 'Constructor', 'z'])
    assert.equal(Object.getPrototypeOf(map), null)
    assert.equal(Object.getOwnPropertyDescriptor(map, '__proto__')?.value, 'x')
    assert.deepEqual(map.constructor, ['y', 'z'])
    assert.deepEqual(fromMap(map), ['__proto__', 'x', 'constructor', 'y', 'constructor', 'z'])
    assert.equal(({} as { x?: unknown }).x, undefined)
  })
  test('and back', () => {
    assert.deepEqual(fromMap({ a: 'x', b: ['1', '2'], c: undefined, d: '' }), ['a', 'x', 'b', '1', 'b', '2', 'd', ''])
    assert.deepEqual(fromMap({}), [])
    assert.deepEqual(fromMap({ a: [] }), [])
  })
  test('and back: a number is written', () => assert.deepEqual(fromMap({ a: 5, b: [1, 2] }), ['a', '5', 'b', '1', 'b', '2']))
  for (const name of hopByHop) {
    test(`and back: ${name} is dropped, whatever it is`, () => {
      assert.deepEqual(fromMap({ [name]: 'x', [name.toLowerCase()]: ['y\r\n'], a: 'b' }), ['a', 'b'])
    })
  }
  for (const value of [
    'a\r\nY: b', '\0', '\u0100', null, true, {}, { toString: () => 'a' }, Symbol('a'), () => 'a', [undefined], [null], ['a', 'b\n'], [['a']]
  ]) {
    test(`and back: not with ${typeof value === 'string' ? JSON.stringify(value) : typeof value}`, () => {
      assert.throws(() => fromMap({ x: value } as unknown as HeaderMap), { name: 'TypeError', message: 'invalid header field "x"' })
    })
  }
  for (const name of ['', 'a b', 'a\r\nb', 'a:']) {
    test(`and back: not the name ${JSON.stringify(name)}`, () => assert.throws(() => fromMap({ [name]: 'x' }), TypeError))
  }
  for (const value of [undefined, null, 'a: b', 5]) {
    test(`and back: ${String(value)} is no object`, () => assert.throws(() => fromMap(value), { name: 'TypeError' }))
  }
})

describe('Connection with another word for upgrade', () => {
  for (const [value, expected] of [
    ['Upgrade', 'x'], ['keep-alive, UPGRADE', 'keep-alive, x'], ['upgrade,upgrade', 'x, x'],
    ['close', 'close'], ['upgrades', 'upgrades'], [' te ,Upgrade ', 'te, x']
  ] as const) test(`in '${value}'`, () => assert.equal(replaceUpgradeToken(value, 'x'), expected))
})
