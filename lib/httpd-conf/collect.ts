/** Walks the tree of a configuration, and sorts its directives by server and place. */
import { readRouteCookie } from './balancers.ts'
import { resolveConditional } from './conditional.ts'
import { isContainer, isGuard, noteContainer, noteGuards, noteOther } from './directives.ts'
import type { Rule, Scope, Server, Settings } from './model.ts'
import { shorten, type Notes, type Place } from './notes.ts'
import { isPlainPath } from './paths.ts'
import { asPrefix } from './patterns.ts'
import { readMember, readProxyPass, readProxySet, readReverse, type Within } from './proxy-lines.ts'
import { readRule } from './rewrite.ts'
import { variableIn, type Node } from './sections.ts'
import { isSetting, readSetting } from './settings.ts'
import { Workers } from './workers.ts'

/** The contents of a whole configuration. */
export interface Collected {
  readonly main: Server
  readonly virtualHosts: Server[]
  readonly listen: { host?: string, port: number }[]
  /** The lines of `listen`. */
  readonly listenLines: { place: Place, port: number }[]
}

export function newServer (place: Place, addresses: readonly string[] = []): Server {
  const settings: Settings = {}
  return {
    line: place.line,
    directive: place.directive,
    addresses,
    names: [],
    settings,
    scopes: [],
    rewrites: [],
    locations: [],
    passes: [],
    reverses: [],
    balancers: new Map(),
    workers: new Workers(),
    routeCookies: [],
    rewriteEngine: undefined,
    secure: false,
    serverName: undefined
  }
}

/** The directives whose values count, besides the settings and the rewrite rules. */
const translated: ReadonlySet<string> = new Set([
  'rewriteengine', 'rewriteoptions', 'proxyrequests', 'sslengine', 'listen', 'servername', 'serveralias', 'proxypass', 'proxypassmatch',
  'proxypassreverse', 'proxypassreversecookiepath', 'proxypassreversecookiedomain', 'balancermember', 'proxyset', 'location', 'locationmatch', 'proxy',
  'proxymatch'
])

/** Collects the directives in one walk through the tree. */
export class Collector {
  readonly #notes: Notes
  readonly #collected: Collected = { main: newServer({ line: 1, directive: '' }), virtualHosts: [], listen: [], listenLines: [] }

  constructor (notes: Notes) {
    this.#notes = notes
  }

  collect (nodes: readonly Node[]): Collected {
    this.#server(nodes, this.#collected.main)
    return this.#collected
  }

  #server (nodes: readonly Node[], server: Server): void {
    const all = this.#resolve(nodes)
    noteGuards(all, this.#notes)
    const engine = all.findLast(({ name }) => name === 'rewriteengine')
    if (engine !== undefined) server.rewriteEngine = /^on$/i.test(engine.words[0] ?? '')
    for (const node of all) {
      if (node.children !== undefined) this.#section(node, node.children, server)
      else if (!isGuard(node) && !isRewrite(node)) this.#directive(node, server)
    }
    this.#rewrites(all.filter(isRewrite), server)
  }

