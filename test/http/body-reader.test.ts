import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BodyReader, responseFraming } from '../../lib/http/body-reader.ts'
import type { Framing } from '../../lib/http/body-reader.ts'

describe('framing', () => {
  const none = { kind: 'none' } as const
  const close = { kind: 'close' } as const
  const chunked = { kind: 'chunked' } as const
  const length = (bytes: number): Framing => ({ kind: 'length', length: bytes })
  const cl = (value: string): string[] => ['Content-Length', value]
  const te = (value: string): string[] => ['Transfer-Encoding', value]

  for (const [what, method, status, headers, expected] of [
    ['nothing said', 'GET', 200, [], close],
    ['nothing said of an error', 'GET', 500, ['A', 'b'], close],
    ['a length', 'GET', 200, cl('5'), length(5)],
    ['a length of 0', 'GET', 200, cl('0'), length(0)],
    ['a length with zeros before it', 'GET', 200, cl('007'), length(7)],
    ['the longest length', 'GET', 200, cl('999999999999999'), length(999_999_999_999_999)],
    ['a length in another case', 'GET', 403, ['cONTENT-lENGTH', '5'], length(5)],
    ['chunks', 'GET', 200, te('chunked'), chunked],
    ['chunks in another case', 'GET', 200, te('CHUNKED'), chunked],
    ['HEAD', 'HEAD', 200, cl('5'), none],
    ['HEAD in chunks', 'HEAD', 200, te('chunked'), none],
    ['HEAD with nothing said', 'HEAD', 200, [], none],
    ['1xx', 'GET', 101, [], none],
    ['1xx with a length', 'GET', 103, cl('5'), none],
    ['204', 'GET', 204, [], none],
    ['304 with a length', 'GET', 304, cl('5'), none],
    ['205', 'GET', 205, cl('0'), length(0)],
    ['a length and chunks', 'GET', 200, [...cl('5'), ...te('chunked')], undefined],
    ['a length and chunks, HEAD', 'HEAD', 200, [...cl('5'), ...te('chunked')], undefined],
    ['two lengths', 'GET', 200, [...cl('5'), ...cl('6')], undefined],
    ['two equal lengths', 'GET', 200, [...cl('5'), ...cl('5')], undefined],
    ['a list of lengths', 'GET', 200, cl('5, 5'), undefined],
    ['a length with a sign', 'GET', 200, cl('+5'), undefined],
    ['a negative length', 'GET', 200, cl('-5'), undefined],
    ['a length in hex', 'GET', 200, cl('0x5'), undefined],
    ['a length with an exponent', 'GET', 200, cl('5e3'), undefined],
    ['a length with a fraction', 'GET', 200, cl('5.0'), undefined],
    ['an empty length', 'GET', 200, cl(''), undefined],
    ['a length that no number holds', 'GET', 200, cl('9007199254740993'), undefined],
    ['chunks twice', 'GET', 200, [...te('chunked'), ...te('chunked')], undefined],
    ['another coding before', 'GET', 200, te('gzip, chunked'), undefined],
    ['another coding after', 'GET', 200, te('chunked, gzip'), undefined],
    ['another coding', 'GET', 200, te('identity'), undefined],
    ['an empty coding', 'GET', 200, te(''), undefined],
    ['a coding with a parameter', 'GET', 200, te('chunked;q=1'), undefined],
    ['a coding with bytes before it', 'GET', 200, te('\x0bchunked'), undefined],
    ['a length that is none, of a 304', 'GET', 304, cl('x'), undefined]
  ] as const) {
    test(`${what}: ${expected === undefined ? 'refused' : expected.kind}`, () => {
      assert.deepEqual(responseFraming(method, status, headers), expected)
    })
  }
})

interface Read {
  data: string
  /** Bytes that were the body's, framing included. */
  taken: number
  done: boolean
}

/** Reads pieces one after the other, as a connection would give them. */
function read (framing: Framing, ...pieces: string[]): Read {
  const reader = new BodyReader(framing)
  let data = ''
  let taken = 0
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1')
    const count = reader.read(bytes, (run) => { data += run.toString('latin1') })
    if (!reader.done) assert.equal(count, bytes.length, 'all is taken until it is done')
    taken += count
  }
  return { data, taken, done: reader.done }
}

