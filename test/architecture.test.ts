import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

// Which folder of lib/ may import which, even a type. A file also imports what it likes of its own folder, but not in a circle.
// Each folder names only folders below it, and nobody but index.ts names plugin/.
const allowed: Record<string, string[]> = {
  'index.ts': ['plugin', 'http2', 'observability', 'balancer', 'upstream', 'config', 'tunnel', 'http', 'errors.ts'],
  plugin: ['compat', 'http2', 'proxy', 'downstream', 'routing', 'observability', 'balancer', 'lifecycle', 'upstream', 'config', 'http', 'errors.ts', 'net'],
  compat: ['downstream', 'routing'],
  http2: ['downstream', 'routing', 'config', 'http', 'errors.ts', 'net'],
  proxy: ['downstream', 'routing', 'observability', 'lifecycle', 'upstream', 'config', 'tunnel', 'http', 'errors.ts', 'net'],
  downstream: ['routing', 'upstream', 'http', 'errors.ts', 'net'],
  observability: ['routing', 'balancer', 'lifecycle', 'upstream', 'config', 'tunnel', 'errors.ts', 'net'],
  routing: ['balancer', 'upstream', 'config', 'http', 'errors.ts'],
  balancer: ['lifecycle', 'upstream', 'config', 'tunnel', 'http', 'errors.ts', 'net'],
  lifecycle: ['upstream', 'config', 'tunnel', 'errors.ts', 'net'],
  upstream: ['config', 'tunnel', 'http', 'errors.ts', 'net'],
  config: ['tunnel', 'http', 'errors.ts'],
  tunnel: ['net'],
  http: [],
  'errors.ts': [],
  net: []
}
// Exports of their own. They use the public API like everybody else: each can be taken away without a trace.
for (const extra of ['prometheus', 'otel', 'redis', 'status', 'httpd-conf', 'cli']) allowed[extra] = ['index.ts']
allowed.cli?.push('httpd-conf', 'status') // --httpd-conf and --status: the command is a user of these exports

const maxLines = 400
const askedLines = 250
/** Files beyond the lines at which it is asked whether they are one thing, with the answer. */
const answered: Record<string, string> = {
  'balancer/balancer.ts': 'members, discovery and probes of one balancer',
  'errors.ts': 'every error of the plugin with its status, and the one map from causes to them',
  'proxy/forward.ts': 'one exchange, its attempts and its one end; the response is in relayed-response',
  'proxy/pooled-request.ts': 'one request, with its connection, its timer and its one repetition',
  'proxy/upgrade.ts': 'one machine: the phases of an upgrade in their order, with the one place that writes the phase'
}

/** What we write to objects that are not ours, by file: documented properties, and the reason for each that is not. */
const touched: Record<string, Record<string, string>> = {
  'cli/main.ts': { 'process.exitCode =': 'documented; the process is its own' },
  'compat/node24-upgrade-callback.ts': { 'server.shouldUpgradeCallback =': 'an option of the constructor, which is not ours to call' },
  'downstream/front-http1.ts': { 'response.statusCode =': 'documented' },
  'http2/extended-connect.ts': { 'Object.defineProperty(request)': 'its method is GET for the router and hooks; its headers still say CONNECT' },
  'http2/front-http2.ts': { 'response.statusCode =': 'documented' },
  'http2/no-success.ts': {
    'Object.defineProperty(response)': 'any success would open the tunnel',
    'Object.defineProperties(response)': 'its stream is closed, and whoever answers does not know'
  },
  'downstream/upgrade-listener.ts': { 'each.allowHalfOpen =': 'documented; https and http2 servers have no option for it' },
  'plugin/entry-routes.ts': { 'request.params =': 'the parameters of the entry that decides, where the router found it by a more specific pattern' },
  'plugin/routes.ts': {
    'request.ws =': 'the onResponse hook of @fastify/websocket would destroy the socket',
    'route.handler =': 'documented for onRoute hooks: @fastify/websocket has put its own around ours'
  },
  'proxy/client-response.ts': {
    'reply.log =': 'Fastify logs every 5xx as an error; a refusal for a limit is none',
    'reply.raw.statusMessage =': 'documented',
    'Object.defineProperty(raw)': 'the reason phrase of an upstream is for its own status, and a hook may change that until the head is written'
  },
  'upstream/connect.ts': { 'secure.allowHalfOpen =': 'documented; tls.connect() over a socket ignores the option' },
  'upstream/continue-filter.ts': { 'stream.read =': 'undici ends the connection at an unsolicited 100; a stream in between costs twice as much' },
  'upstream/pool-client.ts': { 'error.code =': 'undici would assert on its parser (nodejs/undici#5360)' }
}

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

