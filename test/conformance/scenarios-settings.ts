/** What options change, and directives: timers, who asked, what is logged, what is added to answers. */
import { body, bytes, ended, fin, pass, response, send, signal, soon, switching, when } from './steps.ts'
import { explained } from './explained.ts'
import type { Scenario, Table } from './table.ts'
import { ask, handshake, head, http, ok, reply, says, willing, ws, wsOff } from './words.ts'

const logged: Table = { ...ws, log: true }
const loggedOff: Table = { ...wsOff, log: true }
const added: Table = { ...ws, setHeaders: true }
const addedOff: Table = { ...wsOff, setHeaders: true }
const trusting: Table = { ...ws, trustProxy: true }
const origins: Table = { ...ws, allowedOrigins: ['https://app.example'] }
const deaf: Table = { routes: [{ path: '/', upstream: 'ws://deaf/' }], connectTimeout: 1 }
const halfSecond: Table = { ...ws, timeoutText: '500ms' }
const atPrefix: Table = { routes: [{ path: '/', upstream: 'http://A/base/' }], prefix: '/app' }
const atPrefixWithoutSlash: Table = { routes: [{ path: '/', upstream: 'http://A/base' }], prefix: '/app' }
const belowPrefix: Table = { routes: [{ path: '/sub/', upstream: 'http://A/base/' }], prefix: '/app' }
const quick: Table = { ...ws, timeout: 2 }

const asked = ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Host: outer.example', 'X-Forwarded-Proto: https']
const more = ['X-Forwarded-Port: 8443', 'Forwarded: for=6.6.6.6']

