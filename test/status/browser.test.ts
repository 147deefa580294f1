import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import helmet from '@fastify/helmet'
import type { Page } from 'playwright-core'
import type { FastifyInstance, FastifyPluginAsync, onRequestAsyncHookHandler } from 'fastify'
import wstunnel from '../../lib/index.ts'
import status from '../../lib/status/index.ts'
import { named } from '../fixtures/balanced.ts'
import { openPage, startBrowser } from '../fixtures/browser.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { wsClient } from '../fixtures/client.ts'
import { startProxy } from '../fixtures/proxy.ts'
import type { Proxy } from '../fixtures/proxy.ts'
import { event } from '../fixtures/wait.ts'

const wide = { viewport: { width: 1280, height: 900 } }
const narrow = { viewport: { width: 390, height: 844 } }
const credentials = { username: 'ann', password: 'open sesame' }
const basic = `Basic ${Buffer.from('ann:open sesame').toString('base64')}`

/** As a browser remembers it, and sends it along with whatever page asks. */
const onlyAnn: onRequestAsyncHookHandler = async (request, reply) => {
  if (request.headers.authorization === basic) return
  return await reply.code(401).header('www-authenticate', 'Basic realm="status"').send('who are you?')
}

async function watched (
  t: TestContext, { before, after }: { before?: (app: FastifyInstance) => unknown, after?: (app: FastifyInstance) => unknown } = {}
): Promise<Proxy & { members: string[] }> {
  const members = await Promise.all(['a', 'b'].map(async (name) => `${(await named(t, name)).url}/`))
  const proxy = await startProxy(t, undefined, {
    fastify: { trustProxy: true },
    async setup (app) {
      await before?.(app)
      app.register(wstunnel, {
        balancers: { app: { members: members.map((url) => ({ url })) } },
        routes: [
          { path: '/app/', upstream: 'balancer://app/' },
          { path: '/tenants/', upstream: (request) => `${members[0]}${String((request.query as { t: string }).t)}/` }
        ]
      })
      app.register(status, { prefix: '/wstunnel', actions: true, onRequest: onlyAnn })
      await after?.(app)
    }
  })
  return { ...proxy, members }
}

/** The points of a tile's chart, once they are as wanted. */
async function lineOf (page: Page, label: string, wanted: (points: Array<{ x: number, y: number }>) => boolean): Promise<Array<{ x: number, y: number }>> {
  const path = page.locator(`[data-tile="${label}"] path.first`)
  for (let stop = performance.now() + 30_000; performance.now() < stop;) {
    const points = [...(await path.getAttribute('d') ?? '').matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }))
    if (wanted(points)) return points
    await page.waitForResponse('**/status.json?*')
  }
  throw new Error(`the chart of ${label} does not move`)
}

const background = 'getComputedStyle(document.body).backgroundColor'

async function fits (page: Page): Promise<void> {
  assert.equal(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'), 0, 'nothing to scroll sideways')
}

async function shoot (page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `status-${name}.png`), fullPage: true })
}

test('the page shows the server live: a chart moves, tunnels come and go, and a filter finds them', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const proxy = await watched(t)
  const { page, complaints } = await openPage(browser, `${proxy.url}/wstunnel`, { ...wide, httpCredentials: credentials })
  await page.getByRole('status').filter({ hasText: 'serving' }).waitFor()
  await page.getByText('No tunnel is open.').waitFor()

  await wsClient(t, `${proxy.wsUrl}/app/`, [], { headers: { 'x-forwarded-for': '10.0.0.1' } })
  const socket = await wsClient(t, `${proxy.wsUrl}/app/`, [], { headers: { 'x-forwarded-for': '192.0.2.7' } })
  socket.send('x'.repeat(5000))
  await event(socket, 'message')
  for (let i = 0; i < 20; i++) await (await fetch(`${proxy.url}/app/`)).text()
  await page.locator('[data-tile="Live tunnels"] .value').getByText('2', { exact: true }).waitFor()
  const rows = page.locator('#tunnels tbody tr')
  await rows.filter({ hasText: '192.0.2.7' }).getByText('4.89 KiB').first().waitFor()
  assert.equal(await rows.count(), 2)

  // A request is a rate above nothing in some reading, and a line that goes up and comes down again.
  const line = await lineOf(page, 'Requests', (points) => new Set(points.map(({ y }) => y)).size > 1)
  assert.ok(line.some(({ y }) => y < 31), 'the largest is in the upper half')
  const first = await lineOf(page, 'Live tunnels', () => true)
  await lineOf(page, 'Live tunnels', (points) => points.length > first.length)

  await page.getByRole('searchbox', { name: 'Client' }).fill('192.0.')
  await page.getByText('1 of 1 whose client begins with 192.0.').waitFor()
  assert.deepEqual(await rows.locator('td:first-child').allInnerTexts(), ['192.0.2.7'])
  await page.getByRole('searchbox', { name: 'Client' }).fill('')
  await page.getByText('2 of 2', { exact: true }).waitFor()
  await page.getByLabel('Order').selectOption('bytes')
  await rows.first().filter({ hasText: '192.0.2.7' }).waitFor()
  assert.deepEqual(await rows.locator('td:first-child').allInnerTexts(), ['192.0.2.7', '10.0.0.1'])

  socket.close()
  await event(socket, 'close')
  await page.locator('#ended').getByText('client close').waitFor()
  await page.locator('[data-tile="Live tunnels"] .value').getByText('1', { exact: true }).waitFor()
  await fits(page)
  await shoot(page, 'wide')
  await page.emulateMedia({ colorScheme: 'dark' })
  const dark = await page.evaluate(background)
  await shoot(page, 'dark')
  await page.emulateMedia({ colorScheme: 'light' })
  assert.notEqual(await page.evaluate(background), dark)
  assert.deepEqual(complaints, [])
})

