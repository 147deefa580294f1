/**
 * A refused upgrade closes its connection, where httpd keeps it: by what we do, exactly, the scenarios that show nothing else; and those which differ for
 * another reason as well, so that only their end is another one.
 */
import type { Scenario } from './table.ts'

type Difference = Pick<Scenario, 'differs' | 'ours'>

const closing: ReadonlyArray<readonly [ours: readonly string[], names: readonly string[]]> = [
  [[
    '< 403 Forbidden', '  content-type: text/plain', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'basic / ws / a refused WebSocket', 'basic / http, upgrade=websocket / a refused WebSocket'
  ]],
  [[
    '< 204 No Content', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 204'
  ]],
  [[
    '< 301 Moved Permanently', '  location: http://other.example/x', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 301'
  ]],
  [[
    '< 206 Partial Content', '  content-range: bytes 1-3/5', '  x-from: upstream', '  body "ell"', '< fin', 'A> GET /chat HTTP/1.1',
    '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 206'
  ]],
  [[
    '< 201 Created', '  location: /new', '  x-from: upstream', '  body "made"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 201 with Location'
  ]],
  [[
    '< 302 Found', '  location: /elsewhere', '  x-from: upstream', '  body "there"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 302'
  ]],
  [[
    '< 426 Upgrade Required', '  x-from: upstream', '  body "up"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 426 with h2c'
  ]],
  [[
    '< 304 Not Modified', '  etag: "x"', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 304'
  ]],
  [[
    '< 426 Upgrade Required', '  connection: upgrade', '  upgrade: websocket', '  x-from: upstream', '  body "up"', '< fin', 'A> GET /chat HTTP/1.1',
    '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 426 with websocket'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 200 without a body'
  ]],
  [[
    '< 200 All Is Well', '  x-from: upstream', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / a reason of its own'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 100 before', 'replies / upgrade / more than its length', 'replies / upgrade / hop-by-hop headers',
    'replies / upgrade / Connection: close', 'replies / upgrade / HTTP/1.0 with a length'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  body "until the end"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / HTTP/1.0 until the end', 'replies / upgrade / a body until the end'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  body "abc"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 200 in chunks with an extension and a trailer'
  ]],
  [[
    '< 502', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / a chunk size that is none', 'replies / upgrade / an end without a byte', 'replies / upgrade / a length that is none',
    'replies / upgrade / half a head', 'replies / upgrade / a header without a colon', 'replies / upgrade / no HTTP, and no line',
    'replies / upgrade / a header of 20 kB'
  ]],
  [[
    '< 502', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> reset by itself'
  ], [
    'replies / upgrade / a reset without a byte'
  ]],
  [[
    '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /1 HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'requests / an upgrade after a refused upgrade'
  ]],
  [[
    '< 401 Unauthorized', '  www-authenticate: Basic realm="x"', '  x-from: upstream', '  body "who?"', '< fin', 'A> GET /chat HTTP/1.1',
    '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 401'
  ]],
  [[
    '< 407 Proxy Authentication Required', '  x-from: upstream', '  body "who?"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 407'
  ]],
  [[
    '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 403', 'tunnels / ws / bytes after a refusal', 'requests / a request after a refused upgrade',
    'tunnels / http, upgrade / bytes after a refusal'
  ]],
  [[
    '< 404 Not Found', '  x-from: upstream', '  body "nothing"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 404'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  x-open: 2', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / Connection names a header'
  ]],
  [[
    '< 299 Whatever', '  x-from: upstream', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / an unknown status'
  ]],
  [[
    '< 429 Too Many Requests', '  retry-after: 3', '  x-from: upstream', '  body "slowly"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 429'
  ]],
  [[
    '< 200 OK', '  date: Sun, 06 Nov 1994 08:49:37 GMT', '  server: upstream/1', '  x-from: upstream', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1',
    '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / its own Date and Server'
  ]],
  [[
    '< 200 OK', '  set-cookie: a=1; Path=/', '  set-cookie: b=2', '  set-cookie: c=3; Secure', '  x-from: upstream', '  body "hi"', '< fin',
    'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13',
    '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / three cookies'
  ]],
  [[
    '< 502 Bad Gateway', '  x-from: upstream', '  body "gone"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 502'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  x-twice: 1', '  x-twice: 2', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / a header twice'
  ]],
  [[
    '< 200 OK', '  x-empty: ', '  x-from: upstream', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / an empty header'
  ]],
  [[
    '< 502', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example', 'A> fin'
  ], [
    'replies / 101 / ws / without Upgrade', 'replies / 101 / ws / Upgrade: h2c', 'replies / 101 / ws / Upgrade: websocket, foo',
    'replies / 101 / http, upgrade / without Upgrade', 'replies / 101 / http, upgrade / Upgrade: h2c',
    'replies / 101 / http, upgrade / Upgrade: websocket, foo'
  ]],
  [[
    '< 504 Gateway Timeout', '  x-from: upstream', '  body "late"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 504'
  ]],
  [[
    '< 200 OK', '  content-type: text/plain', '  x-from: upstream', '  body "hello"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 200 with a length'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  body "abcde"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / 200 in chunks'
  ]],
  [[
    '< 200 OK', '  x-from: upstream', '  x-name: café', '  body "hi"', '< fin', 'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / latin-1 in a header'
  ]],
  [[
    '< 200 OK', '  x-from: upstream',
    '  body "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… 100000 bytes', '< fin',
    'A> GET /chat HTTP/1.1', '  connection: upgrade', '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13',
    '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'replies / upgrade / a body of 100 kB'
  ]],
  [[
    '< 403 Forbidden', '  x-from: upstream', '  x-hook: yes', '  x-proxy: yes', '  body "no"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade',
    '  host: {A}', '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket',
    '  x-forwarded-for: 127.0.0.1', '  x-forwarded-host: front.example'
  ], [
    'settings / fields that are added / upgrade, refused'
  ]],
  [[
    '< 403 Forbidden', '  x-from: upstream', '  body "no"', '< fin', 'A> GET /x HTTP/1.1', '  connection: upgrade', '  host: {A}',
    '  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==', '  sec-websocket-version: 13', '  upgrade: websocket', '  x-forwarded-for: 127.0.0.1',
    '  x-forwarded-host: front.example', 'logged as 403'
  ], [
    'settings / the access log / upgrade, refused'
  ]]
]

