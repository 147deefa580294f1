import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fromHttpdConf } from '../../lib/httpd-conf/index.ts'
import type { HttpdTranslation } from '../../lib/httpd-conf/index.ts'
import type { RouteOptions, WstunnelOptions } from '../../lib/index.ts'

// What the translation does with each directive. That it does what httpd does, `npm run conformance` shows.

function translate (text: string): HttpdTranslation {
  return fromHttpdConf(text)
}

/** The only registration's options. */
function options (text: string): WstunnelOptions {
  const { registrations } = translate(text)
  assert.equal(registrations.length, 1)
  return registrations[0]?.options as WstunnelOptions
}

/** The table, with what stands at the top in each entry; `reverse` left out. */
function routes (text: string): RouteOptions[] {
  const { routes = [], ...top } = options(text)
  return routes.map((route) => {
    const { reverse, ...rest } = { ...route.upstream === false ? {} : top, ...route } as RouteOptions & { reverse?: unknown }
    return rest
  })
}

/** Notes as `level line text`, those that match. */
function notes (text: string, level = /error|check/): string[] {
  return translate(text).notes.filter((note) => level.test(note.level)).map((note) => `${note.level} ${note.line} ${note.text}`)
}

function assertNote (text: string, pattern: RegExp): void {
  const all = notes(text, /./)
  assert.ok(all.some((note) => pattern.test(note)), `no note like ${pattern} in\n${all.join('\n')}`)
}

describe('ProxyPass', () => {
  test('is an entry', () => {
    assert.deepEqual(routes('ProxyPass /a/ http://h:1/b/'), [{ path: '/a/', upstream: 'http://h:1/b/' }])
    assert.deepEqual(notes('ProxyPass /a/ http://h:1/b/'), [])
  })

  test('to ! is an entry that excludes, where an entry would take the path otherwise', () => {
    assert.deepEqual(routes('ProxyPass /a !\nProxyPass / http://h/'), [{ path: '/a', upstream: false }, { path: '/', upstream: 'http://h/' }])
    assert.deepEqual(translate('ProxyPass /a !').registrations, [])
  })

  test('behind one that covers it has no effect, and a note says so', () => {
    assert.deepEqual(routes('ProxyPass / http://h/\nProxyPass /a http://i/a'), [{ path: '/', upstream: 'http://h/' }])
    assertNote('ProxyPass / http://h/\nProxyPass /a http://i/a', /^check 2 takes no request in httpd either/)
  })

  for (const [parameters, expected] of [
    ['timeout=5', { timeout: '5s' }],
    ['connectiontimeout=500ms', { connectTimeout: '500ms' }],
    ['connectiontimeout=2', { connectTimeout: '2s' }],
    ['disablereuse=On', { disableReuse: true }],
    ['max=7', { limits: { maxConnectionsPerUpstream: 7 } }],
    ['responsefieldsize=16384', { limits: { maxResponseHead: 32_768 } }],
    ['upgrade=websocket', { upgrade: 'websocket' }],
    ['upgrade=any', { upgrade: 'ANY' }],
    ['upgrade=*', { upgrade: 'ANY' }],
    ['"upgrade=websocket tcp"', { upgrade: ['websocket', 'tcp'] }],
    ['retry=0 keepalive=On nocanon flushpackets=on smax=1 ttl=60 acquire=300', {}]
  ] as const) {
    test(`with ${parameters} has the option for it`, () => {
      assert.deepEqual(routes(`ProxyPass / http://h/ ${parameters}`), [{ path: '/', upstream: 'http://h/', ...expected }])
    })
  }

  test("has the manual's timeouts for tunnels: the longer of Timeout and the upstream's", () => {
    assert.deepEqual(routes('ProxyPass / ws://h/ timeout=5'), [{ path: '/', upstream: 'ws://h/', timeout: '5s', idleTimeout: '1m' }])
    assert.deepEqual(routes('ProxyTimeout 900\nProxyPass / ws://h/'), [{ path: '/', upstream: 'ws://h/', timeout: '15m', idleTimeout: '15m' }])
    assert.deepEqual(routes('Timeout 300\nProxyTimeout 10\nProxyPass / ws://h/'), [{ path: '/', upstream: 'ws://h/', timeout: '10s', idleTimeout: '5m' }])
  })

  test('is refused with what cannot be served', () => {
    for (const line of [
      'ProxyPass /a ajp://h/', 'ProxyPass /a fcgi://h/', 'ProxyPass /a http://h/?q', 'ProxyPass /a http://u:p@h/',
      'ProxyPass /a http://$1/', 'ProxyPass /a* http://h/', 'ProxyPass /a b', 'ProxyPass /a', 'ProxyPass',
      'ProxyPass /%61 http://h/', 'ProxyPass /:a http://h/', 'ProxyPass /a/../b http://h/', 'ProxyPass /a http://h:x/',
      'ProxyPass a http://h/', 'ProxyPass /a;b http://h/', 'ProxyPass /a http://h/ secret=x',
      'ProxyPass /a http://h/ interpolate', 'ProxyPass /a http://h/ what=ever', 'ProxyPass /a http://h/ upgrade=h2c'
    ]) {
      assertNote(line, /^error 1 not translated/)
    }
  })

  test('to a unix socket is refused where the URL is none or the path is not absolute, for members of balancers too', () => {
    assert.deepEqual(routes('ProxyPass /a unix:/a.sock|http://h/a'), [{ path: '/a', upstream: 'unix:/a.sock|http://h/a' }])
    for (const target of [
      'unix:/a.sock|http://h:99999/', 'unix:/a.sock|http://', 'unix:/a.sock|http://[::1/', 'unix:/a.sock|balancer://b/', 'unix:run/a.sock|http://h/',
      'unix:/\u00e9.sock|http://h/'
    ]) {
      assertNote(`ProxyPass /a ${target}`, /^error 1 not translated/)
      assertNote(`BalancerMember balancer://b ${target}\nBalancerMember balancer://b http://h\nProxyPass /a balancer://b/`, /^error 1 not translated/)
    }
  })
})