/** Names that Node, and streams of Node's, keep to themselves. */
const privateNames = new Set(['_handle', '_events', '_readableState', '_writableState', '_httpMessage', '_server', '_parent'])

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
    if (name !== undefined && privateNames.has(name)) source.internals.push(name)
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

/** The folder of a file, or the file itself where it stands in none. */
function folderOf (file: string): string {
  return file.split('/')[0] ?? ''
}

/** The files of lib/ that a file imports; what begins with `..` is outside. */
function targetsOf ({ file, imports }: Source): string[] {
  return imports.filter((name) => name.startsWith('.')).map((specifier) => relative(lib, resolve(lib, dirname(file), specifier)).split(sep).join('/'))
}

function misplacedImports (sources: Source[], table: Record<string, string[]>, except: Record<string, string> = {}): Finding[] {
  const findings: Finding[] = []
  const unused = new Set(Object.keys(except))
  for (const source of sources) {
    const { file } = source
    const folder = folderOf(file)
    const below = table[folder]
    if (below === undefined) findings.push({ file, problem: `${folder} is not in the table` })
    for (const target of targetsOf(source)) {
      const other = folderOf(target)
      if (target.startsWith('..')) findings.push({ file, problem: `${target} is outside lib/` })
      else if (table[other] === undefined) findings.push({ file, problem: `${other} is not in the table` })
      else if (other === folder || below === undefined || below.includes(other)) continue
      else if (except[`${file} → ${target}`] === undefined) findings.push({ file, problem: `${folder} may not import ${other} (${target})` })
      else unused.delete(`${file} → ${target}`)
    }
  }
  for (const name of unused) findings.push({ file: name, problem: 'is an exception no more' })
  return findings
}

/** Each circle once, from the node that comes first in it. */
function circlesIn (graph: Map<string, string[]>): string[] {
  const circles = new Set<string>()
  const done = new Set<string>()
  const follow = (node: string, path: string[]): void => {
    const at = path.indexOf(node)
    if (at !== -1) {
      const circle = path.slice(at)
      const first = circle.indexOf([...circle].sort()[0] as string)
      circles.add([...circle.slice(first), ...circle.slice(0, first)].join(' → '))
      return
    }
    if (done.has(node)) return
    for (const next of graph.get(node) ?? []) follow(next, [...path, node])
    done.add(node)
  }
  for (const node of graph.keys()) follow(node, [])
  return [...circles]
}

function circlesInFolders (sources: Source[]): string[] {
  return circlesIn(new Map(sources.map((source) => [source.file, targetsOf(source).filter((target) => folderOf(target) === folderOf(source.file))])))
}

function longFiles (sources: Source[], answers: Record<string, string>): Finding[] {
  const lines = new Map(sources.map(({ file, text }) => [file, text.trimEnd().split('\n').length]))
  const findings: Finding[] = []
  for (const [file, count] of lines) {
    if (count > maxLines) findings.push({ file, problem: `${count} lines` })
    else if (count > askedLines && answers[file] === undefined) findings.push({ file, problem: `${count} lines: split it, or say why not` })
  }
  for (const file of Object.keys(answers)) if ((lines.get(file) ?? 0) <= askedLines) findings.push({ file, problem: 'is short enough without an answer' })
  return findings
}

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  types: ['node']
}
// Node's types and those of the packages are read once.
const parsed = new Map<string, ts.SourceFile | undefined>()

function programOf (files: Map<string, string>): ts.Program {
  const host = ts.createCompilerHost(options, true)
  const fromDisk = host.getSourceFile.bind(host)
  host.getSourceFile = (path, ...rest) => {
    const own = files.get(path)
    if (own !== undefined) return ts.createSourceFile(path, own, ts.ScriptTarget.ES2023, true)
    if (!parsed.has(path)) parsed.set(path, fromDisk(path, ...rest))
    return parsed.get(path)
  }
  const exists = host.fileExists.bind(host)
  host.fileExists = (path) => files.has(path) || exists(path)
  host.getCurrentDirectory = () => dirname(lib)
  return ts.createProgram([...files.keys()], options, host)
}