const alsoClosing: ReadonlySet<string> = new Set([
  'replies / upgrade / 102 before', 'replies / upgrade / 200 that advertises websocket', 'replies / upgrade / an empty reason',
  'replies / upgrade / ten interim replies before', 'replies / upgrade / two interim replies before', 'replies / upgrade / length and chunks',
  'replies / upgrade / two lengths', 'replies / upgrade / the same length twice', 'replies / 101 / ws / no Accept', 'replies / upgrade / 103 before',
  'replies / 101 / ws / a wrong Accept', 'replies / upgrade / no reason at all', 'replies / upgrade / bare LF', 'replies / upgrade / another coding',
  'replies / upgrade / a folded header', 'replies / upgrade / HTTP/2 in the status line', 'replies / upgrade / no HTTP',
  'replies / upgrade / an SSH banner', 'replies / upgrade / a space before the colon', 'replies / 101 / ws / HTTP/1.0',
  'replies / upgrade / a control character in a header', 'replies / upgrade / a header of 9 kB', 'replies / 101 / ws / bare LF',
  'replies / upgrade / status 600', 'replies / 101 / ws / without Connection', 'replies / no fallback / HTTP/2 in the status line',
  'replies / 101 / ws, no fallback / a wrong Accept', 'replies / no fallback / length and chunks', 'replies / no fallback / an SSH banner',
  'replies / no fallback / two lengths', 'replies / no fallback / no HTTP, and no line', 'replies / 101 / ws, no fallback / no Accept',
  'replies / 101 / ws, no fallback / without Upgrade', 'bodies / with an offer that is not accepted / identity',
  'replies / 101 / ws, no fallback / HTTP/1.0', 'replies / no fallback / a header without a colon', 'replies / no fallback / status 600',
  'replies / no fallback / a reset without a byte', 'replies / no fallback / an end without a byte', 'replies / no fallback / half a head',
  'replies / 101 / ws, no fallback / Upgrade: websocket, foo', 'replies / 101 / ws, no fallback / Upgrade: h2c', 'replies / no fallback / no HTTP',
  'replies / 101 / ws, no fallback / without Connection', 'bodies / plain / identity', 'replies / 101 / http, upgrade / a wrong Accept',
  'replies / 101 / http, upgrade / no Accept', 'replies / 101 / http, upgrade / bare LF', 'replies / 101 / http, upgrade / without Connection',
  'replies / 101 / http, upgrade / HTTP/1.0', 'replies / 101 / ws, no fallback / bare LF', 'replies / upgrade / no such name',
  'tls / upgrade / as it comes, a certificate of a stranger', 'tls / no fallback / as it comes, a certificate of a stranger',
  'tls / no fallback / as it comes, a certificate of an authority that nobody named',
  'tls / upgrade / as it comes, a certificate of an authority that nobody named', 'tls / upgrade / verified, TLS 1.1',
  'tls / no fallback / verified, TLS 1.1', 'tls / upgrade / verified, a certificate of a stranger',
  'tls / no fallback / verified, a certificate of a stranger', 'tls / upgrade / verified, a certificate for another name',
  'tls / no fallback / verified, a certificate for another name', 'tls / upgrade / verified, an expired certificate',
  'tls / no fallback / verified, an expired certificate', 'tls / upgrade / an upstream that speaks no TLS', 'replies / upgrade / silence',
  'settings / a connection that is not taken, upgrade', 'settings / a connection that is not taken, no fallback',
  'replies / upgrade / silence in the head', 'settings / timeout=500ms, upgrade', 'replies / no fallback / silence'
])

const byName: ReadonlyMap<string, Difference> = new Map(
  closing.flatMap(([ours, names]) => names.map((name) => [name, { differs: 'refused-upgrade', ours: [...ours] }]))
)

/** A scenario with the end of its connection, where that is a refused upgrade's. */
export function closedAfterRefusal (scenario: Scenario): Scenario {
  if (!alsoClosing.has(scenario.name)) return { ...scenario, ...byName.get(scenario.name) }
  return { ...scenario, ours: scenario.ours?.map((line) => line === '< kept' ? '< fin' : line) } as Scenario
}
