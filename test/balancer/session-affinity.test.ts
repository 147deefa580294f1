import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  cookieValue, isRoute, isStickyCookie, parseHashBy, parseStickySession, queryValue, setCookie, stickyRoute
} from '../../lib/balancer/session-affinity.ts'
import type { Stickiness, StickyCookie } from '../../lib/balancer/session-affinity.ts'

const dotted: Stickiness = { cookie: 'ROUTEID', parameter: 'sid', separator: '.' }
const whole: Stickiness = { ...dotted, separator: undefined }

describe('stickySession', () => {
  for (const [spec, separator, expected] of [
    ['ROUTEID', undefined, { cookie: 'ROUTEID', parameter: 'ROUTEID', separator: '.' }],
    ['ROUTEID|routeid', undefined, { cookie: 'ROUTEID', parameter: 'routeid', separator: '.' }],
    ['JSESSIONID|jsessionid', '!', { cookie: 'JSESSIONID', parameter: 'jsessionid', separator: '!' }],
    ['a|b[c]', ':', { cookie: 'a', parameter: 'b[c]', separator: ':' }],
    ['a', 'x', { cookie: 'a', parameter: 'a', separator: 'x' }],
    ['a', 'Off', { cookie: 'a', parameter: 'a', separator: undefined }],
    ['a', 'off', { cookie: 'a', parameter: 'a', separator: undefined }]
  ] as const) {
    test(`${spec} with ${separator}`, () => assert.deepEqual(parseStickySession(spec, separator), expected))
  }

  for (const [spec, separator] of [
    ['', undefined], ['|', undefined], ['a|', undefined], ['|a', undefined], ['a|b|c', undefined], ['a b', undefined], ['a=b', undefined], ['a;b', undefined],
    ['a\r\nSet-Cookie: x', undefined], ['a\0', undefined], ['caf\u00e9', undefined], ['a#b', undefined],
    ['a|b&c', undefined], ['a|b=c', undefined], ['a|b/c', undefined], ['a|b?c', undefined],
    ['a', ''], ['a', '..'], ['a', ';'], ['a', '&'], ['a', '/'], ['a', '?'], ['a', '#'], ['a', '='],
    ['a', ' '], ['a', ','], ['a', '"'], ['a', '\\'], ['a', '\n'], ['a', '\u00e9'], ['a', '%'], ['a', 'on']
  ] as const) {
    test(`is none: ${JSON.stringify(spec)} with ${JSON.stringify(separator)}`, () => assert.equal(parseStickySession(spec, separator), undefined))
  }
})