/** Whole, split in two at every offset, split in three, and byte by byte: always the same. */
function everyWay (framing: Framing, text: string): Read {
  const whole = read(framing, text)
  for (let i = 0; i <= text.length; i++) {
    assert.deepEqual(read(framing, text.slice(0, i), text.slice(i)), whole, `split at ${i}`)
    for (let j = i; j <= text.length; j += 3) {
      assert.deepEqual(read(framing, text.slice(0, i), text.slice(i, j), text.slice(j)), whole, `split at ${i} and ${j}`)
    }
  }
  assert.deepEqual(read(framing, ...text), whole, 'byte by byte')
  return whole
}

describe('a body of a length', () => {
  test('ends there', () => assert.deepEqual(everyWay({ kind: 'length', length: 5 }, '12345'), { data: '12345', taken: 5, done: true }))
  test('leaves what follows', () => assert.deepEqual(everyWay({ kind: 'length', length: 5 }, '12345HTTP'), { data: '12345', taken: 5, done: true }))
  test('is not done before', () => {
    assert.deepEqual(everyWay({ kind: 'length', length: 5 }, '1234'), { data: '1234', taken: 4, done: false })
    const reader: BodyReader = new BodyReader({ kind: 'length', length: 5 })
    reader.read(Buffer.from('1234'), () => {})
    assert.equal(reader.end(), false)
    assert.equal(reader.done, false)
  })
  test('of 0 is done before it begins', () => {
    assert.deepEqual(read({ kind: 'length', length: 0 }, 'x'), { data: '', taken: 0, done: true })
    assert.equal(new BodyReader({ kind: 'length', length: 0 }).done, true)
  })
  test('gives the bytes themselves, not a copy', () => {
    const bytes = Buffer.from('1234567')
    new BodyReader({ kind: 'length', length: 7 }).read(bytes, (run) => assert.equal(run, bytes))
    new BodyReader({ kind: 'length', length: 3 }).read(bytes, (run) => assert.equal(run.buffer, bytes.buffer))
  })
})

describe('no body', () => {
  test('is done, and nothing is its own', () => {
    assert.deepEqual(read({ kind: 'none' }, 'HTTP/1.1'), { data: '', taken: 0, done: true })
    assert.equal(new BodyReader({ kind: 'none' }).end(), true)
  })
})

describe('a body up to the end of the connection', () => {
  test('is done when that ends', () => {
    assert.deepEqual(everyWay({ kind: 'close' }, '0\r\n\r\n'), { data: '0\r\n\r\n', taken: 5, done: false })
    const reader: BodyReader = new BodyReader({ kind: 'close' })
    assert.equal(reader.end(), true)
    assert.equal(reader.done, true)
    assert.equal(reader.read(Buffer.from('x'), () => assert.fail('no more data')), 0)
  })
})

