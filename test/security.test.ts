import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

// Each row of test/security/README.md has its test, and each test there its row, in the same words.

const folder = fileURLToPath(new URL('security', import.meta.url))
const files = readdirSync(folder).filter((file) => file.endsWith('.test.ts')).sort()
const readme = readFileSync(join(folder, 'README.md'), 'utf8')

/** `id what must happen` of every row below the link to a file. */
function rowsOf (file: string): string[] {
  const [, section = ''] = readme.split(`[${file}](${file})`)
  return (section.split(/^#/m)[0] ?? '').split('\n').flatMap((line) => {
    const [, id, tried, title] = /^\| ([A-Z]\d+) \| (.+?) \| (.+) \|$/.exec(line) ?? []
    return id === undefined || tried === undefined || title === undefined ? [] : [`${id} ${title}`]
  })
}

/** The titles of the tests of a file, subtests left out; a title that is no plain text cannot have a row. */
function titlesOf (file: string): string[] {
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && ['test', 'it'].includes(node.expression.text)) {
      const [title] = node.arguments
      assert.ok(title !== undefined && ts.isStringLiteral(title), `${file}: a title is no plain text`)
      titles.push(title.text)
    }
    if (ts.isPropertyAccessExpression(node) && ['skip', 'todo', 'only'].includes(node.name.text)) assert.fail(`${file}: ${node.getText()}`)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(join(folder, file), 'utf8'), ts.ScriptTarget.ES2023, true))
  return titles
}

for (const file of files) {
  test(`every row of ${file} has its test, and every test its row`, () => {
    const rows = rowsOf(file)
    assert.ok(rows.length > 0, 'no rows')
    assert.deepEqual(titlesOf(file), rows)
  })
}

test('no id is given twice', () => {
  const ids = files.flatMap(rowsOf).map((row) => row.slice(0, row.indexOf(' ')))
  assert.deepEqual(ids.filter((id, i) => ids.indexOf(id) !== i), [])
  assert.ok(ids.length >= 90)
})

test('no row is below a file that does not exist', () => {
  assert.deepEqual([...readme.matchAll(/^\| [A-Z]\d+ \|/gm)].length, files.flatMap(rowsOf).length)
})
