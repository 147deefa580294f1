import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { fromHttpdConf, toModule } from '../../lib/httpd-conf/index.ts'
import { registerTranslation } from '../fixtures/httpd-conf.ts'

const folder = new URL('../conformance/httpd-conf/corpus/', import.meta.url)
const corpus = readdirSync(folder).sort().map((file) => readFileSync(new URL(file, folder), 'utf8'))

/** Translates, and looks at the result as its users do. */
function translate (text: string): number {
  const translation = fromHttpdConf(text)
  const last = text.split('\n').length
  for (const { line, text: said, level } of translation.notes) {
    assert.ok(line >= 1 && line <= last, `a note for line ${line} of ${last}`)
    assert.ok(said.length < 500 && /^[\x20-\x7e]+$/.test(said), said)
    assert.ok(['error', 'check', 'info'].includes(level))
  }
  assert.ok(toModule(translation).includes('export default'))
  return translation.notes.length
}

/** Milliseconds of processor time: what others do on this machine does not count. */
function cost (run: () => unknown): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

describe('bad input', () => {
  test('that is no text is one error', () => {
    for (const value of [undefined, null, 1, Buffer.from('x'), {}]) assert.throws(() => fromHttpdConf(value as string), TypeError)
  })

  test('that is empty is a note', () => {
    for (const text of ['', '\n', '#', '\0', '\ufeff', '\\', '\\\n', '<', '>', '</', '"']) assert.ok(translate(text) > 0, JSON.stringify(text))
  })

  test('of which a section is not closed, not open or closed in the wrong order has a note where that is', () => {
    const errors = (text: string): number[] => fromHttpdConf(text).notes.filter(({ level }) => level === 'error').map(({ line }) => line)
    assert.deepEqual(errors('<Location /a>\nProxyPass http://h/a'), [1])
    assert.deepEqual(errors('ProxyPass /a http://h/a\n</Location>'), [2])
    assert.deepEqual(errors('<VirtualHost *:80>\n<Location /a>\nProxyPass http://h/a\n</VirtualHost>'), [2])
    assert.deepEqual(errors('<Location /a\nProxyPass http://h/a\n</Location>'), [1])
  })

  test('nested deeper than anybody writes is an error', () => {
    for (const depth of [33, 50_000]) {
      const text = `${'<IfModule mod_ssl.c>\n'.repeat(depth)}ProxyPass / http://h/\n${'</IfModule>\n'.repeat(depth)}`
      assert.ok(fromHttpdConf(text).notes.some(({ level, text }) => level === 'error' && text.includes('nested deeper')))
    }
  })

  for (const [name, text] of [
    ['cut off anywhere', corpus.join('\n').slice(0, 4_000)],
    ['with CRLF', corpus.map((each) => each.replaceAll('\n', '\r\n')).join('\r\n')]
  ] as const) {
    test(`${name} is translated as far as it goes`, () => {
      translate(text)
      for (let end = 0; end < 4_000; end += 37) translate(text.slice(0, end))
    })
  }

  test('with CRLF is translated as without', () => {
    for (const text of corpus) assert.deepEqual(fromHttpdConf(text.replaceAll('\n', '\r\n')).notes, fromHttpdConf(text).notes)
  })

  test('is never a crash, and what is translated can be registered', async () => {
    const directives = fc.constantFrom(...new Set(corpus.flatMap((text) => text.split('\n'))),
      '</Location>', '</VirtualHost>', '<VirtualHost *:80>', '<VirtualHost *:443>', '<Location /a/b>',
      '<LocationMatch ^/x(.*)>', '</LocationMatch>', '</Proxy>', 'RewriteEngine Off', 'ServerName x.example',
      'ServerAlias *.example', 'ProxyPass /a/ http://h/', 'ProxyPass /a !', 'ProxyPass /a/b/ ws://h/b/ upgrade=tcp',
      'RewriteRule ^/a/(.*) - [L]', 'ProxyWebsocketFallbackToProxyHttp Off', '<Proxy balancer://p>',
      'BalancerMember http://m/ route=a upgrade=websocket', 'ProxyPass / balancer://p', 'ProxyPass /\\ http://h/', '\0', 'x\\')
    await fc.assert(fc.asyncProperty(fc.array(directives, { maxLength: 25 }), async (lines) => {
      const text = lines.join('\n')
      translate(text)
      const app = Fastify() as FastifyInstance
      try {
        await registerTranslation(app, fromHttpdConf(text))
        await app.ready()
      } finally {
        await app.close()
      }
    }), { numRuns: 150 })
  })

  test('of any characters is never a crash', () => {
    fc.assert(fc.property(fc.string({
      unit: fc.constantFrom(
        ...'<>/"\'\\\n\r\t #[]{}()$%^*?.=!:|-_', 'a', '\0', 'é', 'ProxyPass ', 'RewriteRule ', 'RewriteCond %{HTTP:Upgrade} ', 'RewriteEngine On\n',
        '<Location ', '</Location>', 'http://h', 'ws://', 'balancer://', '(.*)', '$1', '[P]', 'Header set '
      ),
      maxLength: 80
    }), (text) => { translate(text) }), { numRuns: 2_000 })
  })
})

