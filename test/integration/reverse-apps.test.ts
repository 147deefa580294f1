import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastifyWebSocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { v2 as webdav } from 'webdav-server'
import { startBrowser } from '../fixtures/browser.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { ProxyOptions } from '../fixtures/proxy.ts'
import { findHttpd, freePorts } from '../conformance/httpd.ts'
import { until } from '../fixtures/wait.ts'

// Real applications behind a changed prefix: what they redirect to, and the cookies that they set, as they come.

declare module 'fastify' {
  interface Session { user?: string }
}

/** What has to be there for a test; it is skipped aloud where that is missing. */
function skipWithout (t: TestContext, what: string): void {
  console.warn(`\n!!! ${t.name}: NOT TESTED, no ${what}\n`)
  t.skip(`NOT TESTED, no ${what}`)
}

interface Login {
  url: string
  app: FastifyInstance
  /** Who opened a WebSocket. */
  visitors: string[]
}

/** An application below `base` that knows nothing of a proxy: it redirects to itself, by its full URL, and its session's cookie is for its base. */
async function startLogin (t: TestContext, base: string): Promise<Login> {
  const app = Fastify()
  const visitors: string[] = []
  cleanup(t, 'servers', () => app.close())
  const elsewhere = (request: FastifyRequest, reply: FastifyReply, path: string): FastifyReply => reply.redirect(`http://${request.host}${base}${path}`, 303)
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))))
  app.register(fastifyCookie)
  app.register(fastifySession, {
    secret: 'a secret of at least thirty-two letters',
    cookieName: 'sid',
    cookie: { path: base === '' ? '/' : base, secure: false, sameSite: 'lax' }
  })
  app.register(fastifyWebSocket)
  app.register(async (scope) => {
    scope.get('/', (request, reply) => {
      if (request.session.user === undefined) return elsewhere(request, reply, '/login')
      return reply.type('text/html').send(page(request.session.user))
    })
    scope.get('/login', (_, reply) =>
      reply.type('text/html').send('<!doctype html><title>in</title><form method=post><input name=user aria-label=Name><button>In</button></form>'))
    scope.post('/login', async (request, reply) => {
      request.session.user = (request.body as { user: string }).user
      return elsewhere(request, reply, '/')
    })
    scope.get('/ws', {
      websocket: true,
      preValidation: async (request, reply) => { if (request.session.user === undefined) return reply.code(401).send('who?') }
    }, (socket, request) => {
      visitors.push(String(request.session.user))
      socket.send(`hello ${request.session.user}`)
    })
  }, { prefix: base })
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), app, visitors }
}

/** It finds its WebSocket beside itself. */
function page (user: string): string {
  return `<!doctype html><title>home</title><h1>${user}</h1><output role=status></output><script>
    const socket = new WebSocket(new URL('ws', location.href).href.replace('http', 'ws'))
    socket.onmessage = ({ data }) => { document.querySelector('output').textContent = data }
    socket.onerror = () => { document.querySelector('output').textContent = 'refused' }
  </script>`
}

/** Where a browser comes when it opens a page, logs in, and waits for the WebSocket; `undefined` where it comes to no form. */
async function logIn (t: TestContext, start: string): Promise<{ urls: string[], greeting: string, cookies: string[] } | undefined> {
  const browser = await startBrowser(t)
  if (browser === undefined) return undefined
  const context = await browser.newContext()
  context.setDefaultTimeout(20_000)
  const tab = await context.newPage()
  const urls: string[] = []
  await tab.goto(start)
  urls.push(tab.url())
  await tab.getByLabel('Name').fill('ann')
  await tab.getByRole('button', { name: 'In' }).click()
  const status = tab.getByRole('status').filter({ hasText: /./ })
  await status.waitFor()
  urls.push(tab.url())
  return { urls, greeting: await status.innerText(), cookies: (await context.cookies()).map(({ name, path, domain }) => `${name} ${domain}${path}`) }
}

for (const [prefix, base] of [['/app', '/base'], ['/app', ''], ['', '/base'], ['/app', '/app']] as const) {
  test(`a browser logs in behind '${prefix}' at an application below '${base}', and its WebSocket has the session`, async (t) => {
    const login = await startLogin(t, base)
    const { url } = await startProxy(t, { ...(prefix === '' ? {} : { prefix }), upstream: `${login.url}${base}`, upgrade: 'websocket' })
    const found = await logIn(t, `${url}${prefix}/`)
    if (found === undefined) return
    assert.deepEqual(found.urls, [`${url}${prefix}/login`, `${url}${prefix}/`])
    assert.equal(found.greeting, 'hello ann')
    assert.deepEqual(found.cookies, [`sid 127.0.0.1${base === '' || prefix === '' ? '/' : prefix}`])
    assert.deepEqual(login.visitors, ['ann'])
  })
}

