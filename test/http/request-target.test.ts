import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaultRules, parsePrefix, prefixLength } from '../../lib/http/path-pattern.ts'
import { mapPath } from '../../lib/http/path-prefix.ts'
import { parseTarget } from '../../lib/http/request-target.ts'
import { resolveOptions } from '../../lib/plugin/resolve-options.ts'
import { routerSegments } from '../../lib/routing/path-readings.ts'
import { PrefixTree } from '../../lib/routing/prefix-tree.ts'
import { Upstream } from '../../lib/upstream/upstream.ts'

describe('request targets that are taken as they are', () => {
  for (const [url, path, query] of [
    ['/', '/', ''],
    ['/ws/a', '/ws/a', ''],
    ['/ws/a?', '/ws/a', '?'],
    ['/ws/a?x=1&y=%2F&z=a+b', '/ws/a', '?x=1&y=%2F&z=a+b'],
    ['/ws/a?x=%0d%0a', '/ws/a', '?x=%0d%0a'],
    ['/ws?/../admin', '/ws', '?/../admin'],
    ['/ws?a?b', '/ws', '?a?b'],
    ['/ws?a\\b', '/ws', '?a\\b'],
    ['/ws?%zz', '/ws', '?%zz'],
    ['/ws?%00', '/ws', '?%00'],
    ['/ws?//evil', '/ws', '?//evil'],
    ["/ws/~!$&'()*+,;=:@", "/ws/~!$&'()*+,;=:@", ''],
    ['/ws/"<>^`{|}', '/ws/"<>^`{|}', ''],
    ['/ws/a%20b', '/ws/a%20b', ''],
    ['/ws/caf%C3%A9', '/ws/caf%C3%A9', ''],
    ['/ws/a%2Fb', '/ws/a%2Fb', ''],
    ['/ws/a%5cb', '/ws/a%5cb', ''],
    ['/ws/a%0d%0aX:1', '/ws/a%0d%0aX:1', ''],
    ['/ws/a%3Fx=1', '/ws/a%3Fx=1', ''],
    ['/ws/%252e%252e/admin', '/ws/%252e%252e/admin', ''],
    ['/ws/...', '/ws/...', ''],
    ['/ws/[...slug]', '/ws/[...slug]', ''],
    ['/ws/..a', '/ws/..a', ''],
    ['/ws/a..', '/ws/a..', ''],
    ['/ws/.a', '/ws/.a', ''],
    ['/ws/a.', '/ws/a.', ''],
    ['/ws/.well-known/x', '/ws/.well-known/x', ''],
    ['/ws/%2e%2e%2e', '/ws/%2e%2e%2e', ''],
    ['/ws/;/a', '/ws/;/a', ''],
    ['/ws/a;b=..', '/ws/a;b=..', ''],
    ['/ws/a;..', '/ws/a;..', ''],
    ['/ws//a', '/ws//a', ''],
    ['/ws/a//', '/ws/a//', ''],
    ['/http://evil/', '/http://evil/', ''],
    ['/a@b', '/a@b', '']
  ] as const) {
    test(url, () => assert.deepEqual(parseTarget(url), { path, query, authority: undefined, scheme: undefined }))
  }
})

describe('request targets in absolute-form are taken apart', () => {
  for (const [url, path, query, scheme = 'http', authority = 'any-host'] of [
    ['http://any-host:99/ws/a', '/ws/a', '', 'http', 'any-host:99'],
    ['HTTPS://any-host/ws/a?b', '/ws/a', '?b', 'https'],
    ['http://any-host', '/', ''],
    ['http://any-host?a', '/', '?a'],
    ['http://any-host/', '/', ''],
    ['http://[::1]:80/ws', '/ws', '', 'http', '[::1]:80']
  ] as const) {
    test(url, () => assert.deepEqual(parseTarget(url), { path, query, authority, scheme }))
  }
  for (const url of ['http://any-host/ws/../admin', 'http://any-host//evil/x', 'http://any-host/%2e%2e', 'http://any-host/a#b', 'http://any-host#b',
    'http://any-host\\evil/', 'http://u:p@evil/', 'http://any-host@evil/ws', 'http:/any-host/a', 'http:any-host', 'ws://any-host/', 'ftp://any-host/',
    'any-host:443', 'file:///etc/passwd', 'javascript:alert(1)']) {
    test(`${url} is refused`, () => assert.equal(parseTarget(url), undefined))
  }
})

