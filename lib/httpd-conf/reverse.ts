/** Translates ProxyPassReverse and its cookie directives to the option `reverse` of the entries that they apply to. */
import type { Reverse } from './model.ts'
import type { Notes, Place } from './notes.ts'
import { covers } from './paths.ts'
import { mapPath, type Site } from './site.ts'
import { isSameServer, parseTarget, type Target } from './target.ts'

export type ReverseOption = false | { location: false | 'absolute', cookiePath: boolean, cookieDomain: boolean }

export class Reverses {
  readonly #site: Site
  readonly #notes: Notes
  readonly #used = new Set<Reverse>()
  readonly #lines: readonly { reverse: Reverse, target: Target | undefined }[]

  constructor (site: Site, notes: Notes) {
    this.#site = site
    this.#notes = notes
    this.#lines = site.reverses.map((reverse) => {
      const target = reverse.kind === 'location' ? parseTarget(reverse.inside) : ''
      return { reverse, target: typeof target === 'string' ? undefined : target }
    })
  }

  /** Returns the option of an entry, made by the line at `place`. httpd does not change a Location without an authority. */
  of (path: string, target: Target, place: Place): ReverseOption {
    const found = { location: false, cookiePath: false, cookieDomain: false }
    for (const { reverse, target: url } of this.#lines) {
      if (!covers(reverse.within, path) || !this.#isFor(reverse, url, path, target)) continue
      this.#used.add(reverse)
      found[reverse.kind] = true
    }
    const { location, cookiePath, cookieDomain } = found
    const maps = (each: { reverse: Reverse, target: Target | undefined }): boolean =>
      each.target !== undefined && isSameServer(each.target, target) && covers(each.reverse.within, path)
    const other = location ? undefined : this.#lines.find(maps)
    if (other !== undefined) {
      const { line } = other.reverse
      this.#notes.check(place, `httpd changes redirects of this upstream by line ${line}, which is not for this target; here they stay as they are`)
    }
    return location || cookiePath || cookieDomain ? { location: location ? 'absolute' : false, cookiePath, cookieDomain } : false
  }

  #isFor (reverse: Reverse, url: Target | undefined, path: string, target: Target): boolean {
    const { inside, outside } = reverse
    if (reverse.kind === 'cookiePath') return inside !== outside && isEqual(inside, target.path) && isEqual(outside, path)
    if (reverse.kind === 'cookieDomain') return inside.toLowerCase() === target.authority.replace(/:\d*$/, '')
    if (url === undefined || !isSameServer(url, target)) return false
    if (path.startsWith(outside)) return isEqual(mapPath(outside, url.path, path), target.path)
    return outside.startsWith(path) && isEqual(mapPath(path, target.path, outside), url.path)
  }

  /** Notes the lines that apply to no entry. */
  noteUnused (): void {
    const { serverName, names } = this.#site.server
    const own = [serverName, ...names].map((name) => name?.toLowerCase())
    for (const { reverse } of this.#lines) {
      const { kind, inside, outside } = reverse
      if (this.#used.has(reverse)) {
        if (kind === 'cookieDomain' && !own.includes(outside.toLowerCase())) {
          this.#notes.check(reverse, 'here Domain is removed from the cookie, which makes it a cookie of the host that the client asked for')
        }
        if (kind === 'cookiePath' && inside === '/') {
          this.#notes.check(reverse, 'here Path=/ stays, so that other routes can share the cookie; only longer paths get the prefix')
        }
      } else if (inside !== outside) {
        this.#notes.check(reverse, 'not translated: its URL is not that of the upstream for its path; use rewriteHeaders if responses name it')
      }
    }
  }
}

function isEqual (a: string, b: string): boolean {
  return a.replace(/\/+$/, '') === b.replace(/\/+$/, '')
}
