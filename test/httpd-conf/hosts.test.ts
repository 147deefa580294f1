import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { fromHttpdConf } from '../../lib/httpd-conf/index.ts'
import { registerTranslation } from '../fixtures/httpd-conf.ts'

function host (address: string, name: string, ...lines: string[]): string {
  return [`<VirtualHost ${address}>`, ...name === '' ? [] : [`ServerName ${name}`], ...lines, '</VirtualHost>', ''].join('\n')
}

/** Which of the registrations have a Host, by their first upstream. */
function takers (text: string, asked: string): unknown[] {
  return fromHttpdConf(text).registrations
    .filter(({ constraints }) => constraints === undefined || (constraints.host as RegExp).test(asked))
    .map(({ options }) => options.routes?.[0]?.upstream)
}

function notes (text: string): string[] {
  return fromHttpdConf(text).notes.map(({ level, line, text }) => `${level} ${line} ${text}`)
}

describe('virtual hosts', () => {
  const two = host('*:80', 'a.example', 'ServerAlias *.a.example b?.example', 'ProxyPass / http://a/') +
    host('*:80', 'https://c.example:8443', 'ProxyPass /c http://c/c')

  test('have their names, in any case, with or without a port', () => {
    for (const name of ['a.example', 'A.Example', 'a.example:8080', 'a.example.', 'www.a.example', 'b1.example']) {
      assert.equal(takers(two, name)[0], 'http://a/', name)
    }
    assert.deepEqual(takers(two, 'c.example'), ['http://c/c'])
  })

  test('leave all other names to the first of them, which does not take those of the others', () => {
    assert.deepEqual(takers(two, 'nobody.example'), ['http://a/'])
    assert.deepEqual(takers(two, 'xc.example'), ['http://a/'])
    assert.deepEqual(takers(two, 'c.example:80'), ['http://c/c'])
  })

  test('alone leave nothing: the second registration has no constraints', () => {
    const { registrations } = fromHttpdConf(host('*:80', 'a.example', 'ProxyPass / http://a/'))
    assert.deepEqual(registrations.map(({ options }) => options.constraints !== undefined), [true, false])
    assert.deepEqual(registrations.map(({ options, constraints }) => options.constraints === constraints), [true, true])
  })

  test('of TLS come before those without, by a wildcard too', () => {
    const text = host('*:80', 'x.example', 'ServerAlias *.example', 'ProxyPass / http://wild/') + host('*:443', 'a.example', 'ProxyPass / http://tls/')
    assert.deepEqual(takers(text, 'a.example'), ['http://tls/'])
    assert.deepEqual(takers(text, 'b.example'), ['http://wild/'])
  })

  test('that have a name on one of two addresses only say who has it on the other', () => {
    const text = host('*:80', 'a.example', 'ProxyPass / http://a/') +
      host('*:80', 'b.example', 'ProxyPass / http://b/') +
      host('*:443', 'a.example', 'ProxyPass / http://c/')
    assert.ok(notes(text).some((note) => /^check 5 in httpd another virtual host serves b\.example on \*:443/.test(note)), notes(text).join('\n'))
  })

  test('of _default_ are those of *', () => {
    const text = host('_default_:80', 'a.example', 'ProxyPass / http://a/') + host('*:80', 'b.example', 'ProxyPass / http://b/')
    assert.deepEqual(notes(text).filter((note) => note.startsWith('check')), [])
    assert.deepEqual(takers(text, 'nobody.example'), ['http://a/'])
  })

  test('are not the same where their balancers differ', () => {
    const balanced = (address: string, member: string): string =>
      host(address, 'a.example', `BalancerMember balancer://b ${member}`, 'ProxyPass / balancer://b/')
    assert.ok(notes(balanced('*:80', 'http://one') + balanced('*:443', 'http://two')).some((note) =>
      /^check 1 not translated for a\.example: the virtual host of line 6 has this name/.test(note)))
    assert.ok(!notes(balanced('*:80', 'http://one') + balanced('*:443', 'http://one')).some((note) => /differs from this one/.test(note)))
  })

  test('leave ports that are none of theirs to the main server in httpd, and a note says so', () => {
    const text = 'Listen 80\nListen 8080\nProxyPass /m http://m/m\n' + host('*:80', 'a.example', 'ProxyPass / http://a/')
    assert.deepEqual(
      notes(text).filter((note) => note.startsWith('check 2')),
      ['check 2 in httpd the lines outside of all virtual hosts serve this port; here they serve only within virtual hosts']
    )
  })

  test('keep a name that an earlier one has by a wildcard from a later one', () => {
    const text = host('*:80', 'x.example', 'ServerAlias *.example', 'ProxyPass / http://wild/') + host('*:80', 'a.example', 'ProxyPass / http://a/')
    assert.deepEqual(takers(text, 'a.example'), ['http://wild/'])
  })

  test('of one name and address are one: the first', () => {
    const text = host('*:80', 'a.example', 'ProxyPass / http://one/') + host('*:80', 'a.example', 'ProxyPass / http://two/')
    assert.deepEqual(takers(text, 'a.example')[0], 'http://one/')
    assert.ok(notes(text).some((note) => note.startsWith('check 5 has no effect for a.example')))
  })

  test('of one name on two addresses are one where they are equal, else that with TLS', () => {
    const equal = host('*:80', 'a.example', 'ProxyPass / http://one/') + host('*:443', 'a.example', 'ProxyPass / http://one/')
    assert.equal(takers(equal, 'a.example').length, 2)
    assert.deepEqual(notes(equal).filter((note) => !note.startsWith('info')), [])
    const different = host('*:80', 'a.example', 'ProxyPass / http://plain/') + host('*:443', 'a.example', 'SSLEngine on', 'ProxyPass / http://tls/')
    assert.deepEqual(takers(different, 'a.example'), ['http://tls/', 'http://tls/'])
    assert.ok(notes(different).some((note) => note.startsWith('check 1 not translated for a.example')))
  })

  test('inherit the entries of the main server, which come first, and not its rewrite rules', () => {
    const text = 'RewriteEngine On\nRewriteRule ^/r/(.*) http://r/$1 [P]\nProxyPass /a http://main/a\n' +
      host('*:80', 'a.example', 'ProxyPass /a http://own/a', 'ProxyPass / http://own/')
    assert.deepEqual(fromHttpdConf(text).registrations[0]?.options.routes?.map(({ upstream }) => upstream), ['http://main/a', 'http://own/'])
    assert.ok(notes(text).some((note) => note.startsWith('check 2 has no effect in httpd either: virtual hosts do not inherit')))
  })

  test('that are more than the router takes are an error', async () => {
    const text = Array.from({ length: 40 }, (_, i) => host('*:80', `h${i}.example`, `ProxyPass / http://u${i}/`)).join('')
    const translation = fromHttpdConf(text)
    assert.equal(translation.notes.filter(({ level, text }) => level === 'error' && text.includes('at most 31')).length, 10)
    const app = Fastify() as FastifyInstance
    await registerTranslation(app, translation)
    await app.ready()
    await app.close()
  })

  test('tell where httpd listens', () => {
    assert.deepEqual(
      fromHttpdConf('Listen 80\nListen 127.0.0.1:8080\nListen [::1]:443 https\nListen x').listen,
      [{ port: 80 }, { host: '127.0.0.1', port: 8080 }, { host: '::1', port: 443 }]
    )
    assert.deepEqual(fromHttpdConf(two).listen, [{ port: 80 }])
  })
})

