import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../../lib/config/upstream-url.ts'
import { type LocationMapping, mapLocation } from '../../lib/http/location.ts'
import { isBelow, mapPath, unmapPath } from '../../lib/http/path-prefix.ts'

type Given = Partial<Omit<LocationMapping, 'bases'>> & { upstream?: string, others?: string[] }

function map (value: string, { upstream = 'http://up:9080/base', others = [], ...more }: Given = {}): string {
  const bases = [upstream, ...others].map((url) => {
    const address = parseAddress(url)
    assert.ok(address !== undefined)
    return address
  })
  return mapLocation(value, { prefix: '/app', protocol: 'https', host: 'front.example', ownHosts: [], mapsPaths: true, bases, ...more })
}

function table (title: string, given: Given, rows: Array<[value: string, mapped: string]>): void {
  describe(title, () => {
    for (const [value, mapped] of rows) {
      test(`${JSON.stringify(value)} becomes ${value === mapped ? 'nothing else' : JSON.stringify(mapped)}`, () => assert.equal(map(value, given), mapped))
    }
  })
}

const same = (...values: string[]): Array<[string, string]> => values.map((value) => [value, value])

table('an absolute URL of the upstream leads below the prefix', {}, [
  ['http://up:9080/base/login', 'https://front.example/app/login'],
  ['http://up:9080/base', 'https://front.example/app'],
  ['http://up:9080/base/', 'https://front.example/app/'],
  ['http://up:9080/base?x', 'https://front.example/app?x'],
  ['http://up:9080/base#x', 'https://front.example/app#x'],
  ['HTTP://UP:9080/base/Login', 'https://front.example/app/Login'],
  ['http://up:09080/base/x', 'https://front.example/app/x'],
  [
    'http://up:9080/base/a%2Fb%20c/%7e?redirect_uri=http://up:9080/base/x&y=%2F#/base',
    'https://front.example/app/a%2Fb%20c/%7e?redirect_uri=http://up:9080/base/x&y=%2F#/base'
  ],
  ['http://up:9080/base/a b', 'https://front.example/app/a b'],
  ['http://up:9080/base/caf\xc3\xa9', 'https://front.example/app/caf\xc3\xa9'],
  ['http://up:9080/base//x', 'https://front.example/app//x'],
  ['http://up:9080/base/x/../y', 'https://front.example/app/x/../y'],
  ['http://up:9080/%62ase/x', 'https://front.example/app/x'],
  ['ws://up:9080/base/chat', 'wss://front.example/app/chat'],
  ['//up:9080/base/login', '//front.example/app/login']
])

table('another origin stays, and so does what only looks like the upstream', {}, same(
  'http://up:80801/base/x', 'http://up:90800/base/x', 'http://up:908/base/x',
  'http://up/base/x', 'http://up:80/base/x', 'https://up:9080/base/x', 'wss://up:9080/base/x',
  'http://up.example:9080/base/x', 'http://up:9080.example/base/x',
  'http://xup:9080/base/x', 'http://up:9080@evil.example/base/x', 'http://user@up:9080/base/x',
  'http://up:9080\\@evil.example/base/x', 'http://evil.example/?http://up:9080/base/x',
  'http://evil.example/base/x', '//evil.example/base/x', '//base/x', '///up:9080/base',
  'http:/up:9080/base/x', 'http:up:9080/base', 'http:\\\\up:9080\\base', 'http:///base/x',
  'http://', '//', 'ftp://up:9080/base/x', 'mailto:base@up', 'javascript:alert(1)',
  'http://[::1/base', 'http://up:9080\t/base/x', 'http://up:x/base', 'http://%zz/base', 'http://up:-1/base', 'data:,/base'
))

table('a path that is not below the base stays', {}, same(
  'http://up:9080/basement', 'http://up:9080/base%2Fx', 'http://up:9080/',
  'http://up:9080', 'http://up:9080?x', 'http://up:9080/Base/x', 'http://up:9080/other/base/x',
  'http://up:9080/base/../secret', 'http://up:9080/base/%2e%2E/secret',
  'http://up:9080/base/x/../../secret', 'http://up:9080/base/..\\secret', 'http://up:9080/base\\x',
  '/basement', '/', '/other', '/base%2Fx', '/base/../secret', '/app/login', '/base\\x'
))

