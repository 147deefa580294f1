/** The tree of sections: `<VirtualHost>`, `<Location>` and others, with their content. */
import { splitWords, type DirectiveLine } from './lexer.ts'
import { shorten, type Notes, type Place } from './notes.ts'

/** A directive, or a section with its content. */
export interface Node extends Place {
  /** The name of the directive or section, in lower case and without brackets. */
  readonly name: string
  readonly words: readonly string[]
  /** The content of a section; `undefined` for a directive. */
  readonly children: Node[] | undefined
}

const maxDepth = 32

/** Returns the first `${NAME}` in a node's words. httpd puts a value of Define or of the environment in its place. */
export function variableIn ({ words }: Node): string | undefined {
  return /\$\{[^{}:]+\}/.exec(words.join(' '))?.[0] // with a colon it is a RewriteMap
}

/** Builds the tree. A section without an end, or an end without a section, is an error; the content is kept. */
export function buildTree (lines: readonly DirectiveLine[], notes: Notes): Node[] {
  const root: Node[] = []
  const open: Node[] = []
  let skipped = 0 // open sections within one that is nested too deep
  for (const { line, directive, rest } of lines) {
    const place = { line, directive }
    if (directive.startsWith('</')) {
      if (skipped > 0) skipped--
      else close(open, directive.slice(2).replace(/>.*$/, '').toLowerCase(), place, notes)
    } else if (directive.startsWith('<')) {
      if (skipped > 0 || open.length === maxDepth) {
        if (skipped++ === 0) notes.error(place, `not translated: sections are nested deeper than ${maxDepth}`)
        continue
      }
      const head = sectionHead(directive, rest, place, notes)
      const node = { ...place, ...head, children: [] }
      siblings(root, open).push(node)
      open.push(node)
    } else if (skipped === 0) {
      siblings(root, open).push({ ...place, name: directive.toLowerCase(), words: splitWords(rest), children: undefined })
    }
  }
  for (const { line, directive } of open) notes.error({ line, directive }, 'this section is not closed: httpd does not start with it')
  return root
}

function siblings (root: Node[], open: readonly Node[]): Node[] {
  return open.at(-1)?.children ?? root
}

function sectionHead (directive: string, rest: string, place: Place, notes: Notes): { name: string, directive: string, words: string[] } {
  const whole = `${directive} ${rest}`.trimEnd()
  const end = whole.lastIndexOf('>')
  if (end === -1) notes.error(place, '> is missing at the end of the line: httpd does not start with it')
  const [name = '', ...words] = splitWords(whole.slice(1, end === -1 ? undefined : end))
  return { name: name.toLowerCase(), directive: `<${shorten(name)}>`, words }
}

function close (open: Node[], name: string, place: Place, notes: Notes): void {
  const at = open.findLastIndex((node) => node.name === name)
  if (at === -1) {
    notes.error(place, 'closes a section that is not open: httpd does not start with it')
    return
  }
  for (const { line, directive } of open.splice(at).slice(1)) notes.error({ line, directive }, 'this section is not closed: httpd does not start with it')
}
