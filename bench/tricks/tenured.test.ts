// Of what is over nothing is to be left for the old generation: else each scavenge copies it, and the next ones what refers to it.
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rawClient, requestHead } from '../../test/fixtures/client.ts'
import { startHttpUpstream } from '../../test/fixtures/upstream.ts'
import { event } from '../../test/fixtures/wait.ts'

/** Requests between two scavenges, scavenges, and connections. */
const [batch, scavenges, width] = [200, 10, 16]
/** Bytes for each: Fastify and Node leave some 300 to 500 by themselves. */
const most = 1500

// V8 sometimes takes a place in the code for one whose objects live long, and has all later ones begin in the old generation.
const flags = ['--expose-gc', '--no-allocation-site-pretenuring', '--import', 'tsx']

async function start (t: TestContext, upstream: string): Promise<{ child: ChildProcess, port: number }> {
  const child = fork(fileURLToPath(new URL('tenured.child.ts', import.meta.url)), [upstream], { execArgv: flags })
  t.after(() => child.kill())
  const [port] = await event<[number]>(child, 'message')
  return { child, port }
}

async function ask (child: ChildProcess, what: 'collect' | 'scavenge'): Promise<number> {
  child.send(what)
  return (await event<[number]>(child, 'message'))[0]
}

test('a forward that is over is not tenured', { timeout: 60_000 }, async (t) => {
  const upstream = await startHttpUpstream(t, (_, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end('hello, world')
  })
  const { child, port } = await start(t, upstream.url)
  const clients = await Promise.all(Array.from({ length: width }, async () => await rawClient(t, port)))
  const get = async (count: number): Promise<void> => {
    await Promise.all(clients.map(async (client) => {
      for (let i = 0; i < count / width; i++) {
        client.write(requestHead('GET', '/'))
        assert.equal((await client.response()).status, 200)
      }
    }))
  }
  await get(10 * batch) // until the code is compiled that is used most
  const rounds: number[] = []
  for (let round = 0; round < 3; round++) {
    const before = await ask(child, 'collect')
    for (let i = 0; i < scavenges; i++) {
      await get(batch)
      await ask(child, 'scavenge')
    }
    rounds.push((await ask(child, 'scavenge') - before) / batch / scavenges)
  }
  assert.ok(Math.min(...rounds) < most, `${rounds.map(Math.round).join(', ')} bytes for each`)
})
