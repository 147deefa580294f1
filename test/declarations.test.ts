import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import ts from 'typescript'

// What an editor shows of each public option and metric: read from the .d.ts files of the package, so `npm run build` comes first.

const files: Record<string, string[]> = {
  'config/target.d.ts': ['CommonOptions', 'Limits', 'TunnelInfo', 'TunnelOutcome'],
  'plugin/options.d.ts': ['WstunnelOptions', 'RouteOptions'],
  'observability/channels.d.ts': ['TunnelOpenMessage', 'TunnelCloseMessage', 'TunnelRefusedMessage'],
  'observability/metrics.d.ts': ['TunnelMetrics', 'ForwardMetrics', 'UpstreamMetrics', 'RouteMetrics', 'MetricsSnapshot'],
  'balancer/options.d.ts': ['MemberConnection', 'MemberDefaults', 'MemberOptions', 'DnsMembers', 'HealthCheckOptions', 'BalancerOptions', 'MemberInfo', 'BalancerMetrics', 'MemberStateChange', 'MemberLookup']
}
/** Interfaces of options, whose optional members have a default. */
const withDefaults = /Options$|^Limits$|^MemberDefaults$|^MemberConnection$|^DnsMembers$/

function membersOf (file: string, names: string[]): Array<{ at: string, optional: boolean, duration: boolean, text: string }> {
  const path = fileURLToPath(new URL(`../dist/${file}`, import.meta.url))
  const source = ts.createSourceFile(file, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2023, true)
  const found = source.statements.filter((node): node is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(node) && names.includes(node.name.text))
  assert.deepEqual(found.map(({ name }) => name.text).sort(), [...names].sort())
  return found.flatMap((node) => node.members.map((member) => ({
    at: `${node.name.text}.${member.name?.getText() ?? ''}`,
    optional: member.questionToken !== undefined,
    duration: ts.isPropertySignature(member) && member.type?.getText() === 'Duration',
    text: ts.getJSDocCommentsAndTags(member).map((doc) => doc.getText()).join(' ')
  })))
}

const members = Object.entries(files).flatMap(([file, names]) => membersOf(file, names))

test('every public option, metric and field says what it is', () => {
  assert.ok(members.length > 100)
  assert.deepEqual(members.filter(({ text }) => text === '').map(({ at }) => at), [])
})

test('every option that may be left out says its default', () => {
  const silent = members.filter(({ at, optional, text }) => optional && withDefaults.test(at.split('.')[0] ?? '') && !/Default: /.test(text))
  assert.deepEqual(silent.map(({ at }) => at), [])
})
