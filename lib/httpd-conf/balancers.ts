/** Translates `<Proxy balancer://name>` to the plugin's balancers. */
import type { BalancerOptions, HealthCheckOptions, MemberOptions, StickyCookie } from '../index.ts'
import type { Balancer, Member, RouteCookie } from './model.ts'
import { shorten, type Notes, type Place } from './notes.ts'
import { duration, onOff, timeWithUnit, wholeSeconds, type Parameters } from './parameters.ts'

/** Reads `Header add Set-Cookie "NAME=.%{BALANCER_WORKER_ROUTE}e; path=/" env=BALANCER_ROUTE_CHANGED`. */
export function readRouteCookie (words: readonly string[], { line, directive }: Place): RouteCookie | undefined {
  const match = /^\s*([^=;\s]+)=[^;]*%\{BALANCER_WORKER_ROUTE\}e([^%]*)$/i.exec(words.at(/^env=/i.test(words.at(-1) ?? '') ? -2 : -1) ?? '')
  if (match === null || !words.some((word) => /^set-cookie:?$/i.test(word))) return undefined
  const attributes: StickyCookie = {}
  for (const part of (match[2] ?? '').split(';').slice(1)) {
    const [name = '', value = ''] = part.trim().split('=', 2)
    const key = name.toLowerCase()
    if (key === 'path' && value.startsWith('/')) attributes.path = value
    else if (key === 'domain') attributes.domain = value
    else if (key === 'secure') attributes.secure = true
    else if (key === 'samesite' && /^(lax|strict|none)$/i.test(value)) attributes.sameSite = value.toLowerCase() as 'lax' | 'strict' | 'none'
    else if (key === 'max-age' && /^[1-9]\d{0,9}$/.test(value)) attributes.maxAge = Number(value)
  }
  return { line, directive, cookie: match[1] ?? '', attributes }
}

/** Returns a balancer's options; `undefined` if no member is left. */
export function balancerOptions (balancer: Balancer, cookies: readonly RouteCookie[], notes: Notes): BalancerOptions | undefined {
  const { parameters } = balancer
  const members = uniqueMembers(balancer, notes)
  if (members.length === 0) return undefined
  const options: BalancerOptions = { lbMethod: lbMethod(balancer, notes), members: members.map((member) => memberOptions(member, notes)), forceRecovery: true }
  const sticky = parameters.get('stickysession')
  if (sticky !== undefined && sticky !== '') {
    options.stickySession = sticky
    const cookie = cookies.find((each) => each.cookie === sticky.split('|')[0])
    if (cookie !== undefined) options.stickyCookie = cookie.attributes
  }
  const separator = parameters.get('stickysessionsep')
  if (separator !== undefined && separator !== '') options.stickySessionSep = separator
  if (onOff(parameters.get('nofailover')) === true) options.noFailover = true
  if (onOff(parameters.get('failontimeout')) === true) options.failOnTimeout = true
  if (onOff(parameters.get('forcerecovery')) === false) options.forceRecovery = false
  const attempts = parameters.get('maxattempts')
  if (attempts !== undefined && /^\d{1,4}$/.test(attempts)) options.maxAttempts = Number(attempts)
  const statuses = parameters.get('failonstatus')?.split(',').map(Number).filter((status) => Number.isInteger(status) && status >= 100 && status <= 599)
  if (statuses !== undefined && statuses.length > 0) options.failOnStatus = statuses
  if (parameters.has('timeout')) notes.info(balancer, 'timeout= of a balancer, which waits for a usable member, has no effect here')
  dropRedirects(members, options, notes)
  setRetry(balancer, members, options, notes)
  setHealthCheck(balancer, members, options, notes)
  return options
}

/** Returns members with different URLs, all of them ws and wss, or all of them http and https. */
function uniqueMembers ({ members }: Balancer, notes: Notes): Member[] {
  const kept: Member[] = []
  const [urls, routes] = [new Set<string>(), new Set<string>()]
  for (const member of members) {
    const route = member.parameters.get('route')
    if (urls.has(canonical(member.url))) notes.check(member, 'has no effect: the balancer already has this member')
    else if (route !== undefined && routes.has(route)) notes.error(member, `not translated: another member has the route ${shorten(route)}`)
    else if (kept[0] !== undefined && isWebSocketUrl(kept[0].url) !== isWebSocketUrl(member.url)) {
      notes.error(member, 'not translated: ws: and http: members in one balancer')
    } else {
      kept.push(member)
      urls.add(canonical(member.url))
      if (route !== undefined) routes.add(route)
    }
  }
  return kept
}

/** Returns a URL in one form: `http://a` and `http://a/` are equal. */
function canonical (url: string): string {
  return url.replace(/^(unix:[^|]*\|)?(.*)$/s, (_, socket: string | undefined, rest: string) => `${socket ?? ''}${new URL(rest).href}`)
}

function isWebSocketUrl (url: string): boolean {
  return /(^|\|)wss?:/.test(url)
}

