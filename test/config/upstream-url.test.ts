import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../../lib/config/upstream-url.ts'

describe('addresses', () => {
  for (const [text, webSocket, secure, authority, hostname, port, path, socketPath] of [
    ['ws://up.example/', true, false, 'up.example', 'up.example', 80, '/'],
    ['wss://up.example/', true, true, 'up.example', 'up.example', 443, '/'],
    ['http://up.example/', false, false, 'up.example', 'up.example', 80, '/'],
    ['https://up.example/', false, true, 'up.example', 'up.example', 443, '/'],
    ['ws://up.example:9080/app/', true, false, 'up.example:9080', 'up.example', 9080, '/app/'],
    ['ws://up.example:80/', true, false, 'up.example', 'up.example', 80, '/'],
    ['wss://up.example:443/', true, true, 'up.example', 'up.example', 443, '/'],
    ['wss://up.example:80/', true, true, 'up.example:80', 'up.example', 80, '/'],
    ['HTTP://UP.Example/App', false, false, 'up.example', 'up.example', 80, '/App'],
    ['http://[::1]:8080/', false, false, '[::1]:8080', '::1', 8080, '/'],
    ['https://[2001:DB8:0::1]/', false, true, '[2001:db8::1]', '2001:db8::1', 443, '/'],
    ['ws://10.0.0.1/a%20b/', true, false, '10.0.0.1', '10.0.0.1', 80, '/a%20b/'],
    ['unix:/run/app.sock|ws://up.example/a', true, false, 'up.example', 'up.example', 80, '/a', '/run/app.sock'],
    ['unix:/run/a b.sock|https://up.example:1/', false, true, 'up.example:1', 'up.example', 1, '/', '/run/a b.sock'],
    ['unix:./app.sock|http://localhost/', false, false, 'localhost', 'localhost', 80, '/', './app.sock']
  ] as const) {
    test(text, () => {
      const { label, ...rest } = parseAddress(text) ?? assert.fail('no address')
      assert.deepEqual(rest, { webSocket, secure, authority, hostname, port, path, socketPath })
      assert.ok(label.includes(authority) && label.endsWith(path))
    })
  }
  for (const text of ['ws://up.example', 'http://up.example:9080', 'https://[::1]', 'unix:/run/a.sock|ws://up.example']) {
    test(`${text} has no path, as httpd reads it`, () => assert.equal(parseAddress(text)?.path, ''))
  }
  test('the label is what metrics show', () => {
    assert.equal(parseAddress('WS://Up.Example:80/a')?.label, 'ws://up.example/a')
    assert.equal(parseAddress('unix:/run/a.sock|ws://up.example/')?.label, 'unix:/run/a.sock|ws://up.example/')
  })
  test('is frozen', () => assert.ok(Object.isFrozen(parseAddress('ws://up.example/'))))
})

describe('what is no address', () => {
  for (const text of [
    '', ' ', '/', 'up.example', 'up.example:80', 'localhost:3000', '//up.example/',
    'ftp://up.example/', 'file:///etc/passwd', 'javascript:alert(1)', 'balancer://name/',
    'h2c://up.example/', 'data:,x', 'ws:', 'ws://', 'ws:///', 'http://:80/', 'ws://up.example:99999/', 'ws://up.example:x/', 'ws://a b/', 'ws://[::1/',
    'ws://user@up.example/', 'ws://user:secret@up.example/', 'ws://:secret@up.example/', 'ws://up.example/?a=b', 'ws://up.example/#a',
    'unix:/run/a.sock', 'unix:|ws://up.example/', 'unix:/run/a.sock|', 'unix:/run/a.sock|/path',
    'unix:/run/a.sock|ftp://up.example/', 'unix:/run/a\0.sock|ws://up.example/',
    'unix:/run/\xe9.sock|ws://up.example/', 'unix:/run/a.sock|ws://u:p@up.example/', 'unix:/run/a.sock|unix:/run/b.sock|ws://up.example/'
  ]) test(JSON.stringify(text), () => assert.equal(parseAddress(text), undefined))
})
