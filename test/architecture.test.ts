import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

// The rooms of lib/ by layer, lowest first. A room is a file, or a folder (whose files may import each
// other). It may import only rooms of a strictly lower layer: not sideways, not up, not even a type.
const layers: string[][] = [
  ['intake', 'memory', 'roster', 'hidden-classes'],
  ['side'],
  ['farewell'],
  ['errors', 'headers', 'path-pattern', 'path-readings', 'tunnel', 'duration', 'head', 'frames', 'counters', 'connection', 'address', 'tls', 'interim',
    'policies', 'sticky'],
  ['path', 'prefix-tree', 'entry-params'],
  ['body', 'request-body', 'response-body', 'response-end', 'client-timer', 'waiting', 'unclaimed', 'drain', 'schema', 'discovery'],
  ['balancing', 'balancer-schema'],
  ['options', 'resolve-balancer'],
  ['request-facts', 'route-placement', 'path-index'],
  ['resolve', 'decision', 'dial', 'admission'],
  ['route-strategy'],
  ['pooled-connection', 'handshake', 'answer'],
  ['upstream'],
  ['open-tunnel', 'handover', 'outgoing', 'respond', 'health', 'member'],
  ['registry'],
  ['metrics', 'forward', 'election'],
  ['balancer'],
  ['control'],
  ['state'],
  ['report'],
  ['upgrade', 'listener', 'routes'],
  ['index'],
]
const maxLines = 400

interface Source {
  file: string            // from lib/, with slashes
  text: string
  imports: string[]       // specifiers as written, those of types too
  internals: string[]     // what of Node's private parts it names
}

interface Finding {
  file: string
  problem: string
}

const lib = fileURLToPath(new URL('../lib', import.meta.url))

function read (file: string, text: string): Source {
  const source: Source = { file, text, imports: [], internals: [] }
  const addImport = (node: ts.Node | undefined): void => {
    if (node !== undefined && ts.isStringLiteralLike(node)) source.imports.push(node.text)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) addImport(node.moduleSpecifier)
    else if (ts.isImportTypeNode(node)) addImport(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined)
    else if (ts.isExternalModuleReference(node)) addImport(node.expression)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) addImport(node.arguments[0])

    const name = ts.isPropertyAccessExpression(node)
      ? node.name.text
      : ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)
        ? node.argumentExpression.text
        : undefined
    if (name === '_handle') source.internals.push('_handle')
    if (name === 'binding' && ts.isPropertyAccessExpression(node) && node.expression.getText() === 'process') {
      source.internals.push('process.binding')
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true))
  return source
}

function readLib (): Source[] {
  return readdirSync(lib, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => read(relative(lib, path).split(sep).join('/'), readFileSync(path, 'utf8')))
}

function roomOf (file: string): string {
  return (file.split('/')[0] ?? '').replace(/\.ts$/, '')
}

function misplacedImports (sources: Source[], table: string[][]): Finding[] {
  const layerOf = (room: string): number => table.findIndex((rooms) => rooms.includes(room))
  const findings: Finding[] = []
  for (const { file, imports } of sources) {
    const room = roomOf(file)
    const layer = layerOf(room)
    if (layer === -1) findings.push({ file, problem: `${room} is not in the table of layers` })
    for (const specifier of imports.filter((name) => name.startsWith('.'))) {
      const target = relative(lib, resolve(lib, dirname(file), specifier)).split(sep).join('/')
      const targetRoom = roomOf(target)
      const targetLayer = layerOf(targetRoom)
      if (target.startsWith('..')) findings.push({ file, problem: `${specifier} is outside lib/` })
      else if (targetRoom === room) continue
      else if (targetLayer === -1) findings.push({ file, problem: `${targetRoom} is not in the table of layers` })
      else if (targetLayer >= layer) {
        findings.push({ file, problem: `${room} (layer ${layer}) imports ${targetRoom} (layer ${targetLayer})` })
      }
    }
  }
  return findings
}

describe('the rooms of lib/', () => {
  const sources = readLib()

  test('are read', () => {
    assert.ok(sources.some(({ file }) => file === 'index.ts'), 'lib/index.ts is missing')
  })

  test('stand once in the table of layers', () => {
    const rooms = layers.flat()
    assert.deepEqual(rooms.filter((room, at) => rooms.indexOf(room) !== at), [])
  })

  test('import only from lower layers', () => {
    assert.deepEqual(misplacedImports(sources, layers), [])
  })

  test(`have at most ${maxLines} lines`, () => {
    const long = sources.map(({ file, text }) => ({ file, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > maxLines)
    assert.deepEqual(long, [])
  })

  test("use none of Node's private internals", () => {
    assert.deepEqual(sources.flatMap(({ file, internals }) => internals.map((problem) => ({ file, problem }))), [])
  })
})

describe('the check itself', () => {
  const table = [['errors'], ['options', 'upstream', 'health'], ['index']]
  const problems = (file: string, text: string): string[] =>
    misplacedImports([read(file, text)], table).map(({ problem }) => problem)

  test('sees every form of import', () => {
    const { imports } = read('index.ts', `
      import './a.ts'
      import type { B } from './b.ts'
      export { c } from './c.ts'
      export type * from './d.ts'
      const e = await import('./e.ts')
      let f: import('./f.ts').F
      // import './g.ts'
    `)
    assert.deepEqual(imports, ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts'])
  })

  test('allows down and within a folder, refuses sideways, up, out and the unknown', () => {
    assert.deepEqual(problems('options.ts', "import { a } from './errors.ts'"), [])
    assert.deepEqual(problems('health/probe.ts', "import { a } from './timer.ts'\nimport { b } from '../errors.ts'"), [])
    assert.deepEqual(problems('options.ts', "import type { A } from './upstream.ts'"),
      ['options (layer 1) imports upstream (layer 1)'])
    assert.deepEqual(problems('errors.ts', "import type { A } from './index.ts'"),
      ['errors (layer 0) imports index (layer 2)'])
    assert.deepEqual(problems('index.ts', "import { a } from '../test/a.ts'"), ['../test/a.ts is outside lib/'])
    assert.deepEqual(problems('utils.ts', "import 'node:net'"), ['utils is not in the table of layers'])
    assert.deepEqual(problems('index.ts', "import './utils.ts'"), ['utils is not in the table of layers'])
  })

  test('sees private internals in code and not in comments', () => {
    assert.deepEqual(read('a.ts', 'socket._handle.fd; socket?.["_handle"]; process.binding("x") // ._handle').internals,
      ['_handle', '_handle', 'process.binding'])
  })
})