describe('the route that a request names', () => {
  for (const [url, cookies, expected] of [
    ['/', undefined, undefined],
    ['/', '', undefined],
    ['/?sid=x.a', undefined, 'a'],
    ['/?sid=.a', undefined, 'a'],
    ['/?sid=x.a.b.c', undefined, 'a.b.c'],
    ['/?sid=x', undefined, undefined],
    ['/?sid=x.', undefined, undefined],
    ['/?sid=.', undefined, undefined],
    ['/?y=1&sid=x.a&z=2', undefined, 'a'],
    ['/?sid=x.a#sid', undefined, 'a'],
    ['/?sid=x.a&sid=x.b', undefined, 'a'],
    ['/?xsid=x.c', undefined, undefined],
    ['/?sidx=x.c', undefined, undefined],
    ['/?sid', undefined, undefined],
    ['/?sid&sid=x.a', undefined, 'a'],
    ['/?SID=x.a', undefined, undefined],
    ['/?y=sid=x.a', undefined, undefined],
    ['/?y?sid=x.a', undefined, undefined],
    ['/#?sid=x.a', undefined, undefined],
    ['/x;sid=p.b', undefined, 'b'],
    ['/x;sid=p.b?y=1', undefined, 'b'],
    ['/x;sid=p.b;foo', undefined, 'b'],
    ['/x;foo;sid=p.b', undefined, 'b'],
    ['/x;sid=p.b/y/z', undefined, 'b'],
    ['/x;sid=p.b&y=1', undefined, 'b'],
    ['/x;y/z;sid=p.b#c', undefined, 'b'],
    ['/x;xsid=p.b', undefined, undefined],
    ['/x;y/sid=p.b', undefined, undefined],
    ['/sid=p.b', undefined, undefined],
    ['sid=p.b;x', undefined, undefined],
    ['/x?y;sid=p.b', undefined, undefined],
    ['/x#;sid=p.b', undefined, undefined],
    ['/x;sid=p.b?sid=q.c', 'ROUTEID=.d', 'b'],
    ['/x?sid=q.c', 'ROUTEID=.d', 'c'],
    ['/x', 'ROUTEID=.d', 'd'],
    ['/x?sid=', 'ROUTEID=.d', 'd'],
    ['/x;sid=?sid=', 'ROUTEID=.d', 'd'],
    ['/x?sid=unrouted', 'ROUTEID=.d', undefined],
    ['/x', 'a=1; ROUTEID=.d; b=2', 'd'],
    ['/x', 'a=1;ROUTEID=.d', 'd'],
    ['/x', 'a=1;\t ROUTEID=s.d ', 'd'],
    ['/x', 'ROUTEID="s.d"', 'd'],
    ['/x', 'XROUTEID=.d', undefined],
    ['/x', 'ROUTEIDX=.d', undefined],
    ['/x', 'routeid=.d', undefined],
    ['/x', 'a=ROUTEID=.d', undefined],
    ['/x', 'a=" ROUTEID=.d"', undefined],
    ['/x', 'sid=.d', undefined],
    ['/?ROUTEID=.d', undefined, undefined]
  ] as const) {
    test(`${url}${cookies === undefined ? '' : ` with ${cookies}`}: ${expected}`, () => assert.equal(stickyRoute(dotted, url, cookies), expected))
  }

  test('without a separator the whole value is the route', () => {
    assert.equal(stickyRoute(whole, '/?sid=x.a', undefined), 'x.a')
    assert.equal(stickyRoute(whole, '/;sid=x.a/b', undefined), 'x.a')
    assert.equal(stickyRoute(whole, '/', 'ROUTEID=b'), 'b')
    assert.equal(stickyRoute(whole, '/', 'ROUTEID='), undefined)
    assert.equal(stickyRoute(whole, '/', 'ROUTEID=""'), undefined)
  })

  test('is what a simple model says', () => {
    const name = fc.constantFrom('sid', 'xsid', 'sidx', 'SID', 's', 'ROUTEID')
    const value = fc.constantFrom('', 'x', '.', '.a', 'x.b', 'x.b.c', 'sid.d', '..')
    const pairs = fc.array(fc.tuple(name, value), { maxLength: 5 })
    const written = (list: Array<[string, string]>, separator: string): string => list.map((pair) => pair.join('=')).join(separator)
    const first = (list: Array<[string, string]>, wanted: string): string => list.find(([found]) => found === wanted)?.[1] ?? ''
    fc.assert(fc.property(pairs, pairs, pairs, (path, query, cookies) => {
      const url = `/p${path.length > 0 ? `;${written(path, ';')}` : ''}${query.length > 0 ? `?${written(query, '&')}` : ''}`
      const found = [first(path, 'sid'), first(query, 'sid'), first(cookies, 'ROUTEID')].find((one) => one !== '') ?? ''
      const [, ...rest] = found.split('.')
      const expected = rest.join('.') === '' ? undefined : rest.join('.')
      assert.equal(stickyRoute(dotted, url, cookies.length > 0 ? written(cookies, '; ') : undefined), expected)
    }), { seed: 21, numRuns: 3000 })
  })
})

