import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseHead } from '../../lib/http/response-head.ts'

const limit = 16_384

function parse (text: string, most: number = limit): ReturnType<typeof parseHead> {
  return parseHead(Buffer.from(text, 'latin1'), most)
}

describe('a head', () => {
  test('with everything', () => {
    const text = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nupgrade:websocket\r\n' +
      'X-Empty:\r\nX-Spaces: \t a b \t\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n'
    assert.deepEqual(parse(`${text}rest`), {
      status: 101,
      version: '1.1',
      reason: 'Switching Protocols',
      headers: ['Connection', 'Upgrade', 'upgrade', 'websocket', 'X-Empty', '', 'X-Spaces', 'a b', 'Set-Cookie', 'a', 'Set-Cookie', 'b'],
      size: text.length
    })
  })
  for (const [line, status, version, reason] of [
    ['HTTP/1.1 200 OK', 200, '1.1', 'OK'],
    ['HTTP/1.0 200 OK', 200, '1.0', 'OK'],
    ['HTTP/1.1 200 ', 200, '1.1', ''],
    ['HTTP/1.1 200', 200, '1.1', ''],
    ['HTTP/1.1 100 Continue', 100, '1.1', 'Continue'],
    ['HTTP/1.1 599 \xe9\t!', 599, '1.1', '\xe9\t!'],
    ['HTTP/1.1 404  two spaces', 404, '1.1', ' two spaces']
  ] as const) {
    test(line, () => {
      assert.deepEqual(parse(`${line}\r\n\r\n`), { status, version, reason, headers: [], size: line.length + 4 })
    })
  }
  test('with every character that a value and a name may have', () => {
    const value = Array.from({ length: 256 }, (_, code) => code).filter((code) => code === 9 || (code >= 0x20 && code !== 0x7f))
      .map((code) => String.fromCharCode(code)).join('')
    const name = "!#$%&'*+-.^_`|~09AZaz"
    assert.deepEqual(parse(`HTTP/1.1 200 OK\r\n${name}: x${value}x\r\n\r\n`)?.headers, [name, `x${value}x`])
  })
})

describe('a head that is not whole yet', () => {
  const text = 'HTTP/1.1 200 OK\r\nA: b\r\n\r\n'
  test('at every offset', () => {
    for (let i = 0; i < text.length; i++) assert.equal(parse(text.slice(0, i)), undefined, `after ${i} bytes`)
    assert.equal(parse(text)?.size, text.length)
  })
  test('grows to the limit and no further', () => {
    assert.equal(parse(text, text.length)?.size, text.length)
    assert.throws(() => parse(text, text.length - 1), /too long/)
    assert.throws(() => parse(`${text}body`, text.length - 1), /too long/)
    assert.equal(parse(text.slice(0, 10), 11), undefined)
    assert.throws(() => parse(text.slice(0, 10), 10), /too long/)
  })
  test('the limit does not hold for what follows the head', () => {
    assert.equal(parse(`${text}${'x'.repeat(100)}`, text.length)?.size, text.length)
  })
})

describe('what is no response is refused', () => {
  for (const start of ['', 'H', 'HTTP/1.', 'HTTP/1.1 2']) {
    test(`not yet: '${start}'`, () => assert.equal(parse(start), undefined))
  }
  for (const start of [
    'X', 'http/1.1', 'HTTP/2', 'HTTP/0.9', ' HTTP/1.1', '\r\nHTTP/1.1 200 OK',
    'ICY 200 OK', 'RTSP/1.0 200 OK', '\x15\x03\x01', 'SSH-2.0-x\r\n', '<html>', 'HTTP/10'
  ]) {
    test(`at once: ${JSON.stringify(start)}`, () => assert.throws(() => parse(start), /not HTTP/))
  }
  for (const line of [
    'HTTP/1.2 200 OK', 'HTTP/2.0 200 OK', 'HTTP/1.10 200 OK', 'http/1.1 200 OK', 'HTTP/1.1 000 X', 'HTTP/1.1 099 X', 'HTTP/1.1 600 X', 'HTTP/1.1 999 X',
    'HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1  200 OK', 'HTTP/1.1\t200 OK', 'HTTP/1.1 200\tOK', 'HTTP/1.1 +20 OK', 'HTTP/1.1 2x0 OK', 'HTTP/1.1 200OK',
    'HTTP/1.1200 OK', 'HTTP/1.1', 'HTTP/1.1 ', ' HTTP/1.1 200 OK', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 O\x7fK', 'HTTP/1.1 200 O\rK', 'HTTP/1.1 200 O\nA: b', ''
  ]) {
    test(JSON.stringify(line), () => assert.throws(() => parse(`${line}\r\nA: b\r\n\r\n`), /malformed|not HTTP/))
  }
})

describe('a field that is none refuses the head', () => {
  for (const field of [
    ': value', 'A', 'A b: c', 'A : b', ' A: b', '\tA: b', 'A\t: b', '\xe9: b', 'A(b): c', 'A"b": c', 'A/b: c', '[a]: b', 'A: b\0', 'A: b\x01c', 'A: b\x7fc',
    'A: b\rc', 'A: b\nC: d', 'A: b\n', '\n', 'A: b\r', 'A: b\x0bc', 'A: b\x1b[31m', '\0: b', ' folded', 'A@b: c', 'A{b}: c', 'A;b: c', 'A,b: c', 'A=b'
  ]) {
    test(JSON.stringify(field), () => {
      assert.throws(() => parse(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`), /field is malformed/)
      assert.throws(() => parse(`HTTP/1.1 200 OK\r\nX: y\r\n${field}\r\nZ: z\r\n\r\n`), /field is malformed/)
    })
  }
  test('folding', () => {
    assert.throws(() => parse('HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n'), /field is malformed/)
    assert.throws(() => parse('HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n'), /field is malformed/)
  })
  test('line feeds alone end no head', () => {
    assert.throws(() => parse('HTTP/1.1 200 OK\n\n'), /bare line feed/)
    assert.throws(() => parse('HTTP/1.1 200 OK\n\nA: b\r\n\r\n'), /malformed/)
  })
})
