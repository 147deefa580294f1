import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kind, type TSchema } from '@sinclair/typebox'
import fastify from 'fastify'
import ts from 'typescript'
import { balancerSchema, dnsSchema, memberSchema } from '../lib/balancer/options-schema.ts'
import { parseDuration } from '../lib/config/duration.ts'
import { tlsOptionNames } from '../lib/config/tls-options.ts'
import * as errors from '../lib/errors.ts'
import wstunnel from '../lib/index.ts'
import { common, topOnly } from '../lib/plugin/options-schema.ts'
import { limitDefaults } from '../lib/plugin/option-defaults.ts'
import { resolveOptions } from '../lib/plugin/resolve-options.ts'
import { families } from '../lib/prometheus/families.ts'
import { tunnelReasons } from '../lib/tunnel/reasons.ts'
import { refusalStages } from '../lib/upstream/counters.ts'
import { filesBelow, firstCells, namesIn, namesOf, propertiesOf, read, rowsOf, section } from './fixtures/documents.ts'

// docs/reference says what the code does: each option with its type, default, effect of 0 and httpd's name, each error, reason, metric,
// channel and line of the log.

type Row = Record<string, string>

const optionsPage = 'docs/reference/options.md'
const balancersPage = 'docs/reference/balancers.md'

/** What the schema knows, by name. */
const schemas: Record<string, TSchema> = { ...common, ...topOnly }
const topRows = rowsOf(section(optionsPage, '## Only at the top'))
const entryRows = rowsOf(section(optionsPage, '## Per entry, or at the top as a default for all entries'))
const limitRows = rowsOf(section(optionsPage, '## `limits`'))

function named (rows: Row[], first: string): Map<string, Row> {
  return new Map(rows.flatMap((row) => namesIn(row[first]).map((name) => [name, row] as const)))
}

const rows = new Map([...named(topRows, 'option'), ...named(entryRows, 'option')])

/** The words with which a type cell has to begin, or that it must hold, for a schema. */
function typeFits (schema: TSchema, cell: string): boolean {
  const inner: TSchema[] = schema.anyOf ?? [schema]
  const kinds = inner.map((each) => each[Kind])
  const literals = inner.filter((each) => each[Kind] === 'Literal').map(({ const: value }) => value as unknown)
  if (String(schema.description).startsWith('a duration')) return cell === 'duration'
  if (literals.length > 0 && literals.length === inner.filter((each) => each[Kind] !== 'Function').length) {
    return literals.every((value) => cell.includes(typeof value === 'string' ? `\`'${value}'\`` : `\`${String(value)}\``))
  }
  const words: Record<string, RegExp> = {
    Boolean: /\bboolean\b/,
    String: /string|path|name|URL|letters|character|`'client'`|the `route`|level/,
    Integer: /number|\d+ to \d+|exchanges|how many/,
    Number: /number|\d+ to \d+/,
    Array: /array/,
    Object: /object|URL|`path`|array of/,
    Function: /function|hook|=>/,
    Literal: /`false`|`'absolute'`/,
    Unknown: /./
  }
  return kinds.every((kind) => (words[kind] as RegExp | undefined)?.test(cell) === true)
}

test('every option has one row, at the top or per entry, and no row has an option that is none', () => {
  const top = namesOf('WstunnelOptions').filter((name) => !namesOf('RouteOptions').includes(name))
  assert.deepEqual([...named(topRows, 'option').keys()].sort(), top.sort())
  assert.deepEqual([...named(entryRows, 'option').keys()].sort(), namesOf('RouteOptions').sort())
})

test('the schema and the interfaces know the same options', () => {
  assert.deepEqual(Object.keys(schemas).sort(), [...new Set(namesOf('WstunnelOptions'))].sort())
})

for (const [name, schema] of Object.entries(schemas)) {
  test(`the row of ${name} has the type of the schema`, () => {
    const cell = rows.get(name)?.type ?? ''
    assert.ok(typeFits(schema, cell), `${name}: ${cell}`)
  })
}

/** `'10s'` and `0` in milliseconds, `16 KiB` in bytes, `10,000`, `true`, `'off'`; `undefined` for words. */
function valueOf (cell: string): unknown {
  const text = cell.replace(/^`([^`]+)`.*$/, '$1').replace(/^'(.*)'$/, '$1')
  if (/^\d[\d,]*$/.test(text)) return Number(text.replaceAll(',', ''))
  const [, kib] = /^(\d+) KiB$/.exec(text) ?? []
  if (kib !== undefined) return Number(kib) * 1024
  if (text === 'true' || text === 'false') return text === 'true'
  return parseDuration(text) ?? (cell.startsWith('`') ? text : undefined)
}

