/** The options of an entry that come from settings and worker parameters. */
import type { CommonOptions } from '../index.ts'
import type { Rule, Settings } from './model.ts'
import { shorten, type Notes, type Place } from './notes.ts'
import { duration, onOff, timeWithUnit, wholeSeconds } from './parameters.ts'
import type { Hit, Site } from './site.ts'
import { isWebSocket } from './target.ts'
import { noParameters } from './workers.ts'

/** The protocols, in the form of the option `upgrade`. */
export type Upgrade = 'ANY' | 'NONE' | readonly string[]

/** Returns the protocols that a hit upgrades to; `undefined` for none. */
export function upgradeOf ({ target, worker, rule }: Hit, site: Site, notes: Notes): Upgrade | undefined {
  if (target === false) return undefined
  if (target.scheme !== 'balancer') {
    return readUpgrade(worker?.parameters.get('upgrade'), worker ?? rule, notes) ?? (isWebSocket(target) ? ['websocket'] : undefined)
  }
  const members = site.balancers.get(target.authority)?.members ?? []
  const [first, ...others] = members.map(({ parameters }) => parameters.get('upgrade'))
  if (others.some((other) => other !== first)) notes.check(rule, "upgrade= differs between the members of the balancer; the first one's holds for all")
  return readUpgrade(first, members[0] ?? rule, notes) ?? (/(^|\|)wss?:/.test(members[0]?.url ?? '') ? ['websocket'] : undefined)
}

