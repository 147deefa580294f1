/** Makes the table's entries from the outcomes of a site: options that send the same requests to the same places. */
import type { RouteOptions } from '../index.ts'
import { HeaderFunctions } from './header-functions.ts'
import type { Rule, Settings } from './model.ts'
import type { Notes } from './notes.ts'
import { coveringPrefixes } from './paths.ts'
import { Reverses } from './reverse.ts'
import { cutPoints, Judge, mapPath, type Hit, type Outcome, type Site } from './site.ts'
import { connectionOptions, timeoutOptions, tlsOptions, upgradeOf, type Upgrade } from './route-options.ts'
import { isSameServer, isSecure, isWebSocket, urlOf, type Target } from './target.ts'

export type EntryOptions = RouteOptions & { path: string }

export interface Entry {
  readonly options: EntryOptions
  /** The lines from which the entry was made. */
  readonly lines: readonly number[]
}

interface Draft {
  readonly path: string
  readonly target: Target | false
  readonly options: Omit<EntryOptions, 'path' | 'upstream'>
  readonly lines: readonly number[]
}

/** Makes the table of a site. Longer prefixes come first, so that the first entry that covers a path decides. */
export class TableMaker {
  readonly #site: Site
  readonly #judge: Judge
  readonly #notes: Notes
  readonly #reverses: Reverses
  readonly #functions = new HeaderFunctions()
  readonly used: Set<Rule> = new Set()

  constructor (site: Site, notes: Notes) {
    this.#site = site
    this.#judge = new Judge(site)
    this.#notes = notes
    this.#reverses = new Reverses(site, notes)
  }

  make (): Entry[] {
    const points = new Set(cutPoints(this.#site, this.#notes))
    const drafts = new Map<string, Draft[]>()
    const kept: Draft[] = []
    for (const path of [...points].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))) {
      const parent = drafts.get(coveringPrefixes(path).slice(0, -1).findLast((prefix) => drafts.has(prefix)) ?? '')
      const own = this.#drafts(path, parent ?? [])
      drafts.set(path, own)
      if (!isSame(own, parent ?? [], path)) kept.push(...own)
    }
    kept.sort((a, b) => b.path.length - a.path.length) // stable: two entries with one path stay in order
    this.#reverses.noteUnused()
    return kept.map(({ path, target, options, lines }) => ({ lines, options: { path, upstream: target === false ? false : urlOf(target), ...options } }))
  }

