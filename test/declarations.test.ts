import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import ts from 'typescript'

// What an editor shows of what can be imported: read from the .d.ts files of the package, so `npm run build` comes first.

const root = fileURLToPath(new URL('..', import.meta.url)).replaceAll('\\', '/')
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Record<string, string | { types: string }> }
const entries = Object.entries(manifest.exports)
  .flatMap(([name, target]) => typeof target === 'string' ? [] : [{ name, types: `${root}${target.types.slice(2)}` }])

const program = ts.createProgram(
  entries.map(({ types }) => types),
  { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, types: ['node'], strict: true }
)
const checker = program.getTypeChecker()

interface Shown {
  at: string
  optional: boolean
  type: string
  text: string
}

function docOf (node: ts.Node): string {
  return ts.getJSDocCommentsAndTags(node).map((doc) => doc.getText()).join(' ')
}

function isOurs (node: ts.Node): boolean {
  return node.getSourceFile().fileName.startsWith(`${root}dist/`)
}

const exported = entries.flatMap(({ name, types }) => {
  const source = program.getSourceFile(types)
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
  assert.ok(module !== undefined, types)
  return checker.getExportsOfModule(module).map((symbol) =>
    ({ at: `${name} ${symbol.name}`, symbol: (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol) }))
})

/** Interfaces by name: those that are exported, and those of ours that they extend. */
const interfaces = new Map<string, ts.InterfaceDeclaration>()
function collect (symbol: ts.Symbol): void {
  for (const node of symbol.declarations ?? []) {
    if (!ts.isInterfaceDeclaration(node) || !isOurs(node) || interfaces.has(node.name.text)) continue
    interfaces.set(node.name.text, node)
    for (const { types } of node.heritageClauses ?? []) {
      for (const type of types) {
        const base = checker.getTypeAtLocation(type).getSymbol()
        if (base !== undefined) collect(base)
      }
    }
  }
}
for (const { symbol } of exported) collect(symbol)

const members: Shown[] = [...interfaces.values()].flatMap((node) => node.members.filter((member) => !ts.isCallSignatureDeclaration(member)).map((member) => ({
  at: `${node.name.text}.${member.name?.getText() ?? ''}`,
  optional: member.questionToken !== undefined,
  type: (member as ts.PropertySignature).type?.getText() ?? '',
  text: docOf(member)
})))
/** Interfaces of options, whose optional members have a default. */
const withDefaults = /Options$|^Limits$|^MemberDefaults$|^MemberConnection$|^DnsMembers$/

test('all is found: options, metrics, events, and those of each export', () => {
  for (const name of [
    'CommonOptions', 'Limits', 'RouteOptions', 'WstunnelOptions', 'MemberConnection',
    'MemberDefaults', 'MemberOptions', 'DnsMembers', 'HealthCheckOptions', 'BalancerOptions',
    'TunnelMetrics', 'ForwardMetrics', 'UpstreamMetrics', 'RouteMetrics', 'MetricsSnapshot', 'MemberInfo', 'BalancerMetrics', 'Histogram',
    'TunnelInfo', 'TunnelOutcome', 'TunnelOpenMessage', 'TunnelCloseMessage', 'TunnelRefusedMessage', 'MemberStateChange', 'MemberLookup',
    'WstunnelDecorator', 'BalancerControl', 'StatusOptions', 'CollectOptions', 'TracingOptions', 'RedisLeasesOptions', 'HttpdTranslation'
  ]) assert.ok(interfaces.has(name), name)
  assert.ok(members.length > 150, String(members.length))
})

test('every public option, metric, event and method says what it is', () => {
  assert.deepEqual(members.filter(({ text }) => text === '').map(({ at }) => at), [])
})

test('every exported name says what it is', () => {
  const silent = exported.filter(({ symbol }) => (symbol.declarations ?? []).some(isOurs) && !(symbol.declarations ?? []).some((node) => (
    docOf(node) !== '' || (ts.isVariableDeclaration(node) && docOf(node.parent.parent) !== '')
  )))
  assert.deepEqual(silent.map(({ at }) => at), [])
})

test('every option that may be left out says its default', () => {
  const silent = members.filter(({ at, optional, text }) => optional && withDefaults.test(at.split('.')[0] ?? '') && !/Default: /.test(text))
  assert.deepEqual(silent.map(({ at }) => at), [])
})

test('every duration says its default with a unit, or that it is none', () => {
  const silent = members.filter(({ type, text, optional }) => type === 'Duration' && optional && !/Default: (0|'?\d+(ms|s|m|h)'?|that |the |none|`)/.test(text))
  assert.deepEqual(silent.map(({ at, text }) => `${at}: ${text}`), [])
})

/** httpd's names, as its administrators look for them. */
const directives: Record<string, string> = {
  'CommonOptions.upstream': 'ProxyPass',
  'CommonOptions.upgrade': 'upgrade=',
  'CommonOptions.fallbackToHttp': 'ProxyWebsocketFallbackToProxyHttp',
  'CommonOptions.async': 'ProxyWebsocketAsync',
  'CommonOptions.asyncDelay': 'ProxyWebsocketAsyncDelay',
  'CommonOptions.idleTimeout': 'ProxyWebsocketIdleTimeout',
  'CommonOptions.connectTimeout': 'connectiontimeout=',
  'CommonOptions.timeout': 'ProxyTimeout',
  'CommonOptions.keepAlive': 'keepalive=',
  'CommonOptions.preserveHost': 'ProxyPreserveHost',
  'CommonOptions.forwarded': 'ProxyAddHeaders',
  'CommonOptions.via': 'ProxyVia',
  'CommonOptions.reverse': 'ProxyPassReverse',
  'CommonOptions.rewriteRequestHeaders': 'RequestHeader',
  'CommonOptions.rewriteHeaders': 'Header',
  'CommonOptions.tls': 'SSLProxy',
  'CommonOptions.disableReuse': 'disablereuse=',
  'CommonOptions.limits': 'max=',
  'CommonOptions.constraints': '<VirtualHost>',
  'CommonOptions.onTunnelClose': 'CustomLog',
  'WstunnelOptions.balancers': '<Proxy balancer://',
  'MemberDefaults.loadFactor': 'loadfactor=',
  'MemberOptions.route': 'route=',
  'BalancerOptions.lbMethod': 'lbmethod=',
  'BalancerOptions.stickySession': 'stickysession=',
  'HealthCheckOptions.method': 'hcmethod=',
  'HealthCheckOptions.uri': 'hcuri=',
  'HealthCheckOptions.interval': 'hcinterval='
}

test("options say httpd's names", () => {
  const silent = Object.entries(directives).filter(([at, name]) => members.find((member) => member.at === at)?.text.includes(name) !== true)
  assert.deepEqual(silent, [])
})

test('every number of metrics and events says what is counted, or its unit', () => {
  const measured = members.filter(({ at, type }) => type === 'number' && /duration|sum|uptime|^.*\.(le|since)$/i.test(at.split('.')[1] ?? ''))
  assert.ok(measured.length >= 3)
  assert.deepEqual(measured.filter(({ text }) => !/milliseconds/i.test(text)).map(({ at }) => at), [])
})
