/** Which target has a request, and what becomes of its path. */
import { explained } from './explained.ts'
import type { Scenario, Table } from './table.ts'
import { ask, handshake, head, key, willing } from './words.ts'

const two = (first: string, second: string, fallbackToHttp = true): Table => ({
  routes: [{ path: '/', upstream: first }, { path: '/', upstream: second }],
  ...(fallbackToHttp ? {} : { fallbackToHttp })
})

const orders: Array<[string, Table]> = [
  ['ws, then http', two('ws://A/', 'http://B/')],
  ['ws, then http, no fallback', two('ws://A/', 'http://B/', false)],
  ['http, then ws', two('http://A/', 'ws://B/')],
  ['http, then ws, no fallback', two('http://A/', 'ws://B/', false)],
  ['an excluded path', { routes: [{ path: '/static/', upstream: false }, { path: '/', upstream: 'ws://A/' }] }],
  ['an excluded path, no fallback', { routes: [{ path: '/static/', upstream: false }, { path: '/', upstream: 'ws://A/' }], fallbackToHttp: false }],
  ['nested paths', { routes: [{ path: '/ws/', upstream: 'ws://A/' }, { path: '/', upstream: 'http://B/' }] }],
  ['nested paths, no fallback', { routes: [{ path: '/ws/', upstream: 'ws://A/' }, { path: '/', upstream: 'http://B/' }], fallbackToHttp: false }],
  ['the wider path first', { routes: [{ path: '/', upstream: 'http://B/' }, { path: '/ws/', upstream: 'ws://A/' }] }]
]

const orderRequests: Array<[string, string]> = [
  ['a WebSocket', handshake('/ws/a')],
  ['a plain GET', head('GET /ws/a')],
  ['h2c', head('GET /ws/a', 'Upgrade: h2c', 'Connection: Upgrade')],
  ['a WebSocket to /static/', handshake('/static/a')],
  ['a GET of /static/', head('GET /static/a')],
  ['a GET of /', head('GET /')]
]

const mapped: Table = {
  routes: [
    { path: '/ws/', upstream: 'ws://A/app/' },
    { path: '/noslash', upstream: 'ws://A/ns' },
    { path: '/mix/', upstream: 'ws://A/mix' },
    { path: '/mix2', upstream: 'ws://A/mix2/' },
    { path: '/same/', upstream: 'ws://A/same/' }
  ]
}

const targets = [
  '/ws/', '/ws/a/b', '/ws', '/wsx', '/noslash', '/noslash/', '/noslash/a', '/noslashX', '/mix/a', '/mix2/a', '/same/x', '/same',
  '/ws/a/../b', '/ws/a/./b', '/ws//a//b', '//ws/a', '/ws/../x', '/ws/%2e%2e/x', '/ws/a%2Fb', '/ws/a%252Fb', '/ws/a%20b', '/ws/caf%C3%A9',
  '/ws/a b', '/ws/a?x=a b', '/ws/a?x#frag', '/ws/%zz', '/ws/a%00b', '/ws/a%0d%0aX:1', '/ws/a?x=%0d%0a', '/ws/a?x=1&y=%2F&z=a+b', '/ws/a?',
  '/ws/a%3Fx=1', '/ws/a%3Bp', '/ws/a%7Eb', '/ws/a"b', '/ws/a<b>', '/ws/a^b', '/ws/a|b', '/ws/a`b', '/ws/a\\b', "/ws/~!$&'()*+,;=:@", '/WS/a',
  '/ws/%41', '/%77s/a', '/ws/a;p=1/b', '/ws/..;/x', '/ws/?a=/../b', '/ws/a/', '/ws/.', '/ws/..', '/ws/.a', '/ws/a..b', '/noslash?x=1',
  'http://front.example/ws/a', 'http://other.example:99/ws/a', 'ws/a', '*', '/ws/a\xe9'
]

const absolute: Scenario[] = [{
  name: 'paths / an upgrade in absolute form',
  table: mapped,
  client: ask(handshake('http://other.example:99/ws/a')),
  upstream: willing
}]

const methods: Scenario[] = ['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'FROB', 'get'].map((method) => ({
  name: `paths / method ${method}`,
  table: mapped,
  client: ask(head(`${method} /ws/a`), method),
  upstream: willing
}))

export const paths: readonly Scenario[] = explained([
  ...orders.flatMap(([order, table]) => orderRequests.map(([request, bytes]): Scenario => ({
    name: `order / ${order} / ${request}`, table, client: ask(bytes), upstream: willing
  }))),
  ...targets.map((target): Scenario => ({
    name: `paths / GET ${target}`, table: mapped, client: ask(head(`GET ${target}`)), upstream: willing
  })),
  ...['/ws/a/b', '/noslash', '/mix/a', '/mix2/a', '/ws', '/ws/a%2Fb', '/ws/../x'].map((target): Scenario => ({
    name: `paths / a WebSocket at ${target}`, table: mapped, client: ask(handshake(target)), upstream: willing
  })),
  ...absolute,
  ...methods,
  { name: 'paths / CONNECT host:port', table: mapped, client: ask('CONNECT other.example:80 HTTP/1.1\r\nHost: other.example:80\r\n\r\n'), upstream: willing },
  {
    name: 'paths / CONNECT with a path and an upgrade',
    table: mapped,
    client: ask(head('CONNECT /ws/a', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Version: 13')),
    upstream: willing
  }
])