describe('request targets that are refused', () => {
  // escapes of a prefix, by every reader that decodes once, takes a backslash for a slash, or cuts off parameters
  const up = ['..', '%2e%2e', '%2E%2E', '.%2e', '%2e.', '..;', '..;x=1', '%2e%2e;x', '..%3b', '..%3Bx=/', '.', '%2e', '.;', '%2e;x']
  const slash = ['/', '%2f', '%2F', '%5c', '%5C']
  for (const dots of up) {
    for (const before of slash) {
      for (const after of [...slash, '']) {
        const url = `/ws${before}${dots}${after}${after === '' ? '' : 'admin'}`
        test(url, () => {
          assert.equal(parseTarget(url), undefined)
          assert.equal(parseTarget(`${url}?a=b`), undefined)
        })
      }
    }
  }
  for (const url of [
    '', '*', 'ws', 'ws/a', '?a', '#a', ' /ws', '\t/ws', '.', '..', '../a', // no origin-form
    '/..', '/.', '/../', '/./', '/a/../b', '/a/./b', '/ws//..//admin', '/..//', // dot segments
    '//evil/x', '///evil', '//', '//ws/a', '//evil', '//@evil', '/%zz/..', '//..', // another authority
    '/\\evil/x', '\\\\evil\\x', '\\ws', '/ws\\..\\admin', '/a\\b', '/ws/\\', // backslashes
    '/ws#', '/ws#frag', '/ws?a#frag', '/#/../a', // fragments
    '/ws/a b', '/ws/a?b c', '/ws/\ta', '/ws/\t../x', '/ws\0', '/ws?\0', '/ws/a\r\nX: 1', '/ws?a\r\nX: 1', '/ws\n', '/ws?a\n', '/ws/\x7f', '/ws?\x7f',
    '/ws/\x80', '/ws/caf\xe9', '/ws?\xff', '/ws/\u{1f600}', '/ws/\u2025', '/ws/\uff0e\uff0e/a', // no visible ASCII
    '/ws%00', '/ws/%00/a', '/ws/a%00.js', // NUL
    '/ws/%zz', '/ws/%', '/ws/%2', '/ws/%2/', '/ws/%g0', '/ws/%%32%65', '/ws/%u002e', '/ws/%2e%2', '/%-1' // no percent-encoding
  ]) {
    test(JSON.stringify(url), () => assert.equal(parseTarget(url), undefined))
  }
})

describe('what is taken stays below its prefix', () => {
  // Every text of up to four of these pieces: what a lenient reader makes of the mapped path must still be below `/base/`.
  const pieces = ['/', '.', '..', '%2e', '%2f', '%5c', ';', 'a', '%25']
  const readers: Array<(path: string) => string> = [
    (path) => path,
    (path) => decodeURIComponent(path),
    (path) => decodeURIComponent(path).replaceAll('\\', '/'),
    (path) => path.replace(/;[^/]*/g, ''),
    (path) => decodeURIComponent(path).replaceAll('\\', '/').replace(/;[^/]*/g, ''),
    (path) => decodeURIComponent(path.replace(/;[^/]*/g, '')).replaceAll('\\', '/')
  ]
  const normalise = (path: string): string => new URL(`http://host${path.replaceAll('%', '%25')}`).pathname

  function * texts (length: number): Generator<string> {
    if (length === 0) return yield ''
    for (const rest of texts(length - 1)) for (const piece of pieces) yield rest + piece
  }

  test('for every reader', () => {
    let taken = 0
    for (const length of [1, 2, 3, 4]) {
      for (const text of texts(length)) {
        const target = parseTarget(`/ws/${text}`)
        if (target === undefined) continue
        taken++
        const mapped = mapPath(target.path, '/ws/'.length, '/base/')
        for (const reader of readers) {
          const seen = normalise(reader(mapped))
          if (!seen.startsWith('/base/')) assert.fail(`/ws/${text} is seen as ${seen}`)
        }
      }
    }
    assert.ok(taken > 1000, `${taken} were taken`)
  })
  test('and cannot become an authority', () => {
    for (const path of ['/ws//evil/x', '/ws///evil', '/ws/@evil', '/ws/:80', '/ws/http://evil/']) {
      const target = parseTarget(path)
      assert.ok(target !== undefined)
      assert.equal(new URL(`http://up.example${mapPath(target.path, '/ws/'.length, '/')}`).host, 'up.example')
      assert.ok(mapPath(target.path, '/ws/'.length, '').startsWith('/'))
    }
  })
})

/** What is matched of the path, or `undefined`. */
function matched (prefix: string, path: string, caseSensitive?: boolean): string | undefined {
  const rules = { ...defaultRules, caseSensitive: caseSensitive ?? true }
  const tree = new PrefixTree<true>(rules)
  tree.add(parsePrefix(prefix), true)
  return tree.having(routerSegments(path)).length === 0 ? undefined : path.slice(0, prefixLength(parsePrefix(prefix), path, rules))
}

