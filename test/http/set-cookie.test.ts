import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../../lib/config/upstream-url.ts'
import { type CookieMapping, type CookieRules, mapSetCookie } from '../../lib/http/set-cookie.ts'

type Given = Partial<Omit<CookieMapping, 'bases'>> & Partial<CookieRules> & { upstream?: string, others?: string[] }

function map (
  value: string, { upstream = 'http://backend.local:9080/base', others = [], cookiePath = true, cookieDomain = true, ...more }: Given = {}
): string {
  const bases = [upstream, ...others].map((url) => {
    const address = parseAddress(url)
    assert.ok(address !== undefined)
    return address
  })
  return mapSetCookie(value, { prefix: '/app', host: 'front.example:8080', bases, ...more }, { cookiePath, cookieDomain })
}

function table (title: string, given: Given, rows: Array<[value: string, mapped: string]>): void {
  describe(title, () => {
    for (const [value, mapped] of rows) {
      test(`${JSON.stringify(value)} becomes ${value === mapped ? 'nothing else' : JSON.stringify(mapped)}`, () => assert.equal(map(value, given), mapped))
    }
  })
}

const same = (...values: string[]): Array<[string, string]> => values.map((value) => [value, value])

table('a Path below the base leads below the prefix', {}, [
  ['a=1; Path=/base', 'a=1; Path=/app'],
  ['a=1; Path=/base/', 'a=1; Path=/app/'],
  ['a=1; Path=/base/x', 'a=1; Path=/app/x'],
  ['a=1;path=/base', 'a=1;path=/app'],
  ['a=1;  PATH =\t /base \t; Secure', 'a=1;  PATH =\t /app \t; Secure'],
  ['a=1; Path=/base; HttpOnly; Path=/base/x', 'a=1; Path=/app; HttpOnly; Path=/app/x'],
  [
    'a="x, y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Max-Age=5; Path=/base; SameSite=Lax; Partitioned; Priority=High; =odd; ;;',
    'a="x, y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Max-Age=5; Path=/app; SameSite=Lax; Partitioned; Priority=High; =odd; ;;'
  ],
  ['__Secure-a=1; Path=/base; Secure', '__Secure-a=1; Path=/app; Secure']
])

table('every other Path stays', {}, same(
  'a=1', '', 'a=1; Path=/', 'a=1; Path=/basement', 'a=1; Path=/other', 'a=1; Path', 'a=1; Path=',
  'a=1; Path="/base"', 'a=1; Path=base', 'a=1; XPath=/base', 'a=1; Path=/Base', 'a=1; Path=/base/../x',
  'Path=/base', 'a=Path=/base', '__Host-a=1; Secure; Path=/base', ' __host-a=1; Secure; Path=/base', 'a=1; Comment=Path=/base'
))

table('an upstream without a base path', { upstream: 'http://backend.local/' }, [
  ...same('a=1; Path=/', 'a=1; Path=/app', 'a=1; Path=/app/x'),
  ['a=1; Path=/x', 'a=1; Path=/app/x'],
  ['a=1; Path=/apple', 'a=1; Path=/app/apple']
])

table('a route at the root', { prefix: '' }, [['a=1; Path=/base', 'a=1; Path=/'], ['a=1; Path=/base/', 'a=1; Path=/'], ['a=1; Path=/base/x', 'a=1; Path=/x']])

table('a prefix and a base with slashes at their ends', { prefix: '/ws/', upstream: 'http://backend.local/base/' }, [
  ['a=1; Path=/base', 'a=1; Path=/ws'], ['a=1; Path=/base/', 'a=1; Path=/ws/'], ['a=1; Path=/base/x', 'a=1; Path=/ws/x']
])

table('a prefix that a client could begin an attribute with', { prefix: '/rooms/x;Domain=evil.example' }, same('a=1; Path=/base', 'a=1; Path=/base/x'))

table('a Domain that is the upstream\'s host is removed', {}, [
  ['a=1; Domain=backend.local', 'a=1'],
  ['a=1; Domain=.backend.local; Path=/base', 'a=1; Path=/app'],
  ['a=1;domain = BACKEND.local ;Secure', 'a=1;Secure'],
  ['a=1; Domain=backend.local; Domain=.backend.local', 'a=1']
])

table('every other Domain stays', {}, same(
  'a=1; Domain=local', 'a=1; Domain=x.backend.local', 'a=1; Domain=xbackend.local', 'a=1; Domain=front.example',
  'a=1; Domain=backend.local.example', 'a=1; Domain=', 'a=1; Domain', 'Domain=backend.local', 'a=1; Domain=backend.local:9080'
))

for (const host of ['backend.local', 'BACKEND.local:8443', 'x.backend.local', 'x.y.backend.local:1']) {
  test(`a Domain that holds for the client's ${host}, too, stays`, () =>
    assert.equal(map('a=1; Domain=.backend.local', { host }), 'a=1; Domain=.backend.local'))
}

for (const host of ['', 'xbackend.local', 'local', 'backend.local.example']) {
  test(
    `a Domain that does not hold for the client's ${JSON.stringify(host)} is removed`,
    () => assert.equal(map('a=1; Domain=.backend.local', { host }), 'a=1')
  )
}

test('a Domain that is an address goes by the same rule', () => {
  assert.equal(map('a=1; Domain=10.0.0.5', { upstream: 'http://10.0.0.5:9080/' }), 'a=1')
  assert.equal(map('a=1; Domain=::1', { upstream: 'http://[::1]:9080/', host: '[::1]:8080' }), 'a=1; Domain=::1')
})

test('of a balancer, the Domain of each member is removed, and the Path goes by the chosen one', () => {
  const given = { upstream: 'http://a.local/one', others: ['http://b.local/two'] }
  assert.deepEqual(['a=1; Domain=b.local', 'a=1; Path=/one', 'a=1; Path=/two'].map((value) => map(value, given)), ['a=1', 'a=1; Path=/app', 'a=1; Path=/two'])
})

test('each part can be turned off', () => {
  const value = 'a=1; Path=/base; Domain=backend.local'
  assert.equal(map(value, { cookiePath: false }), 'a=1; Path=/base')
  assert.equal(map(value, { cookieDomain: false }), 'a=1; Path=/app; Domain=backend.local')
  assert.equal(map(value, { cookiePath: false, cookieDomain: false }), value)
})

test('a long cookie is mapped in a time linear to its length', () => {
  const begun = performance.now()
  for (const part of [' ', ';', '=', '; Path=/base', '; Domain=.', '\t=']) map(`a=1; Path=${part.repeat(200_000 / part.length)}x`)
  assert.ok(performance.now() - begun < 2_000)
})
