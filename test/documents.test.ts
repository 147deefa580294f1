import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { filesBelow, read, root } from './fixtures/documents.ts'

// Every page: what it is for, code that is valid and that an example runs, links that lead somewhere.

const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'test/security/README.md', 'examples/README.md', 'examples/prometheus/README.md', ...filesBelow('docs', '.md')]

/** A page without its blocks of code. */
function prose (file: string): string {
  return read(file).replace(/^```.*?^```$/gms, '')
}

function linksOf (file: string): string[] {
  return [...prose(file).matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link as string)
}

function anchorsOf (file: string): string[] {
  return [...prose(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
}

for (const file of pages) {
  test(`every block of code in ${file} is valid`, () => {
    for (const [, language, code = ''] of read(file).matchAll(/^```(js|ts)\n(.*?)^```$/gms)) {
      const fileName = `block.m${language as string}`
      const compilerOptions: ts.CompilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, allowJs: true }
      const said = (text: string): unknown[] => (ts.transpileModule(text, { fileName, reportDiagnostics: true, compilerOptions }).diagnostics ?? []).map(({ messageText }) => messageText)
      // Some show a few options, as they stand in an object.
      if (said(`({${code}})`).length > 0) assert.deepEqual(said(code), [], code)
    }
  })

  test(`every link in ${file} leads somewhere`, () => {
    for (const link of linksOf(file)) {
      if (/^https?:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      assert.ok(existsSync(join(root, target)), `${file}: ${link}`)
      if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${file}: ${link}`)
    }
  })
}

for (const file of filesBelow('docs', '.md').filter((page) => page !== 'docs/README.md')) {
  test(`${file} begins with a heading and what it is for, and the index has it`, () => {
    const [heading = '', blank, purpose = ''] = read(file).split('\n')
    assert.match(heading, /^# \S/)
    assert.equal(blank, '')
    assert.match(purpose, /^[A-Za-z`]/)
    assert.ok(linksOf('docs/README.md').includes(file.replace('docs/', '')), 'a link in docs/README.md')
  })
}

/** Without its indentation. */
function lines (code: string): string[] {
  return code.split('\n').map((line) => line.trim()).filter((line) => line !== '')
}

/** Whether the lines of a snippet follow each other in a file. */
function holds (example: string, snippet: string): boolean {
  const [whole, part] = [lines(example), lines(snippet)]
  return whole.some((_, i) => part.every((line, k) => whole[i + k] === line))
}

for (const file of filesBelow('docs/recipes', '.md')) {
  test(`what ${file} shows is in an example that it links`, () => {
    const examples = linksOf(file).filter((link) => /^\.\.\/\.\.\/examples\/.+\.(ts|conf|cfg)$/.test(link)).map((link) => read(join(dirname(file), link)))
    assert.ok(examples.length > 0, 'a link to an example')
    for (const [, code = ''] of read(file).matchAll(/^```ts\n(.*?)^```$/gms)) {
      if (/^import /.test(code)) continue // whole by itself: compiled above
      assert.ok(examples.some((example) => holds(example, code)), code)
    }
  })
}

test('every example of a recipe has its page, and its test', () => {
  const linked = filesBelow('docs/recipes', '.md').flatMap(linksOf)
  const tests = filesBelow('test/recipes', '.ts').map(read).join('\n')
  const examples = filesBelow('examples/recipes', '')
  assert.ok(examples.length > 12)
  for (const example of examples) {
    if (/\.(html|md)$/.test(example)) continue
    assert.ok(linked.includes(`../../${example}`), `${example}: a link`)
    assert.ok(tests.includes(example), `${example}: a test`)
  }
})

test('no line of the documents is longer than 160 characters, but those of tables and links', () => {
  for (const file of ['README.md', ...filesBelow('docs', '.md')]) {
    for (const line of prose(file).split('\n')) {
      if (line.length > 160 && !line.startsWith('|') && !/\]\(/.test(line) && !line.startsWith('{')) assert.fail(`${file}: ${line}`)
    }
  }
})