describe('sections around directives', () => {
  test('for modules that a proxy has are taken, negated ones left out', () => {
    const text = '<IfModule mod_proxy.c>\n<IfModule !mod_ssl.c>\nProxyPass /no http://no/\n</IfModule>\n<IfVersion >= 2.4>\n' +
      'ProxyPass / http://yes/\n</IfVersion>\n<IfVersion < 2.4>\nProxyPass /no http://no/\n</IfVersion>\n</IfModule>'
    assert.deepEqual(fromHttpdConf(text).registrations[0]?.options.routes, [{ path: '/', upstream: 'http://yes/' }])
  })

  test('that cannot be judged are errors', () => {
    for (const name of ['If "%{HTTPS} == \'on\'"', 'IfDefine X', 'Macro X', 'LimitExcept GET']) {
      assert.ok(notes(`<${name}>\nProxyPass / http://h/\n</${name.split(' ')[0]}>`).some((note) => note.startsWith('error 1 not translated')), name)
    }
  })
})

describe('guards', () => {
  test('that let everybody in need no note', () => {
    const text = '<Location />\nRequire all granted\n</Location>\n<Proxy *>\nOrder deny,allow\nAllow from all\n</Proxy>\n<Location /x>\n' +
      '<RequireAll>\nRequire all granted\n</RequireAll>\n</Location>\n<Proxy *>\nOrder Allow,Deny\nAllow from all\n</Proxy>'
    assert.deepEqual(notes(`${text}\nProxyPass / http://h/`), [])
  })

  test('that do not are errors, wherever they stand', () => {
    for (const line of [
      'Require valid-user', 'Require all denied', 'Require ip 10', 'AuthType Basic', 'Deny from all',
      'Allow from 10.0.0.0/8', 'Order allow,deny', 'SSLVerifyClient require', 'SSLRequireSSL', 'Require not ip 1.2.3.4'
    ]) {
      for (const [before, after, at] of [
        ['', '', 1],
        ['<Location /a>\n', '\n</Location>', 2],
        ['<Proxy *>\n', '\n</Proxy>', 2],
        ['<VirtualHost *:80>\n<Location /a>\n', '\n</Location>\n</VirtualHost>', 3]
      ] as const) {
        assert.ok(notes(before + line + after).some((note) => note.startsWith(`error ${at} not translated`)), before + line)
      }
    }
  })
})