describe('prefixes match on segment boundaries', () => {
  for (const [prefix, path, expected] of [
    ['/ws', '/ws', '/ws'],
    ['/ws', '/ws/', '/ws'],
    ['/ws', '/ws/a', '/ws'],
    ['/ws', '/wsx', undefined],
    ['/ws', '/wsx/a', undefined],
    ['/ws', '/w', undefined],
    ['/ws', '/', undefined],
    ['/ws', '/a/ws', undefined],
    ['/ws', '/ws;x', undefined],
    ['/ws', '/ws%2Fa', undefined],
    ['/ws/', '/ws/', '/ws/'],
    ['/ws/', '/ws/a', '/ws/'],
    ['/ws/', '/ws//a', '/ws/'],
    ['/ws/', '/ws', undefined],
    ['/ws/', '/wsx/', undefined],
    ['/ws/', '/ws%2Fa', undefined],
    ['/ws/', '/ws%2F', undefined],
    ['/a/b', '/a/b/c', '/a/b'],
    ['/a/b', '/a/bc', undefined],
    ['/a/b', '/a', undefined],
    ['/a/b', '/a//b', undefined],
    ['/a/b', '/a%2Fb', undefined],
    ['', '/', ''],
    ['', '/anything/at/all', ''],
    ['', '/%77s', ''],
    ['/', '/ws', '/'],
    // decoded, as the router does, and what is matched is cut off as it was written
    ['/ws', '/%77s', '/%77s'],
    ['/ws', '/%77s/a', '/%77s'],
    ['/ws', '/%77%73/%61', '/%77%73'],
    ['/ws/', '/%77s/a%2Fb', '/%77s/'],
    ['/ws/', '/%77s', undefined],
    ['/ws', '/%57s', undefined],
    ['/ws', '/ws/%zz', '/ws'],
    ['/ws', '/%2577s', undefined]
  ] as const) {
    test(`${prefix === '' ? 'the root' : prefix} of ${path}: ${expected ?? 'none'}`, () => assert.equal(matched(prefix, path), expected))
  }
})

describe('parameters stand for one segment', () => {
  for (const [prefix, path, expected] of [
    ['/:room', '/a', '/a'],
    ['/:room', '/a/b', '/a'],
    ['/:room', '/', '/'],
    ['/:room/', '/a/', '/a/'],
    ['/:room/', '/a/b', '/a/'],
    ['/:room/', '/a', undefined],
    ['/:room/ws', '/long-name/ws/x', '/long-name/ws'],
    ['/:room/ws', '/a/wsx', undefined],
    ['/:room/ws', '/a/b/ws', undefined],
    ['/:room/ws', '//ws', '//ws'],
    ['/:room/ws', '/a%2Fb/ws/x', '/a%2Fb/ws'],
    ['/:room/ws', '/a/%77s', '/a/%77s'],
    ['/a/:b/:c', '/a/1/2/3', '/a/1/2'],
    ['/a/:b/:c', '/a/1', undefined],
    ['/a/:b', '/A/1', undefined]
  ] as const) {
    test(`${prefix} of ${path}: ${expected ?? 'none'}`, () => assert.equal(matched(prefix, path), expected))
  }
})

describe('case', () => {
  for (const [prefix, path, expected] of [
    ['/ws', '/WS/a', '/WS'],
    ['/Ws/', '/wS/A', '/wS/'],
    ['/ws', '/%57S/a', '/%57S'],
    ['/:room/ws', '/A/WS', '/A/WS'],
    ['/ws', '/WSX', undefined],
    ['/ws', '/W%2FS', undefined]
  ] as const) {
    test(`${prefix} of ${path}, where it does not matter: ${expected ?? 'none'}`, () => assert.equal(matched(prefix, path, false), expected))
    test(`${prefix} of ${path}, where it matters: none`, () => assert.equal(matched(prefix, path, true), undefined))
  }
  test('it matters unless told', () => assert.equal(matched('/ws', '/WS'), undefined))
})

