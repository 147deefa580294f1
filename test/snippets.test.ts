import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { filesBelow, read, root, standsInExample } from './fixtures/documents.ts'

// The code in the documents is code that a reader copies: it compiles against the declarations of dist/, strictly, and runs:
// a server made of it comes up. So `npm run build` comes first.

const documents = [
  'README.md', 'SECURITY.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'examples/README.md',
  'examples/prometheus/README.md', ...filesBelow('docs', '.md')
]

/** What documents take for granted: the line that a reader has above the code, by the name that it brings. */
const assumed: Record<string, string> = {
  Fastify: "import Fastify from 'fastify'",
  wstunnel: "import wstunnel from 'fastify-wstunnel'",
  status: "import status from 'fastify-wstunnel/status'",
  app: "const app = (await import('fastify')).fastify()",
  text: 'const text = \'ProxyPass "/ws/" "ws://127.0.0.1:4000/"\'',
  findRoom: "const findRoom = async (_room: string, _options: { signal: AbortSignal }) => ({ host: 'room.example' })",
  httpProxy: "import httpProxy from '@fastify/http-proxy'",
  authenticate: 'const authenticate = async () => {}',
  isOperator: 'const isOperator = async (_request: unknown) => true'
}

/** An application that has its routes already: for code that registers nothing. */
const registered = `await app.register((await import('fastify-wstunnel')).default, {
  balancers: { app: { members: [{ url: 'ws://10.0.0.1:9080' }, { url: 'ws://10.0.0.2:9080' }] } },
  routes: [{ path: '/', upstream: 'balancer://app/' }]
})`

/** What an application's own hooks and declarations add to Fastify's types. */
const declared = "declare module 'fastify' { interface FastifyRequest { user: { id: string } } }"

/** Code that needs more than this machine is sure to have. */
const notRun = [
  { text: "from 'ioredis'", why: 'would look for a Redis at redis:6379' },
  { text: 'server.listen(4000)', why: 'would stay: test/integration/example-deploy runs it' }
]

interface Snippet { name: string, language: 'js' | 'ts', file: string, source: string, runs: boolean }

function identifiersOf (code: string): { used: Set<string>, own: Set<string> } {
  const used = new Set<string>()
  const own = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) used.add(node.text)
    const declares = ts.isVariableDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isImportClause(node) || ts.isImportSpecifier(node)
    if (declares && node.name !== undefined && ts.isIdentifier(node.name)) own.add(node.name.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('snippet.ts', code, ts.ScriptTarget.ES2023, true))
  return { used, own }
}