describe('cookies and query parameters', () => {
  for (const [header, expected] of [
    [undefined, undefined], ['', undefined], ['a', undefined], ['a=', ''], ['a=1', '1'], ['a="1"', '1'], ['a="', '"'], ['a=""', ''], ['a="1', '"1'],
    ['b=2; a=1', '1'], ['b=2;;a=1', '1'], ['a=1; a=2', '1'], ['a=1=2', '1=2'],
    ['aa=2; a=1', '1'], [' a= 1 ;', '1'], ['b; a=1', '1'], ['a =1', undefined], ['a=%41', '%41']
  ] as const) {
    test(`Cookie: ${header}`, () => assert.equal(cookieValue(header, 'a'), expected))
  }

  for (const [url, expected] of [
    ['/', undefined], ['/?', undefined], ['/?a', undefined], ['/?a=', ''], ['/?a=1', '1'],
    ['/?b&a=1', '1'], ['/?a=1&a=2', '1'], ['/?a=1;b', '1;b'], ['/?a=1#b', '1'], ['/?ba=1', undefined],
    ['/a=1', undefined], ['/a?b=/?a=1', undefined], ['/?a=%26', '%26'], ['?a=1', '1'], ['a=1', undefined]
  ] as const) {
    test(`query of ${url}`, () => assert.equal(queryValue(url, 'a'), expected))
  }

  test('a query is read as by URLSearchParams, where nothing is escaped', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', 'b', '=', '&', '1', '?', ';', '/'), maxLength: 20 }), (query) => {
      fc.pre(!query.split('&').includes('a')) // without `=` it has no value for us, and an empty one there
      assert.equal(queryValue(`/p?${query}`, 'a'), new URLSearchParams(`&${query}`).get('a') ?? undefined)
    }), { seed: 22, numRuns: 3000 })
  })
})

describe('the cookie that is set', () => {
  for (const [attributes, expected] of [
    [{}, 'ROUTEID=.a; Path=/; HttpOnly; SameSite=Lax'],
    [
      { path: '/app', domain: 'example.org', maxAge: 3600, secure: true, sameSite: 'strict' },
      'ROUTEID=.a; Path=/app; Domain=example.org; Max-Age=3600; HttpOnly; Secure; SameSite=Strict'
    ],
    [{ httpOnly: false }, 'ROUTEID=.a; Path=/; SameSite=Lax'],
    [{ sameSite: 'none' }, 'ROUTEID=.a; Path=/; HttpOnly; Secure; SameSite=None'],
    [{ sameSite: 'none', secure: false }, 'ROUTEID=.a; Path=/; HttpOnly; Secure; SameSite=None'],
    [{ secure: false }, 'ROUTEID=.a; Path=/; HttpOnly; SameSite=Lax']
  ] as Array<[StickyCookie, string]>) {
    test(expected, () => assert.equal(setCookie(dotted, 'a', attributes), expected))
  }

  test('without a separator holds the route alone', () => assert.equal(setCookie(whole, 'a.b', {}), 'ROUTEID=a.b; Path=/; HttpOnly; SameSite=Lax'))

  for (const attributes of [
    { path: '' }, { path: 'app' }, { path: '/a;b' }, { path: '/a\r\nX: y' }, { path: '/\0' }, { path: '/\u007f' }, { path: '/caf\u00e9' },
    { domain: '' }, { domain: 'a;b' }, { domain: 'a b' }, { domain: 'a..b' }, { domain: '-a' }, { domain: 'a\n' }, { domain: 'a'.repeat(255) },
    { maxAge: 0 }, { maxAge: -1 }, { maxAge: 1.5 }, { maxAge: NaN }, { maxAge: Infinity }, { maxAge: 1e21 }
  ] satisfies StickyCookie[]) {
    test(`is refused: ${JSON.stringify(attributes).slice(0, 40)}`, () => {
      assert.equal(isStickyCookie(attributes), false)
      assert.throws(() => setCookie(dotted, 'a', attributes), TypeError)
    })
  }

  for (const attributes of [
    {}, { path: '/a b' }, { domain: '.example.org' }, { domain: 'localhost' }, { domain: '10.0.0.1' }, { maxAge: 1 }
  ] satisfies StickyCookie[]) {
    test(`is written: ${JSON.stringify(attributes)}`, () => assert.equal(isStickyCookie(attributes), true))
  }

  for (const route of ['', 'a b', 'a;b', 'a=b', 'a,b', 'a\r\nX: y', 'a/b', 'a"', 'caf\u00e9', 'a%20']) {
    test(`${JSON.stringify(route)} is no route`, () => {
      assert.equal(isRoute(route), false)
      assert.throws(() => setCookie(dotted, route, {}), TypeError)
    })
  }

  test('names its route when it comes back, as do both parameters', () => {
    const route = fc.string({ unit: fc.constantFrom(...'abzAZ09_.~-'), minLength: 1, maxLength: 12 })
    const separator = fc.constantFrom('.', '-', '_', '~', '!', ':', 'a', '0', 'Off')
    fc.assert(fc.property(route, separator, (text, sep) => {
      const stickiness = parseStickySession('ROUTEID|sid', sep) ?? assert.fail()
      assert.ok(isRoute(text))
      const value = setCookie(stickiness, text, {}).split('; ')[0] as string
      assert.equal(stickyRoute(stickiness, '/', `other=1; ${value}; more=2`), text)
      const session = value.slice('ROUTEID='.length)
      assert.equal(stickyRoute(stickiness, `/a;sid=${session}/b`, undefined), text)
      assert.equal(stickyRoute(stickiness, `/a?x=1&sid=${session}&y`, undefined), text)
    }), { seed: 23 })
  })
})

