import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readLines, splitWords } from '../../lib/httpd-conf/lexer.ts'
import { Notes } from '../../lib/httpd-conf/notes.ts'

function lines (text: string): Array<[number, string, string]> {
  return readLines(text, new Notes()).map(({ line, directive, rest }) => [line, directive, rest])
}

describe('lines of httpd.conf', () => {
  test('are trimmed, and comments and empty ones left out', () => {
    assert.deepEqual(lines('\n  # comment\n\tA b  c \n#x\nB'), [[3, 'A', 'b  c'], [5, 'B', '']])
  })

  test('go on behind a backslash, those of comments too, and have the number of their first line', () => {
    assert.deepEqual(lines('A \\\n b \\\n c\n# x \\\n B\nC'), [[1, 'A', 'b  c'], [6, 'C', '']])
    assert.deepEqual(lines('A \\\r\n b\r\nB'), [[1, 'A', 'b'], [3, 'B', '']])
    assert.deepEqual(lines('A \\'), [[1, 'A', '\\']])
  })

  test('may begin with a byte order mark', () => {
    assert.deepEqual(lines('\ufeffA b'), [[1, 'A', 'b']])
  })
})

describe('words', () => {
  for (const [text, expected] of [
    ['a  b\tc', ['a', 'b', 'c']],
    ['"a b" \'c d\'', ['a b', 'c d']],
    ['"a \\"b\\" \\\\ \\n"', ['a "b" \\ \\n']],
    ["'a \\' \" b'", ["a ' \" b"]],
    ['"open', ['open']],
    ['a"b c"d', ['a"b', 'c"d']],
    ['"" x', ['', 'x']],
    ['', []]
  ] as const) {
    test(`of ${JSON.stringify(text)} are as httpd reads them`, () => assert.deepEqual(splitWords(text), expected))
  }
})
