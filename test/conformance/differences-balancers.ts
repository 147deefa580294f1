/** Where balancers differ from httpd's on purpose: as in `differences.ts`. */
import type { Scenario } from './table.ts'

export const differencesOfBalancers: Readonly<Record<string, Pick<Scenario, 'differs' | 'ours'>>> = {
  'balancers / bybusyness / tunnels by load factor': {
    differs: 'busyness-by-factor',
    ours: [
      '< sequence +A+B+A+A', '< open'
    ]
  },
  'balancers / bybusyness / unless said otherwise': {
    differs: 'default-method',
    ours: [
      '< sequence +ABBBB', '< open'
    ]
  },
  'balancers / bytraffic / bytes of tunnels': {
    differs: 'tunnel-traffic',
    ours: [
      '< sequence +ABBBB', '< open'
    ]
  },
  'balancers / failures / a reset without a byte': {
    differs: 'fails-over',
    ours: [
      '< sequence BBBB', '< open'
    ]
  },
  'balancers / failures / all down, as it comes': {
    differs: 'no-forced-recovery',
    ours: [
      '< sequence (503)(503)(503)(503)(503)(503)', '< open'
    ]
  },
  'balancers / failures / an end without a byte': {
    differs: 'fails-over',
    ours: [
      '< sequence BBBB', '< open'
    ]
  },
  'balancers / failures / retry is longer each time': {
    differs: 'longer-retry',
    ours: [
      '< sequence A(503)AAA(503)AAAAAA', '< open'
    ]
  },
  'balancers / failures / silence': {
    differs: 'fails-over',
    ours: [
      '< sequence BB', '< open'
    ]
  },
  'balancers / max / all have as many': {
    differs: 'full-member',
    ours: [
      '< sequence +A(503)', '< open'
    ]
  },
  "balancers / paths / a member at '/base/', /p/a/b?c=1": {
    differs: 'member-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/a/b?c=1 HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  "balancers / paths / a member at '/base/', /q": {
    differs: 'member-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/ HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  "balancers / paths / a member at '/base/', /q/a": {
    differs: 'member-path',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/a HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'balancers / sessions / a cookie of our own': {
    differs: 'sticky-cookie',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '  set-cookie: COOKIE=.a; Path=/; HttpOnly; SameSite=Lax', '  upgrade: websocket', '< bytes "hellopong"', '< fin',
      'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example',
      'A> bytes "ping"', 'A> fin'
    ]
  },
  'balancers / sessions / a long one, then none': {
    differs: 'turns-owed',
    ours: [
      `< sequence ${'A'.repeat(100)}${'B'.repeat(32)}${'AB'.repeat(34)}`, '< open'
    ]
  },
  'balancers / sessions / a parameter within another name': {
    differs: 'parameter-name',
    ours: [
      '< sequence ABCABC', '< open'
    ]
  }
}
