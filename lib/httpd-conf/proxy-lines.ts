/** ProxyPass, ProxyPassMatch, ProxyPassReverse and BalancerMember: the lines that name upstreams. */
import type { Balancer, Reverse, Rule, Server } from './model.ts'
import { shorten, type Notes } from './notes.ts'
import { readParameters } from './parameters.ts'
import { isPlainPath } from './paths.ts'
import { asMapping } from './patterns.ts'
import type { Node } from './sections.ts'
import { joinCautions, parseTarget, urlOf, type Target } from './target.ts'

/** The section around a line. */
export interface Within {
  /** The section's text: a prefix, or an expression. */
  readonly text: string
  readonly isExpression: boolean
}

/** Reads ProxyPass or ProxyPassMatch; returns `undefined` if it is refused. */
export function readProxyPass (node: Node, within: Within | undefined, server: Server, notes: Notes): Rule | undefined {
  const refuse = (why: string): undefined => notes.error(node, `not translated: ${why}`) as undefined
  const [source = '', url = '', ...words] = within === undefined ? node.words : [within.text, ...node.words]
  if (url === '') return refuse('the target is missing')
  const isExpression = node.name === 'proxypassmatch' || (within?.isExpression === true && hasWildcard(source))
  if (within?.isExpression === true && !isExpression && !source.startsWith('/')) {
    notes.check(
      node,
      `has no effect: httpd takes ${shorten(source)} for a plain path here, since there is no * or ? in it; ProxyPassMatch would take it for an expression`
    )
    return undefined
  }
  const excluded = url === '!'
  const common = {
    line: node.line,
    directive: node.directive,
    kind: within === undefined ? 'pass' as const : 'location' as const,
    takes: { plain: true, webSocket: true },
    except: []
  }
  const parameters = excluded ? new Map<string, string>() : readParameters(words, /^balancer:/i.test(url) ? 'balancer' : 'worker', node, notes)
  const first = /^(encoded|servlet)$/i.test(parameters.get('mapping') ?? '')
  if (first) {
    const given = shorten(parameters.get('mapping') ?? '')
    notes.check(node, `mapping=${given} is how paths are always matched here; as in httpd the line comes before all others`)
  }
  parameters.delete('mapping')
  if (!isExpression) {
    if (/[*?[\]]/.test(source)) return refuse(`the wildcard ${shorten(source)}`)
    if (!isPlainPath(source)) return refuse(`the path ${shorten(source)}, which the option path does not take`)
    if (excluded) return { ...common, at: source, from: source, target: false, first }
    const target = parseTarget(url)
    if (typeof target === 'string') return refuse(target)
    register(target, parameters, node, server, notes)
    for (const caution of joinCautions(source, target)) notes.check(node, caution)
    return { ...common, at: source, from: source, target, first }
  }
  const mapping = asMapping(source, excluded ? '' : url, true)
  if (typeof mapping === 'string') return refuse(mapping)
  if (!isPlainPath(mapping.path)) return refuse(`the path ${shorten(mapping.path)}, which the option path does not take`)
  const target = excluded ? false : parseTarget(mapping.target)
  if (typeof target === 'string') return refuse(target)
  // httpd compares the length of the URL with that of the worker's, in which the two characters of $1 count.
  if (parameters.has('upgrade') && url.endsWith('$1')) {
    notes.check(node, 'in httpd upgrade= has no effect where $1 is shorter than two characters; here it always has')
  }
  for (const caution of [...mapping.cautions, ...target === false ? [] : joinCautions(mapping.path, target)]) notes.check(node, caution)
  if (target !== false) register({ ...target, path: (/^[^$]*?:\/\/[^/$]*([^$]*)/.exec(url)?.[1] ?? '') }, parameters, node, server, notes)
  return { ...common, at: mapping.path, from: mapping.path, target, first }
}