function readUpgrade (text: string | undefined, place: Place, notes: Notes): Upgrade | undefined {
  if (text === undefined || text === '') return undefined
  if (/^(any|\*)$/i.test(text)) return 'ANY'
  if (/^none$/i.test(text)) {
    notes.check(place, 'upgrade=NONE is what the manual says of it: always a WebSocket. httpd since 2.4.48 takes it for the name of a protocol')
    return 'NONE'
  }
  const tokens = text.toLowerCase().split(/[,\s"']+/).filter((token) => token !== '')
  const usable = tokens.filter((token) => /^[!#$%&'*+\-.^_`|~0-9a-z]+(\/[\w.]+)?$/.test(token) && !/^(h2c?|h3|http|tls|any|none)(\/|$)/.test(token))
  for (const token of usable) {
    if (token !== 'websocket' && 'websocket'.startsWith(token)) {
      notes.check(place, `httpd takes a WebSocket here as well, since its name begins with ${token}; here names are compared as a whole`)
    }
  }
  if (usable.length < tokens.length) notes.error(place, `not translated: upgrade=${shorten(text)}; HTTP and TLS are never tunnelled`)
  return usable.length === 0 ? undefined : usable
}

/**
 * Returns `timeout` for forwards, and `idleTimeout` for tunnels. In httpd one value serves for both, and a tunnel ends after the longer of
 * `Timeout` and the upstream's; in the legacy mode it never does.
 */
export function timeoutOptions (plain: Hit | undefined, webSocket: Hit | undefined, settings: Settings, tunnels: boolean, notes: Notes): CommonOptions {
  const { proxyTimeoutSeconds, timeoutSeconds, idleTimeoutMs, async, asyncDelayMs, fallbackToHttp } = settings
  const secondsOf = (hit: Hit | undefined): number | undefined => {
    const own = hit?.worker?.parameters.get('timeout')
    return (own === undefined ? undefined : wholeSeconds(own, 'timeout=', hit?.worker ?? noPlace, notes)) ?? proxyTimeoutSeconds ?? timeoutSeconds
  }
  const options: CommonOptions = {}
  const seconds = secondsOf(plain ?? webSocket)
  if (seconds !== undefined) options.timeout = duration(seconds * 1000)
  if (!tunnels) return options
  const tunnelSeconds = secondsOf(webSocket ?? plain)
  const legacy = fallbackToHttp === false
  if (idleTimeoutMs !== undefined) options.idleTimeout = duration(idleTimeoutMs)
  else if (tunnelSeconds !== undefined && !legacy) options.idleTimeout = duration(Math.max(timeoutSeconds ?? 60, tunnelSeconds) * 1000)
  if (async === false) options.async = false
  if (asyncDelayMs !== undefined && asyncDelayMs > 0) options.asyncDelay = duration(asyncDelayMs)
  return options
}

const noPlace: Place = { line: 1, directive: '' }

/** Returns the options for the connection and the head of a request. */
export function connectionOptions ({ worker }: Hit, { preserveHost, addHeaders, via, disableReuse }: Settings, notes: Notes): CommonOptions {
  const options: CommonOptions = {}
  if (preserveHost === true) options.preserveHost = true
  if (addHeaders === false) options.forwarded = false
  if (via !== undefined && via !== 'off') options.via = via
  const parameters = worker?.parameters ?? noParameters
  const place = worker ?? noPlace
  const connect = parameters.get('connectiontimeout')
  const ms = connect === undefined ? undefined : timeWithUnit(connect, 's', 'connectiontimeout=', place, notes)
  if (ms !== undefined) options.connectTimeout = duration(ms)
  if (disableReuse === true || onOff(parameters.get('disablereuse')) === true) options.disableReuse = true
  const limits: Record<string, number> = {}
  const most = wholeNumber(parameters.get('max'))
  if (most !== undefined) {
    limits.maxConnectionsPerUpstream = most
    notes.check(place, 'max= is counted for each process of httpd, and here for the whole server')
  }
  const head = wholeNumber(parameters.get('responsefieldsize'))
  if (head !== undefined && head * 2 > 16_384) limits.maxResponseHead = head * 2
  return Object.keys(limits).length === 0 ? options : { ...options, limits }
}

export function wholeNumber (text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) && Number(text) > 0 ? Number(text) : undefined
}

/** Returns the TLS options of an upstream: it is verified, unless the configuration disables that. */
export function tlsOptions (rules: readonly Rule[], settings: Settings, notes: Notes): CommonOptions {
  const { tlsEngine, tlsVerify, tlsMinVersion } = settings
  const checked = checkedWithoutVerification(settings)
  for (const rule of rules) {
    if (tlsEngine !== true) notes.check(rule, 'httpd answers 500 here, since SSLProxyEngine is not On; this translation proxies')
    else if (tlsVerify === undefined) {
      notes.check(
        rule,
        "the upstream's certificate is verified here, and in httpd only with SSLProxyVerify require; set tls.ca if no public authority issued it"
      )
    } else if (tlsVerify === 'none' && checked.length > 0) {
      notes.check(
        rule,
        `httpd answers 500 here if the upstream's certificate ${checked.join(' or ')}, even with SSLProxyVerify none; this translation verifies nothing`
      )
    }
    if (tlsVerify === 'require' && !checksName(settings)) notes.check(rule, "the name in the upstream's certificate is verified here, and in httpd it is not")
  }
  const tls = { ...tlsVerify === 'none' ? { rejectUnauthorized: false } : {}, ...tlsMinVersion === undefined ? {} : { minVersion: tlsMinVersion } }
  return Object.keys(tls).length === 0 ? {} : { tls }
}

/** Returns the faults of a certificate for which httpd refuses it, whatever SSLProxyVerify says. */
function checkedWithoutVerification (settings: Settings): string[] {
  return [...checksName(settings) ? ['is for another name'] : [], ...settings.tlsCheckExpiry === false ? [] : ['has expired']]
}

/** Returns true if httpd compares the name. SSLProxyCheckPeerCN Off disables that too, unless SSLProxyCheckPeerName is On. */
function checksName ({ tlsCheckName, tlsCheckCn }: Settings): boolean {
  return tlsCheckName === false ? tlsCheckCn === true : tlsCheckName === true || tlsCheckCn !== false
}