/** What each file writes to objects whose type is not of lib/, but by symbols of our own; and where it looks into others' symbols. */
function writesToOthers (sources: Array<{ file: string, text: string }>): Map<string, Set<string>> {
  const program = programOf(new Map(sources.map(({ file, text }) => [join(lib, file), text])))
  const checker = program.getTypeChecker()
  const isOurs = (node: ts.Node): boolean => !relative(lib, node.getSourceFile().fileName).startsWith('..')
  const isOthers = (type: ts.Type): boolean => {
    if (type.isUnionOrIntersection()) return type.types.some(isOthers)
    const symbol = type.getSymbol()
    if (symbol === undefined || checker.isArrayType(type) || checker.isTupleType(type)) return false
    const named = (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface)) !== 0
    return named && symbol.name !== 'Object' && !(symbol.declarations ?? []).some(isOurs)
  }
  const found = new Map<string, Set<string>>()
  for (const { file } of sources) {
    const note = (what: string): void => { found.set(file, (found.get(file) ?? new Set()).add(what)) }
    const write = (whole: ts.Node): void => {
      let to = whole
      while (ts.isNonNullExpression(to) || ts.isParenthesizedExpression(to) || ts.isAsExpression(to)) to = to.expression
      if (ts.isElementAccessExpression(to)) {
        const key = checker.getTypeAtLocation(to.argumentExpression)
        const own = (key.flags & ts.TypeFlags.UniqueESSymbol) !== 0 && (key.getSymbol()?.declarations ?? []).some(isOurs)
        const isIndex = (key.flags & ts.TypeFlags.NumberLike) !== 0 // bytes of a Buffer
        if (!own && !isIndex && isOthers(checker.getTypeAtLocation(to.expression))) note(`${to.getText()} =`)
      } else if (ts.isPropertyAccessExpression(to) && to.expression.kind !== ts.SyntaxKind.ThisKeyword && isOthers(checker.getTypeAtLocation(to.expression))) {
        note(`${to.getText()} =`)
      }
    }
    const visit = (node: ts.Node): void => {
      if (ts.isBinaryExpression(node) && node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment && node.operatorToken.kind <= ts.SyntaxKind.LastAssignment) {
        write(node.left)
      } else if (ts.isDeleteExpression(node)) write(node.expression)
      else if ((ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && /^(\+\+|--)|(\+\+|--)$/.test(node.getText())) write(node.operand)
      else if (ts.isCallExpression(node) && /^(Object|Reflect)\.(assign|defineProperty|defineProperties|setPrototypeOf|set)$/.test(node.expression.getText())) {
        const to = node.arguments[0]
        if (to !== undefined && isOthers(checker.getTypeAtLocation(to))) note(`${node.expression.getText()}(${to.getText()})`)
      } else if (ts.isPropertyAccessExpression(node)) {
        if (node.name.text === 'getOwnPropertySymbols') note('getOwnPropertySymbols')
        if (node.name.text === 'description' && (checker.getTypeAtLocation(node.expression).flags & ts.TypeFlags.ESSymbolLike) !== 0) note(node.getText())
      }
      ts.forEachChild(node, visit)
    }
    visit(program.getSourceFile(join(lib, file)) as ts.SourceFile)
  }
  return found
}

describe('the folders of lib/', () => {
  const sources = readLib()

  test('are read', () => {
    assert.ok(sources.some(({ file }) => file === 'index.ts'), 'lib/index.ts is missing')
    assert.ok(sources.some(({ file }) => file.includes('/')), 'lib/ has no folder')
  })

  test('import only what the table allows', () => {
    assert.deepEqual(misplacedImports(sources, allowed), [])
  })

  test('have a table without a circle, in which nobody but index.ts may import plugin/', () => {
    assert.deepEqual(circlesIn(new Map(Object.entries(allowed))), [])
    assert.deepEqual(Object.keys(allowed).filter((folder) => allowed[folder]?.includes('plugin')), ['index.ts'])
  })

  test('have no circle inside', () => {
    assert.deepEqual(circlesInFolders(sources), [])
  })

  test('begin at an index that exports and does nothing else', () => {
    const { text } = sources.find(({ file }) => file === 'index.ts') as Source
    const { statements } = ts.createSourceFile('index.ts', text, ts.ScriptTarget.ES2023, true)
    assert.deepEqual(statements.filter((node) => !ts.isExportDeclaration(node) || node.moduleSpecifier === undefined).map((node) => node.getText()), [])
  })

  test(`have files of at most ${maxLines} lines, and an answer for each of more than ${askedLines}`, () => {
    assert.deepEqual(longFiles(sources, answered), [])
  })

  test("use none of Node's private internals", () => {
    assert.deepEqual(sources.flatMap(({ file, internals }) => internals.map((problem) => ({ file, problem }))), [])
  })

  test('write to objects of others only what is listed here', () => {
    const found = [...writesToOthers(sources)].map(([file, writes]) => [file, [...writes].sort()])
    assert.deepEqual(found.sort(), Object.entries(touched).map(([file, writes]) => [file, Object.keys(writes).sort()]).sort())
  })
})

