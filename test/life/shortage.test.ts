// A process that has no descriptors left says so, and blames no member for it. httpd would, and so did we.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rawClient, requestHead, upgradeHead } from '../fixtures/client.ts'
import type { RawResponse } from '../fixtures/raw.ts'
import { startRawUpstream, type RawUpstream } from '../fixtures/upstream.ts'
import { event, until, within } from '../fixtures/wait.ts'

/** As many as Node needs to begin; all but so many are taken then. */
const descriptors = 500
const left = 80
const burst = 60

async function start (t: TestContext, members: string[]): Promise<{ child: ChildProcess, port: number }> {
  const file = fileURLToPath(new URL('shortage.child.ts', import.meta.url))
  const child = spawn(
    'sh',
    ['-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, process.execPath, '--import', 'tsx', file, String(left), ...members],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }
  )
  t.after(() => child.kill())
  const [port] = await event<[number]>(child, 'message')
  return { child, port }
}

async function states (child: ChildProcess): Promise<string[][]> {
  child.send('states')
  return (await event<[string[][]]>(child, 'message'))[0]
}

/** Two upstreams that keep whoever comes waiting. */
async function silent (t: TestContext): Promise<[RawUpstream, RawUpstream]> {
  return [await startRawUpstream(t), await startRawUpstream(t)]
}

async function answers (t: TestContext, child: ChildProcess, port: number, heads: string[]): Promise<RawResponse[]> {
  const clients = await Promise.all(heads.map(async () => await rawClient(t, port)))
  // One that the process has not accepted yet would find no descriptor either, and get no answer at all.
  for (let accepted = 0; accepted < clients.length;) {
    child.send('connections')
    ;[accepted] = await event<[number]>(child, 'message')
  }
  const found: RawResponse[] = []
  clients.forEach((client, i) => {
    client.write(heads[i] as string)
    client.response().then((response) => found.push(response), () => {})
  })
  await until(() => found.length > 5, 'answers to those for whom there was no descriptor left')
  return found
}

for (const host of ['127.0.0.1', 'localhost']) {
  test(`a burst beyond the descriptors of the process takes no member out, where members are at ${host}`, async (t) => {
    const members = await silent(t)
    const { child, port } = await start(t, members.map((member) => `http://${host}:${member.port}/`))
    const found = await answers(t, child, port, Array.from({ length: burst }, (_, i) => requestHead('GET', i % 2 === 0 ? '/app/' : '/checked/')))
    for (const { status, headers, body } of found) {
      assert.deepEqual([status, headers['retry-after'], JSON.parse(String(body)).code], [503, ['5'], 'FST_WSTUNNEL_SHORTAGE'])
    }
    // The checks of health find no descriptor either.
    await new Promise((resolve) => setTimeout(resolve, 300))
    for (const list of await within(states(child), 'the states')) assert.deepEqual(list, ['up 0', 'up 0'])
    assert.equal(child.exitCode, null)
  })
}

test('upgrades beyond them are a 503, too, and take no member out', async (t) => {
  const members = await silent(t)
  const { child, port } = await start(t, members.map((member) => member.url))
  const found = await answers(t, child, port, Array.from({ length: burst }, () => upgradeHead('/app/')))
  for (const { status } of found) assert.equal(status, 503)
  assert.deepEqual((await states(child))[0], ['up 0', 'up 0'])
})