describe('parameters', () => {
  test('go by the prefix of the URL, as workers do', () => {
    assert.deepEqual(routes('ProxyPass /x/ http://h/in/ upgrade=websocket\nProxyPass / http://h/'), [
      { path: '/in/', upstream: 'http://h/in/', upgrade: 'websocket' },
      { path: '/x/', upstream: 'http://h/in/', upgrade: 'websocket' },
      { path: '/', upstream: 'http://h/' }
    ])
  })

  test('of a target that begins with an earlier one are ignored, and a note says so', () => {
    const text = 'ProxyPass /a/ http://h/a/\nProxyPass /b/ http://h/a/b/ upgrade=websocket'
    assert.deepEqual(routes(text), [{ path: '/a/', upstream: 'http://h/a/' }, { path: '/b/', upstream: 'http://h/a/b/' }])
    assertNote(text, /^check 2 httpd ignores upgrade here/)
  })

  test('that a longer URL lacks are a note, since in httpd they end within a segment', () => {
    const text = 'ProxyPass /a/b http://h/a/b\n<Location />\nProxyPass http://h/ upgrade=websocket\n</Location>'
    assert.deepEqual(routes(text), [{ path: '/a/b', upstream: 'http://h/a/b' }, { path: '/', upstream: 'http://h/', upgrade: 'websocket' }])
    assertNote(
      text,
      /^check 1 in httpd the worker of this line, with its parameters, also serves URLs that go on without a slash, such as that of \/a\/bx by line 3/
    )
    assert.deepEqual(notes('ProxyPass /a/b http://h/a/b upgrade=websocket\nProxyPass / http://h/ upgrade=websocket'), [])
  })

  test('of ProxyPassMatch with $1 have a note for the requests that httpd leaves out', () => {
    assertNote('ProxyPassMatch ^/a/(.*)$ http://h/$1 upgrade=websocket', /^check 1 in httpd upgrade= has no effect where \$1 is shorter than two characters/)
    assert.deepEqual(notes('ProxyPassMatch ^/a/(.*)$ http://h/$1 timeout=5'), [])
  })

  test('may stand in a <Proxy> section, or in a ProxySet line', () => {
    for (const text of ['<Proxy http://h/>\nProxySet timeout=7\n</Proxy>\nProxyPass / http://h/', 'ProxySet http://h/ timeout=7\nProxyPass / http://h/']) {
      assert.deepEqual(routes(text), [{ path: '/', upstream: 'http://h/', timeout: '7s' }])
    }
  })

  test('with a unit that httpd ignores are as httpd reads them, and a note says so', () => {
    assert.deepEqual(routes('ProxyPass / http://h/ timeout=500ms'), [{ path: '/', upstream: 'http://h/', timeout: '500s' }])
    assertNote('ProxyPass / http://h/ timeout=500ms', /^check 1 httpd reads 500ms as 500 seconds/)
  })
})