/** Returns true if httpd takes the text of a section around ProxyPass for a pattern. */
function hasWildcard (text: string): boolean {
  return /[*?]|\[.*\]/.test(text.replace(/\\./g, ''))
}

/** Stores the parameters with the target's worker, or its balancer. */
function register (target: Target, parameters: Map<string, string>, node: Node, server: Server, notes: Notes): void {
  if (target.scheme !== 'balancer') {
    server.workers.add(urlOf(target), parameters, node, notes)
    return
  }
  const balancer = balancerOf(target.authority, server, node)
  for (const [key, value] of parameters) balancer.parameters.set(key, value)
}

export function balancerOf (name: string, server: Server, { line, directive }: Node): Balancer {
  const known = server.balancers.get(name)
  if (known !== undefined) return known
  const balancer = { line, directive, name, members: [], parameters: new Map<string, string>() }
  server.balancers.set(name, balancer)
  return balancer
}

/** Reads BalancerMember; without a section around it, its first argument is the balancer. */
export function readMember (node: Node, within: string | undefined, server: Server, notes: Notes): void {
  const words = within === undefined ? node.words : [within, ...node.words]
  const [balancer = '', url = '', ...rest] = words
  const owner = parseTarget(balancer)
  if (typeof owner === 'string' || owner.scheme !== 'balancer') {
    notes.error(node, 'not translated: there is no balancer that this is a member of')
    return
  }
  const target = parseTarget(url)
  if (typeof target === 'string' || target.scheme === 'balancer') {
    notes.error(node, `not translated: ${typeof target === 'string' ? target : 'a balancer as a member'}`)
    return
  }
  if (target.path.endsWith('/')) {
    const put = target.path === '/' ? 'a slash' : shorten(target.path)
    notes.check(node, `httpd puts ${put} before paths that begin with one, and so sends //x; this translation sends /x`)
  }
  balancerOf(owner.authority, server, node).members.push({
    line: node.line, directive: node.directive, url: urlOf(target), parameters: readParameters(rest, 'member', node, notes)
  })
}

/** Reads ProxySet, which sets parameters of a worker or a balancer. */
export function readProxySet (node: Node, within: string | undefined, server: Server, notes: Notes): void {
  const [url = '', ...words] = within === undefined ? node.words : [within, ...node.words]
  const target = parseTarget(url)
  if (typeof target === 'string') notes.error(node, `not translated: ${target}`)
  else if (target.scheme === 'balancer') {
    const { parameters } = balancerOf(target.authority, server, node)
    for (const [key, value] of readParameters(words, 'balancer', node, notes)) parameters.set(key, value)
  } else server.workers.set(urlOf(target), readParameters(words, 'worker', node, notes), node)
}

const kinds: Readonly<Record<string, Reverse['kind']>> = {
  proxypassreverse: 'location', proxypassreversecookiepath: 'cookiePath', proxypassreversecookiedomain: 'cookieDomain'
}

/** Reads ProxyPassReverse and its cookie directives. Returns true if the node was one of these. */
export function readReverse (node: Node, within: Within | undefined, server: Server, notes: Notes): boolean {
  const kind = Object.hasOwn(kinds, node.name) ? kinds[node.name] : undefined
  if (kind === undefined) return false
  const { line, directive, words } = node
  const path = within === undefined ? '/' : within.isExpression ? undefined : within.text
  if (kind === 'location' && (path === undefined || (within !== undefined && words.length > 1))) {
    notes.check(node, 'not translated: in a section, httpd takes the path from the section; redirects of this target are left as they are')
    return true
  }
  const [outside = '', inside = ''] = kind !== 'location' ? [words[1], words[0]] : within === undefined ? words : [within.text, words[0]]
  if (kind === 'location' && /^wss?:/i.test(inside)) notes.info(node, 'has no effect in httpd either: no response names a ws: or wss: URL')
  else server.reverses.push({ line, directive, kind, outside, inside, within: path ?? '/' })
  return true
}