table('a path alone leads below the prefix', {}, [
  ['/base/login', '/app/login'],
  ['/base', '/app'],
  ['/base/', '/app/'],
  ['/base?x=/base/y#/base/z', '/app?x=/base/y#/base/z'],
  ['/base/a%2Fb', '/app/a%2Fb'],
  ['/base/.hidden/...', '/app/.hidden/...'],
  ['/%62ase/x', '/app/x']
])

table('a relative reference stays', {}, same('', 'login', './login', '../base/login', '?x', '#x', 'base/login', '.', '*', '\\base', '\\\\up:9080\\base'))

table('with location absolute a path alone stays', { mapsPaths: false }, [
  ...same('/base/login', '/base', '/', 'login'),
  ['http://up:9080/base/login', 'https://front.example/app/login']
])

table('an upstream without a base path', { upstream: 'http://up:9080' }, [
  ['http://up:9080/login', 'https://front.example/app/login'],
  ['http://up:9080/', 'https://front.example/app/'],
  ['http://up:9080', 'https://front.example/app/'],
  ['http://up:9080?x', 'https://front.example/app/?x'],
  ['http://up:9080/app/login', 'https://front.example/app/login'],
  ['http://up:9080/app', 'https://front.example/app'],
  ['http://up:9080/apple', 'https://front.example/app/apple'],
  ['http://up:9080/app/../x', 'https://front.example/app/app/../x'],
  ['http://up:9080/../x', 'http://up:9080/../x'],
  ['/login', '/app/login'],
  ['/', '/app/'],
  ['/?next=/', '/app/?next=/'],
  ['/app/login', '/app/login'],
  ['/%61pp/login', '/%61pp/login'],
  ['/apple', '/app/apple'],
  ['/../x', '/../x']
])

table('an upstream at the same path: scheme and authority change, no path does', { upstream: 'http://up:9080/app' }, [
  ['http://up:9080/app/login', 'https://front.example/app/login'],
  ...same('/app/login', '/app', '/login', 'http://up:9080/login')
])

table('a route at the root', { prefix: '', upstream: 'http://up:9080/base' }, [
  ['http://up:9080/base/login', 'https://front.example/login'],
  ['http://up:9080/base', 'https://front.example/'],
  ['/base/login', '/login'],
  ['/base', '/'],
  ['/base?x', '/?x'],
  ['http://up:9080/base//evil.example', 'https://front.example//evil.example'],
  // A path alone must not become an authority.
  ...same('/base//evil.example', '/base/\\evil.example', '/base/\t/evil.example')
])

table('a prefix and a base with slashes at their ends', { prefix: '/ws/', upstream: 'http://up:9080/base/' }, [
  ['http://up:9080/base/x', 'https://front.example/ws/x'],
  ['http://up:9080/base/', 'https://front.example/ws/'],
  ['http://up:9080/base', 'https://front.example/ws'],
  ['/base/x?y', '/ws/x?y']
])

table('a parameter of the prefix gives back what the client wrote', { prefix: '/rooms/caf%C3%A9;v=1', upstream: 'http://up:9080/r/' }, [
  ['/r/login', '/rooms/caf%C3%A9;v=1/login'],
  ['http://up:9080/r/login', 'https://front.example/rooms/caf%C3%A9;v=1/login']
])

for (const [title, upstream, value] of [
  ['http, with its default port', 'http://up/base', 'http://up:80/base/x'],
  ['http, without its default port', 'http://up:80/base', 'http://up/base/x'],
  ['http, with an empty port', 'http://up/base', 'http://up:/base/x'],
  ['https, with its default port', 'https://up/base', 'https://up:443/base/x'],
  ['ws counts as http', 'ws://up:9080/base', 'http://up:9080/base/x'],
  ['wss counts as https', 'wss://up/base', 'https://up:443/base/x'],
  ['http with the port of https', 'http://up:443/base', 'http://up:443/base/x'],
  ['an IPv6 address in another form', 'http://[::1]:9080/base', 'http://[0:0:0:0:0:0:0:1]:9080/base/x'],
  ['an IPv4 address in another form', 'http://127.0.0.1:9080/base', 'http://127.1:9080/base/x'],
  ['the URL of a unix socket', 'unix:/run/app.sock|http://backend.example/base', 'http://backend.example/base/x'],
  ['an escape in the base', 'http://up/base/%7euser', 'http://up/base/~user/x']
] as const) {
  test(`the authority is compared as parsed: ${title}`, () => assert.equal(map(value, { upstream }), 'https://front.example/app/x'))
}

