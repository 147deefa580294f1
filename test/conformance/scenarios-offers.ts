/** Which offers are accepted: every kind of target with every kind of `Upgrade`, `Connection`, method and version. */
import type { Scenario, Table } from './table.ts'
import { ask, forwarded, handshake, head, key, refused, switched, upgradeRequired, webSocketFields, willing } from './words.ts'

interface Target {
  name: string
  scheme: 'ws' | 'http'
  fallback: boolean
  upgrade: string | readonly string[] | undefined
}

interface Request {
  name: string
  /** The lines of `Upgrade`. */
  offer: readonly string[]
  connection: string | undefined
  method: string
  version: '1.0' | '1.1'
}

const settings: ReadonlyArray<Target['upgrade']> = [undefined, 'websocket', 'tcp', ['websocket', 'tcp'], 'ANY', 'NONE']

const targets: Target[] = [['ws', true], ['ws', false], ['http', true]].flatMap(([scheme, fallback]) =>
  settings.map((upgrade): Target => ({
    name: `${scheme as string}${fallback === true ? '' : ', no fallback'}, upgrade ${upgrade === undefined ? 'unset' : [upgrade].flat().join(',')}`,
    scheme: scheme as Target['scheme'],
    fallback: fallback as boolean,
    upgrade
  })))

const plainly = { connection: 'Upgrade', method: 'GET', version: '1.1' } as const

const requests: Request[] = [
  { name: 'no Upgrade', offer: [], ...plainly, connection: undefined },
  { name: 'no Upgrade, but Connection names it', offer: [], ...plainly },
  ...[
    'websocket', 'WebSocket', 'tcp', 'websocket, tcp', 'tcp, websocket', 'h2c', 'foo', '', 'web socket', '"websocket"', 'websocketEVIL',
    'websocket/13', 'NONE', ', ,websocket'
  ].map((offer): Request => ({ name: `'${offer}'`, offer: [offer], ...plainly })),
  { name: 'foo and websocket on two lines', offer: ['foo', 'websocket'], ...plainly },
  { name: "'websocket', no Connection", offer: ['websocket'], ...plainly, connection: undefined },
  { name: "'websocket', Connection names others", offer: ['websocket'], ...plainly, connection: 'X-Other' },
  { name: "'foo', no Connection", offer: ['foo'], ...plainly, connection: undefined },
  { name: "'websocket', Connection: keep-alive, Upgrade", offer: ['websocket'], ...plainly, connection: 'keep-alive, Upgrade' },
  { name: "'websocket' by POST", offer: ['websocket'], ...plainly, method: 'POST' },
  { name: "'tcp' by POST", offer: ['tcp'], ...plainly, method: 'POST' },
  { name: "'foo' by DELETE", offer: ['foo'], ...plainly, method: 'DELETE' },
  { name: "'websocket' by HTTP/1.0", offer: ['websocket'], ...plainly, version: '1.0' },
  { name: 'no Upgrade by HTTP/1.0', offer: [], ...plainly, connection: undefined, version: '1.0' }
]

function bytesOf ({ offer, connection, method, version }: Request): string {
  const lines = [
    ...offer.map((each) => `Upgrade: ${each}`),
    ...(connection === undefined ? [] : [`Connection: ${connection}`]),
    `Sec-WebSocket-Key: ${key}`, 'Sec-WebSocket-Version: 13', ...(method === 'POST' ? ['Content-Length: 0'] : [])
  ]
  return head(`${method} /chat`, ...lines).replace('HTTP/1.1', `HTTP/${version}`)
}