describe('large input', () => {
  const megabytes = (text: string, count = 10): string => text.repeat(Math.ceil(count * 2 ** 20 / text.length))
  for (const [name, text] of [
    ['one line', megabytes('x')],
    ['one line of words', `ProxyPass ${megabytes('a ')}`],
    ['one line of slashes', `ProxyPass ${megabytes('/a')} http://h/`],
    ['one quoted word', `ProxyPass "${megabytes('\\"')}"`],
    ['one continued line', megabytes('a\\\n')],
    ['empty lines', megabytes('\n')],
    ['carriage returns', megabytes('\r')],
    ['sections that do not close', megabytes('<Location /a>\n', 3)],
    ['sections that are not open', megabytes('</Location>\n', 3)],
    ['virtual hosts', megabytes('<VirtualHost *:80>\nServerName a\nProxyPass / http://h/\n</VirtualHost>\n', 2)],
    ['lines that map', Array.from({ length: 60_000 }, (_, i) => `ProxyPass /a${i}/b/c/ http://h${i % 7}/b${i}/ upgrade=websocket`).join('\n')],
    ['locations', Array.from({ length: 30_000 }, (_, i) => `<Location /a${i}>\nProxyPreserveHost On\nRequestHeader set X-A b\n</Location>`).join('\n')],
    ['headers', megabytes('RequestHeader append X-A b\n', 2)],
    ['conditions', `RewriteEngine On\n${megabytes('RewriteCond %{HTTP:Upgrade} websocket\n', 2)}RewriteRule ^/(.*) ws://h/$1 [P]`],
    [
      'members',
      `<Proxy balancer://p>\n${Array.from({ length: 30_000 }, (_, i) => `BalancerMember http://h${i}`).join('\n')}\n</Proxy>\nProxyPass / balancer://p/`
    ],
    ['reverses', `${megabytes('ProxyPassReverse / http://h/\n', 1)}ProxyPass / http://h/`],
    [
      'aliases',
      `<VirtualHost *:80>\n${Array.from({ length: 20_000 }, (_, i) => `ServerAlias h${i}.example`).join('\n')}\nProxyPass / http://h/\n</VirtualHost>`
    ],
    [
      'an expression that backtracks',
      `RewriteEngine On\nRewriteCond %{HTTP:Upgrade} ${'(a|w|e|b|.)*'.repeat(8)}x\nRewriteRule ${'(.*)'.repeat(8_000)} ws://h/$1 [P]`
    ]
  ] as const) {
    test(`of ${name} takes seconds at most`, () => {
      const ms = cost(() => translate(text))
      assert.ok(ms < 8_000, `${Math.round(ms)} ms`)
    })
  }
})
