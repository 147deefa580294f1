/** RewriteCond and RewriteRule: the requests that a rule takes, and their target. */
import { withoutProxying } from './directives.ts'
import { variableIn, type Node } from './sections.ts'
import type { Rule } from './model.ts'
import { shorten, type Notes } from './notes.ts'
import { covers, isPlainPath, meet } from './paths.ts'
import { asMapping, asPrefix, type PathPattern } from './patterns.ts'
import { joinCautions, parseTarget, type Target } from './target.ts'

/** The requests that a rule's conditions leave. */
interface Restriction {
  plain: boolean
  webSocket: boolean
  /** The prefixes that must all cover the path. */
  readonly within: string[]
  readonly except: string[]
  readonly cautions: string[]
}

const harmlessFlags = /^(p|proxy|l|last|qsa|qsappend|ne|noescape|end|b|bnp|bctls|qsl|unsafeallow3f|unsafeprefixstat|uncpath)$|^(b|ne)=/

/** Translates a rule with its conditions; returns an empty list if it has no effect or is refused. */
export function readRule (node: Node, conditions: readonly Node[], notes: Notes): Rule[] {
  const [pattern = '', substitution = '', flagText = ''] = node.words
  const flags = flagText.replace(/^\[|\]$/g, '').split(',').map((flag) => flag.trim()).filter((flag) => flag !== '')
  const names = flags.map((flag) => flag.toLowerCase())
  const refuse = (why: string): Rule[] => {
    notes.error(node, `not translated: ${why}`)
    return []
  }
  const variable = [...conditions, node].map(variableIn).find((each) => each !== undefined)
  if (variable !== undefined) return refuse(`the variable ${shorten(variable)}; write its value in its place`)
  const proxied = names.some((name) => name === 'p' || name === 'proxy')
  const stops = substitution === '-' && names.length > 0 && names.every((name) => /^(l|last|end)$/.test(name))
  if (!proxied && !stops) return withoutProxy(node, substitution, names, notes)
  const caseless = names.includes('nc') || names.includes('nocase')
  const unknown = flags.find((_, i) => !harmlessFlags.test(names[i] ?? '') && !/^(nc|nocase)$|^(e|env)=/.test(names[i] ?? ''))
  if (unknown !== undefined) return refuse(`the flag ${shorten(unknown)}`)
  if (pattern.startsWith('!')) return refuse('a negated pattern')
  const restriction = readConditions(conditions, refuse)
  if (restriction === undefined) return []
  const mapping: (PathPattern & { target?: string }) | string = stops
    ? asPrefix(pattern)
    : asMapping(pattern, substitution.replace(/\?%\{QUERY_STRING\}$/i, ''), false)
  if (typeof mapping === 'string') return refuse(mapping)
  const target = mapping.target === undefined ? 'last' : parseTarget(mapping.target)
  if (typeof target === 'string' && target !== 'last') return refuse(target)
  const at = restriction.within.reduce<string | undefined>((path, prefix) => path === undefined ? undefined : meet(path, prefix), mapping.path)
  if (!isPlainPath(mapping.path) || (at !== undefined && !isPlainPath(at))) {
    return refuse(`the path ${shorten(at ?? mapping.path)}, which the option path does not take`)
  }
  const { plain, webSocket, cautions } = restriction
  if (at === undefined || !(plain || webSocket) || restriction.except.some((prefix) => covers(prefix, at))) {
    notes.check(node, 'takes no request: its conditions and its pattern exclude each other')
    return []
  }
  // If a condition limits the rule to a longer prefix, the pattern's own boundary does not matter.
  const own = at === mapping.path ? mapping.cautions : []
  const joins = typeof target === 'string' ? [] : joinCautions(mapping.path, target)
  for (const caution of [...own, ...cautions, ...joins]) notes.check(node, caution)
  if (caseless && at !== '/') notes.check(node, 'httpd ignores case in this pattern (NC); here case counts')
  if (flags.some((flag) => /^(e|env)=/i.test(flag))) notes.info(node, 'sets an environment variable, which has no effect here')
  const except = restriction.except.filter((prefix) => covers(at, prefix))
  return [{
    line: node.line,
    directive: node.directive,
    kind: 'rewrite',
    at,
    from: mapping.path,
    except,
    target: target as Target | 'last',
    takes: { plain, webSocket },
    first: false
  }]
}

/** Translates a rule that sends nothing to an upstream. */
function withoutProxy (node: Node, substitution: string, flags: readonly string[], notes: Notes): Rule[] {
  if (flags.some((flag) => /^(f|forbidden|g|gone)$/.test(flag))) notes.error(node, 'not translated: a rule that refuses requests; use a hook')
  else if (flags.some((flag) => /^(r|redirect)(=|$)/.test(flag)) || /^[a-z]+:/i.test(substitution)) {
    notes.error(node, 'not translated: a redirect; use a route of your own')
  } else if (flags.some((flag) => /^(e|env)=no-proxy(:|$)/.test(flag))) notes.error(node, withoutProxying)
  else if (substitution === '-' && flags.every((flag) => /^(e|env)=|^(nc|nocase)$/.test(flag))) {
    notes.info(node, 'sets an environment variable, which has no effect here')
  } else notes.error(node, 'not translated: a rule without P, which changes the path for what comes after it')
  return []
}