test('without reverse the same browser comes to the upstream itself', async (t) => {
  const login = await startLogin(t, '/base')
  const { url } = await startProxy(t, { prefix: '/app', upstream: `${login.url}/base`, upgrade: 'websocket', reverse: false })
  const found = await logIn(t, `${url}/app/`)
  if (found === undefined) return
  assert.equal(found.urls[0], `${login.url}/base/login`)
})

test('a session from a route beside it reaches a WebSocket, since the cookie of an application at the root is for all paths', async (t) => {
  const login = await startLogin(t, '')
  const { url } = await startProxy(t, {
    routes: [
      { path: '/api/', upstream: `${login.url}/` },
      { path: '/live/', upstream: `${login.url.replace('http', 'ws')}/` }
    ]
  }, {
    setup: (app) => app.get('/', (_, reply) => reply.type('text/html').send(`<!doctype html><title>in</title><output role=status></output><script>
      const say = (text) => { document.querySelector('output').textContent = text }
      fetch('api/login', { method: 'POST', body: new URLSearchParams({ user: 'ben' }) }).then((response) => {
        const socket = new WebSocket(new URL('live/ws', location.href).href.replace('http', 'ws'))
        socket.onmessage = ({ data }) => say(response.url + ' ' + data)
        socket.onerror = () => say('refused')
      }, say)
    </script>`))
  })
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const tab = await browser.newPage()
  await tab.goto(`${url}/`)
  const status = tab.getByRole('status').filter({ hasText: /./ })
  await status.waitFor({ timeout: 20_000 })
  assert.equal(await status.innerText(), `${url}/api/ hello ben`)
})

test('an application that reads X-Forwarded-Prefix keeps what it makes of it, with location absolute', async (t) => {
  const app = Fastify()
  cleanup(t, 'servers', () => app.close())
  app.get('/base/x', (request, reply) => {
    const below = String(request.headers['x-forwarded-prefix'])
    return reply.header('set-cookie', `a=1; Path=${below}`).redirect(`${below}/login`, 302)
  })
  const upstream = await app.listen({ port: 0, host: '127.0.0.1' })
  // A prefix that is below the base: as a path alone, `/base/front/login` would be taken for one of the upstream's.
  const { url } = await startProxy(t, {
    prefix: '/base/front',
    upstream: `${upstream}/base`,
    reverse: { location: 'absolute', cookiePath: false },
    rewriteRequestHeaders: (_, headers) => ({ ...headers, 'x-forwarded-prefix': '/base/front' })
  })
  const { headers } = await fetch(`${url}/base/front/x`, { redirect: 'manual' })
  assert.deepEqual([headers.get('location'), headers.get('set-cookie')], ['/base/front/login', 'a=1; Path=/base/front'])
})

// Servers of files, which redirect to a directory with its slash

/** A folder that other users can read, with `base/docs/index.html`. */
function folder (t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'wstunnel-files-'))
  cleanup(t, 'servers', () => rmSync(path, { recursive: true, force: true }))
  mkdirSync(join(path, 'base/docs'), { recursive: true })
  writeFileSync(join(path, 'base/docs/index.html'), 'the index')
  for (const each of ['', 'base', 'base/docs']) chmodSync(join(path, each), 0o777)
  return path
}

/** Stops a program, and waits until it is gone. */
function stopping (t: TestContext, child: ReturnType<typeof spawn>): void {
  const exited = once(child, 'exit')
  cleanup(t, 'servers', async () => {
    child.kill('SIGTERM')
    await exited
  })
}

async function startPython (t: TestContext): Promise<string | undefined> {
  if (spawnSync('python3', ['-c', 'import http.server']).status !== 0) return undefined
  const child = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', folder(t)], { stdio: ['ignore', 'pipe', 'ignore'] })
  stopping(t, child)
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (data: string) => { text += data })
  await until(() => /port \d+/.test(text), "Python's http.server to listen")
  return `http://127.0.0.1:${/port (\d+)/.exec(text)?.[1]}`
}