describe('a body in chunks', () => {
  const chunked: Framing = { kind: 'chunked' }
  for (const [what, text, data] of [
    ['one', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['three', '1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n', 'abcdef'],
    ['none', '0\r\n\r\n', ''],
    ['zeros', '000\r\n\r\n', ''],
    ['fourteen', `${'1\r\na\r\n'.repeat(14)}0\r\n\r\n`, 'a'.repeat(14)],
    ['a size with zeros before it', '0005\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['hex in either case', 'a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n', '01234567890123456789a'],
    ['two digits', `1F\r\n${'x'.repeat(31)}\r\n0\r\n\r\n`, 'x'.repeat(31)],
    ['data that looks like framing', '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n\r\n'],
    ['extensions', '5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n', 'hello'],
    ['an extension without a name', '5;\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['a trailer', '5\r\nhello\r\n0\r\nA: b\r\n\r\n', 'hello'],
    ['two trailers', '0\r\nA: b\r\nCd: ef\r\n\r\n', '']
  ] as const) {
    test(`${what}, however it arrives`, () => {
      assert.deepEqual(everyWay(chunked, text), { data, taken: text.length, done: true })
      assert.deepEqual(everyWay(chunked, `${text}HTTP/1.1`), { data, taken: text.length, done: true })
    })
    test(`${what}, cut short anywhere, is not done`, () => {
      for (let i = 0; i < text.length; i++) {
        const reader: BodyReader = new BodyReader(chunked)
        reader.read(Buffer.from(text.slice(0, i), 'latin1'), () => {})
        assert.equal(reader.done, false, `after ${i} bytes`)
        assert.equal(reader.end(), false)
      }
    })
  }

  for (const [what, text] of [
    ['no size', '\r\nhello'],
    ['no size but an extension', ';a\r\n'],
    ['no hex', 'g\r\n'],
    ['0x', '0x5\r\nhello'],
    ['a sign', '+5\r\nhello'],
    ['a minus', '-5\r\nhello'],
    ['a space before', ' 5\r\nhello'],
    ['a space after', '5 \r\nhello'],
    ['an underscore', '1_0\r\n'],
    ['a line feed alone', '5\nhello'],
    ['a carriage return alone', '5\rhello'],
    ['a line feed alone in an extension', '5;a\nhello'],
    ['a line feed alone in an extension, then a whole line', '5;a\n\r\nhello'],
    ['a carriage return alone in an extension', '5;a\rb\r\nhello'],
    ['data that is longer than its size', '5\r\nhello!\r\n0\r\n\r\n'],
    ['data that ends with a line feed alone', '5\r\nhello\n0\r\n\r\n'],
    ['data that ends with a carriage return alone', '5\r\nhello\r0\r\n\r\n'],
    ['data that ends with another byte and a line feed', '5\r\nhello!\n0\r\n\r\n'],
    ['data that ends with a carriage return and another byte', '5\r\nhello\r!0\r\n\r\n'],
    ['no size of the second chunk', '5\r\nhello\r\n\r\n0\r\n\r\n'],
    ['a trailer with a line feed alone', '0\r\nA: b\n\r\n'],
    ['a trailer with a carriage return alone', '0\r\nA: b\rC\r\n\r\n'],
    ['an end with a line feed alone', '0\r\n\n'],
    ['an end with a carriage return alone', '0\r\n\rX'],
    ['a size of 13 digits', '1000000000000\r\n'],
    ['a size of 13 digits, zeros', '0000000000005\r\nhello'],
    ['a size of 17 digits, which wraps around', '10000000000000005\r\nhello']
  ] as const) {
    test(`${what} is refused, however it arrives`, () => {
      assert.throws(() => read(chunked, text), Error)
      for (let i = 0; i <= text.length; i++) assert.throws(() => read(chunked, text.slice(0, i), text.slice(i)), Error, `split at ${i}`)
    })
  }

  test('a size of 12 digits is read as it is', () => {
    const reader: BodyReader = new BodyReader(chunked)
    assert.equal(reader.read(Buffer.from('ffffffffffff\r\nabc'), () => {}), 17)
    assert.equal(reader.done, false)
  })

  const most = 8192
  test('extensions may have 8 KiB a chunk, and no more', () => {
    assert.equal(read(chunked, `1;${'x'.repeat(most)}\r\na\r\n1;${'x'.repeat(most)}\r\nb\r\n0\r\n\r\n`).data, 'ab')
    assert.throws(() => read(chunked, `1;${'x'.repeat(most + 1)}\r\na\r\n`), /too much/)
    assert.throws(() => read(chunked, '1;', ...Array.from({ length: most + 1 }, () => 'x')), /too much/)
  })
  test('trailers may have 8 KiB together, and no more', () => {
    const line = `${'x'.repeat(4096)}\r\n`
    assert.equal(read(chunked, `0\r\n${line}${line}\r\n`).done, true)
    assert.throws(() => read(chunked, `0\r\n${line}${line}x\r\n\r\n`), /too much/)
  })
  test('a done body takes no more', () => {
    const reader: BodyReader = new BodyReader(chunked)
    reader.read(Buffer.from('0\r\n\r\n'), () => {})
    assert.equal(reader.read(Buffer.from('5\r\nhello'), () => assert.fail('no more data')), 0)
  })
})