test('an action of the page works: a member is drained and given another weight, and a tunnel closed', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const proxy = await watched(t)
  const socket = await wsClient(t, `${proxy.wsUrl}/app/`)
  const { page, complaints } = await openPage(browser, `${proxy.url}/wstunnel/`, { ...narrow, httpCredentials: credentials })
  const member = page.locator('#balancers tbody tr').filter({ hasText: proxy.members[0]! })
  const change = async (press: string): Promise<void> => {
    await member.getByRole('button', { name: 'Change' }).click()
    await page.getByRole('button', { name: press, exact: true }).click()
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
  }
  await change('Drain')
  await member.getByText('draining for').waitFor()
  assert.equal(proxy.app.wstunnel.balancer('app').members()[0]!.state, 'draining')
  await change('Enable')
  await member.getByText('up for').waitFor()

  await member.getByRole('button', { name: 'Change' }).click()
  await page.getByLabel('Weight').fill('500')
  await page.getByRole('button', { name: 'Set weight' }).click()
  await page.getByRole('dialog').getByText('expected a number from 1 to 100').waitFor()
  await page.getByLabel('Weight').fill('2.5')
  await page.getByRole('button', { name: 'Set weight' }).click()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  assert.equal(proxy.app.wstunnel.balancer('app').members()[0]!.loadFactor, 2.5)

  const gone = event(socket, 'close')
  await page.locator('#tunnels').getByRole('button', { name: 'Close' }).click()
  await shoot(page, 'dialog')
  await page.getByRole('button', { name: 'Close the tunnel' }).click()
  await gone
  await page.locator('#ended').getByText('killed').waitFor()
  await fits(page)
  await shoot(page, 'narrow')
  // The answer to a weight that is none is the one complaint.
  assert.deepEqual(complaints.filter((text) => !text.includes('400 (Bad Request)')), [])
})

