/** Redirects and cookies that lead back: ProxyPassReverse, ProxyPassReverseCookiePath and ProxyPassReverseCookieDomain there, `reverse` here. */
import { body, bytes, ended, fin, response, send, switching } from './steps.ts'
import { explained } from './explained.ts'
import type { UpstreamStep } from './ends.ts'
import type { Scenario, Table } from './table.ts'
import { ask, handshake, head, reply } from './words.ts'

const route = (path: string, upstream: string, more: Partial<Table> = {}): Table => ({ routes: [{ path, upstream }], reverse: true, ...more })

const slashes = route('/app/', 'http://A/base/')
const bare = route('/app', 'http://A/base')
const root = route('/', 'http://A/')
const toRoot = route('/app/', 'http://A/')
const fromRoot = route('/', 'http://A/base/')
const below = route('/', 'http://A/base', { prefix: '/app' })
const ws = route('/app/', 'ws://A/base/')
const wsOff = route('/app/', 'ws://A/base/', { fallbackToHttp: false })
const keeping = route('/app/', 'http://A/base/', { preserveHost: true })
const same = route('/base/', 'http://A/base/')
const two: Table = { routes: [{ path: '/one/', upstream: 'http://A/1/' }, { path: '/two/', upstream: 'http://B/2/' }], reverse: true }
const balanced = (...urls: string[]): Table => route('/app/', 'balancer://x/base/', { balancers: { x: { members: urls.map((url) => ({ url })) } } })

/** `{A}` in a text: the authority of that upstream on this side. */
function saying (text: string): UpstreamStep {
  return send((end) => text.replace(/\{(\w)\}/g, (_, upstream: string) => `127.0.0.1:${end.ports[upstream]}`))
}

const redirect = (location: string, ...more: string[]): string => reply('302 Found', 'moved', `Location: ${location}`, ...more)

/** With a port in Host: where there is none, httpd names the port that it listens on. */
function atPort (request: string): string {
  return request.replace('Host: front.example\r\n', 'Host: front.example:8080\r\n')
}

function get (title: string, table: Table, text: string, request: string = head('GET /app/x'), method: string = 'GET'): Scenario {
  return { name: `reverse / ${title}`, table, client: ask(atPort(request), method), upstream: [[body(), saying(text)]] }
}

const targets = [
  'http://{A}/base/login', 'http://{A}/base/', 'http://{A}/base/a%2Fb%20c?next=http://{A}/base/x&y#/base/z',
  'http://{A}/base/a b', 'http://{A}/base/caf\xc3\xa9', 'http://{A}/base//x',
  'HTTP://{A}/base/x', 'http://{A}/base', 'http://{A}/basement', 'http://{A}/BASE/x',
  'http://{A}/%62ase/x', 'http://{A}/base/../secret', 'http://{A}/other', 'http://{A}/', 'http://{A}',
  'http://{A}1/base/x', 'http://127.0.0.1/base/x', 'https://{A}/base/x', 'ws://{A}/base/x',
  'http://user@{A}/base/x', 'http://{A}@evil.example/base/x', 'http://evil.example/base/x',
  '//{A}/base/x', '//evil.example/base/x', '/base/x', '/base', '/other', '/', 'x', '../base/x', '?x', '#x', 'mailto:a@b.example', 'http:/base/x'
]

const cookies = [
  'a=1; Path=/base/x', 'a=1; path=/base/', 'a=1; PATH=/base/x; HttpOnly; SameSite=Lax',
  'a="x y"; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/base/x; X=Y; Secure', 'a=1; Path=/', 'a=1',
  'a=1; Path=/base', 'a=1; Path=/basement', 'a=1; Path=/other', 'a=path=/base/x',
  'a=1; xpath=/base/x', 'a=1; Path="/base/x"', '__Host-a=1; Secure; Path=/base/x',
  'a=1; Domain=127.0.0.1', 'a=1; domain=127.0.0.1; Path=/base/x', 'a=1; Domain=.127.0.0.1',
  'a=1; Domain=other.example; Path=/base/x', 'a=1; Domain=sub.127.0.0.1'
]

