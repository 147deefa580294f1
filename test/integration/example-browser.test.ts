import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { build } from '../../examples/server.ts'
import { startUpstream } from '../../examples/upstream.ts'
import { startBrowser } from '../fixtures/browser.ts'
import { cleanup } from '../fixtures/cleanup.ts'

async function openPage (browser: Browser, url: string, viewport: { width: number, height: number }): Promise<{ page: Page, complaints: string[] }> {
  const context = await browser.newContext({ viewport })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()) })
  await page.goto(url)
  await page.getByRole('status').filter({ hasText: 'tunnel open' }).waitFor()
  return { page, complaints }
}

async function say (page: Page, name: string, text: string): Promise<void> {
  await page.getByLabel('Your name').fill(name)
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
}

async function heard (page: Page, text: string): Promise<string> {
  const message = page.getByRole('log').getByRole('listitem').filter({ hasText: text })
  await message.waitFor()
  return await message.innerText()
}

/** Waits until one of the live numbers on the page says just this. */
async function number (page: Page, metric: string, text: string): Promise<void> {
  await page.locator(`[data-metric=${metric}]`).and(page.getByText(text, { exact: true })).waitFor()
}

test('two pages in a browser chat through the tunnel and see its numbers move', async (t) => {
  const browser = await startBrowser(t)
  if (browser === undefined) return
  const upstream = await startUpstream()
  cleanup(t, 'servers', () => upstream.close())
  const app = await build(upstream.url)
  cleanup(t, 'proxies', () => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })

  const { page: ann, complaints } = await openPage(browser, url, { width: 1200, height: 860 })
  const { page: ben, complaints: more } = await openPage(browser, url, { width: 390, height: 844 })
  await ann.getByText('2 are here').waitFor()
  await number(ann, 'open', '2')
  await number(ben, 'opened', '2')
  await number(ann, 'bytesFromClient', '0 B')

  await say(ann, 'Ann', 'Hello from the <b>wide</b> one')
  assert.equal(await heard(ann, 'from the'), 'you\nHello from the <b>wide</b> one')
  assert.equal(await heard(ben, 'from the'), 'Ann\nHello from the <b>wide</b> one')
  await say(ben, 'Ben', 'And from the phone')
  assert.equal(await heard(ben, 'And from'), 'you\nAnd from the phone')
  assert.equal(await heard(ann, 'And from'), 'Ben\nAnd from the phone')
  await ann.locator('[data-metric=bytesFromClient]').filter({ hasNotText: /^0 B$/ }).waitFor()

  await ann.getByRole('button', { name: /POST/ }).click()
  await ann.getByText('"method": "POST"').waitFor()
  await number(ann, 'forwards', '1')

  for (const page of [ann, ben]) {
    const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
    assert.equal(overflow, 0, 'nothing to scroll sideways')
  }
  if (process.env.SCREENSHOTS) {
    await ann.screenshot({ path: join(process.env.SCREENSHOTS, 'wide.png'), fullPage: true })
    await ben.screenshot({ path: join(process.env.SCREENSHOTS, 'phone.png'), fullPage: true })
    await ann.emulateMedia({ colorScheme: 'dark' })
    await ann.screenshot({ path: join(process.env.SCREENSHOTS, 'dark.png'), fullPage: true })
  }

  await ben.getByRole('button', { name: 'Disconnect' }).click()
  await ben.getByRole('status').filter({ hasText: 'closed, 1000' }).waitFor()
  assert.equal(await ben.getByRole('button', { name: 'Send' }).isDisabled(), true)
  await number(ann, 'open', '1')
  await ann.getByText('only you are here').waitFor()
  await ann.getByText(/_?close: 1/).waitFor()

  await ben.getByRole('button', { name: 'Connect' }).click()
  await ben.getByRole('status').filter({ hasText: 'tunnel open' }).waitFor()
  await number(ben, 'open', '2')
  await number(ben, 'opened', '3')

  assert.deepEqual([...complaints, ...more], [])
})
