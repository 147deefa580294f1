import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import ts from 'typescript'
import { tlsOptionNames } from '../lib/config/tls-options.ts'
import * as errors from '../lib/errors.ts'
import wstunnel from '../lib/index.ts'
import { drainTimeoutDefault, durationDefaults } from '../lib/plugin/option-defaults.ts'
import { common, topOnly } from '../lib/plugin/options-schema.ts'
import { resolveOptions } from '../lib/plugin/resolve-options.ts'
import { tunnelReasons } from '../lib/tunnel/reasons.ts'
import { refusalStages } from '../lib/upstream/counters.ts'

// The README says what the code does: every option, code, reason and metric has its place there, every link its file.

const root = fileURLToPath(new URL('..', import.meta.url))
const documents = [
  'README.md', 'CHANGELOG.md', 'SECURITY.md', 'test/security/README.md', 'examples/prometheus/README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.md')).map((file) => `docs/${file.split(sep).join('/')}`)
]

function read (file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

const readme = read('README.md')

/** The text below a heading, down to the next one of its level or above. */
function section (heading: string): string {
  const lines = readme.split('\n')
  const start = lines.indexOf(heading)
  assert.notEqual(start, -1, `README.md has no heading '${heading}'`)
  const level = heading.indexOf(' ')
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => /^#+ /.test(line) && line.indexOf(' ') <= level)
  return rest.slice(0, end === -1 ? undefined : end).join('\n')
}

/** The names that stand in the first cell of a table's rows, each between backticks. */
function firstCells (text: string): Set<string> {
  const rows = text.split('\n').filter((line) => line.startsWith('| `'))
  return new Set(rows.flatMap((row) => [...(row.split(' | ')[0] as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name as string)))
}

/** The properties of the interfaces that users write, those that they inherit from each other included. */
function propertiesOf (name: string): string[] {
  const source = ts.createSourceFile('options.ts', read('lib/plugin/options.ts') + read('lib/config/target.ts'), ts.ScriptTarget.ES2023, true)
  const found = source.statements.find((node): node is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(node) && node.name.text === name)
  assert.ok(found !== undefined, `neither lib/plugin/options.ts nor lib/config/target.ts has an interface ${name}`)
  const inherited = (found.heritageClauses ?? []).flatMap(({ types }) => types.flatMap(({ expression }) => propertiesOf(expression.getText())))
  return [...found.members.map((member) => (member.name as ts.Identifier).text), ...inherited]
}

const options = propertiesOf('WstunnelOptions')

test('the schema knows every option of the interfaces', () => {
  for (const name of options) {
    // No value is right for all options; a bad one is still not an unknown one.
    assert.throws(() => resolveOptions({ [name]: Symbol.iterator } as never, ''), (error: Error) => {
      assert.doesNotMatch(error.message, /unknown option/)
      return true
    })
  }
})

test('the interfaces know every option of the schema', () => {
  assert.deepEqual([...new Set([...Object.keys(common), ...Object.keys(topOnly)])].sort(), [...new Set(options)].sort())
})

test('every option has a row in the README', () => {
  const rows = firstCells(section('## Options'))
  assert.deepEqual(options.filter((name) => !rows.has(name)), [])
})

test('every limit has a row in the README', () => {
  const rows = firstCells(section('#### `limits`'))
  assert.deepEqual([...rows].sort(), propertiesOf('Limits').sort())
})

test('the defaults of durations in the README are those of the code', () => {
  const defaults: Readonly<Record<string, number>> = { ...durationDefaults, drainTimeout: drainTimeoutDefault }
  for (const row of section('## Options').split('\n').filter((line) => line.includes('| duration |'))) {
    const [, name = '', , value = ''] = row.split('|').map((cell) => cell.trim().replace(/[`']/g, ''))
    const ms = value === '0' ? 0 : Number(value.replace(/s$/, '')) * 1000
    assert.equal(defaults[name], ms, name)
  }
})

test('every TLS option is named in the README', () => {
  const text = section('#### `tls`')
  assert.deepEqual(tlsOptionNames.filter((name) => !text.includes(`\`${name}\``)), [])
})

test('every error has a row with its code, status and source in the README', () => {
  const text = section('## Errors')
  const constructors = Object.entries(errors).filter(([name]) => name.endsWith('Error') && !/^(to|is)/.test(name))
  assert.ok(constructors.length > 15)
  for (const [, Constructor] of constructors) {
    const { code, statusCode, source } = new (Constructor as errors.WstunnelErrorConstructor)()
    assert.ok(text.includes(`| \`${code}\` | ${statusCode} | ${source} |`), `${code} | ${statusCode} | ${source}`)
  }
})

test('the README names no error that does not exist', () => {
  const codes = new Set([...read('lib/errors.ts').matchAll(/FST_WSTUNNEL_[A-Z_]*[A-Z]/g)].map(([code]) => code))
  const named = new Set([...readme.matchAll(/FST_WSTUNNEL_[A-Z_]*[A-Z]/g)].map(([code]) => code))
  assert.deepEqual(named, codes)
})

test('every reason has a row in the README', () => {
  assert.deepEqual([...firstCells(section('### Outcomes and reasons'))].sort(), [...tunnelReasons].sort())
})

test('every stage of a refusal is named in the README', () => {
  const text = section('### `metrics()`')
  assert.deepEqual(refusalStages.filter((stage) => !text.includes(`\`${stage}\``)), [])
})

test('every field of a snapshot is named in the README', async () => {
  const app = fastify()
  await app.register(wstunnel, { upstream: 'ws://127.0.0.1:9/' })
  const names = new Set<string>()
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(walk)
    if (typeof value !== 'object' || value === null) return
    for (const [name, inner] of Object.entries(value)) {
      names.add(name)
      walk(inner)
    }
  }
  walk(app.wstunnel.metrics())
  await app.close()
  const text = section('### `metrics()`') + section('### Outcomes and reasons')
  const missing = [...names].filter((name) => !new RegExp(`\`(routes\\[\\]\\.)?${name}(\\[\\])?\``).test(text))
  assert.ok(names.size > 30)
  assert.deepEqual(missing, [])
})

for (const [name, heading] of [['TunnelInfo', '### `tunnels()`'], ['TunnelOutcome', '### Hooks']] as const) {
  test(`every field of a ${name} is named in the README`, () => {
    const text = section(heading)
    assert.deepEqual(propertiesOf(name).filter((field) => !new RegExp(`\`${field}[\`(]`).test(text)), [])
  })
}

test('every address of the forge is that of package.json', () => {
  const manifest = JSON.parse(read('package.json')) as { repository: { url: string }, homepage: string, bugs: { url: string } }
  const home = manifest.repository.url.replace(/^git\+/, '').replace(/\.git$/, '')
  assert.deepEqual([manifest.homepage, manifest.bugs.url], [`${home}#readme`, `${home}/issues`])
  const advisories = `${home}/security/advisories/new`
  for (const file of ['SECURITY.md', '.github/ISSUE_TEMPLATE/config.yml']) assert.ok(read(file).includes(advisories), file)
  const owner = new URL(home).pathname.split('/')[1] as string
  const owners = [...read('.github/CODEOWNERS').replace(/^#.*$/gm, '').matchAll(/@([\w-]+)/g)].map(([, name]) => name)
  assert.deepEqual(owners, [owner])
  const forge = new RegExp(`https://github\\.com/(?:[\\w-]+/)?${home.split('/').at(-1) as string}[\\w./-]*`, 'g')
  for (const file of [...documents, '.github/ISSUE_TEMPLATE/config.yml', '.github/pull_request_template.md', 'CONTRIBUTING.md']) {
    for (const [address] of read(file).matchAll(forge)) assert.ok(address.startsWith(home), `${file}: ${address}`)
  }
})

for (const file of documents) {
  test(`every link in ${file} leads somewhere`, () => {
    const text = read(file).replace(/^```.*?^```$/gms, '')
    for (const [, link = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      assert.ok(existsSync(join(root, target)), `${file}: ${link}`)
      if (anchor === undefined) continue
      const anchors = [...read(target).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => (
        heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
      ))
      assert.ok(anchors.includes(anchor), `${file}: ${link}`)
    }
  })
}