function lbMethod (balancer: Balancer, notes: Notes): 'byrequests' | 'bytraffic' | 'bybusyness' {
  const name = balancer.parameters.get('lbmethod') ?? 'byrequests'
  if (name === 'byrequests' || name === 'bytraffic' || name === 'bybusyness') return name
  notes.error(balancer, `not translated: lbmethod=${shorten(name)}; byrequests is used instead`)
  return 'byrequests'
}

function memberOptions (member: Member, notes: Notes): MemberOptions {
  const { url, parameters } = member
  const options: MemberOptions = { url }
  const factor = Number(parameters.get('loadfactor') ?? 1)
  if (!(factor >= 1 && factor <= 100)) notes.error(member, 'not translated: a loadfactor that is not between 1 and 100')
  else if (parameters.has('loadfactor')) options.loadFactor = factor
  const set = Number(parameters.get('lbset') ?? 0)
  if (Number.isInteger(set) && set > 0 && set <= 99) options.lbSet = set
  for (const name of ['route', 'redirect'] as const) {
    const value = parameters.get(name)
    if (value === undefined) continue
    if (/^[0-9A-Za-z_.~-]+$/.test(value)) options[name] = value
    else notes.error(member, `not translated: ${name}=${shorten(value)}, which is not allowed in a cookie`)
  }
  const status = parameters.get('status')
  if (status !== undefined) {
    const letters = status.replace(/[+-]?[EeCc]/g, '') // httpd sets these itself
    if (/^([+-]?[DSIRHN])*$/i.test(letters)) options.status = letters
    else notes.error(member, `not translated: status=${shorten(status)}`)
  }
  const max = parameters.get('max')
  if (max !== undefined && /^[1-9]\d{0,8}$/.test(max)) {
    options.max = Number(max)
    notes.check(member, 'max= is counted for each process of httpd, and here for the whole server')
  }
  setTimeouts(member, options, notes)
  return options
}

function setTimeouts (member: Member, options: MemberOptions, notes: Notes): void {
  const { parameters } = member
  const timeout = parameters.get('timeout')
  const seconds = timeout === undefined ? undefined : wholeSeconds(timeout, 'timeout=', member, notes)
  if (seconds !== undefined) options.timeout = duration(seconds * 1000)
  const connect = parameters.get('connectiontimeout')
  const ms = connect === undefined ? undefined : timeWithUnit(connect, 's', 'connectiontimeout=', member, notes)
  if (ms !== undefined) options.connectTimeout = duration(ms)
}

/** Drops redirects, unless they name the route of another member. */
function dropRedirects (members: readonly Member[], options: BalancerOptions, notes: Notes): void {
  const list = options.members as MemberOptions[]
  list.forEach((member, i) => {
    if (member.redirect === undefined || list.some((other) => other !== member && other.route === member.redirect)) return
    notes.error(members[i] as Member, `not translated: redirect=${shorten(member.redirect)}, which is the route of no other member`)
    delete member.redirect
  })
}

/** Sets the balancer's `retry`: in httpd each member has its own, here the balancer has one. */
function setRetry (balancer: Balancer, members: readonly Member[], options: BalancerOptions, notes: Notes): void {
  const texts = new Set(members.map(({ parameters }) => parameters.get('retry')))
  const [first] = texts
  if (texts.size > 1) notes.check(balancer, "retry= differs between the members; the first one's holds for all")
  if (first !== undefined && /^\d{1,6}$/.test(first)) options.retry = duration(Number(first) * 1000)
}

function setHealthCheck (balancer: Balancer, members: readonly Member[], options: BalancerOptions, notes: Notes): void {
  const [parameters] = members.map(({ parameters }) => parameters).filter((each) => each.has('hcmethod'))
  if (parameters === undefined) return
  const method = parameters.get('hcmethod')?.toUpperCase().replace(/11$/, '')
  if (method === 'NONE') return
  if (method !== 'TCP' && method !== 'GET' && method !== 'HEAD') {
    notes.error(balancer, `not translated: hcmethod=${shorten(method ?? '')}`)
    return
  }
  if (parameters.has('hcexpr') || parameters.has('hctemplate')) notes.error(balancer, 'not translated: hcexpr and hctemplate of a health check')
  options.healthCheck = { method, ...checkDetails(parameters, balancer, notes) }
}

function checkDetails (parameters: Parameters, balancer: Balancer, notes: Notes): HealthCheckOptions {
  const details: HealthCheckOptions = {}
  const uri = parameters.get('hcuri')
  if (uri?.startsWith('/') === true) details.uri = uri
  const interval = parameters.get('hcinterval')
  const ms = interval === undefined ? undefined : timeWithUnit(interval, 's', 'hcinterval=', balancer, notes)
  if (ms !== undefined && ms > 0) details.interval = duration(ms)
  for (const [name, key] of [['passes', 'hcpasses'], ['fails', 'hcfails']] as const) {
    const value = parameters.get(key)
    if (value !== undefined && /^[1-9]\d{0,4}$/.test(value)) details[name] = Number(value)
  }
  return details
}