test('the defaults in the table are those of the code', () => {
  const { targets, drainTimeout } = resolveOptions({ upstream: 'ws://a/' }, '')
  const target = targets[0] as NonNullable<typeof targets[0]>
  const { idle, halfClose, lifetime, stall } = target.timers
  const resolved: Record<string, unknown> = {
    ...target,
    drainTimeout,
    idleTimeout: idle,
    halfCloseTimeout: halfClose,
    maxLifetime: lifetime,
    stallTimeout: stall,
    path: '/',
    reverse: target.reverse !== false
  }
  let compared = 0
  for (const [name, row] of rows) {
    const value = valueOf(row.default ?? '')
    if (value === undefined || typeof resolved[name] === 'object') continue
    assert.equal(resolved[name], value, name)
    compared++
  }
  assert.ok(compared >= 18, String(compared))
})

test('what has no default in the table has none in the code', () => {
  const target = resolveOptions({ upstream: 'ws://a/' }, '').targets[0] as unknown as Record<string, unknown>
  // A target's `prefix` is another thing.
  const without = [...rows].filter(([name, row]) => /^(none|any)$/.test(row.default ?? '') && name in target && name !== 'prefix').map(([name]) => name)
  assert.ok(without.length >= 6, without.join())
  for (const name of without) assert.equal(target[name], undefined, name)
})

