/** `<IfModule>` and `<IfVersion>`: their content takes their place, or is left out. */
import type { Notes } from './notes.ts'
import type { Node } from './sections.ts'

/** The version of httpd whose behaviour is translated. */
const version = '2.4.71'

const modules = new RegExp('^(mod_)?(ssl|proxy\\w*|rewrite|headers|lbmethod_\\w+|slotmem_shm|authz_\\w+|authn_\\w+|setenvif|log_config|http2|' +
  'access_compat|alias|env|dir|mime|unixd|mpm_\\w+|version|socache_\\w+|deflate|expires|filter|md|remoteip)(_module|\\.c)?$', 'i')

/** Returns the nodes, with conditional sections replaced by their content if they hold. */
export function resolveConditional (nodes: readonly Node[], notes: Notes): Node[] {
  return nodes.flatMap((node) => {
    const { name, children, words: [word = ''] } = node
    if (children === undefined || (name !== 'ifmodule' && name !== 'ifversion')) return [node]
    if (name === 'ifmodule' ? holdsForModules(node, word, notes) : holdsForVersion(node.words)) return resolveConditional(children, notes)
    notes.info(node, name === 'ifmodule' ? 'left out: it is for a server without that module' : 'left out: it is for another version of httpd')
    return []
  })
}

function holdsForModules (node: Node, word: string, notes: Notes): boolean {
  const negated = word.startsWith('!')
  if (modules.test(negated ? word.slice(1) : word)) return !negated
  notes.check(node, `translated as if httpd ${negated ? 'did not have' : 'had'} this module; remove the section if that is wrong`)
  return true
}

function holdsForVersion ([operator = '', wanted = '']: readonly string[]): boolean {
  const [text, sign] = wanted === '' ? [operator, '='] : [wanted, operator]
  const compared = numberOf(version) - numberOf(text)
  const positive = sign.replace(/^!/, '')
  const holds = (compared === 0 && /=/.test(positive)) || (compared > 0 && positive.startsWith('>')) || (compared < 0 && positive.startsWith('<'))
  return holds !== sign.startsWith('!')
}

function numberOf (text: string): number {
  return text.split('.').slice(0, 3).reduce((sum, part, i) => sum + Number(part) * 1000 ** (2 - i), 0)
}
