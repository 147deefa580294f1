import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { fromHttpdConf, toModule } from '../../lib/httpd-conf/index.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { importPrinted, registerTranslation } from '../fixtures/httpd-conf.ts'

const folder = new URL('../conformance/httpd-conf/corpus/', import.meta.url)

test('a module says where it comes from, which notes there are, and of each entry the lines', () => {
  const source = toModule(fromHttpdConf('Listen 8080\nProxyPass /a/ http://h/\nRequestHeader set X-A "it\'s"\nDefine X\n', { filename: 'site\n.conf' }))
  assert.equal(source, `// Translated from site?.conf by fastify-wstunnel: to be read, kept and edited.
// httpd listens on *:8080.
// error, line 4, Define: not translated: write the value of a variable in its place
import wstunnel from 'fastify-wstunnel'

/** @param {import('fastify').FastifyInstance} app */
export default async function fromHttpd (app) {
  await app.register(wstunnel, {
    rewriteRequestHeaders: (request, headers) => {
      headers['x-a'] = 'it\\'s'
      return headers
    },
    reverse: false,
    routes: [
      // line 2
      { path: '/a/', upstream: 'http://h/' }
    ]
  })
}
`)
})

test('text of the configuration cannot leave its place in a module', async () => {
  // eslint-disable-next-line no-template-curly-in-string -- it is what must not run
  const evil = "'+process.exit(1)+'${process.exit(1)}\\u2028*/"
  const source = toModule(fromHttpdConf(
    `ProxyPass / http://h/\nRequestHeader set X-A "${evil}"\nHeader set X-B "${evil}"\n${evil} x\nProxyPass /'+x+' http://h/\nServerName ${evil}`,
    { filename: evil }
  ))
  assert.equal(typeof await importPrinted(source), 'function')
})

for (const file of readdirSync(folder).sort()) {
  test(`${file} registers, and so does its module`, async (t) => {
    const translation = fromHttpdConf(readFileSync(new URL(file, folder), 'utf8'))
    const printed = await importPrinted(toModule(translation))
    for (const register of [(app: FastifyInstance) => registerTranslation(app, translation), async (app: FastifyInstance) => { await app.register(printed) }]) {
      const app = Fastify() as FastifyInstance
      cleanup(t, 'proxies', () => app.close())
      await register(app)
      await app.ready()
    }
  })
}
