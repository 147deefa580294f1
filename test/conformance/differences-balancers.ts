/** Where balancers differ from httpd's on purpose: as in `differences.ts`. */
import { byScenario, type Differences } from './differences-form.ts'

export const differencesOfBalancers: Differences = byScenario({
  'busyness-by-factor': [
    {
      ours: ['< sequence +A+B+A+A', '< open'],
      scenarios: ['balancers / bybusyness / tunnels by load factor']
    }
  ],
  'default-method': [
    {
      ours: ['< sequence +ABBBB', '< open'],
      scenarios: ['balancers / bybusyness / unless said otherwise']
    }
  ],
  'tunnel-traffic': [
    {
      ours: ['< sequence +ABBBB', '< open'],
      scenarios: ['balancers / bytraffic / bytes of tunnels']
    }
  ],
  'fails-over': [
    {
      ours: ['< sequence BBBB', '< open'],
      scenarios: ['balancers / failures / a reset without a byte', 'balancers / failures / an end without a byte']
    },
    {
      ours: ['< sequence BB', '< open'],
      scenarios: ['balancers / failures / silence']
    }
  ],
  'no-forced-recovery': [
    {
      ours: ['< sequence (503)(503)(503)(503)(503)(503)', '< open'],
      scenarios: ['balancers / failures / all down, as it comes']
    }
  ],
  'longer-retry': [
    {
      ours: ['< sequence A(503)AAA(503)AAAAAA', '< open'],
      scenarios: ['balancers / failures / retry is longer each time']
    }
  ],
  'full-member': [
    {
      ours: ['< sequence +A(503)', '< open'],
      scenarios: ['balancers / max / all have as many']
    }
  ],
  'member-path': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/a/b?c=1 HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['balancers / paths / a member at \'/base/\', /p/a/b?c=1']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/ HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['balancers / paths / a member at \'/base/\', /q']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/a HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['balancers / paths / a member at \'/base/\', /q/a']
    }
  ],
  'sticky-cookie': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
        '  set-cookie: COOKIE=.a; Path=/; HttpOnly; SameSite=Lax', '  upgrade: websocket', '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1',
        '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
        '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['balancers / sessions / a cookie of our own']
    }
  ],
  'turns-owed': [
    {
      ours: [
        `< sequence ${'A'.repeat(100)}${'B'.repeat(32)}${'AB'.repeat(34)}`,
        '< open'
      ],
      scenarios: ['balancers / sessions / a long one, then none']
    }
  ],
  'parameter-name': [
    {
      ours: ['< sequence ABCABC', '< open'],
      scenarios: ['balancers / sessions / a parameter within another name']
    }
  ]
})
