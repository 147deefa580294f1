/** "Did you mean": guesses the user's intention from the given value. Pure functions; each hint begins with its own separator. */

/** The options of other Node proxies (@fastify/http-proxy, its replyOptions, http-proxy, httpxy), with this plugin's equivalents. */
const elsewhere: Readonly<Record<string, string>> = Object.freeze(Object.assign(Object.create(null), {
  websocket: "not needed here: a ws: or wss: upstream takes WebSockets, an http: or https: one with upgrade: 'websocket'",
  ws: "not needed here: a ws: or wss: upstream takes WebSockets, an http: or https: one with upgrade: 'websocket'",
  wsUpstream: 'here one upstream serves both: set it as upstream, with ws: or wss:',
  wsServerOptions: 'here WebSocket messages are not parsed: see limits and allowedOrigins',
  wsClientOptions: 'here: rewriteRequestHeaders and tls',
  wsReconnect: 'here tunnels do not reconnect',
  wsHooks: 'here: onTunnelOpen and onTunnelClose',
  rewritePrefix: "here the upstream's own path replaces the prefix: upstream: 'ws://host/path/'",
  replyOptions: 'here its options go beside upstream: rewriteRequestHeaders, rewriteHeaders',
  httpMethods: 'here: methods',
  proxyPayloads: 'not needed here: bodies are always streamed',
  internalRewriteLocationHeader: 'here reverse maps Location',
  getUpstream: 'here upstream may be a function of the request',
  fromParameters: 'here upstream may be a function of the request',
  queryString: 'here upstream may be a function of the request',
  http: 'here: connectTimeout, timeout and tls',
  undici: 'here: connectTimeout, timeout and tls',
  globalAgent: 'here each upstream has a pool of its own',
  base: 'here: upstream',
  target: 'here: upstream',
  agent: 'here each upstream has a pool of its own',
  changeOrigin: "not needed here: Host is the upstream's, unless preserveHost is true",
  xfwd: "here: forwarded: 'x-forwarded', the default",
  secure: 'here: tls: { rejectUnauthorized: false }',
  ssl: 'here: tls',
  https: 'here: tls',
  proxyTimeout: 'here: timeout',
  requestTimeout: 'here: timeout',
  sessionTimeout: 'here: timeout and idleTimeout',
  pathRewrite: "here the upstream's own path replaces the prefix: upstream: 'ws://host/path/'",
  headers: 'here: rewriteRequestHeaders',
  maxRetriesOn503: 'here a balancer tries its other members, with failOnStatus',
  retryMethods: 'here a balancer tries its other members',
  retryDelay: 'here a balancer tries its other members, without a delay',
  balancedPoolOptions: 'here: balancers',
  beforeHandler: 'here: preHandler',
  preRewrite: 'here: upstream may be a function of the request',
  retriesCount: 'here a balancer tries its other members, with maxAttempts',
  onResponse: "here: Fastify's hook, or rewriteHeaders",
  onError: "here: Fastify's error handler",
  disableRequestLogging: "here: logLevel, or Fastify's own option of that name"
}))

/** The names of an option in other software, by its name here. */
const synonyms: Readonly<Record<string, readonly string[]>> = {
  path: ['url', 'prefix', 'location', 'from', 'context'],
  upstream: ['target', 'to', 'proxyPass', 'backend', 'dest', 'destination', 'server'],
  url: ['upstream', 'target', 'address', 'host', 'server'],
  uri: ['path', 'url', 'endpoint'],
  loadFactor: ['weight', 'loadfactor'],
  members: ['upstreams', 'servers', 'targets', 'workers', 'backends', 'urls'],
  stickySession: ['sticky', 'affinity', 'sessionAffinity'],
  interval: ['hcinterval', 'period', 'every'],
  passes: ['hcpasses', 'rise', 'healthyThreshold'],
  fails: ['hcfails', 'fall', 'unhealthyThreshold'],
  lbMethod: ['policy', 'strategy', 'algorithm', 'method']
}

/**
 * Returns a hint for an option that does not exist.
 * @param known the options that exist at its place
 * @param places the other places that have an option of that name
 */
export function forOption (name: string, known: readonly string[], places: Readonly<Record<string, string>> = {}): string {
  const closest = nearest(name, known)
  // An option that differs only in case is a better guess than one of another library.
  if (closest?.toLowerCase() === name.toLowerCase()) return `, did you mean ${closest}?`
  const ours = known.find((other) => Object.hasOwn(synonyms, other) && synonyms[other]?.includes(name) === true)
  if (ours !== undefined) return `, did you mean ${ours}?`
  if (Object.hasOwn(places, name)) return `, it belongs ${places[name] as string}`
  const other = elsewhere[name]
  if (other !== undefined) return ` (${other})`
  return closest === undefined ? '' : `, did you mean ${closest}?`
}