/** What is accepted, as the design has it: written here once more, and not taken from what is tested. */
function ourToken (target: Target, { offer, connection, version }: Request): string | undefined {
  const named = connection?.toLowerCase().split(/\s*,\s*/).includes('upgrade') === true
  if (offer.length === 0 || !named || version === '1.0') return undefined
  if (target.upgrade === 'NONE') return offer.join('').trim() === '' ? undefined : 'websocket'
  const offered = offer.join(',').toLowerCase().split(',').map((each) => each.trim()).filter((each) => each !== '')
  if (target.upgrade === 'ANY') {
    return offered.find((each) => /^[!#$%&'*+\-.^_`|~0-9a-z]+(?:\/[!#$%&'*+\-.^_`|~0-9a-z]+)?$/.test(each) && !/^(?:https?|h2c|h2|h3|tls)(?:\/|$)/.test(each))
  }
  const accepted = [target.upgrade ?? (target.scheme === 'ws' ? ['websocket'] : [])].flat()
  return offered.find((each) => accepted.includes(each))
}

function ours (target: Target, request: Request): string[] {
  const { method, offer, version } = request
  const token = ourToken(target, request)
  const end = version === '1.0' ? 'fin' : 'kept'
  const { upgrade } = target
  if (isForSocketsOnly(target) && method !== 'GET') return refused(404, end)
  if (token === 'websocket' && method !== 'GET') return refused(400)
  if (token !== undefined) return switched(token, `${method} /chat`)
  const protocols = upgrade === undefined || upgrade === 'ANY' || upgrade === 'NONE' ? 'websocket' : [upgrade].flat().join(', ')
  const required = version === '1.0' ? refused(426, 'fin', 'connection: upgrade', `upgrade: ${protocols}`) : upgradeRequired(protocols)
  if (upgrade === 'NONE') return required
  if (target.scheme === 'http' || target.fallback) return forwarded(`${method} /chat`, webSocketFields, end)
  return offer.length === 0 ? refused(404, end) : required
}

/** Whether a target serves WebSockets and nothing else, and so GET and no other method. */
function isForSocketsOnly ({ scheme, fallback, upgrade }: Target): boolean {
  return scheme === 'ws' && !fallback && (upgrade === undefined || upgrade === 'websocket')
}

/** What httpd accepts: the whole value, or any value that begins with a token that is configured. */
function theirToken (target: Target, { offer }: Request): string | undefined {
  if (offer.length === 0) return undefined
  const text = offer.join(', ').toLowerCase()
  const { upgrade } = target
  const configured = [upgrade ?? []].flat().map((each) => each.toLowerCase())
  const legacy = target.scheme === 'ws' && !target.fallback
  if (upgrade === undefined) return target.scheme === 'ws' && text === 'websocket' ? 'websocket' : undefined
  if (upgrade === 'ANY') return legacy ? '*' : text
  if (text !== configured.join(',') && !configured.some((each) => text.startsWith(each))) return undefined
  return legacy && upgrade !== 'NONE' ? configured.join(',') : legacy ? 'websocket' : text
}

/** The row that explains a difference, where there is one. */
function rowOf (target: Target, request: Request): string | undefined {
  const { offer, version, method } = request
  const mine = ourToken(target, request)
  const theirs = theirToken(target, request)
  const legacy = target.scheme === 'ws' && !target.fallback
  if (isForSocketsOnly(target) && method !== 'GET') return 'sockets-by-get'
  if (target.upgrade === 'NONE' && mine === 'websocket' && legacy && theirs === 'websocket') return undefined
  if (target.upgrade === 'NONE' && !(mine === undefined && theirs !== undefined && version === '1.0')) return 'none'
  if (mine === theirs && !(mine === 'websocket' && method !== 'GET')) {
    // Both refuse it, but the protocols that are told of are a list here, and what is configured there.
    return mine === undefined && legacy && offer.length > 0 && ['ANY', 'websocket,tcp'].includes([target.upgrade].flat().join(',')) ? 'advertised' : undefined
  }
  if (version === '1.0') return 'http10'
  if (mine === undefined && theirs !== undefined && !(request.connection ?? '').includes('Upgrade')) return 'connection-upgrade'
  if (mine === 'websocket' && method !== 'GET') return 'websocket-checks'
  if (target.upgrade === 'ANY') return offer[0] === 'h2c' ? 'any-h2c' : legacy ? 'any-off' : 'offered-list'
  if (/EVIL|\/13/.test(offer[0] ?? '')) return 'exact-token'
  return 'offered-list'
}

export const offers: readonly Scenario[] = targets.flatMap((target) => requests.map((request): Scenario => {
  const { scheme, fallback, upgrade } = target
  const table: Table = {
    routes: [{ path: '/', upstream: `${scheme}://A/`, ...(upgrade === undefined ? {} : { upgrade }) }],
    ...(fallback ? {} : { fallbackToHttp: false })
  }
  const row = rowOf(target, request)
  return {
    name: `offers / ${target.name} / ${request.name}`,
    table,
    client: ask(bytesOf(request), request.method),
    upstream: willing,
    ours: ours(target, request),
    ...(row === undefined ? {} : { differs: row })
  }
}))

const whole = handshake()
const lineOfKey = `Sec-WebSocket-Key: ${key}\r\n`
const lineOfVersion = 'Sec-WebSocket-Version: 13\r\n'

/** Handshakes that are not sound, and some that are. */
const handshakes: Record<string, readonly [bytes: string, row?: string]> = {
  'no key': [whole.replace(lineOfKey, ''), 'websocket-checks'],
  'an empty key': [whole.replace(key, ''), 'websocket-checks'],
  'a key of 15 bytes': [whole.replace(key, 'dGhlIHNhbXBsZSBub25j'), 'websocket-checks'],
  'a key that is no base64': [whole.replace(key, 'dGhlIHNhbXBsZSBub25*ZQ=='), 'websocket-checks'],
  'two keys': [whole.replace(lineOfKey, lineOfKey + lineOfKey), 'websocket-checks'],
  'no version': [whole.replace(lineOfVersion, ''), 'websocket-checks'],
  'two versions': [whole.replace(lineOfVersion, lineOfVersion + lineOfVersion), 'websocket-checks'],
  'no Host': [whole.replace('Host: front.example\r\n', '')],
  '32 offers': [whole.replace('Upgrade: websocket', `Upgrade: ${'x, '.repeat(31)}websocket`), 'offered-list'],
  '33 offers': [whole.replace('Upgrade: websocket', `Upgrade: ${'x, '.repeat(32)}websocket`), 'offered-list']
}

export const handshakesOfWebSocket: readonly Scenario[] = Object.entries(handshakes).map(([name, [bytes, row]]): Scenario => ({
  name: `handshakes / ${name}`,
  table: { routes: [{ path: '/', upstream: 'ws://A/' }] },
  client: ask(bytes),
  upstream: willing,
  ours: name === '32 offers' ? switched() : refused(400),
  ...(row === undefined ? {} : { differs: row })
}))