describe('mod_proxy_wstunnel', () => {
  test("has all of its directives, and the manual's examples run as they stand", () => {
    const text = `ProxyPass "/ws2/"  "ws://echo.websocket.org/"
ProxyPass "/wss2/" "wss://echo.websocket.org/"
SSLProxyEngine On
ProxyWebsocketAsync Off
ProxyWebsocketAsyncDelay 500ms
ProxyWebsocketIdleTimeout 5mi
ProxyWebsocketFallbackToProxyHttp Off`
    const common = { async: false, asyncDelay: '500ms', idleTimeout: '5m', fallbackToHttp: false }
    assert.deepEqual(routes(text), [
      { path: '/wss2/', upstream: 'wss://echo.websocket.org/', ...common },
      { path: '/ws2/', upstream: 'ws://echo.websocket.org/', ...common }
    ])
  })

  test('takes a time without a unit for seconds', () => {
    assert.deepEqual(routes('ProxyWebsocketIdleTimeout 90\nProxyPass / ws://h/'), [{ path: '/', upstream: 'ws://h/', idleTimeout: '90s' }])
  })

  test('without fallback lets other requests go on to the next line', () => {
    assert.deepEqual(routes('ProxyWebsocketFallbackToProxyHttp Off\nProxyPass / ws://h/\nProxyPass / http://h/'), [
      { path: '/', upstream: 'ws://h/', fallbackToHttp: false }, { path: '/', upstream: 'http://h/' }
    ])
  })
})

describe('<Location>', () => {
  test('comes before ProxyPass, and of two that match the last decides', () => {
    assert.deepEqual(
      routes('ProxyPass /a http://never/\n<Location /a/b>\nProxyPass http://b/\n</Location>\n<Location /a>\nProxyPass http://a\n</Location>'),
      [{ path: '/a', upstream: 'http://a' }]
    )
  })

  test('with an expression that has no wildcard is a plain path to ProxyPass, and not to ProxyPassMatch', () => {
    for (const section of ['LocationMatch "^/x/"', 'Location ~ "^/x/"']) {
      const name = section.split(' ')[0] ?? ''
      const text = `<${section}>\nProxyPass http://x\n</${name}>\nProxyPass / http://h/`
      assert.deepEqual(routes(text).map(({ path }) => path), ['/'], section)
      assertNote(text, /^check 2 has no effect: httpd takes \^\/x\/ for a plain path here/)
      assert.deepEqual(routes(text.replace('ProxyPass http', 'ProxyPassMatch http')).map(({ path }) => path), ['/x/', '/'], section)
      assert.deepEqual(routes(text.replace('^/x/"', '^/x/(.*)$"')).map(({ path }) => path), ['/x/', '/'], section)
    }
  })

  test('with guards within guards says so, however deep', () => {
    const nested = (inner: string): string =>
      `<Location /x>\nProxyPass http://x/\n<RequireAll>\n<RequireAny>\n${inner}\n</RequireAny>\n</RequireAll>\n</Location>`
    assertNote(nested('Require ip 192.0.2.1'), /^error 5 not translated: access control/)
    assertNote(nested('<RequireNone>\nRequire all granted\n</RequireNone>'), /^error 5 not translated: access control/)
    assert.deepEqual(notes(nested('Require all granted'), /error/), [])
  })

  test('has settings of its own, and those of the places around it', () => {
    const text = 'ProxyPreserveHost On\nProxyPass / http://h/\n<Location /a>\nProxyPreserveHost Off\nProxyAddHeaders Off\n</Location>'
    assert.deepEqual(routes(text), [{ path: '/a', upstream: 'http://h/a', forwarded: false }, { path: '/', upstream: 'http://h/', preserveHost: true }])
  })
})