function readConditions (conditions: readonly Node[], refuse: (why: string) => Rule[]): Restriction | undefined {
  const restriction: Restriction = { plain: true, webSocket: true, within: [], except: [], cautions: [] }
  for (const { words: [tested = '', pattern = '', flags = ''], line } of conditions) {
    const names = flags.toLowerCase().replace(/^\[|\]$/g, '').split(',').map((name) => name.trim()).filter((name) => name !== '')
    const where = `the condition in line ${line}`
    const caseless = names.includes('nc') || names.includes('nocase')
    if (names.some((name) => name === 'or' || name === 'ornext')) refuse(`${where} has OR`)
    else {
      const variable = /^%\{(.+)\}$/.exec(tested)?.[1]?.toUpperCase() ?? ''
      const why = variable === 'REQUEST_URI'
        ? readPathCondition(pattern, caseless, restriction)
        : variable === 'QUERY_STRING'
          ? readQueryCondition(pattern, caseless, restriction)
          : variable === 'HTTP:UPGRADE' || variable === 'HTTP:CONNECTION'
            ? readFieldCondition(variable, pattern, caseless, restriction)
            : `a condition on ${shorten(tested)}`
      if (why === undefined) continue
      refuse(`${where}: ${why}`)
    }
    return undefined
  }
  return restriction
}

function readPathCondition (text: string, caseless: boolean, restriction: Restriction): string | undefined {
  const negated = text.startsWith('!')
  const pattern = negated ? text.slice(1) : text
  if (/^(=|<|>|-)/.test(pattern)) return 'a comparison of the path'
  const prefix = asPrefix(pattern)
  if (typeof prefix === 'string') return prefix
  if (!isPlainPath(prefix.path)) return `the path ${shorten(prefix.path)}, which the option path does not take`
  if (negated) restriction.except.push(prefix.path)
  else restriction.within.push(prefix.path)
  restriction.cautions.push(...prefix.cautions)
  if (caseless && prefix.path !== '/') restriction.cautions.push('the path is compared without regard to case in httpd (NC), and here with')
  return undefined
}

/** Reads a condition on the query, by which socket.io marks a WebSocket. */
function readQueryCondition (pattern: string, caseless: boolean, restriction: Restriction): string | undefined {
  const test = tester(pattern, caseless)
  if (typeof test === 'string') return test
  if (!test('EIO=4&transport=websocket') || test('') || test('EIO=4&transport=polling')) return 'a condition on the query'
  restriction.plain = false
  restriction.cautions.push('httpd looks for transport=websocket in the query, and this translation for a WebSocket handshake')
  return undefined
}

// The fields that clients send: the first as browsers do; others may get another result.
const handshakes = [
  { upgrade: 'websocket', connection: 'Upgrade' },
  { upgrade: 'websocket', connection: 'keep-alive, Upgrade' },
  { upgrade: 'WebSocket', connection: 'Upgrade' }
]
const requests = [{ upgrade: '', connection: 'keep-alive' }, { upgrade: '', connection: 'close' }, { upgrade: '', connection: '' }]

function readFieldCondition (variable: string, pattern: string, caseless: boolean, restriction: Restriction): string | undefined {
  const test = tester(pattern, caseless)
  if (typeof test === 'string') return test
  const name = variable === 'HTTP:UPGRADE' ? 'upgrade' : 'connection'
  const [webSocket = false, ...otherHandshakes] = handshakes.map((sample) => test(sample[name]))
  const [plain = false, ...otherRequests] = requests.map((sample) => test(sample[name]))
  restriction.webSocket &&= webSocket
  restriction.plain &&= plain
  const odd = [...handshakes.slice(1).filter((_, i) => otherHandshakes[i] !== webSocket), ...requests.slice(1).filter((_, i) => otherRequests[i] !== plain)]
  for (const sample of odd) {
    const field = `${name === 'upgrade' ? 'Upgrade' : 'Connection'}: ${sample[name] === '' ? '(nothing)' : sample[name]}`
    restriction.cautions.push(`in httpd the condition has another result for ${field}; here case and further tokens do not matter`)
  }
  return undefined
}

/** Returns a CondPattern as a function, or a text with the reason why it is not translated. It is called only with short texts of this file. */
function tester (text: string, caseless: boolean): ((value: string) => boolean) | string {
  const negated = text.startsWith('!')
  const pattern = negated ? text.slice(1) : text
  if (pattern.startsWith('=')) {
    const wanted = fold(pattern.slice(1).replace(/^""$/, ''), caseless)
    return (value) => (fold(value, caseless) === wanted) !== negated
  }
  if (/^[<>]|^-[a-z]/i.test(pattern)) return `the test ${shorten(pattern)}`
  // A repetition within a repetition may take long, even on short texts.
  if (pattern.length > 100 || /[*+?}][^)]*\)[*+{]/.test(pattern)) return `the expression ${shorten(pattern)}`
  try {
    const expression = new RegExp(pattern.replace(/^(\^?)\(\?i\)/, '$1'), caseless || /^\^?\(\?i\)/.test(pattern) ? 'i' : '')
    return (value) => expression.test(value) !== negated
  } catch {
    return `the expression ${shorten(pattern)}`
  }
}

function fold (text: string, caseless: boolean): string {
  return caseless ? text.toLowerCase() : text
}
