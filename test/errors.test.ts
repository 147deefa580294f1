import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import * as errors from '../lib/errors.ts'
import type { WstunnelError, WstunnelErrorConstructor } from '../lib/errors.ts'

const constructors = Object.entries(errors).filter(([name]) => name.endsWith('Error') && /^[A-Z]/.test(name)) as Array<[string, WstunnelErrorConstructor]>

describe('every error', () => {
  for (const [name, Constructor] of constructors) {
    test(name, () => {
      const error = new Constructor('something')
      assert.ok(error instanceof Error)
      assert.match(error.code, /^FST_WSTUNNEL_[A-Z_]+$/)
      assert.ok(['client', 'upstream', 'internal'].includes(error.source))
      assert.ok(Number.isInteger(error.statusCode) && error.statusCode >= 400 && error.statusCode < 600)
      if (error.source === 'client') assert.ok(error.statusCode < 500 || error.statusCode === 501)
      else assert.ok(error.statusCode >= 500)
      if (error.source === 'upstream') assert.ok([502, 503, 504].includes(error.statusCode))
      assert.equal(errors.isProxyError(error), true)
      assert.equal(errors.toProxyError(error), error)
    })
  }
  test('has a code of its own', () => {
    const codes = constructors.map(([, Constructor]) => new Constructor('x').code)
    assert.ok(codes.length > 15)
    assert.equal(new Set(codes).size, codes.length)
  })
  test('that was made is in this list', () => {
    const source = readFileSync(new URL('../lib/errors.ts', import.meta.url), 'utf8')
    assert.equal(source.match(/\bdefine\('/g)?.length, constructors.length)
  })
  test('says when to come back, where that is a matter of time', () => {
    for (const [name, Constructor] of constructors) {
      const expected = ['LimitError', 'ClientLimitError', 'ShortageError', 'DrainingError', 'NoMemberError'].includes(name) ? 5 : undefined
      assert.equal(new Constructor().retryAfter, expected, name)
    }
  })
  for (const [name, statusCode] of Object.entries({
    InvalidOptionsError: 500,
    BadRequestError: 400,
    BadPathError: 400,
    UpgradeRequiredError: 426,
    ProtocolError: 501,
    OriginRefusedError: 403,
    LimitError: 503,
    NoMemberError: 503,
    ClientLimitError: 429,
    DrainingError: 503,
    UnavailableError: 503,
    NameError: 502,
    TlsError: 502,
    ClosedError: 502,
    InvalidResponseError: 502,
    TimeoutError: 504,
    UpstreamError: 502
  })) {
    test(`${name} is ${statusCode}`, () => {
      const Constructor = constructors.find(([known]) => known === name)?.[1] ?? assert.fail('no such error')
      assert.equal(new Constructor('x').statusCode, statusCode)
    })
  }
})

describe('a failure on the way to an upstream', () => {
  const failure = (code: unknown, message = 'connect 10.1.2.3:9080 /secret'): Error => Object.assign(new Error(message), { code })
  for (const [code, name, status] of [
    ['ECONNREFUSED', 'UnavailableError', 503], ['EHOSTUNREACH', 'UnavailableError', 503],
    ['ENETUNREACH', 'UnavailableError', 503], ['ENOENT', 'UnavailableError', 503],
    ['EACCES', 'UnavailableError', 503],
    ['ENOTFOUND', 'NameError', 502], ['EAI_AGAIN', 'NameError', 502],
    ['ETIMEDOUT', 'TimeoutError', 504], ['UND_ERR_CONNECT_TIMEOUT', 'TimeoutError', 504],
    ['UND_ERR_HEADERS_TIMEOUT', 'TimeoutError', 504], ['UND_ERR_BODY_TIMEOUT', 'TimeoutError', 504],
    ['ECONNRESET', 'ClosedError', 502], ['EPIPE', 'ClosedError', 502], ['UND_ERR_SOCKET', 'ClosedError', 502],
    ['UND_ERR_HEADERS_OVERFLOW', 'InvalidResponseError', 502],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'InvalidResponseError', 502], ['ERR_ASSERTION', 'InvalidResponseError', 502],
    ['HPE_INVALID_CONSTANT', 'InvalidResponseError', 502],
    ['EPROTO', 'TlsError', 502], ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TlsError', 502],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'TlsError', 502], ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'TlsError', 502],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TlsError', 502], ['ERR_SSL_WRONG_VERSION_NUMBER', 'TlsError', 502], ['CERT_HAS_EXPIRED', 'TlsError', 502],
    ['SOMETHING_ELSE', 'UpstreamError', 502], ['', 'UpstreamError', 502], [undefined, 'UpstreamError', 502], [5, 'UpstreamError', 502],
    ['__proto__', 'UpstreamError', 502], ['constructor', 'UpstreamError', 502], ['toString', 'UpstreamError', 502]
  ] as const) {
    test(`${String(code)} is ${name}, ${status}`, () => {
      const cause = failure(code)
      const error = errors.toProxyError(cause)
      assert.equal(error.statusCode, status)
      assert.ok(error instanceof (constructors.find(([known]) => known === name) as [string, WstunnelErrorConstructor])[1])
      assert.equal(error.cause, cause)
      assert.equal(error.source, 'upstream')
      assert.doesNotMatch(error.message, /10\.1\.2\.3|secret/)
    })
  }
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']) {
    test(`${code} is a shortage of ours, 503, and blames no upstream`, () => {
      const error = errors.toProxyError(failure(code))
      assert.ok(error instanceof errors.ShortageError)
      assert.deepEqual([error.statusCode, error.source, error.retryAfter], [503, 'internal', 5])
    })
  }
  for (const [codes, name] of [
    [['ECONNREFUSED', 'EMFILE'], 'ShortageError'], [['EADDRNOTAVAIL', 'ECONNREFUSED'], 'UnavailableError'],
    [['EADDRNOTAVAIL', 'EADDRNOTAVAIL'], 'ShortageError'],
    [['ETIMEDOUT', 'ECONNREFUSED'], 'TimeoutError'], [['EADDRNOTAVAIL', 'ENOBUFS', 'ECONNREFUSED'], 'ShortageError'], [[], 'UpstreamError']
  ] as const) {
    test(`attempts that failed with ${codes.join(' and ') || 'nothing'} are ${name}`, () => {
      const error = errors.toProxyError(new AggregateError(codes.map((code) => failure(code))))
      assert.ok(error instanceof (constructors.find(([known]) => known === name) as [string, WstunnelErrorConstructor])[1], error.code)
    })
  }
  for (const message of ['bad upgrade', 'bad response']) {
    test(`UND_ERR_SOCKET: ${message} is an invalid response`, () => {
      assert.ok(errors.toProxyError(failure('UND_ERR_SOCKET', message)) instanceof errors.InvalidResponseError)
    })
  }
  test('of a parser, which has a name and no code, is an invalid response', () => {
    const cause = Object.assign(new Error('x'), { name: 'HTTPParserError', code: undefined })
    assert.ok(errors.toProxyError(cause) instanceof errors.InvalidResponseError)
  })
  for (const cause of [undefined, null, 'text', 5, {}, Symbol('x'), Object.create(null)]) {
    test(`that is no error (${typeof cause}) is one of ours`, () => {
      const error: WstunnelError = errors.toProxyError(cause)
      assert.ok(error instanceof errors.UpstreamError)
      assert.equal(error.cause, cause)
    })
  }
  test('of the request body is the client\'s', () => {
    const error = errors.toProxyError(failure('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'))
    assert.deepEqual([error.statusCode, error.source], [400, 'client'])
  })
})

describe('what is an error of ours', () => {
  test('not another plugin\'s, nor what only looks like one', () => {
    assert.equal(errors.isProxyError(Object.assign(new Error('x'), { code: 'FST_ERR_VALIDATION' })), false)
    assert.equal(errors.isProxyError(new Error('x')), false)
    assert.equal(errors.isProxyError({ code: 'FST_WSTUNNEL_LIMIT' }), false)
    assert.equal(errors.isProxyError(undefined), false)
  })
})