describe('RewriteRule', () => {
  const rule = (conditions: string, flags = '[P]'): string => `RewriteEngine On\n${conditions}RewriteRule ^/(.*) ws://h/$1 ${flags}\n`

  test('comes before ProxyPass, even before an exclusion', () => {
    assert.deepEqual(routes(`ProxyPass / !\n${rule('')}`), [{ path: '/', upstream: 'ws://h/' }])
  })

  test('has no effect without RewriteEngine, and a note says so', () => {
    assertNote('RewriteRule ^/(.*) ws://h/$1 [P]', /^check 1 has no effect: RewriteEngine/)
  })

  for (const condition of [
    '%{HTTP:Upgrade} websocket [NC]', '%{HTTP:Upgrade} =websocket', '%{HTTP:UPGRADE} ^WebSocket$ [NC]', '%{HTTP:Connection} Upgrade [NC]',
    '%{HTTP:Connection} upgrade$ [NC]', '%{HTTP:Upgrade} (?i)WEBSOCKET', '%{HTTP:Upgrade} "!=" [NC]', '%{HTTP:Upgrade} .'
  ]) {
    test(`on ${condition} is for WebSockets`, () => {
      assert.deepEqual(routes(rule(`RewriteCond ${condition}\n`)), [{ path: '/', upstream: 'ws://h/', fallbackToHttp: false }])
    })
  }

  test('for WebSockets, with a line to the same server, is one entry', () => {
    assert.deepEqual(
      routes(`${rule('RewriteCond %{HTTP:Upgrade} websocket [NC]\n')}ProxyPass / http://h:80/`),
      [{ path: '/', upstream: 'http://h:80/', upgrade: 'websocket' }]
    )
  })

  test('for WebSockets, with a line to another, is two', () => {
    assert.deepEqual(routes(`${rule('RewriteCond %{HTTP:Upgrade} websocket [NC]\n')}ProxyPass / http://i/`), [
      { path: '/', upstream: 'ws://h/', fallbackToHttp: false }, { path: '/', upstream: 'http://i/' }
    ])
  })

  test('is limited to the path of a condition', () => {
    const text = rule('RewriteCond %{REQUEST_URI} ^/io/\nRewriteCond %{QUERY_STRING} transport=websocket\n')
    assert.deepEqual(routes(text), [{ path: '/io/', upstream: 'ws://h/io/', fallbackToHttp: false }])
    assertNote(text, /^check 4 httpd looks for transport=websocket/)
  })

  test('leaves out the path of a negated condition', () => {
    assert.deepEqual(routes(`${rule('RewriteCond %{REQUEST_URI} !^/static/\n')}ProxyPass /static/ http://s/`), [
      { path: '/static/', upstream: 'http://s/' }, { path: '/', upstream: 'ws://h/' }
    ])
  })

  test('to a ws: target takes no plain request without fallback, and leaves none to other lines', () => {
    const text = 'ProxyWebsocketFallbackToProxyHttp Off\nRewriteEngine On\nRewriteRule ^/rw/(.*)$ ws://w/$1 [P]\nProxyPass / http://h/'
    assert.deepEqual(routes(text).map(({ path, upstream }) => [path, upstream]), [['/rw/', 'ws://w/'], ['/rw/', false], ['/', 'http://h/']])
  })

  test('with L and no target ends the rules', () => {
    assert.deepEqual(
      routes(`RewriteEngine On\nRewriteRule ^/api/ - [L]\n${rule('')}ProxyPass /api/ http://a/`),
      [{ path: '/api/', upstream: 'http://a/' }, { path: '/', upstream: 'ws://h/' }]
    )
  })

  test('is refused with conditions that are not translated', () => {
    for (const condition of [
      '%{HTTP_HOST} x', '%{REQUEST_METHOD} POST', '%{DOCUMENT_ROOT}/%{REQUEST_FILENAME} !-f', '%{SSL_CLIENT_S_DN} x',
      '%{HTTP:Upgrade} websocket [OR]', '%{REMOTE_ADDR} ^10', '%{QUERY_STRING} a=b', '%{REQUEST_URI} ^/a$', '%{REQUEST_URI} -f',
      '%{HTTP:Upgrade} (w+)+', '%{HTTP:Upgrade} ( [NC]', '%{ENV:x} y', 'expr "%{HTTPS} == \'on\'"', ''
    ]) {
      assertNote(rule(`RewriteCond ${condition}\n`), /^error 3 not translated/)
    }
  })

  test('is refused with patterns, substitutions and flags that are not translated', () => {
    for (const text of [
      '^/a$ http://h/a [P]', '^/(a|b)/(.*) http://h/$2 [P]', '^/([^/]+)/(.*) http://$1/$2 [P]', '^/(.*) http://h/ [P]',
      '^/(.*) http://h:$1/ [P]', '!^/a http://h/ [P]', '^/(.*) http://h/$1 [P,C]',
      '^/(.*) /x/$1', '^/(.*) /x/$1 [PT]', '^/(.*) https://h/$1 [R]', '^/(.*) https://h/$1', '^/(.*) - [F]', '^/(.*) %{HTTP_HOST}/$1 [P]',
      '^/a/(.*)x http://h/$1 [P]', 'a(.*) http://h/$1 [P]', '^/a/ http://h$0 [P]', '^/a(/|$) http://h$0 [P]', '^/a/(?:.*) http://h/$1 [P]'
    ]) {
      assertNote(`RewriteEngine On\nRewriteRule ${text}`, /^error 2 not translated/)
    }
  })
})