test('the POST of a foreign page does nothing, although the browser sends the credentials along', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const proxy = await watched(t)
  const action = JSON.stringify({ action: 'disable', balancer: 'app', member: proxy.members[0] })
  const target = `${proxy.url}/wstunnel/actions`
  const foreign = createServer((_request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html>
    <form method="post" action="${target}" enctype="text/plain"><input name='${action.slice(0, -1)},"x":"' value='"}'></form><iframe name="frame"></iframe>`))
  foreign.listen(0, '127.0.0.1')
  await event(foreign, 'listening')
  cleanup(t, 'servers', () => {
    foreign.closeAllConnections()
    foreign.close()
  })
  // Another port is another origin, but the same site: the browser sends what a user has there.
  const { page } = await openPage(browser, `${proxy.url}/wstunnel/`, { httpCredentials: credentials })
  await page.getByRole('status').filter({ hasText: 'serving' }).waitFor()
  await page.goto(`http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`)
  const answers: number[] = []
  page.on('response', (response) => { if (response.url() === target && response.request().method() === 'POST') answers.push(response.status()) })
  await page.evaluate(async ([url, body]) => {
    await fetch(url!, { method: 'POST', mode: 'no-cors', credentials: 'include', body: body! }).catch(() => {})
    const headers = { 'content-type': 'application/json', 'x-wstunnel-nonce': 'guess' }
    await fetch(url!, { method: 'POST', credentials: 'include', headers, body: body! }).catch(() => {})
  }, [target, action])
  await page.evaluate('document.forms[0].submit()')
  await page.waitForURL(target)
  assert.ok(answers.length >= 2 && answers.every((status) => status === 403), `refused with ${answers.join()}`)
  assert.deepEqual(proxy.app.wstunnel.balancer('app').members().map(({ state }) => state), ['up', 'up'])
  assert.equal((await fetch(target, { method: 'POST', headers: { authorization: basic, 'content-type': 'application/json' }, body: action })).status, 403)

  // Nor can it frame the page, or read the nonce.
  await page.goto(`http://127.0.0.1:${(foreign.address() as AddressInfo).port}/`)
  assert.equal(
    await page.evaluate(async (url) => await fetch(url, { credentials: 'include' }).then(() => 'read', () => 'not read'), `${proxy.url}/wstunnel/`),
    'not read'
  )
})

for (const [when, setup] of [['before', 'before'], ['after', 'after']] as const) {
  test(`the page runs with helmet's Content-Security-Policy around it, registered ${when} it`, async (t) => {
    const browser = await startBrowser(t)
    if (browser === undefined) return
    const proxy = await watched(t, { [setup]: (app: FastifyInstance) => app.register(helmet as unknown as FastifyPluginAsync) })
    const { page, complaints } = await openPage(browser, `${proxy.url}/wstunnel/`, { httpCredentials: credentials })
    await page.getByRole('status').filter({ hasText: 'serving' }).waitFor()
    assert.equal(await page.evaluate("getComputedStyle(document.querySelector('.tiles')).display"), 'grid', 'it has its style')
    await page.locator('#balancers').getByText('2 of 2 up').waitFor()
    assert.deepEqual(complaints, [])
  })
}

test('markup in a name is text', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const proxy = await watched(t)
  const evil = '<img src=x onerror=document.title=1>"\'&'
  await wsClient(t, `${proxy.wsUrl}/tenants/?t=${encodeURIComponent(encodeURIComponent(evil))}`)
  await wsClient(t, `${proxy.wsUrl}/app/`, [], { headers: { 'x-forwarded-for': '<b>10.0.0.1</b>' } })
  // Whatever a server might say: the same fields, with markup in each.
  const { page, complaints } = await openPage(browser, `${proxy.url}/wstunnel/`, { httpCredentials: credentials })
  await page.locator('#tunnels tbody tr').nth(1).waitFor()
  await page.route('**/status.json?*', async (route) => {
    const answer = await (await route.fetch()).text()
    await route.fulfill({
      contentType: 'application/json',
      body: answer.replace(/"(route|upstream|client|protocol|state|balancer|lbMethod|url|status)":"/g, (start) => start + JSON.stringify(evil).slice(1, -1))
    })
  })
  await page.locator('#tunnels').getByText(evil).first().waitFor()
  await page.locator('#routes').getByText(evil).first().waitFor()
  await page.locator('#balancers').getByText(evil).first().waitFor()
  assert.equal(await page.locator('main img, main b').count(), 0)
  assert.equal(await page.title(), 'fastify-wstunnel: status')
  assert.deepEqual(complaints, [])
})

test('a page that nobody sees asks nothing, and one whose server is gone says so and comes back', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const proxy = await watched(t)
  const { page } = await openPage(browser, `${proxy.url}/wstunnel/`, { httpCredentials: credentials })
  await page.clock.install()
  await page.reload()
  await page.getByRole('status').filter({ hasText: 'serving' }).waitFor()
  let asked = 0
  page.on('request', () => { asked++ })
  const hide = async (hidden: boolean): Promise<void> => {
    await page.evaluate(
      `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`
    )
  }
  await hide(true)
  asked = 0
  await page.clock.runFor(60_000)
  assert.equal(asked, 0)
  await hide(false)
  await page.waitForRequest('**/status.json?*')

  await page.route('**/status.json?*', (route) => route.abort())
  await page.getByRole('status').filter({ hasText: 'not reachable' }).waitFor()
  await page.getByRole('alert').filter({ hasText: 'Not up to date' }).waitFor()
  await page.unroute('**/status.json?*')
  await page.getByRole('status').filter({ hasText: 'serving' }).waitFor()
  assert.equal(await page.getByRole('alert').filter({ hasText: 'Not up to date' }).count(), 0)
})