/** A module with what a snippet takes for granted before it, and the end of its server behind it. */
function moduleOf (code: string): string {
  const { used, own } = identifiersOf(code)
  const needed = Object.entries(assumed).filter(([name]) => used.has(name) && !own.has(name)).map(([, line]) => line)
  const hasApp = used.has('app')
  const hasRoutes = own.has('app') || /\.register\(wstunnel\b/.test(code)
  return [
    declared,
    ...needed,
    ...hasApp && !hasRoutes ? [registered] : [],
    code,
    ...hasApp ? ['await app.ready()', 'await app.close()'] : [],
    'export {}'
  ].join('\n')
}

const snippets: Snippet[] = documents.flatMap((document) => {
  const text = read(document)
  return [...text.matchAll(/^ *```(?:(js|ts)|javascript|typescript|mjs|cjs|mts|cts|tsx|jsx)\b.*\n([^]*?)^ *```$/gm)]
    .filter(({ 2: code = '' }) => !standsInExample(document, code))
    .map(({ 1: language, 2: code = '', index }) => {
      const name = `${document}:${text.slice(0, index).split('\n').length}`
      assert.ok(language === 'js' || language === 'ts', `${name}: the documents write js and ts`)
      const file = `${name.replace(/\W+/g, '-')}.${language}.mts`
      return { name, language, file, source: moduleOf(code), runs: !notRun.some(({ text }) => code.includes(text)) }
    })
})

/** What TypeScript says of all modules of a language. Of JavaScript, which cannot say what a parameter is, it does not ask for that. */
function compile (language: 'js' | 'ts'): Map<string, string[]> {
  const options: ts.CompilerOptions = {
    strict: true,
    noImplicitAny: language === 'ts',
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    types: ['node'],
    skipLibCheck: true,
    noEmit: true
  }
  const sources = new Map(snippets.filter((snippet) => snippet.language === language).map(({ file, source }) => [join(root, 'snippets', file), source]))
  const host = ts.createCompilerHost(options)
  const { readFile, fileExists } = host
  host.getCurrentDirectory = () => root
  host.readFile = (file) => sources.get(join(file)) ?? readFile(file)
  host.fileExists = (file) => sources.has(join(file)) || fileExists(file)
  const getSourceFile = host.getSourceFile.bind(host)
  host.getSourceFile = (file, target, ...rest) => {
    const source = sources.get(join(file))
    return source === undefined ? getSourceFile(file, target, ...rest) : ts.createSourceFile(file, source, target, true)
  }
  const program = ts.createProgram([...sources.keys()], options, host)
  const found = new Map<string, string[]>()
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const key = file?.fileName.split('/').at(-1) ?? ''
    found.set(key, [...found.get(key) ?? [], ts.flattenDiagnosticMessageText(messageText, '\n')])
  }
  return found
}

const faults = new Map([...compile('js'), ...compile('ts')])

test('there are snippets, of both languages, and TypeScript has nothing to say of the whole', () => {
  assert.ok(snippets.filter(({ name }) => name.startsWith('README.md')).length >= 4)
  assert.ok(['js', 'ts'].every((language) => snippets.some((snippet) => snippet.language === language)))
  assert.deepEqual([...faults.keys()].filter((file) => !snippets.some((snippet) => snippet.file === file)).map((file) => [file, faults.get(file)]), [])
})

for (const { name, file, source } of snippets) {
  test(`the code at ${name} compiles`, () => assert.deepEqual(faults.get(file) ?? [], [], source))
}

test('the types are those of dist/, and what is wrong is found', () => {
  const wrong: Snippet = {
    name: 'wrong',
    language: 'ts',
    file: 'wrong.ts.mts',
    runs: false,
    source: moduleOf("app.register(wstunnel, { upstream: 'ws://a/', idleTimeout: '30' })")
  }
  snippets.push(wrong)
  try {
    assert.match(compile('ts').get(wrong.file)?.join() ?? '', /No overload matches/)
  } finally {
    snippets.pop()
  }
})

test('each runs: its server comes up, and closes', { timeout: 120_000 }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'wstunnel-snippets-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['fastify', '@fastify', '@opentelemetry', 'prom-client', 'ws', 'close-with-grace', 'fastify-wstunnel']) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(name === 'fastify-wstunnel' ? root : join(root, 'node_modules', name), link, 'junction')
  }
  const running = snippets.filter(({ runs }) => runs)
  for (const { file, source } of running) {
    const { outputText } = ts.transpileModule(source.replace('port: 3000', 'port: 0'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 }
    })
    writeFileSync(join(folder, file.replace(/\.mts$/, '.mjs')), outputText)
  }
  const main = join(folder, 'main.mjs')
  writeFileSync(main, `import assert from 'node:assert/strict'
const failed = []
for (const [name, url] of ${JSON.stringify(running.map(({ name, file }) => [name, pathToFileURL(join(folder, file.replace(/\.mts$/, '.mjs'))).href]))}) {
  await import(url).catch((error) => failed.push(name + ': ' + error.stack))
}
assert.deepEqual(failed, [])
`)
  const { status, stderr } = spawnSync(process.execPath, [main], { cwd: folder, encoding: 'utf8', timeout: 100_000 })
  assert.equal(status, 0, stderr)
})