describe('ProxyPassMatch', () => {
  test('of a literal prefix is an entry', () => {
    assert.deepEqual(routes('ProxyPassMatch ^/a/(.*)$ http://h/b/$1'), [{ path: '/a/', upstream: 'http://h/b/' }])
    assert.deepEqual(routes('ProxyPassMatch ^/a(/.*)?$ http://h/b$1'), [{ path: '/a', upstream: 'http://h/b' }])
    assert.deepEqual(routes('ProxyPassMatch ^/a/ http://h'), [{ path: '/a/', upstream: 'http://h/a/' }])
  })

  test('that stops within a segment has a note', () => {
    assertNote('ProxyPassMatch ^/a http://h', /^check 1 httpd also matches \/ax/)
  })
})

describe('headers', () => {
  const request = { ip: '192.0.2.7', protocol: 'https', host: 'front.example', port: null, socket: { localPort: 3000 } }
  const edited = (lines: string, before: Record<string, string>): object => {
    const { rewriteRequestHeaders } = options(`${lines}\nProxyPass / http://h/`)
    return { ...rewriteRequestHeaders?.(request as never, { ...before }) }
  }

  test('of requests are set, added to and taken away, in order', () => {
    const lines = 'RequestHeader set X-A "one two"\nRequestHeader append X-B b\n' +
      'RequestHeader append X-B "c 100%%"\nRequestHeader add X-C c\nRequestHeader add X-C d\n' +
      'RequestHeader setifempty X-D d\nRequestHeader merge X-E e\nRequestHeader merge X-E e\nRequestHeader unset X-F'
    assert.deepEqual(edited(lines, { 'x-d': 'kept', 'x-f': 'gone' }), { 'x-a': 'one two', 'x-b': 'b, c 100%', 'x-c': ['c', 'd'], 'x-d': 'kept', 'x-e': 'e' })
  })

  test('may take what Fastify knows of the request', () => {
    const lines = 'RequestHeader set X-Real-IP "%{REMOTE_ADDR}s"\nRequestHeader set X-Port expr=%{SERVER_PORT}\n' +
      'RequestHeader set X-Scheme expr=%{REQUEST_SCHEME}\nRequestHeader set X-Host "%{HTTP_HOST}s"'
    assert.deepEqual(edited(lines, {}), { 'x-real-ip': '192.0.2.7', 'x-port': '443', 'x-scheme': 'https', 'x-host': 'front.example' })
  })

  test('have a note where httpd sends (null) in place of what was meant', () => {
    assertNote('RequestHeader set X-Real-IP %{REMOTE_ADDR}e\nProxyPass / http://h/', /^check 1 httpd sends \(null\)/)
    assert.deepEqual(notes('RequestHeader set X-Real-IP %{REMOTE_ADDR}s\nRequestHeader set X-Name expr=%{HTTP_HOST}\nProxyPass / http://h/'), [])
  })

  test('with a value, an action or a condition that is not translated are refused', () => {
    for (const line of [
      'RequestHeader set X-User "%{SSL_CLIENT_S_DN}s"', 'RequestHeader set X-User expr=%{REMOTE_USER}', 'RequestHeader edit X-A a b',
      'RequestHeader set X-A b env=C', 'RequestHeader set "X A" b',
      'Header set X-A "%{x}e"', 'Header echo X-A', 'Header set X-A %t', 'RequestHeader set Host x', 'RequestHeader unset Connection'
    ]) {
      assertNote(line, /^error 1 not translated/)
    }
  })

  test('of responses are a function of their own', () => {
    const { rewriteHeaders } = options('Header always set X-A a\nHeader unset X-B\nProxyPass / http://h/')
    assert.deepEqual({ ...rewriteHeaders?.({ 'x-b': 'b' }, request as never) }, { 'x-a': 'a' })
  })
})