/** httpd with mod_dir, whose redirects are absolute, and with WebDAV below /base. */
async function startHttpd (t: TestContext): Promise<string | undefined> {
  const found = findHttpd()
  if (found === undefined) return undefined
  const path = folder(t)
  const [port] = await freePorts(1)
  const modules = ['mpm_event', 'authz_core', 'dir', 'dav', 'dav_fs'].filter((name) => existsSync(join(found.modules, `mod_${name}.so`)))
  const user = ['www-data', 'apache', 'daemon'].find((name) => readFileSync('/etc/passwd', 'latin1').includes(`\n${name}:`)) ?? 'nobody'
  writeFileSync(join(path, 'httpd.conf'), [
    ...modules.map((name) => `LoadModule ${name}_module ${join(found.modules, `mod_${name}.so`)}`),
    `ServerRoot "${path}"`, `DefaultRuntimeDir "${path}"`, `PidFile "${path}/httpd.pid"`,
    `ErrorLog "${path}/error.log"`, 'ServerName localhost', `User ${user}`,
    `Listen 127.0.0.1:${port}`, `DocumentRoot "${path}"`, `DavLockDB "${path}/base/lock"`,
    '<Location "/base">', '  Dav On', '</Location>', 'DirectoryIndex index.html', ''
  ].join('\n'))
  const child = spawn(found.program, ['-f', join(path, 'httpd.conf'), '-DFOREGROUND'], { stdio: 'ignore' })
  stopping(t, child)
  const url = `http://127.0.0.1:${port}`
  let listens = false
  const knock = async (): Promise<void> => { listens ||= await fetch(url).then(() => true, () => false) }
  await until(() => {
    void knock()
    return listens
  }, 'httpd to listen')
  return url
}

for (const [name, start] of [["Python's http.server", startPython], ['httpd with mod_dir', startHttpd]] as const) {
  test(`the redirect to a directory of ${name} stays below the prefix`, async (t) => {
    const upstream = await start(t)
    if (upstream === undefined) return skipWithout(t, name)
    const proxy = await startProxy(t, { prefix: '/app', upstream: `${upstream}/base` })
    const redirect = await fetch(`${proxy.url}/app/docs?x=1`, { redirect: 'manual' })
    const location = new URL(redirect.headers.get('location') ?? '', `${proxy.url}/app/docs`).href
    assert.deepEqual([redirect.status, location], [301, `${proxy.url}/app/docs/?x=1`])
    const followed = await fetch(`${proxy.url}/app/docs`)
    assert.deepEqual([followed.url, await followed.text()], [`${proxy.url}/app/docs/`, 'the index'])
  })
}

// WebDAV, by the recipe of the document

type Recipe = (prefix: string, upstream: string) => NonNullable<ProxyOptions['rewriteRequestHeaders']>

/** The function as the document has it. */
async function destinationBelow (): Promise<Recipe> {
  const text = readFileSync(new URL('../../docs/redirects-and-cookies.md', import.meta.url), 'utf8')
  const source = /^function destinationBelow [^]*?^}$/m.exec(text)?.[0]
  assert.ok(source !== undefined, 'the document has the recipe')
  const module = await import(`data:text/javascript,${encodeURIComponent(`${source}\nexport default destinationBelow`)}`) as { default: Recipe }
  return module.default
}

async function startWebdavServer (t: TestContext): Promise<string> {
  const dav = new webdav.WebDAVServer()
  assert.ok(dav.setFileSystemSync('/base', new webdav.VirtualFileSystem()))
  const server = createServer((request, response) => dav.executeRequest(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup(t, 'servers', () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

for (const [name, start] of [['webdav-server', startWebdavServer], ["httpd's mod_dav", startHttpd]] as const) {
  test(`MOVE and COPY at ${name} name their destination below the prefix`, async (t) => {
    const upstream = await start(t)
    if (upstream === undefined) return skipWithout(t, name)
    const options = { prefix: '/files', upstream: `${upstream}/base` }
    const { url } = await startProxy(t, { ...options, rewriteRequestHeaders: (await destinationBelow())('/files', `${upstream}/base`) })
    const plain = await startProxy(t, options)
    const send = async (method: string, path: string, headers: Record<string, string> = {}, body?: string, server: string = url): Promise<number> => {
      const response = await fetch(`${server}/files/${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
      await response.text()
      return response.status
    }
    const read = async (path: string): Promise<string | number> => {
      const response = await fetch(`${url}/files/${path}`)
      const text = await response.text()
      return response.ok ? text : response.status
    }
    assert.equal(await send('PUT', 'a.txt', { 'content-type': 'text/plain' }, 'the text'), 201)
    assert.ok(await send('COPY', 'a.txt', { destination: `${plain.url}/files/c.txt` }, undefined, plain.url) >= 400, 'without the recipe it fails')
    assert.equal(await send('COPY', 'a.txt', { destination: `${url}/files/b%20b.txt` }), 201)
    assert.equal(await send('MOVE', 'a.txt', { destination: '/files/m.txt' }), 201)
    assert.deepEqual([await read('a.txt'), await read('b%20b.txt'), await read('m.txt')], [404, 'the text', 'the text'])
  })
}
