// A client that is not Node's: python3-h2, which takes no frame that RFC 9113 does not allow.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanup } from '../fixtures/cleanup.ts'
import { scene } from '../fixtures/http2-stage.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { switching } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

const script = fileURLToPath(new URL('../fixtures/http2-client.py', import.meta.url))

test('python3-h2: echo, a refusal, a reset and an end by the upstream, in one session', async (t) => {
  const python = findProgram('python3')
  if (python === undefined || spawnSync(python, ['-c', 'import h2']).status !== 0) return skipLoudly(t, 'python3-h2')
  const { proxy, upstream, record } = await scene(t)
  const child = spawn(python, [script, String(proxy.port)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  cleanup(t, 'connections', async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines = createInterface(child.stdout)
  const play = async (
    path: string, send: number, end: boolean, answer: (connection: Awaited<ReturnType<typeof upstream.next>>, head: string) => unknown
  ): Promise<object> => {
    const line = event<[string]>(lines, 'line', 30_000)
    child.stdin.write(`${JSON.stringify({ path, send, end })}\n`)
    const connection = await upstream.next()
    await answer(connection, await connection.head())
    return JSON.parse((await line)[0])
  }
  const size = 3 << 20
  assert.deepEqual(await play('/echo', size, true, async (connection, head) => {
    connection.write(switching(head))
    connection.socket.pipe(connection.socket)
  }), { status: 200, received: size, ended: true, reset: null })
  assert.equal((await record.nextOutcome()).reason, 'client_close')
  const refused = await play('/refused', 0, false, (connection) => connection.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno'))
  // Behind the END Node closes our half with RST_STREAM(NO_ERROR) (RFC 9113, 8.1), which may come together with it.
  assert.deepEqual({ ...refused, reset: 0 }, { status: 401, received: 2, ended: true, reset: 0 })
  assert.deepEqual(await play('/reset', 10, false, async (connection, head) => {
    connection.write(switching(head))
    await connection.read(10)
    connection.reset()
  }), { status: 200, received: 0, ended: false, reset: 8 })
  assert.equal((await record.nextOutcome()).reason, 'upstream_reset')
  assert.deepEqual(await play('/end', 10, false, async (connection, head) => {
    connection.write(switching(head))
    await connection.read(10)
    connection.end('last')
  }), { status: 200, received: 4, ended: true, reset: null })
  child.stdin.end()
  assert.equal((await within(exited, 'the client to leave'))[0], 0)
  assert.equal((await record.nextOutcome()).by, 'upstream')
})