test('each member of a balancer is mapped by its own base', () => {
  const given = { upstream: 'http://a:1/one', others: ['http://b:2/two', 'https://c/'] }
  assert.deepEqual(['http://a:1/one/x', 'http://b:2/two/x', 'https://c/x', 'http://b:2/one/x', '/one/x', '/two/x'].map((value) => map(value, given)),
    ['https://front.example/app/x', 'https://front.example/app/x', 'https://front.example/app/x', 'http://b:2/one/x', '/app/x', '/two/x'])
})

test('members that differ in their paths alone are told apart by them', () => {
  assert.equal(map('http://a:1/two/x', { upstream: 'http://a:1/one', others: ['http://a:1/two'] }), 'https://front.example/app/x')
})

table('the client\'s own authority, with preserveHost, counts as a path alone', { ownHosts: ['front.example'] }, [
  ['http://front.example/base/x', 'https://front.example/app/x'],
  ['https://front.example/base/x', 'https://front.example/app/x'],
  ['https://front.example:443/base/x', 'https://front.example/app/x'],
  ['http://FRONT.example/base/x?y', 'https://front.example/app/x?y'],
  ['http://front.example/elsewhere', 'https://front.example/elsewhere'],
  ['http://front.example', 'https://front.example'],
  ['http://up:9080/base/x', 'https://front.example/app/x'],
  ...same('http://front.example:9080/base/x', 'http://other.example/base/x')
])

table('the client\'s own authority over http, where neither side speaks https', { ownHosts: ['front.example'], protocol: 'http' }, [
  ['http://front.example/base/x', 'http://front.example/app/x'],
  ...same('https://front.example/base/x')
])

test('with location absolute the client\'s own authority gets its scheme, and keeps its path', () => {
  assert.equal(map('http://front.example/base/x', { ownHosts: ['front.example'], mapsPaths: false }), 'https://front.example/base/x')
})

for (const host of ['', ' ', 'a/b', 'a b', 'front.example:99999', 'user@front', 'a\\b', '<script>']) {
  test(`a client whose Host is ${JSON.stringify(host)} gets a path alone`, () => {
    assert.equal(map('http://up:9080/base/x?y', { host }), '/app/x?y')
    assert.equal(map('http://up:9080/base//evil.example', { host, prefix: '' }), 'http://up:9080/base//evil.example')
  })
}

for (const [protocol, mapped] of [
  ['http', 'http://front.example/app'], ['wss', 'https://front.example/app'],
  ['ws', 'http://front.example/app'], ['gopher', '/app'], ['', '/app']
] as const) {
  test(`a client over ${JSON.stringify(protocol)} gets ${mapped}`, () => assert.equal(map('http://up:9080/base', { protocol }), mapped))
}

test('the inverse of the mapping leads back to where the client was', () => {
  for (const [prefix, base] of [
    ['/ws/', '/base/'], ['/ws', '/base'], ['', '/base'], ['', ''], ['/ws', ''],
    ['/ws/', ''], ['/ws/', '/'], ['/ws/', '/base'], ['/a/b', '/a']
  ] as const) {
    for (const rest of ['x', 'x/', 'x/y%2Fz', '~', 'a;b=c', 'x//y']) {
      const path = prefix.endsWith('/') ? prefix + (base !== '' && !base.endsWith('/') ? `/${rest}` : rest) : `${prefix}/${rest}`
      assert.equal(unmapPath(mapPath(path, prefix.length, base), prefix, base), path, `${prefix} to ${base}`)
    }
  }
})

test('a path is below a prefix by whole segments, and only while its dot segments stay there', () => {
  assert.deepEqual(['/a', '/a/', '/a/b', '/a/./b', '/a/b/..', '/%61/b', '/ab', '/a%2Fb', '/a/..', '/a/../a', '/'].map((path) => isBelow(path, '/a')),
    [true, true, true, true, true, true, false, false, false, false, false])
})

test('a long value is mapped in a time linear to its length', () => {
  const long = ['/../', '%2e', ' ', '/', '//', ':', '\\', '[', '/base'].map((part) => `http://up:9080/base/${part.repeat(200_000 / part.length)}`)
  const begun = performance.now()
  for (const value of long) {
    map(value)
    map(value.slice('http://up:9080'.length))
  }
  assert.ok(performance.now() - begun < 2_000)
})
