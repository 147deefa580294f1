import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { build as buildNoVnc } from '../../examples/recipes/novnc.ts'
import { build as buildVite } from '../../examples/recipes/vite.ts'
import { openPage, startBrowser } from '../fixtures/browser.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

// Applications behind a path, in a real browser where there is one.

async function listen (t: TestContext, app: FastifyInstance): Promise<string> {
  cleanup(t, 'proxies', () => app.close())
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

interface Vite { close: () => Promise<void>, listen: () => Promise<unknown>, httpServer: { address: () => AddressInfo } | null }

test('Vite: its page, its client, and a hot update of a file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'wstunnel-vite-'))
  cleanup(t, 'servers', () => rmSync(folder, { recursive: true, force: true }))
  const main = join(folder, 'main.js')
  writeFileSync(join(folder, 'index.html'), '<!doctype html><link rel="icon" href="data:,"><title>first</title><script type="module" src="/main.js"></script>')
  writeFileSync(main, 'document.title = "one"; if (import.meta.hot) import.meta.hot.accept()\n')
  const name: string = 'vite' // its types want newer settings than ours
  const { createServer } = await import(name) as { createServer: (options: object) => Promise<Vite> }
  const vite = await createServer({
    root: folder,
    base: '/app/',
    configFile: false,
    logLevel: 'silent',
    cacheDir: join(folder, '.vite'),
    server: { port: 0, host: '127.0.0.1', watch: { usePolling: true, interval: 50 } }
  })
  cleanup(t, 'servers', () => vite.close())
  await vite.listen()
  const url = await listen(t, buildVite(`http://127.0.0.1:${vite.httpServer?.address().port}`))

  const page = await (await fetch(`${url}/app/`)).text()
  assert.match(page, /src="\/app\/@vite\/client"/)
  const client = await (await fetch(`${url}/app/@vite/client`)).text()
  const [, token = ''] = /wsToken = "([^"]+)"/.exec(client) ?? []
  assert.notEqual(token, '')
  const socket = new WebSocket(`${url.replace('http', 'ws')}/app/?token=${token}`, 'vite-hmr', { origin: url })
  cleanup(t, 'connections', () => socket.terminate())
  const messages: Array<{ type: string }> = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data)) as { type: string }))
  await until(() => messages.some(({ type }) => type === 'connected'), 'the greeting of Vite')
  await (await fetch(`${url}/app/main.js`)).text() // it watches what it has served
  writeFileSync(main, 'document.title = "two"; if (import.meta.hot) import.meta.hot.accept()\n')
  await until(() => messages.some(({ type }) => type === 'update' || type === 'full-reload'), () => `a hot update; there was ${JSON.stringify(messages)}`)

  const browser = await startBrowser(t)
  if (browser === undefined) return
  const { page: tab, complaints } = await openPage(browser, `${url}/app/`)
  await tab.waitForFunction('document.title === "two"')
  // A change before its WebSocket is open would be missed.
  let title = ''
  for (let i = 3; i < 60 && title === ''; i++) {
    writeFileSync(main, `document.title = "update ${i}"; if (import.meta.hot) import.meta.hot.accept()\n`)
    title = await tab.waitForFunction('document.title.startsWith("update") ? document.title : false', undefined, { timeout: 1000 }).then(
      async (handle) => String(await handle.jsonValue()),
      () => ''
    )
  }
  assert.match(title, /^update/)
  assert.deepEqual(complaints, [])
})

/** As much of a VNC server (RFC 6143) as a viewer needs to connect: one screen of 16 by 16 points, without a password. */
function serveVnc (socket: WebSocket): void {
  const name = Buffer.from('a desktop')
  const init = Buffer.alloc(24)
  init.writeUInt16BE(16, 0)
  init.writeUInt16BE(16, 2)
  Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0]).copy(init, 4)
  init.writeUInt32BE(name.length, 20)
  const answers = [Buffer.from([1, 1]), Buffer.from([0, 0, 0, 0]), Buffer.concat([init, name])] // after its version, its choice, its ClientInit
  socket.on('message', () => {
    const next = answers.shift()
    if (next !== undefined) socket.send(next)
  })
  socket.send(Buffer.from('RFB 003.008\n'))
}

test('noVNC: a viewer in a browser shows the name of the desktop', async (t) => {
  const upstream = await startWsUpstream(t, { echo: false, handleProtocols: (offered) => offered.has('binary') ? 'binary' : false })
  upstream.wss.on('connection', (socket) => serveVnc(socket))
  const app = buildNoVnc(upstream.url)
  const url = await listen(t, app)
  assert.equal((await fetch(`${url}/novnc/core/rfb.js`)).status, 200)
  assert.match(await (await fetch(url)).text(), /new RFB/)

  const raw = new WebSocket(`${url.replace('http', 'ws')}/vnc`, 'binary')
  cleanup(t, 'connections', () => raw.terminate())
  assert.equal(String((await event(raw, 'message'))[0]), 'RFB 003.008\n')

  const browser = await startBrowser(t)
  if (browser === undefined) return
  const { page } = await openPage(browser, url)
  await page.waitForFunction('document.title === "a desktop"')
  assert.equal(app.wstunnel.metrics().tunnels.open, 2)
  const ended = page.waitForFunction('document.title === "disconnected"')
  for (const tunnel of app.wstunnel.tunnels()) tunnel.close()
  await within(ended, 'the end in the browser')
})