export const reverse: readonly Scenario[] = explained([
  ...targets.map((target) => get(`Location / to a base with a slash / ${target}`, slashes, redirect(target))),
  ...targets.slice(0, 17).map((target) => get(`Location / to a base without a slash / ${target}`, bare, redirect(target))),
  ...['http://{A}/x', 'http://{A}/', 'http://{A}', 'http://{A}/app/x', '/x', '/app/x'].map((target) =>
    get(`Location / to a root / ${target}`, toRoot, redirect(target))),
  ...['http://{A}/x', 'http://{A}/', '/x', 'http://{B}/x'].map((target) =>
    get(`Location / from a root to a root / ${target}`, root, redirect(target.replace('{B}', 'b.example')), head('GET /x'))),
  ...['http://{A}/base/x', '/base/x', '/base//evil.example', 'http://{A}/x'].map((target) =>
    get(`Location / from a root / ${target}`, fromRoot, redirect(target), head('GET /x'))),
  ...['http://{A}/base/x', '/base/x'].map((target) => get(`Location / at the same path / ${target}`, same, redirect(target), head('GET /base/x'))),
  ...['http://{A}/base/x', 'http://{A}/base', '/base/x'].map((target) => get(`Location / below a prefix / ${target}`, below, redirect(target))),
  ...['http://{A}/base/x', 'http://front.example:8080/base/x', 'https://front.example:8080/base/x'].map((target) =>
    get(`Location / with preserveHost / ${target}`, keeping, redirect(target))),
  ...[
    '200 OK', '201 Created', '301 Moved Permanently', '303 See Other', '307 Temporary Redirect',
    '308 Permanent Redirect', '304 Not Modified', '401 Unauthorized', '404 Not Found', '502 Bad Gateway'
  ].map((status) =>
    get(`status / ${status}`, slashes, reply(
      status,
      status.startsWith('304') ? '' : 'moved',
      'Location: http://{A}/base/x',
      'Content-Location: http://{A}/base/y',
      'Set-Cookie: a=1; Path=/base/'
    ))),
  get('status / HEAD', slashes, redirect('http://{A}/base/x', 'Set-Cookie: a=1; Path=/base/').replace(/moved$/, ''), head('HEAD /app/x'), 'HEAD'),
  get('status / POST', slashes, redirect('http://{A}/base/x'), head('POST /app/x', 'Content-Length: 2') + 'hi', 'POST'),
  get('fields / Content-Location', slashes, reply('200 OK', 'hi', 'Content-Location: http://{A}/base/x')),
  get('fields / Content-Location, a path alone', slashes, reply('200 OK', 'hi', 'Content-Location: /base/x')),
  get('fields / Link and Refresh', slashes, reply('200 OK', 'hi', 'Link: <http://{A}/base/x>; rel=next', 'Refresh: 0; url=http://{A}/base/x')),
  get('fields / URI', slashes, reply('200 OK', 'hi', 'URI: http://{A}/base/x')),
  get('fields / Destination', slashes, reply('200 OK', 'hi', 'Destination: http://{A}/base/x')),
  { name: 'reverse / hosts / no port in Host', table: slashes, client: ask(head('GET /app/x')), upstream: [[body(), saying(redirect('http://{A}/base/x'))]] },
  get('hosts / an address', slashes, redirect('http://{A}/base/x'), head('GET /app/x').replace('front.example', '[::1]:8080')),
  get('hosts / HTTP/1.0 without Host', slashes, redirect('http://{A}/base/x'), 'GET /app/x HTTP/1.0\r\n\r\n'),
  get('routes / each its own, the first', two, redirect('http://{A}/1/x'), head('GET /one/x')),
  get('routes / each its own, the second', two, redirect('http://{B}/2/x'), head('GET /two/x')),
  get('routes / to a sibling\'s upstream', two, redirect('http://{B}/2/x'), head('GET /one/x')),
  ...cookies.map((cookie) => get(`Set-Cookie / ${cookie}`, slashes, reply('200 OK', 'hi', `Set-Cookie: ${cookie}`))),
  ...['a=1; Path=/', 'a=1; Path=/x', 'a=1; Path=/app/x'].map((cookie) =>
    get(`Set-Cookie / to a root / ${cookie}`, toRoot, reply('200 OK', 'hi', `Set-Cookie: ${cookie}`))),
  ...['a=1; Path=/base', 'a=1; Path=/base/x', 'a=1; Path=/basement'].map((cookie) =>
    get(`Set-Cookie / to a base without a slash / ${cookie}`, bare, reply('200 OK', 'hi', `Set-Cookie: ${cookie}`))),
  get(
    'Set-Cookie / several',
    slashes,
    reply('200 OK', 'hi', 'Set-Cookie: a=1; Path=/base/', 'Set-Cookie: b=2; Path=/', 'Set-Cookie: c=3', 'Set-Cookie: d=4; Path=/base/')
  ),
  ...['http://{A}/base/x', 'ws://{A}/base/x', '/base/x'].map((target): Scenario => (
    {
      name: `reverse / a refused upgrade / ${target}`,
      table: ws,
      client: ask(atPort(handshake('/app/x'))),
      upstream: [[body(), saying(redirect(target, 'Set-Cookie: a=1; Path=/base/'))]]
    })),
  get('a ws target, plain', ws, redirect('http://{A}/base/x', 'Set-Cookie: a=1; Path=/base/')),
  {
    name: 'reverse / a 101',
    table: ws,
    client: ask(atPort(handshake('/app/x'))),
    upstream: [[switching({ 'Set-Cookie': 'a=1; Path=/base/' }, 'hello'), bytes(4), send('pong'), ended(), fin()]]
  },
  {
    name: 'reverse / no fallback / a 101',
    table: wsOff,
    client: ask(atPort(handshake('/app/x'))),
    upstream: [[switching({ 'Set-Cookie': 'a=1; Path=/base/' }, 'hello'), bytes(4), send('pong'), ended(), fin()]]
  },
  {
    name: 'reverse / no fallback / a refused upgrade',
    table: wsOff,
    client: [send(atPort(handshake('/app/x'))), response(), ended()],
    upstream: [[saying(redirect('http://{A}/base/x', 'Set-Cookie: a=1; Path=/base/')), fin()]]
  },
  ...['http://{A}/base/x', 'http://{B}/base/x', 'http://{A}/other', '/base/x'].map((target) =>
    get(`balancer / members without a path / ${target}`, balanced('http://A', 'http://B'), redirect(target, 'Set-Cookie: a=1; Path=/base/'))),
  ...['http://{A}/1/base/x', 'http://{B}/2/base/x', 'http://{B}/1/base/x', 'http://{A}/base/x'].map((target) =>
    get(`balancer / members with paths / ${target}`, balanced('http://A/1', 'http://B/2'), redirect(target)))
])
