// Builds dist/: JavaScript without comments and indented by tabs, which nobody reads there, and declarations with their comments, which
// editors show. Of the declarations only those that an export reaches, itself or through others: nobody can import the rest.
//
//   npm run build

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')

function tsc (...options: string[]): void {
  const { status, error } = spawnSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', root, ...options], { stdio: 'inherit' })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function imported (declaration: string): string[] {
  return ts.preProcessFile(readFileSync(declaration, 'utf8')).importedFiles
    .filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName }) => resolve(declaration, '..', fileName.replace(/\.(ts|js)$/, '.d.ts')))
}

/** What the `types` of package.json's exports lead to. */
function reached (): Set<string> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, string | { types: string }> }
  const found = new Set(Object.values(exports).flatMap((target) => typeof target === 'string' ? [] : [resolve(root, target.types)]))
  for (const declaration of found) for (const next of imported(declaration)) found.add(next)
  return found
}

/** Indents by tabs, but for the lines of template literals, which are text. */
function withTabs (code: string): string {
  const texts: Array<readonly [from: number, to: number]> = []
  const visit = (node: ts.Node): void => {
    if (ts.isTemplateLiteralToken(node)) texts.push([node.getStart(), node.getEnd()])
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('code.js', code, ts.ScriptTarget.ESNext, true))
  return code.replace(/^(?: {4})+/gm, (spaces, at: number) => texts.some(([from, to]) => from < at && at < to) ? spaces : '\t'.repeat(spaces.length / 4))
}

rmSync(dist, { recursive: true, force: true })
tsc('--emitDeclarationOnly')
tsc('--declaration', 'false', '--isolatedDeclarations', 'false', '--removeComments', '--noCheck')
const kept = reached()
for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  const file = join(dist, name)
  if (name.endsWith('.d.ts') && !kept.has(file)) rmSync(file)
  else if (/\.(js|d\.ts)$/.test(name)) writeFileSync(file, withTabs(readFileSync(file, 'utf8')))
}
