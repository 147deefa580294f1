// Runs the unit tests with the lowest versions that package.json allows, in a copy of the checkout.
//
//   npm run test:lowest                      everything
//   npm run test:lowest -- one-view          what scripts/test-unit.ts takes
//
// find-my-way is Fastify's dependency, not ours. It reads every path before we do, so its lowest version is tested, too.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const findMyWay = '9.5.0'

const root = fileURLToPath(new URL('..', import.meta.url))

function run (command: string, args: string[], cwd: string): void {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
}

/** `^5.8.5` → `5.8.5`. */
function lowest (ranges: Record<string, string>): string[] {
  return Object.entries(ranges).map(([name, range]) => `${name}@${range.replace(/^[\^~]|^>=/, '')}`)
}

const manifest = readFileSync(join(root, 'package.json'), 'utf8')
const { dependencies, peerDependencies } = JSON.parse(manifest) as Record<'dependencies' | 'peerDependencies', Record<string, string>>
const versions = [...lowest(dependencies), ...lowest(peerDependencies), `find-my-way@${findMyWay}`]
const folder = mkdtempSync(join(tmpdir(), 'wstunnel-lowest-'))
try {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })
  const files = listed.stdout.split('\0').filter(Boolean)
  for (const file of files) cpSync(join(root, file), join(folder, file), { recursive: true, mode: 0 })
  cpSync(join(root, 'node_modules'), join(folder, 'node_modules'), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !source.startsWith(join(root, 'node_modules', '.cache'))
  })
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...versions], folder)
  for (const version of versions) {
    const at = version.lastIndexOf('@')
    const [name, wanted] = [version.slice(0, at), version.slice(at + 1)]
    const found = (JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version
    if (found !== wanted) throw new Error(`${name} is ${found} instead of ${wanted}`)
  }
  console.log(`with ${versions.join(', ')}`)
  run('npm', ['run', 'build'], folder)
  run(process.execPath, ['--import', 'tsx', join('scripts', 'test-unit.ts'), ...process.argv.slice(2)], folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