export const settings: readonly Scenario[] = explained([
  {
    name: 'settings / a connection that is not taken, upgrade', table: deaf, client: ask(handshake()), upstream: []
  },
  {
    name: 'settings / a connection that is not taken, plain', table: deaf, client: ask(head('GET /x')), upstream: []
  },
  {
    name: 'settings / a connection that is not taken, no fallback', table: { ...deaf, fallbackToHttp: false }, client: ask(handshake()), upstream: []
  },
  {
    name: 'settings / timeout=500ms, upgrade', table: halfSecond, client: [send(handshake()), soon(2_500, response())], upstream: [[]]
  },
  {
    name: 'settings / timeout=500ms, plain', table: halfSecond, client: [send(head('GET /x')), soon(2_500, response())], upstream: [[]]
  },
  {
    name: 'settings / an idle timeout of 2 s with a timeout of 1 s',
    table: { ...ws, timeout: 1, idleTimeout: 2 },
    client: [send(handshake()), response(), soon(1_500, ended()), ended()],
    upstream: [[switching({}, 'hello'), ended()]]
  },
  {
    name: 'settings / an idle timeout of 1 s with a timeout of 3 s',
    table: { ...ws, timeout: 3, idleTimeout: 1 },
    client: [send(handshake()), response(), soon(2_000, ended()), ended()],
    upstream: [[switching({}, 'hello'), ended()]]
  },
  ...['client', 'upstream'].map((who): Scenario => ({
    name: `settings / a byte of the ${who}'s keeps a tunnel from being idle`,
    table: quick,
    client: [send(handshake()), response(), ...[0, 1].flatMap(() => [pass(1_200), ...(who === 'client' ? [send('x')] : [])]), soon(300, ended()), ended()],
    upstream: [[switching({}, 'hello'), ...[0, 1].flatMap(() => [pass(1_200), ...(who === 'upstream' ? [send('y')] : [])]), ended()]]
  })),
  ...['plain', 'upgrade'].flatMap((what): Scenario[] => {
    const request = (...lines: string[]): string => what === 'plain' ? head('GET /x', ...lines) : handshake('/x', ...lines)
    return [
      {
        name: `settings / trustProxy / ${what}, X-Forwarded-For`,
        table: trusting,
        client: ask(request('X-Forwarded-For: 6.6.6.6, 7.7.7.7')),
        upstream: willing
      },
      { name: `settings / trustProxy / ${what}, all three`, table: trusting, client: ask(request(...asked)), upstream: willing },
      {
        name: `settings / trustProxy / ${what}, a port and Forwarded`,
        table: trusting,
        client: ask(request('X-Forwarded-For: 6.6.6.6', ...more)),
        upstream: willing
      },
      {
        name: `settings / trustProxy / ${what}, a port that Connection names`,
        table: trusting,
        client: ask(request('X-Forwarded-For: 6.6.6.6', 'Connection: X-Forwarded-Port', ...more)),
        upstream: willing
      },
      { name: `settings / trustProxy / ${what}, nothing`, table: trusting, client: ask(request()), upstream: willing },
      { name: `settings / allowedOrigins / ${what}, an allowed one`, table: origins, client: ask(request('Origin: https://app.example')), upstream: willing },
      { name: `settings / allowedOrigins / ${what}, another`, table: origins, client: ask(request('Origin: https://evil.example')), upstream: willing },
      { name: `settings / allowedOrigins / ${what}, null`, table: origins, client: ask(request('Origin: null')), upstream: willing },
      { name: `settings / allowedOrigins / ${what}, none`, table: origins, client: ask(request()), upstream: willing },
      { name: `settings / fields that are added / ${what}`, table: added, client: ask(request()), upstream: willing },
      { name: `settings / fields that are added / ${what}, refused`, table: added, client: ask(request()), upstream: says(reply('403 Forbidden', 'no')) },
      { name: `settings / the access log / ${what}`, table: logged, client: ask(request()), upstream: willing },
      { name: `settings / the access log / ${what}, refused`, table: logged, client: ask(request()), upstream: says(reply('403 Forbidden', 'no')) },
      { name: `settings / async: false / ${what}`, table: { ...ws, async: false }, client: ask(request()), upstream: willing },
      { name: `settings / async: true / ${what}`, table: { ...ws, async: true }, client: ask(request()), upstream: willing }
    ]
  }),
  { name: 'settings / fields that are added / upgrade, no fallback', table: addedOff, client: ask(handshake()), upstream: willing },
  { name: 'settings / the access log / upgrade, no fallback', table: loggedOff, client: ask(handshake()), upstream: willing },
  {
    name: 'settings / the access log / upgrade, no fallback, refused',
    table: loggedOff,
    client: [send(handshake()), response(), ended()],
    upstream: [[send(reply('403 Forbidden', 'no')), fin()]]
  },
  ...['/app', '/app/', '/app/x', '/appx', '/app//x', '/app?y=1'].flatMap((target): Scenario[] => [
    { name: `settings / at a prefix, to /base/ / ${target}`, table: atPrefix, client: ask(head(`GET ${target}`)), upstream: willing },
    { name: `settings / at a prefix, to /base / ${target}`, table: atPrefixWithoutSlash, client: ask(head(`GET ${target}`)), upstream: willing }
  ]),
  ...['/app/sub', '/app/sub/x', '/sub/x'].map((target): Scenario => ({
    name: `settings / below a prefix / ${target}`, table: belowPrefix, client: ask(head(`GET ${target}`)), upstream: willing
  })),
  {
    name: 'settings / half of a body',
    table: http,
    client: [send(head('POST /x', 'Content-Length: 10') + 'hello'), soon(2_000, when('request')), send('world'), response('POST')],
    upstream: says(ok())
  },
  {
    name: 'settings / half of a body in chunks',
    table: http,
    client: [
      send(head('POST /x', 'Transfer-Encoding: chunked') + '5\r\nhello\r\n'),
      soon(2_000, when('request')),
      send('5\r\nworld\r\n0\r\n\r\n'),
      response('POST')
    ],
    upstream: says(ok())
  },
  {
    name: 'settings / half of a body of 100 kB',
    table: http,
    client: [send(head('POST /x', 'Content-Length: 100000') + 'x'.repeat(50_000)), soon(2_000, when('request')), send('x'.repeat(50_000)), response('POST')],
    upstream: says(ok())
  },
  {
    name: 'settings / half of a response body',
    table: http,
    client: [send(head('GET /x')), soon(1_000, bytes(60)), signal('half'), response()],
    upstream: [[body(), send('HTTP/1.1 200 OK\r\nX-From: upstream\r\nContent-Length: 10\r\n\r\nhello'), when('half'), send('world')]]
  }
])