  #drafts (path: string, parent: readonly Draft[]): Draft[] {
    const outcome = this.#judge.outcomeAt(path)
    const settings = this.#judge.settingsAt(path)
    const { plain, webSocket } = outcome
    for (const hit of [plain, webSocket]) if (hit !== undefined) this.used.add(hit.rule)
    const lines = new Set([plain, webSocket].flatMap((hit) => hit === undefined ? [] : [hit.rule.line]))
    const excluded: Draft = { path, target: false, options: {}, lines: [...lines] }
    const takesPlain = plain !== undefined && plain.target !== false && this.#exists(plain)
    const takesWebSocket = webSocket !== undefined && webSocket.target !== false && this.#exists(webSocket)
    const drafts = takesPlain && takesWebSocket
      ? this.#both(path, plain, webSocket, settings)
      : takesWebSocket ? this.#webSocketOnly(path, webSocket, settings) : takesPlain ? this.#plainOnly(path, plain, outcome, settings) : []
    // Requests that no rule takes here must not go to an entry for a shorter prefix.
    return !takesPlain && parent.some(({ target }) => target !== false) ? [...drafts, excluded] : drafts.length === 0 && parent.length > 0 ? [excluded] : drafts
  }

  /** Returns true if the target's balancer exists. */
  #exists ({ target, rule }: Hit): boolean {
    if (target === false || target.scheme !== 'balancer' || (this.#site.balancers.get(target.authority)?.members.length ?? 0) > 0) return true
    this.#notes.error(rule, `not translated: there is no balancer ${target.authority} with members`)
    return false
  }

  #both (path: string, plain: Hit, webSocket: Hit, settings: Settings): Draft[] {
    const [to, wsTo] = [plain.target as Target, webSocket.target as Target]
    const upgrade = upgradeOf(webSocket, this.#site, this.#notes)
    const raw = settings.fallbackToHttp === false && this.#isWebSocket(wsTo)
    if (plain.rule === webSocket.rule && !raw) {
      const options = { ...this.#written(to, upgrade), ...this.#options(plain, webSocket, settings, upgrade !== undefined) }
      return [this.#draft(path, to, options, [plain])]
    }
    if (isSameServer(to, wsTo) && to.path === wsTo.path && !raw) {
      const own = isWebSocket(to) ? this.#written(to, upgrade) : upgrade === undefined ? {} : { upgrade: written(upgrade) }
      const options = { ...own, ...this.#options(plain, webSocket, settings, upgrade !== undefined) }
      return [this.#draft(path, upgrade === undefined ? asHttp(to) : to, options, [webSocket, plain])]
    }
    return [...this.#webSocketOnly(path, webSocket, settings), ...this.#plainOnly(path, plain, { plain, webSocket }, settings)]
  }

  /** Returns an entry that takes upgrades and leaves all other requests to the next one. */
  #webSocketOnly (path: string, hit: Hit, settings: Settings): Draft[] {
    const target = hit.target as Target
    const upgrade = upgradeOf(hit, this.#site, this.#notes)
    if (upgrade === undefined || (target.scheme === 'balancer' && !this.#isWebSocket(target))) {
      this.#notes.check(hit.rule, 'httpd forwards WebSocket handshakes as plain requests by this line; this translation has no entry for them')
      return []
    }
    const as = asWebSocket(target)
    const options = { ...this.#written(as, upgrade), fallbackToHttp: false, ...this.#options(undefined, hit, settings, true) }
    return [this.#draft(path, as, options, [hit])]
  }

  #plainOnly (path: string, hit: Hit, { webSocket }: Outcome, settings: Settings): Draft[] {
    const target = hit.target as Target
    if (webSocket?.target === undefined || webSocket.target === false) {
      this.#notes.check(hit.rule, `httpd does not forward WebSocket handshakes below ${path} by this line; this translation does`)
    }
    const upgrade = upgradeOf(hit, this.#site, this.#notes)
    return [this.#draft(path, target, { ...this.#written(target, upgrade), ...this.#options(hit, undefined, settings, upgrade !== undefined) }, [hit])]
  }

  #isWebSocket (target: Target): boolean {
    if (target.scheme !== 'balancer') return isWebSocket(target)
    return /^(unix:[^|]*\|)?wss?:/.test(this.#site.balancers.get(target.authority)?.members[0]?.url ?? '')
  }

  /** Returns the option `upgrade`, if the scheme does not imply it. */
  #written (target: Target, upgrade: Upgrade | undefined): { upgrade?: string | string[] } {
    if (upgrade === undefined) return {}
    const text = written(upgrade)
    return text === 'websocket' && this.#isWebSocket(target) ? {} : { upgrade: text }
  }

  /** Returns the options of an entry without its target and protocols. */
  #options (plain: Hit | undefined, webSocket: Hit | undefined, settings: Settings, upgrades: boolean): Draft['options'] {
    const hit = plain ?? webSocket as Hit
    const target = hit.target as Target
    const members = target.scheme === 'balancer' ? this.#site.balancers.get(target.authority)?.members ?? [] : []
    const secure = isSecure(target) || members.some(({ url }) => /(^|\|)(https|wss):/.test(url))
    return {
      ...timeoutOptions(plain, webSocket, settings, upgrades, this.#notes),
      ...connectionOptions(hit, settings, this.#notes),
      ...secure ? tlsOptions([plain, webSocket].flatMap((each) => each?.rule ?? []), settings, this.#notes) : {},
      ...this.#functions.of(settings),
    }
  }

  #draft (path: string, target: Target, options: Draft['options'], hits: readonly Hit[]): Draft {
    const lines = [...new Set(hits.map(({ rule }) => rule.line))]
    const { rule } = hits.at(-1) as Hit
    const reverse = options.fallbackToHttp === false ? {} : { reverse: this.#reverses.of(path, target, rule) }
    return { path, target, options: { ...options, ...reverse }, lines }
  }
}

function written (upgrade: Upgrade): string | string[] {
  return typeof upgrade === 'string' ? upgrade : upgrade.length === 1 ? upgrade[0] ?? '' : [...upgrade]
}

function asHttp (target: Target): Target {
  return isWebSocket(target) ? { ...target, scheme: isSecure(target) ? 'https' : 'http' } : target
}

function asWebSocket (target: Target): Target {
  return target.scheme === 'balancer' ? target : { ...target, scheme: isSecure(target) ? 'wss' : 'ws' }
}

/** Returns true if the entries of a shorter prefix do the same below this one. */
function isSame (own: readonly Draft[], parent: readonly Draft[], path: string): boolean {
  return own.length === parent.length && own.every((draft, i) => {
    const outer = parent[i] as Draft
    if (draft.target === false || outer.target === false) return draft.target === outer.target
    return urlOf(draft.target) === urlOf({ ...outer.target, path: mapPath(outer.path, outer.target.path, path) }) && keyOf(draft) === keyOf(outer)
  })
}

const numbers = new WeakMap<object, number>()
let numbersCount = 0

/** Returns options as a text for comparison; functions by identity. */
function keyOf ({ options }: Draft): string {
  return JSON.stringify(options, (_, value: unknown) => {
    if (typeof value !== 'function') return value
    const known = numbers.get(value) ?? numbersCount++
    numbers.set(value, known)
    return known
  })
}
