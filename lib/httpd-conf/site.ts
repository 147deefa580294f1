/** A server as it serves: a virtual host with what it inherits from the main server, and its rules in the order in which httpd tries them. */
import { mergeSettings } from './settings.ts'
import type { Balancer, Reverse, Rule, Scope, Server, Settings } from './model.ts'
import { shorten, type Notes } from './notes.ts'
import { coveringPrefixes, covers } from './paths.ts'
import { isWebSocket, urlOf, type Target } from './target.ts'
import { Workers, type Worker } from './workers.ts'

export interface Site {
  readonly server: Server
  readonly settings: Settings
  readonly scopes: readonly Scope[]
  /** The rules; the first that takes a request decides. */
  readonly rules: readonly Rule[]
  readonly reverses: readonly Reverse[]
  readonly balancers: ReadonlyMap<string, Balancer>
  readonly workers: Workers
}

/** A rule, and its target for the paths below a prefix. */
export interface Hit {
  readonly rule: Rule
  /** The target; `false`: not proxied. */
  readonly target: Target | false
  readonly worker: Worker | undefined
}

/** The rules that take the requests below a prefix. */
export interface Outcome {
  readonly plain: Hit | undefined
  readonly webSocket: Hit | undefined
}

/** Merges the balancers; of two with one name, the main server's stays. */
function mergeBalancers (main: Server, server: Server, notes: Notes): Map<string, Balancer> {
  const merged = new Map([...server.balancers, ...[...main.balancers].filter(([, { members }]) => members.length > 0)])
  for (const balancer of server.balancers.values()) {
    const used = merged.get(balancer.name)
    if (used === balancer || used === undefined) continue
    for (const member of balancer.members) notes.check(member, `has no effect: the balancer of this name in line ${used.line}, of the main server, is used`)
    if (balancer.parameters.size > 0) {
      notes.check(balancer, `httpd ignores the parameters here, and so does this translation: the balancer of this name in line ${used.line} is used`)
    }
  }
  return merged
}

export function siteOf (main: Server, server: Server, notes: Notes): Site {
  const inherited = server === main ? [] : [main]
  const all = [...inherited, server]
  const passes = all.flatMap(({ passes }) => passes)
  const locations = all.flatMap(({ locations }) => locations).reverse()
  const rest = [...locations, ...passes]
  return {
    server,
    settings: mergeSettings(main.settings, server === main ? {} : server.settings),
    scopes: all.flatMap(({ scopes }) => scopes),
    rules: [...rest.filter(({ first }) => first), ...server.rewrites, ...rest.filter(({ first }) => !first)],
    reverses: all.flatMap(({ reverses }) => reverses),
    balancers: server === main ? main.balancers : mergeBalancers(main, server, notes),
    workers: Workers.merged(main.workers, server.workers)
  }
}

/** Finds the outcome for each prefix, without trying all rules each time. */
export class Judge {
  readonly #site: Site
  readonly #rules = new Map<string, { rule: Rule, order: number }[]>()
  readonly #scopes = new Map<string, { settings: Settings, order: number }[]>()

  constructor (site: Site) {
    this.#site = site
    site.rules.forEach((rule, order) => push(this.#rules, rule.at, { rule, order }))
    site.scopes.forEach(({ path, settings }, order) => push(this.#scopes, path, { settings, order }))
  }

  /** Returns the settings for requests below a prefix. */
  settingsAt (path: string): Settings {
    return this.#covering(this.#scopes, path).reduce((outer, { settings }) => mergeSettings(outer, settings), this.#site.settings)
  }

  /** Returns the outcome for requests below a prefix, except those below a longer one of `cutPoints`. */
  outcomeAt (path: string): Outcome {
    const skipsPlain = this.settingsAt(path).fallbackToHttp === false
    let plain: Hit | undefined
    let webSocket: Hit | undefined
    let plainStopped = false
    let webSocketStopped = false
    for (const { rule } of this.#covering(this.#rules, path)) {
      const { takes, target, kind, except } = rule
      if (except.some((prefix) => covers(prefix, path))) continue
      if (target === 'last') {
        plainStopped ||= takes.plain
        webSocketStopped ||= takes.webSocket
        continue
      }
      // Without fallback such a target takes no plain request. The next line of ProxyPass may take it; after a rewrite rule, no line does.
      const skipped = skipsPlain && target !== false && isWebSocket(target)
      if (plain === undefined && takes.plain && !(skipped && kind !== 'rewrite') && !(plainStopped && kind === 'rewrite')) {
        plain = this.#hit(rule, skipped ? false : target, path)
      }
      if (webSocket === undefined && takes.webSocket && !(webSocketStopped && kind === 'rewrite')) webSocket = this.#hit(rule, target, path)
      if (plain !== undefined && webSocket !== undefined) break
    }
    return { plain, webSocket }
  }

  #hit (rule: Rule, target: Target | false, path: string): Hit {
    if (target === false) return { rule, target, worker: undefined }
    const mapped = { ...target, path: mapPath(rule.from, target.path, path) }
    const url = urlOf(mapped)
    return { rule, target: mapped, worker: target.scheme === 'balancer' ? undefined : this.#site.workers.find(url.endsWith('/') ? url : `${url}/`) }
  }

  #covering<T extends { order: number }> (byPath: ReadonlyMap<string, T[]>, path: string): T[] {
    return coveringPrefixes(path).flatMap((prefix) => byPath.get(prefix) ?? []).sort((a, b) => a.order - b.order)
  }
}

function push<T> (map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

/** Returns a longer prefix with its beginning `from` replaced by `to`. */
export function mapPath (from: string, to: string, path: string): string {
  return (to === '' && from.endsWith('/') ? '/' : to) + path.slice(from.length)
}

/** Returns the prefixes at which the outcome may change: those of rules, exceptions and settings, and those that belong to a worker's URL. */
export function cutPoints (site: Site, notes: Notes): string[] {
  const points = new Set<string>()
  for (const { at, except } of site.rules) for (const path of [at, ...except]) points.add(path)
  for (const { path } of site.scopes) if (site.rules.some(({ at }) => covers(at, path))) points.add(path)
  const workers = [...site.workers]
  if (workers.some(({ parameters }) => parameters.size > 0)) {
    for (const rule of site.rules) {
      const { target, at, from } = rule
      if (typeof target !== 'object' || target.scheme === 'balancer') continue
      const base = urlOf({ ...target, path: mapPath(from, target.path, at) })
      for (const worker of workers) {
        if (worker.url.length <= base.length || !worker.url.startsWith(base)) continue
        const path = at + worker.url.slice(base.length)
        if (!covers(at, path)) continue
        points.add(path)
        // Such a URL belongs to this worker in httpd, and to the next shorter one here.
        const shorter = site.workers.find(worker.url.slice(0, -1))
        if (worker.parameters.get('upgrade') !== shorter?.parameters.get('upgrade') && !worker.url.endsWith('/')) {
          notes.check(worker, 'in httpd the worker of this line, with its parameters, also serves URLs that go on without a slash, ' +
            `such as that of ${shorten(path)}x by line ${rule.line}; here it does not`)
        }
      }
    }
  }
  return [...points]
}
