/** Where redirects and cookies are led back otherwise than by httpd, on purpose: as in `differences.ts`. */
import { byScenario, type Differences } from './differences-form.ts'

export const differencesOfReverse: Differences = byScenario({
  'reverse-paths': [
    {
      ours: [
        '< 302 Found', '  location: /app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / below a prefix / /base/x', 'reverse / Location / to a base with a slash / /base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: /x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / from a root / /base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: //front.example:8080/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a base with a slash / //{A}/base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: /app', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a base with a slash / /base']
    },
    {
      ours: [
        '< 302 Found', '  location: ws://front.example:8080/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a base with a slash / ws://{A}/base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: /app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a root / /x']
    },
    {
      ours: [
        '< 302 Found', '  location: /app/x', '  set-cookie: a=1; Path=/app/', '  x-from: upstream', '  body "moved"', '< fin',
        'A> GET /base/x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / a refused upgrade / /base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: ws://front.example:8080/app/x', '  set-cookie: a=1; Path=/app/', '  x-from: upstream', '  body "moved"', '< fin',
        'A> GET /base/x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / a refused upgrade / ws://{A}/base/x']
    },
    {
      ours: [
        '< 302 Found', '  location: /app/x', '  set-cookie: a=1; Path=/app/', '  x-from: upstream', '  body "moved"', '< kept',
        'A> GET /base/x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / balancer / members without a path / /base/x']
    },
    {
      ours: [
        '< 200 OK', '  content-location: /app/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / fields / Content-Location, a path alone']
    }
  ],
  'reverse-segments': [
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: [
        'reverse / Location / to a base with a slash / http://{A}/%62ase/x', 'reverse / Location / to a base without a slash / http://{A}/%62ase/x'
      ]
    },
    {
      ours: [
        '< 302 Found', '  location: http://{A}/BASE/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: [
        'reverse / Location / to a base with a slash / http://{A}/BASE/x', 'reverse / Location / to a base without a slash / http://{A}/BASE/x'
      ]
    },
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a base with a slash / http://{A}/base']
    },
    {
      ours: [
        '< 302 Found', '  location: http://{A}/base/../secret', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: [
        'reverse / Location / to a base with a slash / http://{A}/base/../secret',
        'reverse / Location / to a base without a slash / http://{A}/base/../secret'
      ]
    },
    {
      ours: [
        '< 302 Found', '  location: http://{A}/basement', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a base without a slash / http://{A}/basement']
    },
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app/', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a root / http://{A}']
    }
  ],
  'reverse-known-prefix': [
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / to a root / http://{A}/app/x']
    }
  ],
  'reverse-own': [
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: front.example:8080', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Location / with preserveHost / http://front.example:8080/base/x']
    }
  ],
  'cookie-path': [
    {
      ours: [
        '< 200 OK', '  set-cookie: __Host-a=1; Secure; Path=/base/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / __Host-a=1; Secure; Path=/base/x']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a="x y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/app/x; X=Y; Secure', '  x-from: upstream', '  body "hi"',
        '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a="x y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/base/x; X=Y; Secure']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; PATH=/app/x; HttpOnly; SameSite=Lax', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; PATH=/base/x; HttpOnly; SameSite=Lax']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/app', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; Path=/base']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/app/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; Path=/base/x', 'reverse / Set-Cookie / to a base without a slash / a=1; Path=/base/x']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/basement', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / to a base without a slash / a=1; Path=/basement']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / to a root / a=1; Path=/']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/app/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / to a root / a=1; Path=/app/x', 'reverse / Set-Cookie / to a root / a=1; Path=/x']
    }
  ],
  'cookie-domain': [
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; Domain=.127.0.0.1', 'reverse / Set-Cookie / a=1; Domain=127.0.0.1']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Domain=other.example; Path=/app/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; Domain=other.example; Path=/base/x']
    },
    {
      ours: [
        '< 200 OK', '  set-cookie: a=1; Path=/app/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / Set-Cookie / a=1; domain=127.0.0.1; Path=/base/x']
    }
  ],
  'refused-upgrade': [
    {
      ours: [
        '< 302 Found', '  location: http://front.example:8080/app/x', '  set-cookie: a=1; Path=/app/', '  x-from: upstream', '  body "moved"', '< fin',
        'A> GET /base/x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / a refused upgrade / http://{A}/base/x']
    }
  ],
  'reverse-fields': [
    {
      ours: [
        '< 200 OK', '  destination: http://{A}/base/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / fields / Destination']
    },
    {
      ours: [
        '< 200 OK', '  uri: http://{A}/base/x', '  x-from: upstream', '  body "hi"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / fields / URI']
    }
  ],
  'reverse-host': [
    {
      ours: [
        '< 302 Found', '  location: /app/x', '  x-from: upstream', '  body "moved"', '< fin', 'A> GET /base/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1'
      ],
      scenarios: ['reverse / hosts / HTTP/1.0 without Host']
    },
    {
      ours: [
        '< 302 Found', '  location: http://front.example/app/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /base/x HTTP/1.1',
        '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['reverse / hosts / no port in Host']
    }
  ],
  'reverse-siblings': [
    {
      ours: [
        '< 302 Found', '  location: http://{B}/2/x', '  x-from: upstream', '  body "moved"', '< kept', 'A> GET /1/x HTTP/1.1', '  host: {A}',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example:8080'
      ],
      scenarios: ['reverse / routes / to a sibling\'s upstream']
    }
  ]
})