/** The names of policies in other servers, with their names here. */
const otherWords: Readonly<Record<string, string>> = {
  roundrobin: 'byrequests', leastconn: 'bybusyness', leastconnections: 'bybusyness', iphash: 'hash', source: 'hash', consistent: 'hash', uri: 'hash'
}

/** Returns a hint for a word that is not in a list: the nearest one. */
export function forWord (word: string, known: readonly string[]): string {
  const plain = word.toLowerCase().replace(/[^a-z]/g, '')
  const translated = Object.hasOwn(otherWords, plain) ? otherWords[plain] as string : word
  const closest = known.includes(translated) ? translated : nearest(word, known)
  return closest === undefined ? '' : `, did you mean '${closest}'?`
}

/** Returns a hint for an unknown name: the nearest of the known names, or all of them. */
export function forName (name: string, known: readonly string[]): string {
  const closest = forWord(name, known)
  if (closest !== '') return closest
  return known.length === 0 ? ' (there are none)' : ` (known: ${known.slice(0, 20).join(', ')})`
}

/** Returns a hint for a value of `upgrade` that is neither a token nor a list of tokens. */
export function forUpgrade (value: unknown): string {
  if (typeof value === 'string' && /^(any|none)$/i.test(value)) return `, did you mean '${value.toUpperCase()}'?`
  if (value === true) return ", did you mean 'websocket'?"
  if (value === false) return ' (leave it out: an http: or https: upstream takes none by default)'
  if (typeof value === 'string' && value.includes(',')) return `, did you mean [${value.split(',').map((token) => `'${token.trim()}'`).join(', ')}]?`
  if (Array.isArray(value) && value.some((token) => typeof token === 'string' && /^(any|none)$/i.test(token))) return ", 'ANY' and 'NONE' stand alone"
  return ''
}

/** Returns a hint for a value of `path` that is no prefix. */
export function forPath (value: unknown): string {
  if (typeof value !== 'string' || value.includes('://')) return ''
  const bare = value.trim().replace(/\*+$/, '').replace(/\/{2,}/g, '/')
  const path = bare.startsWith('/') ? bare : `/${bare}`
  return path !== value && /^\/[\w/.:~-]*$/.test(path) && !/\/\.{1,2}(\/|$)/.test(path) ? `, did you mean '${path}'?` : ''
}

const units: ReadonlyArray<readonly [name: RegExp, unit: string, factor: number]> = [
  [/^(ms|msecs?|millis|milliseconds?)$/i, 'ms', 1],
  [/^(s|secs?|seconds?)$/i, 's', 1],
  [/^(m|mins?|minutes?)$/i, 'm', 1],
  [/^(h|hrs?|hours?)$/i, 'h', 1],
  [/^(d|days?)$/i, 'h', 24]
]

/**
 * Returns a hint for a value that is no duration.
 * @param longest the longest duration in milliseconds
 */
export function forDuration (value: unknown, longest: number): string {
  const most = ` (at most ${Math.floor(longest / 3_600_000)}h)`
  if (typeof value === 'number') return value > longest ? most : ''
  const [, amount = '', word = ''] = typeof value === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\.?\s*$/i.exec(value) ?? [] : []
  if (amount === '') return ''
  if (word === '') return `, did you mean '${amount}s', or '${amount}ms'?`
  const [, unit, factor] = units.find(([name]) => name.test(word)) ?? []
  if (unit === undefined || factor === undefined) return ''
  const meant = `${Number(amount) * factor}${unit}`
  return meant === value ? most : `, did you mean '${meant}'?`
}

const unset = ' (is an environment variable unset?)'
const schemes = ['ws', 'wss', 'http', 'https', 'balancer', 'unix']

/**
 * Returns a hint for a value that is no upstream.
 * @param isUpstream returns true if a text is an upstream
 */