describe('the check itself', () => {
  const table = { errors: [], upstream: ['errors'], health: ['errors'], 'index.ts': ['upstream', 'health'] }
  const problems = (file: string, text: string, except?: Record<string, string>): string[] =>
    misplacedImports([read(file, text)], table, except).map(({ problem }) => problem)

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

  test('allows what the table says and what is in the same folder, refuses all else, out and the unknown', () => {
    assert.deepEqual(problems('upstream/pool.ts', "import { a } from '../errors/codes.ts'"), [])
    assert.deepEqual(problems('health/probe.ts', "import { a } from './timer.ts'\nimport { b } from '../errors/codes.ts'"), [])
    assert.deepEqual(problems('health/probe.ts', "import type { A } from '../upstream/pool.ts'"),
      ['health may not import upstream (upstream/pool.ts)'])
    assert.deepEqual(problems('errors/codes.ts', "import type { A } from '../index.ts'"),
      ['errors may not import index.ts (index.ts)'])
    assert.deepEqual(problems('index.ts', "import { a } from '../test/a.ts'"), ['../test/a.ts is outside lib/'])
    assert.deepEqual(problems('utils.ts', "import 'node:net'"), ['utils.ts is not in the table'])
    assert.deepEqual(problems('index.ts', "import './utils.ts'"), ['utils.ts is not in the table'])
  })

  test('lets an exception pass by its name, and wants it gone when it is none', () => {
    const except = { 'health/probe.ts → upstream/pool.ts': 'for now' }
    assert.deepEqual(problems('health/probe.ts', "import type { A } from '../upstream/pool.ts'", except), [])
    assert.deepEqual(problems('health/probe.ts', "import type { A } from '../upstream/member.ts'", except),
      ['health may not import upstream (upstream/member.ts)', 'is an exception no more'])
  })

  test('finds circles inside a folder, those of types too', () => {
    const files = [
      read('health/a.ts', "import type { B } from './b.ts'"),
      read('health/b.ts', "import { c } from './c.ts'\nimport { d } from './d.ts'"),
      read('health/c.ts', "import { a } from './a.ts'"),
      read('health/d.ts', "import { e } from '../errors/e.ts'")
    ]
    assert.deepEqual(circlesInFolders(files), ['health/a.ts → health/b.ts → health/c.ts'])
    assert.deepEqual(circlesInFolders(files.slice(1)), [])
  })

  test('asks about long files, and refuses very long ones whatever is said', () => {
    const file = (name: string, lines: number): Source => read(name, 'export {}\n'.repeat(lines))
    const found = longFiles(
      [file('a.ts', 250), file('b.ts', 251), file('c.ts', 300), file('d.ts', 401), file('e.ts', 10)],
      { 'c.ts': 'so', 'd.ts': 'so', 'e.ts': 'so' }
    )
    assert.deepEqual(found, [
      { file: 'b.ts', problem: '251 lines: split it, or say why not' },
      { file: 'd.ts', problem: '401 lines' },
      { file: 'e.ts', problem: 'is short enough without an answer' }
    ])
  })

  test('sees private internals in code and not in comments', () => {
    assert.deepEqual(read('a.ts', 'socket._handle.fd; socket?.["_handle"]; stream._readableState; process.binding("x") // ._handle').internals,
      ['_handle', '_handle', '_readableState', 'process.binding'])
  })

  test("sees what is written to others' objects, and not what is ours", () => {
    const text = `
      import type { Server } from 'node:http'
      import type { Duplex } from 'node:stream'
      interface Own { name: string, stream: Duplex }
      const kOwn: unique symbol = Symbol('own')
      class Socketless { count = 0; add (): void { this.count++ } }
      export function f (
        own: Own, stream: Duplex & { [kOwn]?: Own }, server: Server & { hook?: () => void }, list: string[], bytes: Buffer, error: NodeJS.ErrnoException
      ): void {
        own.name = 'a'
        list[0] = 'a'
        bytes[0] = 1
        ;(bytes[1] as number) ^= 1
        stream[kOwn] = own
        new Socketless().count += 1
        const made = { a: 1 }
        made.a = 2
        own.stream.read = () => null
        server.hook = () => {}
        server.maxHeadersCount! += 1
        ;(stream.once as unknown) = null
        stream['destroyed' as 'readable'] = false
        error.code ??= 'E'
        delete error.code
        Object.assign(stream, { a: 1 })
        for (const symbol of Object.getOwnPropertySymbols(stream)) if (symbol.description === 'x') own.name = symbol.description
      }
    `
    assert.deepEqual([...writesToOthers([{ file: 'net/a.ts', text }]).get('net/a.ts') ?? []].sort(), [
      'Object.assign(stream)', 'error.code =', 'getOwnPropertySymbols', 'own.stream.read =', 'server.hook =', 'server.maxHeadersCount =', 'stream.once =',
      "stream['destroyed' as 'readable'] =", 'symbol.description'
    ].sort())
  })
})