describe('mapping', () => {
  /** The path that an upstream gets, by a route and its upstream as configured. */
  function mapped (t: { after: (fn: () => Promise<void>) => void }, route: string, base: string, path: string, prefix: string): string | undefined {
    const target = resolveOptions({ path: route, upstream: `ws://up.example${base}` }, prefix).targets[0]
    assert.ok(target !== undefined && typeof target.upstream === 'object' && 'label' in target.upstream)
    const upstream = new Upstream(target.upstream, target)
    t.after(() => upstream.destroy())
    const parsed = parseTarget(path)
    const tree = new PrefixTree<true>(defaultRules)
    tree.add(target.prefix, true)
    const length = parsed === undefined || tree.having(routerSegments(parsed.path)).length === 0
      ? undefined
      : prefixLength(target.prefix, parsed.path, defaultRules)
    return parsed === undefined || length === undefined ? undefined : upstream.pathFor(parsed.path, length) + parsed.query
  }

  for (const [route, base, path, expected, prefix = ''] of [
    // an explicit path is replaced literally, as ProxyPass does
    ['/ws/', '/app/', '/ws/a/b', '/app/a/b'],
    ['/ws/', '/app/', '/ws/', '/app/'],
    ['/ws/', '/app/', '/ws', undefined],
    ['/noslash', '/ns', '/noslash', '/ns'],
    ['/noslash', '/ns', '/noslash/', '/ns/'],
    ['/noslash', '/ns', '/noslash/a', '/ns/a'],
    ['/noslash', '/ns', '/noslashX', undefined],
    ['/mix/', '/mix', '/mix/a', '/mixa'],
    ['/mix2', '/mix2/', '/mix2/a', '/mix2//a'],
    ['/mix2', '/mix2/', '/mix2', '/mix2/'],
    ['/ws/', '/', '/ws/a', '/a'],
    ['/ws', '/', '/ws', '/'],
    ['/ws', '', '/ws', '/'],
    ['/ws', '', '/ws/a', '/a'],
    ['/ws/', '/', '/ws//evil/x', '/evil/x'],
    ['/ws/', '/app/', '/ws//a//b', '/app//a//b'],
    ['/ws/', '/app/', '/ws/a%2Fb', '/app/a%2Fb'],
    ['/ws/', '/app/', '/ws/a%252Fb', '/app/a%252Fb'],
    ['/ws/', '/app/', '/ws/a%20b', '/app/a%20b'],
    ['/ws/', '/app/', '/ws/a%0d%0aX:1', '/app/a%0d%0aX:1'],
    ['/ws/', '/app/', '/ws/a%3Fx=1', '/app/a%3Fx=1'],
    ['/ws/', '/app/', '/ws/a%3Bp', '/app/a%3Bp'],
    ['/ws/', '/app/', '/ws/a%7Eb', '/app/a%7Eb'],
    ['/ws/', '/app/', '/ws/a^b"c|d', '/app/a^b"c|d'],
    ['/ws/', '/app/', '/ws/%41', '/app/%41'],
    ['/ws/', '/app/', '/%77s/a', '/app/a'],
    ['/ws/', '/app/', '/WS/a', undefined],
    ['/ws/', '/app/', 'http://any-host:99/ws/a', '/app/a'],
    ['/ws/', '/app/', '/ws/a?', '/app/a?'],
    ['/ws/', '/app/', '/ws/a?x=%0d%0a&y=%2F&z=a+b', '/app/a?x=%0d%0a&y=%2F&z=a+b'],
    ['/servlet', '/s', '/servlet/a;p=1/b', '/s/a;p=1/b'],
    ['/ws/', '/a%20b/', '/ws/c', '/a%20b/c'],
    ['/:room/ws/', '/app/', '/blue/ws/a', '/app/a'],
    ['/ws/', '/app/', '/app/ws/a', '/app/a', '/app'],
    ['/ws', '/app', '/app/ws', '/app', '/app'],
    ['/ws/', '/app/', '/ws/a', undefined, '/app'],
    // the root stands for the upstream's root, with or without a slash
    ['/', '/', '/', '/'],
    ['/', '/', '/a', '/a'],
    ['/', '/app', '/a', '/app/a'],
    ['/', '/app/', '/a', '/app/a'],
    ['/', '/app/', '/', '/app/'],
    ['/', '/app', '/', '/app/'],
    ['/', '/', '/app', '/', '/app'],
    ['/', '/', '/app/', '/', '/app'],
    ['/', '/', '/app/a', '/a', '/app'],
    ['/', '/', '/app?x', '/?x', '/app'],
    ['/', '/base', '/app/a', '/base/a', '/app'],
    ['/', '/base/', '/app/a', '/base/a', '/app'],
    ['/', '/base/', '/app/a/', '/base/a/', '/app'],
    ['/', '/base/', '/app/', '/base/', '/app'],
    ['/', '/base', '/app', '/base', '/app'],
    ['/', '/base/', '/application', undefined, '/app'],
    ['/', '/', '/app//evil/x', '/evil/x', '/app']
  ] as Array<[string, string, string, string | undefined, string?]>) {
    test(`${prefix}${route} to ${base}: ${path} becomes ${expected ?? 'nothing'}`, (t) => {
      assert.equal(mapped(t, route, base, path, prefix), expected)
    })
  }
  test('always gives an absolute path', () => {
    assert.equal(mapPath('/app', '/app'.length, ''), '/')
    assert.equal(mapPath('/app/a', '/app/'.length, ''), '/a')
  })
})
