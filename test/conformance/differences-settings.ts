/** Where we differ from httpd on purpose by options: as in `differences.ts`. */
import type { Scenario } from './table.ts'

export const differencesOfSettings: Readonly<Record<string, Pick<Scenario, 'differs' | 'ours'>>> = {
  'settings / a connection that is not taken, no fallback': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept'
    ]
  },
  'settings / a connection that is not taken, plain': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept'
    ]
  },
  'settings / a connection that is not taken, upgrade': {
    differs: 'timeout-504',
    ours: [
      '< 504', '< kept'
    ]
  },
  'settings / allowedOrigins / upgrade, another': {
    differs: 'origins',
    ours: [
      '< 403', '< fin'
    ]
  },
  'settings / allowedOrigins / upgrade, none': {
    differs: 'origins',
    ours: [
      '< 403', '< fin'
    ]
  },
  'settings / allowedOrigins / upgrade, null': {
    differs: 'origins',
    ours: [
      '< 403', '< fin'
    ]
  },
  'settings / an idle timeout of 1 s with a timeout of 3 s': {
    differs: 'idle-timeout',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
      '< bytes "hello"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
    ]
  },
  'settings / at a prefix, to /base / /app//x': {
    differs: 'double-slash',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base//x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'settings / at a prefix, to /base/ / /app': {
    differs: 'prefix-root',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example'
    ]
  },
  'settings / at a prefix, to /base/ / /app/': {
    differs: 'prefix-root',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/ HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example'
    ]
  },
  'settings / at a prefix, to /base/ / /app/x': {
    differs: 'prefix-root',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base/x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'settings / at a prefix, to /base/ / /app?y=1': {
    differs: 'prefix-root',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /base?y=1 HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'settings / fields that are added / upgrade': {
    differs: 'headers-on-101',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
      '  x-hook: yes', '  x-proxy: yes', '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin'
    ]
  },
  'settings / half of a body': {
    differs: 'streamed-body',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example', '  body "helloworld"'
    ]
  },
  'settings / half of a body in chunks': {
    differs: 'streamed-body',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> POST /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1',
      '  x-forwarded-host: front.example', '  body "helloworld"'
    ]
  },
  'settings / the access log / upgrade, no fallback': {
    differs: 'access-log',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
      '< bytes "hellopong"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> bytes "ping"', 'A> fin', 'logged as 101'
    ]
  },
  'settings / the access log / upgrade, no fallback, refused': {
    differs: 'access-log',
    ours: [
      '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'logged as 403'
    ]
  },
  'settings / timeout=500ms, plain': {
    differs: 'durations',
    ours: [
      '< 504', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'settings / timeout=500ms, upgrade': {
    differs: 'durations',
    ours: [
      '< 504', '< kept', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
      '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
    ]
  },
  'settings / trustProxy / plain, all three': {
    differs: 'forwarded-trust',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  host: {A}',
      '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: outer.example', '  x-forwarded-proto: https'
    ]
  },
  'settings / trustProxy / upgrade, all three': {
    differs: 'forwarded-trust',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
      '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: outer.example', '  x-forwarded-proto: https', 'A> bytes "ping"',
      'A> fin'
    ]
  },
  'settings / trustProxy / plain, a port that Connection names': {
    differs: 'connection-names',
    ours: [
      '< 200 OK', '  x-from: upstream', '  body "plain"', '< kept', 'A> GET /x HTTP/1.1', '  forwarded: for=6.6.6.6', '  host: {A}',
      '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: front.example', '  x-forwarded-port: 8443'
    ]
  },
  'settings / trustProxy / upgrade, a port that Connection names': {
    differs: 'connection-names',
    ours: [
      '< 101 Switching Protocols', '  connection: upgrade', '  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', '  upgrade: websocket',
      '< bytes "hellopong"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  forwarded: for=6.6.6.6', '  host: {A}',
      '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
      '  x-forwarded-for: 6.6.6.6, 127.0.0.1', '  x-forwarded-host: front.example', '  x-forwarded-port: 8443', 'A> bytes "ping"', 'A> fin'
    ]
  }
}