describe('what hash goes by', () => {
  for (const [text, expected] of [
    ['client', { kind: 'client', name: '' }],
    ['header:X-User', { kind: 'header', name: 'x-user' }],
    ['cookie:Session', { kind: 'cookie', name: 'Session' }],
    ['query:user[id]', { kind: 'query', name: 'user[id]' }],
    ['query:a:b', { kind: 'query', name: 'a:b' }]
  ] as const) {
    test(text, () => assert.deepEqual(parseHashBy(text), expected))
  }

  for (const text of [
    '', 'Client', 'client:', 'client:a', 'header', 'header:', 'header:a b', 'header:a:b', 'cookie:',
    'cookie:a=b', 'cookie:a;b', 'query:', 'query:a&b', 'query:a=b', 'query:a#', 'body:a', ':a'
  ]) {
    test(`is none: ${JSON.stringify(text)}`, () => assert.equal(parseHashBy(text), undefined))
  }
})

// A lookup that went over the rest again at each step would take 16 KiB for a second, and these for hours.
describe('hostile input takes time in proportion to its length', () => {
  for (const part of [
    ';', '&', '=', ' ', '\t', '; ', ' ;', 'sid=', ';sid', ';sid=', '&sid', 'ROUTEID',
    '; ROUTEID', ' ROUTEID=', 'sid&', '"', '=.;', '/;', '?', '#', '.', ';sid/', 'a'
  ]) {
    test(JSON.stringify(part), () => {
      const start = process.cpuUsage().user
      for (const length of [16 * 1024, 512 * 1024]) {
        const text = part.repeat(length / part.length)
        for (const url of [`/${text}`, `/;${text}`, `/?${text}`, `/${text}?${text}`]) {
          const found = stickyRoute(dotted, url, text)
          assert.ok(found === undefined || text.includes(found))
          queryValue(url, 'sid')
        }
        cookieValue(text, 'ROUTEID')
        parseStickySession(text)
        parseHashBy(`query:${text}`)
        isStickyCookie({ path: `/${text}`, domain: text })
      }
      assert.ok(process.cpuUsage().user - start < 1_000_000, 'more than a second')
    })
  }
})