  /** Returns the nodes that hold, without those that contain a variable: the text does not have its value. */
  #resolve (nodes: readonly Node[]): Node[] {
    return resolveConditional(nodes, this.#notes).filter((node) => {
      const variable = translated.has(node.name) || (isSetting(node) && node.name !== 'setenv') ? variableIn(node) : undefined
      if (variable === undefined) return true
      const whole = node.children === undefined ? '' : ', with everything in it'
      this.#notes.error(node, `not translated${whole}: the variable ${shorten(variable)}; write its value in its place`)
      return false
    })
  }

  #section (node: Node, children: readonly Node[], server: Server): void {
    const notes = this.#notes
    const [first = '', second = ''] = node.words
    switch (node.name) {
      case 'virtualhost': {
        if (server !== this.#collected.main) notes.error(node, 'not translated: a virtual host within another')
        else {
          const host = newServer(node, node.words)
          const variable = variableIn(node)
          if (variable !== undefined) notes.check(node, `the variable ${shorten(variable)} is taken for an address of its own; write its value in its place`)
          this.#collected.virtualHosts.push(host)
          this.#server(children, host)
        }
        return
      }
      case 'location':
      case 'locationmatch':
        this.#location(node, children, { text: first === '~' ? second : first, isExpression: node.name === 'locationmatch' || first === '~' }, server)
        return
      case 'proxy':
      case 'proxymatch':
        this.#proxy(children, first, node.name === 'proxymatch' || first === '~' || /[*?]/.test(first) ? undefined : first, server)
        return
      case 'directory':
      case 'directorymatch':
      case 'files':
      case 'filesmatch':
        this.#files(node, children)
        return
      default:
        notes.error(node, 'not translated, with everything in it')
    }
  }

  /** Sections for files do not affect what is proxied, unless they contain such a directive. */
  #files (node: Node, children: readonly Node[]): void {
    const rewrites = resolveConditional(children, this.#notes)
      .find(({ name, words }) => /^(rewriterule|proxypass|proxypassmatch|sethandler)$/.test(name) && !/^none$/i.test(words[0] ?? ''))
    if (rewrites === undefined) this.#notes.info(node, 'files are not served here; use @fastify/static')
    else this.#notes.error(rewrites, 'not translated: in a section for files')
  }

  #proxy (nodes: readonly Node[], url: string, named: string | undefined, server: Server): void {
    const all = this.#resolve(nodes)
    noteGuards(all, this.#notes)
    for (const node of all) {
      if (isGuard(node)) continue
      if (isContainer(node)) noteContainer(node, this.#notes)
      else if (node.children === undefined && named !== undefined && node.name === 'balancermember') readMember(node, named, server, this.#notes)
      else if (node.children === undefined && named !== undefined && node.name === 'proxyset') readProxySet(node, named, server, this.#notes)
      else if (node.children !== undefined || isSetting(node)) this.#notes.error(node, `not translated: within <Proxy ${shorten(url)}>`)
      else noteOther(node, this.#notes)
    }
  }

  #location (section: Node, nodes: readonly Node[], within: Within, server: Server): void {
    const notes = this.#notes
    const all = this.#resolve(nodes)
    noteGuards(all, notes)
    const settings: Settings = {}
    let rule: Rule | undefined
    for (const node of all) {
      if (isGuard(node)) continue
      if (node.children !== undefined) {
        if (isContainer(node)) noteContainer(node, notes)
        else notes.error(node, 'not translated: within a section, with everything in it')
      } else if (node.name === 'proxypass' || node.name === 'proxypassmatch') {
        const next = readProxyPass(node, within, server, notes)
        if (rule !== undefined && next !== undefined) notes.check(rule, `has no effect: line ${next.line} replaces it`)
        rule = next ?? rule
      } else if (/^rewrite/.test(node.name)) this.#rewriteWithin(node)
      else if (node.name === 'sethandler' && /^none$/i.test(node.words[0] ?? '')) continue
      else if (!readReverse(node, within, server, notes) && !readSetting(node, settings, notes)) noteOther(node, notes)
    }
    if (rule !== undefined) server.locations.push(rule)
    const scope = Object.keys(settings).length === 0 ? undefined : this.#scope(section, within, settings)
    if (scope !== undefined) server.scopes.push(scope)
  }

  #rewriteWithin (node: Node): void {
    if (node.name !== 'rewriterule') this.#notes.info(node, 'belongs to the rewrite rules of its section, which are not translated')
    else this.#notes.error(node, 'not translated: a rewrite rule within a section; move it outside, with the whole path in its pattern')
  }

  #scope (section: Node, { text, isExpression }: Within, settings: Settings): Scope | undefined {
    const prefix = isExpression ? asPrefix(text) : { path: text, cautions: [] }
    if (typeof prefix === 'string' || !isPlainPath(prefix.path)) {
      const why = typeof prefix === 'string' ? prefix : `the path ${shorten(prefix.path)}, which the option path does not take`
      this.#notes.error(section, `not translated, with the settings in it: ${why}`)
      return undefined
    }
    for (const caution of prefix.cautions) this.#notes.check(section, caution)
    return { path: prefix.path, settings }
  }

  #directive (node: Node, server: Server): void {
    const notes = this.#notes
    const { name, words } = node
    switch (name) {
      case 'listen': this.#listen(node); return
      case 'servername': server.serverName = words[0]; return
      case 'serveralias': server.names.push(...words); return
      case 'proxypass':
      case 'proxypassmatch': {
        const rule = readProxyPass(node, undefined, server, notes)
        if (rule !== undefined) server.passes.push(rule)
        return
      }
      case 'balancermember': readMember(node, undefined, server, notes); return
      case 'proxyset': readProxySet(node, undefined, server, notes); return
      case 'rewriteengine': return
      case 'header': {
        const cookie = readRouteCookie(words, node)
        if (cookie === undefined) break
        server.routeCookies.push(cookie)
        return
      }
      case 'proxyrequests':
        if (/^on$/i.test(words[0] ?? '')) notes.error(node, 'not translated: this is not a forward proxy')
        return
      case 'sslengine': server.secure = !/^off$/i.test(words[0] ?? ''); break
      case 'rewriteoptions':
        if (words.some((word) => !/^(allow(noslash|anyuri)|mergebase|longurloptimization|legacyprefixdocroot|unsafe(allow3f|prefixstat))$/i.test(word))) {
          notes.error(node, 'not translated: rules that another server inherits; copy them')
        }
        return
    }
    if (readReverse(node, undefined, server, notes) || readSetting(node, server.settings, notes)) return
    noteOther(node, notes)
  }

  #listen (node: Node): void {
    const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(node.words[0] ?? '')
    const port = Number(match?.[3])
    if (match === null || port > 65_535) this.#notes.error(node, `not translated: ${shorten(node.words[0] ?? '')}, which is not a port`)
    else {
      const host = match[1] ?? match[2]
      this.#collected.listenLines.push({ place: node, port })
      this.#collected.listen.push(host === undefined || host === '*' ? { port } : { host, port })
    }
  }

  #rewrites (nodes: readonly Node[], server: Server): void {
    let conditions: Node[] = []
    for (const node of nodes) {
      if (node.name === 'rewritecond') conditions.push(node)
      else {
        if (server.rewriteEngine === true || (server.rewriteEngine === undefined && this.#collected.main.rewriteEngine === true)) {
          server.rewrites.push(...readRule(node, conditions, this.#notes))
        } else this.#notes.check(node, 'has no effect: RewriteEngine is not On')
        conditions = []
      }
    }
    for (const node of conditions) this.#notes.info(node, 'has no effect: no RewriteRule follows it')
  }
}

function isRewrite ({ name, children }: Node): boolean {
  return children === undefined && (name === 'rewritecond' || name === 'rewriterule')
}