test('the defaults of the docstrings are those of the tables', () => {
  for (const [name, row] of rows) {
    const said = propertiesOf('WstunnelOptions').find((property) => property.name === name)?.default ?? ''
    const [first = ''] = said.replaceAll('`', '').replaceAll("'", '').split(/[ ,;]/)
    const cell = (row.default ?? '').replaceAll('`', '').replaceAll("'", '')
    if (/^[\d/{]|^(true|false|off|x-forwarded|websocket|none|any|all|the)$/.test(first)) {
      assert.ok(cell.startsWith(first) || (first === 'none' && /none/.test(cell)), `${name}: '${said}' and '${cell}'`)
    } else assert.ok(['see', 'Without'].includes(first) || name === 'routes', `${name}: '${said}'`)
  }
})

test('every duration says what 0 does, and nothing else has a 0', () => {
  for (const [name, row] of rows) {
    const takesZero = row.type === 'duration'
    assert.equal(row['0'] !== '', takesZero, name)
  }
})

test('every limit has a row with its default and what 0 does', () => {
  const limits = named(limitRows, 'limit')
  assert.deepEqual([...limits.keys()].sort(), namesOf('Limits').sort())
  for (const [name, row] of limits) {
    assert.notEqual(row['0'], '', name)
    const given = row.default === 'none' ? Infinity : valueOf(row.default ?? '')
    assert.equal(limitDefaults[name as keyof typeof limitDefaults], given, name)
  }
})

/** `<Proxy balancer://name>`, `ProxyTimeout`, `max=`: what a docstring names of httpd, one by one. */
function httpdNames (text: string): string[] {
  return text.replace(/<[^>]*>/g, (part) => part.replaceAll(' ', '\0')).replaceAll('`', '').split(/[ ,]+/)
    .map((word) => word.replaceAll('\0', ' ').replace(/\*$/, ''))
    .filter((word) => /^[A-Z<!]|=$/.test(word) && !['On', 'Off', 'BalancerMember.'].includes(word))
}

test("httpd's names in the tables are those of the docstrings", () => {
  let compared = 0
  for (const [name, row] of [...rows, ...named(limitRows, 'limit')]) {
    const property = [...propertiesOf('WstunnelOptions'), ...propertiesOf('Limits')].find((each) => each.name === name)
    const cell = row.httpd ?? row.counts ?? ''
    const wanted = httpdNames(property?.httpd ?? '')
    for (const word of wanted) assert.ok(cell.includes(word), `${name}: the docstring has ${word}, the table ${cell}`)
    if ('httpd' in row) assert.equal(namesIn(cell).length > 0, wanted.length > 0, `${name}: '${cell}' and '${property?.httpd ?? ''}'`)
    compared += wanted.length
  }
  assert.ok(compared > 25, String(compared))
})

test('every TLS option is named', () => {
  const text = section(optionsPage, '## `tls`')
  assert.deepEqual(tlsOptionNames.filter((name) => !text.includes(`\`${name}\``)), [])
})

for (const [heading, schema, kind] of [
  ['## Options of a balancer', balancerSchema, 'BalancerOptions'],
  ['## Members', memberSchema, 'MemberOptions'],
  ['### Members by DNS', dnsSchema, 'DnsMembers'],
  ['### Health checks', (balancerSchema.properties as Record<string, TSchema>).healthCheck, 'HealthCheckOptions']
] as const) {
  // What all members have is said once.
  const names = namesOf(kind).filter((name) => kind !== 'DnsMembers' || !namesOf('MemberDefaults').includes(name))
  const properties = (schema as TSchema).properties as Record<string, TSchema>
  // Of `Members`, only the table before the first heading below it.
  const table = named(rowsOf(section(balancersPage, heading).split('\n### ')[0] as string), 'option')

  test(`${heading}: every option has a row with its type, default and what 0 does`, () => {
    assert.deepEqual([...table.keys()].sort(), [...names].sort())
    for (const [name, row] of table) {
      const own = properties[name] as TSchema
      const isDuration = String(own.description).startsWith('a duration')
      if (isDuration && namesIn(row.option).length === 1) assert.match(row.type ?? '', /^duration/, name)
      else if (namesIn(row.option).length === 1) assert.ok(typeFits(own, row.type ?? ''), `${name}: ${row.type}`)
      const takesNumbers = isDuration || own[Kind] === 'Integer' || own[Kind] === 'Number'
      if (takesNumbers) assert.notEqual(row['0'], '', name)
      const said = propertiesOf(kind).find((property) => property.name === name)
      for (const word of httpdNames(said?.httpd ?? '')) {
        assert.ok((row.httpd ?? '').includes(word), `${name}: the docstring has ${word}, the table ${row.httpd}`)
      }
      const value = valueOf(row.default ?? '')
      const docDefault = (said?.default ?? '').replaceAll('`', '').replaceAll("'", '').split(/[ ,;]/)[0] ?? ''
      if (typeof value === 'number' && /^\d/.test(docDefault)) assert.equal(parseDuration(docDefault) ?? Number(docDefault), value, name)
    }
  })

  test(`${heading}: what its 0 is said to be is what the code makes of 0`, () => {
    const members = [{ url: 'ws://a/' }]
    const place: Record<string, (options: object) => object> = {
      '## Options of a balancer': (options) => ({ members, ...options }),
      '## Members': (options) => ({ members: [{ url: 'ws://a/', ...options }] }),
      '### Members by DNS': (options) => ({ members: { dns: 'a.example', ...options } }),
      '### Health checks': (options) => ({ members, healthCheck: options })
    }
    for (const [name, row] of table) {
      if (row['0'] === '') continue
      const resolve = (): unknown => resolveOptions({ balancers: { b: place[heading]?.({ [name]: 0 }) as never } }, '')
      if (row['0'] === 'not allowed') assert.throws(resolve, { code: 'FST_WSTUNNEL_INVALID_OPTIONS' }, name)
      else if (name !== 'tls') assert.doesNotThrow(resolve, name)
    }
  })
}

test('every error has a row with its code, status and source, and no row has an error that is none', () => {
  const table = named(rowsOf(read('docs/reference/errors.md')), 'code')
  const constructors = Object.entries(errors).filter(([name]) => name.endsWith('Error') && !/^(to|is)/.test(name))
  assert.ok(constructors.length > 15)
  const codes = constructors.map(([, Constructor]) => {
    const { code, statusCode, source, retryAfter } = new (Constructor as errors.WstunnelErrorConstructor)()
    const row = table.get(code)
    assert.deepEqual([row?.status, row?.source], [String(statusCode), source], code)
    assert.equal(/Retry-After/.test(row?.meaning ?? ''), retryAfter !== undefined, code)
    return code
  })
  assert.deepEqual([...table.keys()].sort(), codes.sort())
})

test('the documents name no error that does not exist', () => {
  const source = filesBelow('lib', '.ts').map(read).join('\n')
  const codes = new Set([...source.matchAll(/FST_WSTUNNEL_[A-Z_]*[A-Z]/g)].map(([code]) => code))
  const pages = ['README.md', 'SECURITY.md', 'CHANGELOG.md', ...filesBelow('docs', '.md')]
  for (const page of pages) {
    for (const [code] of read(page).matchAll(/FST_WSTUNNEL_[A-Z_]*[A-Z]/g)) assert.ok(codes.has(code), `${page}: ${code}`)
  }
  const named = new Set([...read('docs/reference/errors.md').matchAll(/FST_WSTUNNEL_[A-Z_]*[A-Z]/g)].map(([code]) => code))
  assert.deepEqual([...codes].filter((code) => !named.has(code)), [])
})

test('every reason has a row', () => {
  assert.deepEqual([...firstCells(section('docs/reference/events.md', '## Outcomes and reasons'))].sort(), [...tunnelReasons].sort())
})

test('every stage of a refusal has a row', () => {
  const stages = named(rowsOf(section('docs/reference/metrics.md', '### `tunnels`')), 'stage of refused')
  assert.deepEqual([...stages.keys()].sort(), [...refusalStages].sort())
})

test('every field of a snapshot is named', async () => {
  const app = fastify()
  await app.register(wstunnel, { balancers: { b: { members: [{ url: 'ws://127.0.0.1:9/' }] } }, upstream: 'balancer://b/' })
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
  const text = read('docs/reference/metrics.md') + section('docs/reference/events.md', '## Outcomes and reasons') + section(balancersPage, '## While it runs')
  const missing = [...names].filter((name) => !new RegExp(`\`(routes\\[\\]\\.)?${name}(\\[\\])?\``).test(text))
  assert.ok(names.size > 45, String(names.size))
  assert.deepEqual(missing, [])
})

test('every method of the decorator has a row', () => {
  const source = ts.createSourceFile('plugin.ts', read('lib/plugin/plugin.ts'), ts.ScriptTarget.ES2023, true)
  const found = source.statements.find((node): node is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(node) && node.name.text === 'WstunnelDecorator')
  const methods = found?.members.map((member) => (member.name as ts.Identifier).text) ?? []
  assert.ok(methods.length >= 5)
  const calls = [...firstCells(read('docs/reference/metrics.md'))].flatMap((call) => /^(?:await )?(\w+)\(/.exec(call)?.[1] ?? [])
  assert.deepEqual(calls.sort(), methods.sort())
})

test('every family of the Prometheus metrics has a row with its type', () => {
  const table = named(rowsOf(read('docs/recipes/prometheus.md')), 'name')
  assert.deepEqual([...table.keys()].sort(), families.map(({ name }) => `wstunnel_${name}`).sort())
  for (const { name, type } of families) assert.equal(table.get(`wstunnel_${name}`)?.type, type, name)
})

for (const [name, heading] of [['TunnelInfo', '## `tunnels()`'], ['TunnelOutcome', '## Hooks']] as const) {
  test(`every field of a ${name} has a row`, () => {
    const named = [...firstCells(section('docs/reference/events.md', heading))].map((field) => field.replace(/\(.*$/, ''))
    assert.deepEqual(named.sort(), namesOf(name).sort())
  })
}

test('every line of the log has a row', () => {
  // Of the command line and of the translation, `info` and `error` are other things.
  const files = filesBelow('lib', '.ts').filter((file) => !/^lib\/(cli|httpd-conf|compat)\//.test(file))
  const said = files.flatMap((file) => logMessages(file))
  const text = section('docs/reference/events.md', '## Log lines')
  assert.ok(said.length >= 14, said.join('\n'))
  assert.deepEqual(said.filter((message) => !text.includes(message)), [])
})

/** The beginnings of the texts that a file logs: up to a colon or to what is put in. */
function logMessages (file: string): string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.ES2023, true)
  const found: string[] = []
  const texts = (node: ts.Node): void => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) found.push((node.text.split(/[:,]/)[0] as string).replace(/ with \d+$/, ''))
    else if (ts.isTemplateExpression(node)) {
      const beginning = (node.head.text.split(/[:]/)[0] as string).trim()
      found.push(beginning === '' ? (node.templateSpans[0]?.literal.text ?? '').trim() : beginning)
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const callee = node.expression.getText()
      if (/[lL]og(\[.*\]|\.(info|warn|error|debug))$/s.test(callee)) node.arguments.forEach(texts)
      if (callee === 'warnOnce') node.arguments.forEach(texts)
      if (callee === 'titleOf') found.push('balancer member changed', 'balancer members found', 'lookup of balancer members failed')
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found.filter((text) => text.length > 3)
}

test('every channel has a row', () => {
  const channels = [...read('lib/observability/channels.ts').matchAll(/channel\('([^']+)'\)/g)].map(([, name]) => name as string)
  assert.deepEqual([...firstCells(section('docs/reference/events.md', '## `diagnostics_channel`'))].sort(), channels.sort())
})

test('every option of @fastify/http-proxy and of reply-from has a row in the page for those who come from it', () => {
  const page = rowsOf(read('docs/migrate/from-fastify-http-proxy.md'))
  const named = new Set(page.flatMap((row) => namesIn(Object.values(row)[0])))
  const theirs = (file: string, names: string[]): string[] => {
    const found: string[] = []
    const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.ES2023, true)
    const visit = (node: ts.Node): void => {
      if (ts.isInterfaceDeclaration(node) && names.includes(node.name.text)) found.push(...node.members.map((member) => (member.name as ts.Identifier).text))
      ts.forEachChild(node, visit)
    }
    visit(source)
    return found
  }
  const options = [
    ...theirs('node_modules/@fastify/http-proxy/types/index.d.ts', ['FastifyHttpProxyOptions', 'FastifyHttpProxyWebsocketOptionsEnabled']),
    ...theirs('node_modules/@fastify/reply-from/types/index.d.ts', ['FastifyReplyFromHooks', 'FastifyReplyFromOptions'])
  ]
  assert.ok(options.length > 35, String(options.length))
  assert.deepEqual(options.filter((name) => !named.has(name)), [])
})
