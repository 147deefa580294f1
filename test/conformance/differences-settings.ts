/** Where we differ from httpd on purpose by options: as in `differences.ts`. */
import { byScenario, type Differences } from './differences-form.ts'

export const differencesOfSettings: Differences = byScenario({
  'timeout-504': [
    {
      ours: ['< 504', '< kept'],
      scenarios: [
        'settings / a connection that is not taken, no fallback', 'settings / a connection that is not taken, plain',
        'settings / a connection that is not taken, upgrade'
      ]
    }
  ],
  origins: [
    {
      ours: ['< 403', '< fin'],
      scenarios: [
        'settings / allowedOrigins / upgrade, another', 'settings / allowedOrigins / upgrade, none', 'settings / allowedOrigins / upgrade, null'
      ]
    }
  ],
  'idle-timeout': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hello"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
      ],
      scenarios: ['settings / an idle timeout of 1 s with a timeout of 3 s']
    }
  ],
  'double-slash': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base//x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / at a prefix, to /base / /app//x']
    }
  ],
  'prefix-root': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / at a prefix, to /base/ / /app']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/ HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / at a prefix, to /base/ / /app/']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / at a prefix, to /base/ / /app/x']
    },
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base?y=1 HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / at a prefix, to /base/ / /app?y=1']
    }
  ],
  'headers-on-101': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '  x-hook: yes', '  x-proxy: yes', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['settings / fields that are added / upgrade']
    }
  ],
  'streamed-body': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', '  body "helloworld"'
      ],
      scenarios: ['settings / half of a body', 'settings / half of a body in chunks']
    }
  ],
  'access-log': [
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin', 'logged as 101'
      ],
      scenarios: ['settings / the access log / upgrade, no fallback']
    },
    {
      ours: [
        '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
        '  x-forwarded-host: front.example', 'logged as 403'
      ],
      scenarios: ['settings / the access log / upgrade, no fallback, refused']
    }
  ],
  durations: [
    {
      ours: ['< 504', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'],
      scenarios: ['settings / timeout=500ms, plain']
    },
    {
      ours: [
        '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
      ],
      scenarios: ['settings / timeout=500ms, upgrade']
    }
  ],
  'forwarded-trust': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 6.6.6.6, 127.0.0.1',
        '  x-forwarded-host: outer.example', '  x-forwarded-proto: https'
      ],
      scenarios: ['settings / trustProxy / plain, all three']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
        '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: outer.example',
        '  x-forwarded-proto: https', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['settings / trustProxy / upgrade, all three']
    }
  ],
  'connection-names': [
    {
      ours: [
        '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  forwarded: for=6.6.6.6', '  host: {A}',
        '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: front.example', '  x-forwarded-port: 8443'
      ],
      scenarios: ['settings / trustProxy / plain, a port that Connection names']
    },
    {
      ours: [
        '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
        '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  forwarded: for=6.6.6.6', '  host: {A}',
        '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
        '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: front.example', '  x-forwarded-port: 8443', 'A> bytes "ping"', 'A> fin'
      ],
      scenarios: ['settings / trustProxy / upgrade, a port that Connection names']
    }
  ]
})