export function forUpstream (value: unknown, balancers: readonly string[], isUpstream: (text: string) => boolean): string {
  if (value === undefined || value === null || Number.isNaN(value)) return unset
  if (value instanceof Promise) return ' (await it, or pass a function)'
  if (value instanceof URL) return forUpstream(value.href, balancers, isUpstream)
  if (typeof value === 'number') return did(`ws://127.0.0.1:${value}/`, isUpstream)
  if (value === true) return ''
  if (Array.isArray(value)) return ' (for several upstreams, use a balancer: see balancers)'
  if (typeof value !== 'string') return ''
  const text = value.trim().replace(/^(["'`])(.*)\1$/, '$2')
  if (text === '' || namesUnset(text)) return unset
  if (text !== value && isUpstream(text)) return did(text, isUpstream)
  const name = nearest(text.replace(/^balancer:\/*|\/.*$/gi, ''), balancers)
  if (name !== undefined && (text.startsWith('balancer:') || !text.includes(':'))) return `, did you mean 'balancer://${name}/'?`
  const socket = socketPathOf(text)
  if (socket !== undefined) return `, did you mean 'unix:${socket}|${/^http/i.test(text) ? 'http' : 'ws'}://localhost/'?`
  if (/^\/(?!\/)/.test(text)) return ' (a path without a host)'
  if (/^:\d+(\/|$)/.test(text)) return did(`ws://127.0.0.1${text}`, isUpstream, ' (or http://)')
  const [, bare = '', behind = ''] = /^(wss?|https?)\/+(.*)$/i.exec(text) ?? []
  if (bare !== '') return did(`${bare}://${behind}`, isUpstream)
  // A URL parser takes `host:4000` for a URL with the scheme `host:`.
  const [, scheme = '', rest = ''] = /^([a-z][a-z\d+.-]*):\/*(.*)$/i.exec(text) ?? []
  if (scheme !== '' && !/^\d+(\/|$)/.test(rest)) return forScheme(scheme, rest, text, isUpstream)
  return did(`ws://${text.replace(/^\/\//, '')}`, isUpstream, ' (or http://)')
}

function forScheme (scheme: string, rest: string, text: string, isUpstream: (text: string) => boolean): string {
  if (!schemes.includes(scheme.toLowerCase())) {
    const meant = nearest(scheme, schemes)
    return meant === undefined ? '' : did(`${meant}://${rest}`, isUpstream)
  }
  if (rest === '') return ` (the ${scheme.toLowerCase() === 'balancer' ? 'name' : 'host'} is missing)`
  if (Number(/^[^/]*:(\d{1,10})(\/|$)/.exec(rest)?.[1]) > 65_535) return ' (a port is at most 65535)'
  if (!URL.canParse(text)) return did(`${scheme}://${rest}`, isUpstream)
  const url = new URL(text)
  const parts = [
    ...url.username !== '' || url.password !== '' ? ['credentials: rewriteRequestHeaders can set Authorization'] : [],
    ...url.search !== '' ? ["a query: the client's is sent on"] : [],
    ...url.hash !== '' ? ['a fragment'] : []
  ]
  return parts.length === 0 ? did(`${scheme}://${rest}`, isUpstream) : ` (without ${parts.join(', and without ')})`
}

/** Returns the path of a unix socket in the forms of other programs: alone, as `unix:…`, `http+unix://…`, or `http://unix:…:/`. */
function socketPathOf (text: string): string | undefined {
  const path = /^(?:unix:(?:\/\/)?|https?\+unix:\/\/|https?:\/\/unix:)?((?:\/|%2F)[^|:]+)(?::.*)?$/i.exec(text)?.[1]?.replace(/%2F/gi, '/')
  return path !== undefined && (path.endsWith('.sock') || text.toLowerCase().includes('unix:')) && !path.includes('//') ? path : undefined
}

/** Returns a hint for a URL that parses differently than the user most likely meant: `http://http://host/`, `http://unix:/path:/`. */
export function forMisread (url: string, isUpstream: (text: string) => boolean): string {
  const inner = /^(?:wss?|https?):\/\/(?=(?:wss?|https?)(?::|\/\/))((?:wss?|https?)):?\/\/(.+)$/i.exec(url)
  if (inner !== null) return did(`${inner[1] as string}://${inner[2] as string}`, isUpstream)
  return /^https?:\/\/unix[:/]/i.test(url) ? forUpstream(url, [], isUpstream) : ''
}

/** Returns true if a text was made with a variable that had no value: `ws://undefined:4000/`. */
export function namesUnset (text: string): boolean {
  return /(^|[/:@|])(undefined|null|NaN|\[object \w+\])(?=[/:]|$)/.test(text)
}

function did (text: string, isUpstream: (text: string) => boolean, or = ''): string {
  return isUpstream(text) ? `, did you mean '${text}'${or}?` : ''
}

/** Returns the nearest of some words, if one is near: ignoring case, a third of the letters may differ. */
function nearest (word: string, known: readonly string[]): string | undefined {
  const wanted = word.toLowerCase()
  const bound = Math.floor(Math.max(wanted.length, 3) / 3)
  let best: { name: string, distance: number } | undefined
  for (const name of known) {
    const distance = distanceOf(wanted, name.toLowerCase())
    if (distance <= bound && (best === undefined || distance < best.distance)) best = { name, distance }
  }
  return best?.name
}

/** Returns the number of letters to change, add, remove, or swap with a neighbour. */
function distanceOf (a: string, b: string): number {
  let [before, last, row]: [number[], number[], number[]] = [[], [], Array.from({ length: b.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= a.length; i++) {
    [before, last, row] = [last, row, [i]]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      row[j] = cost
    }
  }
  return row[b.length] ?? 0
}