describe('TLS to upstreams', () => {
  test('is verified, unless the configuration says no', () => {
    assert.deepEqual(routes('SSLProxyEngine On\nSSLProxyVerify require\nProxyPass / https://h/'), [{ path: '/', upstream: 'https://h/' }])
    assert.deepEqual(
      routes('SSLProxyEngine On\nSSLProxyVerify none\nProxyPass / https://h/'),
      [{ path: '/', upstream: 'https://h/', tls: { rejectUnauthorized: false } }]
    )
    assertNote('SSLProxyEngine On\nProxyPass / https://h/', /^check 2 the upstream's certificate is verified here/)
    assertNote('ProxyPass / https://h/', /^check 1 httpd answers 500 here/)
  })

  test('without verification has a note for what httpd verifies all the same', () => {
    const lines = (...more: string[]): string => ['SSLProxyEngine On', 'SSLProxyVerify none', ...more, 'ProxyPass / https://h/'].join('\n')
    assertNote(lines(), /^check 3 httpd answers 500 here if the upstream's certificate is for another name or has expired/)
    assertNote(lines('SSLProxyCheckPeerName Off'), /^check 4 httpd answers 500 here if the upstream's certificate has expired/)
    assertNote(lines('SSLProxyCheckPeerExpire Off'), /^check 4 httpd answers 500 here if the upstream's certificate is for another name:? ?/)
    assertNote(lines('SSLProxyCheckPeerExpire Off', 'SSLProxyCheckPeerCN Off', 'SSLProxyCheckPeerName On'), /^check 6 httpd answers 500 here/)
    for (const name of ['Name', 'CN']) assert.equal(notes(lines('SSLProxyCheckPeerExpire Off', `SSLProxyCheckPeer${name} Off`)).length, 1)
    assertNote(
      'SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCheckPeerCN Off\nProxyPass / https://h/',
      /^check 4 the name in the upstream's certificate is verified here/
    )
  })

  test('with files is refused, since they are not in the text', () => {
    assertNote('SSLProxyCACertificateFile /etc/ca.pem', /^error 1 not translated: give the content/)
  })
})

describe('SetEnv', () => {
  test('proxy-nokeepalive is a connection for each request, and the others are notes', () => {
    assert.deepEqual(routes('SetEnv proxy-nokeepalive 1\nProxyPass / http://h/'), [{ path: '/', upstream: 'http://h/', disableReuse: true }])
    assertNote('SetEnv force-proxy-request-1.0 1\nProxyPass / http://h/', /^check 1 not translated: requests to upstreams are always HTTP\/1.1/)
    assertNote('SetEnv X 1\nProxyPass / http://h/', /^info 1 /)
  })

  test('no-proxy has no effect, since it comes too late; set earlier it is refused', () => {
    const note = (line: string): string[] => notes(`RewriteEngine On\n${line}\nProxyPass / http://h/`)
    for (const line of ['SetEnv no-proxy 1', 'SetEnvIf Request_URI ^/a !no-proxy', 'RewriteRule ^/a - [E=!no-proxy]',
      'RewriteRule ^/a/(.*) http://h/a/$1 [P,E=no-proxy:1]']) assert.deepEqual(note(line), [], line)
    for (const line of ['SetEnvIf Request_URI ^/a x no-proxy', 'SetEnvIfNoCase Request_URI ^/a No-Proxy=1', 'BrowserMatch ^curl no-proxy',
      'BrowserMatchNoCase curl no-proxy=1', 'RewriteRule ^/a - [E=no-proxy]', 'RewriteRule ^/a - [E=x:1,env=no-proxy:1]']) {
      assert.match(note(line).join(), /^error 2 not translated: no-proxy/, line)
    }
  })
})

describe('reverse', () => {
  const reverse = (text: string): unknown => (options(text) as { reverse?: unknown }).reverse

  test('is on where ProxyPassReverse names the target of the entry, as httpd has it', () => {
    assert.equal(reverse('ProxyPass / http://h/'), false)
    assert.deepEqual(reverse('ProxyPass / http://h/\nProxyPassReverse / http://h/'), { location: 'absolute', cookiePath: false, cookieDomain: false })
    assert.deepEqual(
      reverse('ProxyPass /a http://h:1/b\nProxyPassReverseCookiePath /b /a\nProxyPassReverseCookieDomain h app.example'),
      { location: false, cookiePath: true, cookieDomain: true }
    )
  })

  test('has a note where the directive is for something else', () => {
    assertNote('ProxyPass / http://h/\nProxyPassReverse / http://i/', /^check 2 not translated/)
    assertNote('ProxyPass / ws://h/\nProxyPassReverse / ws://h/', /^info 2 has no effect in httpd either/)
  })

  test('has a note at an entry whose redirects httpd changes by the line of another', () => {
    const both = (more: string): string[] => notes(`ProxyPass /a http://h/base\nProxyPass /b http://h/base\nProxyPassReverse /a http://h/base\n${more}`)
    assert.match(both('').join(), /^check 2 httpd changes redirects of this upstream by line 3/)
    assert.deepEqual(both('ProxyPassReverse /b http://h/base'), [])
    assert.deepEqual(notes('ProxyPass /a/ http://h/\nProxyPass /b/ http://i/\nProxyPassReverse /a/ http://h/'), [])
    const inside = '<Location /x>\nProxyPassReverse http://h/y\n</Location>\n'
    assertNote(`${inside}ProxyPass /a http://h/a\nProxyPass /b http://h/c\nProxyPassReverse /a http://h/a`, /^check 5 httpd changes .* line 6/)
    assertNote('ProxyPass /a http://h/a\nProxyPassReverse / http://h/\nProxyPass /b http://h/c\nProxyPass / http://h/', /^check 3 httpd changes/)
  })

  test('has a note for the Path of a cookie that stays', () => {
    assertNote('ProxyPass /a/ http://h/\nProxyPassReverseCookiePath / /a/', /^check 2 here Path=\/ stays/)
    assert.deepEqual(notes('ProxyPass /a/ http://h/b/\nProxyPassReverseCookiePath /b/ /a/'), [])
  })
})

describe('balancers', () => {
  test("are the plugin's, with httpd's defaults", () => {
    const text = `<Proxy balancer://pool>
BalancerMember http://a:1 loadfactor=2 route=r1 redirect=r2 status=+H timeout=5 connectiontimeout=500ms lbset=1 max=9
BalancerMember http://b:1 route=r2 retry=7
ProxySet lbmethod=bytraffic stickysession=SID|sid nofailover=On failonstatus=500,503 maxattempts=2 forcerecovery=Off failontimeout=On stickysessionsep=_
</Proxy>
Header add Set-Cookie "SID=_%{BALANCER_WORKER_ROUTE}e; path=/app; Secure; SameSite=None" env=BALANCER_ROUTE_CHANGED
ProxyPass / balancer://pool/`
    assert.deepEqual(options(text).balancers, {
      pool: {
        lbMethod: 'bytraffic',
        forceRecovery: false,
        stickySession: 'SID|sid',
        stickySessionSep: '_',
        stickyCookie: { path: '/app', secure: true, sameSite: 'none' },
        noFailover: true,
        failOnTimeout: true,
        failOnStatus: [500, 503],
        maxAttempts: 2,
        members: [
          { url: 'http://a:1', loadFactor: 2, lbSet: 1, route: 'r1', redirect: 'r2', status: '+H', max: 9, timeout: '5s', connectTimeout: '500ms' },
          { url: 'http://b:1', route: 'r2' }
        ]
      }
    })
    assert.deepEqual(
      options('BalancerMember balancer://p ws://a\nProxyPass / balancer://p/').balancers,
      { p: { lbMethod: 'byrequests', forceRecovery: true, members: [{ url: 'ws://a' }] } }
    )
  })

  test('with health checks have them', () => {
    const text = 'BalancerMember balancer://p http://a hcmethod=GET hcuri=/up hcinterval=5 hcpasses=2 hcfails=3\nProxyPass / balancer://p/'
    assert.deepEqual(options(text).balancers?.p?.healthCheck, { method: 'GET', uri: '/up', interval: '5s', passes: 2, fails: 3 })
  })

  test('of the main server come before those of a host', () => {
    const text = '<Proxy balancer://b>\nBalancerMember http://main\n</Proxy>\n<VirtualHost *:80>\nServerName a.example\n' +
      '<Proxy balancer://b>\nBalancerMember http://own\n</Proxy>\nProxyPass / balancer://b/\n</VirtualHost>'
    assert.deepEqual(translate(text).registrations[0]?.options.balancers?.b?.members, [{ url: 'http://main' }])
    assertNote(text, /^check 7 has no effect: the balancer of this name in line 2, of the main server/)
  })

  test('have a note for a member whose path ends with a slash', () => {
    assertNote('<Proxy balancer://b>\nBalancerMember http://m/app/\n</Proxy>\nProxyPass / balancer://b/', /^check 2 httpd puts \/app\/ before/)
  })

  test('that are not there are an error', () => {
    assertNote('ProxyPass / balancer://none/', /^error 1 not translated: there is no balancer none/)
  })

  test('of one name in two virtual hosts get two names where they differ', () => {
    const host = (name: string, member: string): string =>
      `<VirtualHost *:80>\nServerName ${name}\nBalancerMember balancer://p ${member}\nProxyPass / balancer://p/\n</VirtualHost>\n`
    const { registrations } = translate(host('a', 'http://x') + host('b', 'http://y'))
    assert.deepEqual(registrations.map(({ options: { balancers, routes } }) => [Object.keys(balancers ?? {}), routes?.[0]?.upstream]),
      [[['p'], 'balancer://p/'], [['p-6'], 'balancer://p-6/'], [[], 'balancer://p/']])
  })
})

test('a directive with the name of a property of all objects is unknown', () => {
  assertNote('constructor x\nProxyPass / http://h/', /^error 1 not translated: this directive has no counterpart here/)
})

test('a note names a section as it is written', () => {
  const text = '<VirtualHost *:80>\nServerName a.example\n<IfDefine X>\n</IfDefine>\nProxyPass / http://h/\n</VirtualHost>'
  assert.deepEqual(translate(text).notes.map(({ line, level, directive }) => `${level} ${line} ${directive}`), ['info 1 <VirtualHost>', 'error 3 <IfDefine>'])
})

describe('a variable', () => {
  /** Writes httpd's `${NAME}` for `@{NAME}`. */
  const withVariables = (text: string): string => text.replaceAll('@{', '${')

  test('is refused wherever it stands, since its value is not in the text', () => {
    for (const line of [
      'ProxyPass /@{CTX}/ http://h/', 'ProxyPass /a http://@{HOST}/', 'ProxyPass /a http://h:@{PORT}/a',
      'ProxyPass /a http://h/ timeout=@{T}', 'ProxyPassReverse / http://@{HOST}/',
      'ServerName @{DOMAIN}', 'ServerAlias a.@{DOMAIN}', 'Listen @{PORT}', 'Header set X-A @{VALUE}',
      'RequestHeader set X-A "a @{VALUE}"', 'ProxyTimeout @{T}', 'BalancerMember balancer://b http://@{HOST}/',
      'RewriteEngine @{ENGINE}', 'ProxyRequests @{FORWARD}', 'SSLEngine @{TLS}',
      '<Location /@{CTX}>\nProxyPass http://h/\n</Location>', '<Proxy http://@{HOST}/>\nProxySet timeout=5\n</Proxy>'
    ]) {
      assertNote(withVariables(line), /^error 1 not translated.*: the variable \$\{\w+\}; write its value in its place$/)
      assert.deepEqual(translate(withVariables(line)).registrations, [], line)
    }
  })

  test('in a condition refuses the rule', () => {
    for (const text of [
      'RewriteCond %{HTTP:Upgrade} @{TOKEN}\nRewriteRule ^/(.*) http://h/$1 [P]',
      'RewriteCond %{REQUEST_URI} !^@{CTX}\nRewriteRule ^/(.*) http://@{HOST}/$1 [P]'
    ]) {
      assertNote(`RewriteEngine On\n${withVariables(text)}`, /^error 3 not translated: the variable \$\{\w+\}; write its value in its place$/)
    }
  })

  test('in a line that is not translated anyway changes nothing', () => {
    assert.deepEqual(notes(withVariables('ErrorLog @{APACHE_LOG_DIR}/error.log\nSSLCertificateFile @{CERT}\nProxyPass / http://h/')), [])
    assertNote(withVariables('SetEnv APP @{APP}\nProxyPass / http://h/'), /^info 1 has no effect here/)
  })

  test('in the address of a virtual host keeps the host', () => {
    const text = withVariables('<VirtualHost @{IP}:443>\nServerName a.example\nProxyPass / http://h/\n</VirtualHost>')
    assertNote(text, /^check 1 the variable \$\{IP\} is taken for an address of its own/)
    assert.equal(translate(text).registrations.length, 2)
  })
})
