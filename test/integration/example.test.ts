import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { context, propagation, SpanKind, trace } from '@opentelemetry/api'
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace-node'
import type { FastifyInstance } from 'fastify'
import { WebSocket } from 'ws'
import { build as buildEncapsulated } from '../../examples/encapsulated.ts'
import { build as buildPrometheus } from '../../examples/metrics-prometheus.ts'
import { build as buildOpenTelemetry } from '../../examples/opentelemetry.ts'
import { build as buildPrefix } from '../../examples/prefix.ts'
import { build as buildRedis } from '../../examples/redis.ts'
import { addressFrom, urlOf } from '../../examples/run.ts'
import { build as buildServer } from '../../examples/server.ts'
import { build as buildStatus } from '../../examples/status.ts'
import { build as buildTable } from '../../examples/table.ts'
import { build as buildTls } from '../../examples/tls.ts'
import { startUpstream } from '../../examples/upstream.ts'
import type { Upstream } from '../../examples/upstream.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { findProgram, skipLoudly } from '../fixtures/program.ts'
import { startRedis } from '../fixtures/redis.ts'
import { authority } from '../fixtures/tls.ts'
import { closedPort } from '../fixtures/upstream.ts'
import { event, patience, until, within } from '../fixtures/wait.ts'

type Metrics = ReturnType<FastifyInstance['wstunnel']['metrics']>

const root = fileURLToPath(new URL('../..', import.meta.url))
const onWindows = process.platform === 'win32' && 'Windows has no signals to catch' // kill() ends a process at once there

interface Example {
  child: ChildProcessByStdio<null, Readable, Readable>
  output: () => string
  errors: () => string
  url: string
  exited: Promise<[code: number | null, signal: string | null]>
}

/** Starts a file of examples/ as a reader would, and waits for the URL that it prints. */
async function startExample (t: TestContext, file: string, env: NodeJS.ProcessEnv = {}): Promise<Example> {
  const example = spawnExample(t, file, env)
  let url: string | undefined
  await until(() => {
    url = /\b(?:http|ws):\/\/[^\s/]+:\d+/.exec(example.output())?.[0]
    if (url === undefined && example.child.exitCode !== null) throw new Error(`${file} ended: ${example.errors()}`)
    return url !== undefined
  }, () => `the greeting of ${file}; it said: ${example.output()}${example.errors()}`, 60_000)
  return { ...example, url: url! }
}

function spawnExample (t: TestContext, file: string, env: NodeJS.ProcessEnv): Omit<Example, 'url'> {
  const child = spawn(process.execPath, ['--import', 'tsx', join('examples', file)], {
    cwd: root,
    env: { ...process.env, HOST: '', UPSTREAM: '', LOG_LEVEL: '', PORT: '0', NODE_V8_COVERAGE: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
  const exited = once(child, 'close') as Example['exited']
  cleanup(t, 'servers', async () => {
    child.kill('SIGKILL') // nothing, when it has ended already
    await exited
  })
  return { child, output: () => output, errors: () => errors, exited }
}

async function start (t: TestContext, app: FastifyInstance): Promise<string> {
  cleanup(t, 'proxies', () => app.close())
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

/** Builds an example that does not log the error which the test provokes. */
async function quietly (build: () => Promise<FastifyInstance>): Promise<FastifyInstance> {
  const { LOG_LEVEL } = process.env
  process.env.LOG_LEVEL = 'silent'
  try {
    return await build()
  } finally {
    process.env.LOG_LEVEL = LOG_LEVEL ?? ''
  }
}

async function upstreamFor (t: TestContext): Promise<Upstream> {
  const upstream = await startUpstream()
  cleanup(t, 'servers', () => upstream.close())
  return upstream
}

/** A WebSocket whose messages can be awaited in order, from the first. */
async function open (t: TestContext, url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
  cleanup(t, 'connections', () => socket.terminate())
  const messages: string[] = []
  socket.on('message', (data, isBinary) => messages.push(isBinary ? (data as Buffer).toString('hex') : String(data)))
  await event(socket, 'open')
  let read = 0
  return {
    socket,
    async next (): Promise<string> {
      await until(() => messages.length > read, 'a message')
      return messages[read++]!
    },
    /** The first message of the chat that was said and not announced. */
    async nextSaid (): Promise<{ from: string, text: string }> {
      for (;;) {
        const message = JSON.parse(await this.next()) as { from: string, text: string }
        if ('text' in message) return message
      }
    }
  }
}

/** The status that an upgrade is refused with. */
async function refusal (t: TestContext, url: string, headers: Record<string, string> = {}): Promise<number> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers })
  cleanup(t, 'connections', () => socket.terminate())
  socket.on('error', () => {})
  const [, response] = await within(once(socket, 'unexpected-response'), 'a refusal')
  response.resume()
  return response.statusCode
}

/** The example's own numbers, once they are such: they follow the bytes, but not at once. */
async function metricsOf (url: string, holds: (metrics: Metrics) => boolean): Promise<Metrics> {
  const deadline = performance.now() + patience
  let metrics: Metrics
  do {
    metrics = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(patience) })).json() as Metrics
    if (performance.now() > deadline) throw new Error(`never: ${holds}\n${JSON.stringify(metrics, null, 2)}`)
  } while (!holds(metrics))
  return metrics
}

describe('examples/server.ts', () => {
  test('serves the page, chats, echoes and counts, and ends cleanly at SIGTERM', async (t) => {
    const example = await startExample(t, 'server.ts')
    const { url } = example
    assert.doesNotMatch(url, /:0$/)

    const page = await fetch(url)
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
    assert.match(await page.text(), /<title>/)

    const ann = await open(t, `${url}/tunnel`)
    const ben = await open(t, `${url}/tunnel`)
    ann.socket.send(JSON.stringify({ from: 'Ann', text: 'hello <b>Ben</b>', client: '1' }))
    for (const each of [ann, ben]) assert.deepEqual(await each.nextSaid(), { from: 'Ann', text: 'hello <b>Ben</b>', client: '1' })
    ben.socket.send('no JSON')
    for (const each of [ann, ben]) assert.deepEqual(await each.nextSaid(), { from: 'somebody', text: 'no JSON' })

    const echo = await open(t, `${url}/tunnel/echo`)
    echo.socket.send('text')
    echo.socket.send(Buffer.from('c0ffee', 'hex'))
    assert.equal(await echo.next(), 'text')
    assert.equal(await echo.next(), 'c0ffee')

    const forwarded = await fetch(`${url}/tunnel/echo?x=1`, { method: 'POST', body: 'hello' })
    assert.equal(forwarded.status, 200)
    const seen = await forwarded.json() as { method: string, url: string, body: string }
    assert.deepEqual([seen.method, seen.url, seen.body], ['POST', '/echo?x=1', 'hello'])

    const metrics = await metricsOf(url, ({ forwards }) => forwards.status['2xx'] === 1)
    assert.equal(metrics.tunnels.open, 3)
    assert.equal(metrics.tunnels.opened, 3)
    assert.ok(metrics.tunnels.bytesFromClient > 0 && metrics.tunnels.bytesFromUpstream > metrics.tunnels.bytesFromClient)
    assert.deepEqual(metrics.routes.map(({ upstreams }) => upstreams.length), [1])

    echo.socket.close(1000)
    await event(echo.socket, 'close')
    const after = await metricsOf(url, ({ tunnels }) => tunnels.open === 2)
    assert.equal(Object.values(after.tunnels.closed).reduce((a, b) => a + b, 0), 1)

    if (onWindows) return
    const ended = [ann, ben].map(({ socket }) => event(socket, 'close'))
    example.child.kill('SIGTERM')
    example.child.kill('SIGTERM') // as npm may pass it on
    await Promise.all(ended)
    assert.deepEqual(await within(example.exited, 'the end of the example'), [0, null])
    assert.equal(example.errors(), '')
  })

  test('the commands that it prints work', async (t) => {
    if (spawnSync('curl', ['--version']).error !== undefined) return t.skip('no curl here')
    const example = await startExample(t, 'server.ts')
    await until(() => example.output().includes('Ctrl-C'), 'the rest of the greeting')
    const commands = example.output().match(/curl .*/g) ?? []
    assert.equal(commands.length, 2)
    for (const command of commands) {
      const curl = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'ignore'] })
      let text = ''
      curl.stdout.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
      const [code] = await within(once(curl, 'close'), command)
      assert.equal(code, 0, command)
      assert.match(text, command.includes('/metrics') ? /"tunnels":/ : /"body": "hello"/)
    }
  })

  test('UPSTREAM names another upstream, run by itself', async (t) => {
    const upstream = await startExample(t, 'upstream.ts')
    const example = await startExample(t, 'server.ts', { UPSTREAM: upstream.url })
    const client = await open(t, `${example.url}/tunnel/echo`)
    client.socket.send('there and back')
    assert.equal(await client.next(), 'there and back')
    const { routes } = await metricsOf(example.url, () => true)
    assert.match(routes[0]!.upstreams[0]!.upstream, new RegExp(`^${upstream.url}`))

    // The same upstream, named as what it is to plain HTTP.
    const other = await start(t, await buildServer(upstream.url.replace('ws', 'http')))
    const same = await open(t, `${other}/tunnel/echo`)
    same.socket.send('also here')
    assert.equal(await same.next(), 'also here')

    if (onWindows) return
    client.socket.terminate()
    same.socket.terminate()
    for (const each of [example, upstream]) {
      each.child.kill('SIGINT')
      assert.deepEqual(await within(each.exited, 'the end of the example'), [0, null])
    }
  })

  test('an UPSTREAM with a path is met at that path', async (t) => {
    const upstream = await upstreamFor(t)
    const url = await start(t, await buildServer(`${upstream.url}some/socket`))
    for (const [path, expected] of [['', '/some/socket'], ['/echo?x', '/some/socket/echo?x']] as const) {
      const seen = await (await fetch(`${url}/tunnel${path}`)).json() as { url: string }
      assert.equal(seen.url, expected)
    }
  })

  test('an upstream that is not there is a 502 or 503, and a number', async (t) => {
    const upstream = await startUpstream()
    await upstream.close()
    const url = await start(t, await quietly(() => buildServer(upstream.url)))
    assert.match(String(await refusal(t, `${url}/tunnel/`)), /^50[23]$/)
    const { tunnels } = await metricsOf(url, () => true)
    assert.equal(tunnels.refused.dial, 1)
    assert.equal(tunnels.opened, 0)
  })

  test('a busy port, a bad port, a bad host and a bad upstream are named', async (t) => {
    const busy = createServer().listen(0, '127.0.0.1')
    await once(busy, 'listening')
    cleanup(t, 'servers', () => busy.close())
    const { port } = busy.address() as AddressInfo

    const cases: Array<[env: NodeJS.ProcessEnv, message: RegExp]> = [
      [{ PORT: String(port) }, new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use.*PORT=3001 npm start`)],
      [{ PORT: '30x' }, /^PORT must be a number .* got '30x'/],
      [{ HOST: '203.0.113.1' }, /^HOST=203\.0\.113\.1 is no address of this machine/],
      [{ UPSTREAM: 'ftp://somewhere/' }, /upstream.*ftp:/s]
    ]
    await Promise.all(cases.map(async ([env, message]) => {
      const example = spawnExample(t, 'server.ts', env)
      assert.deepEqual(await within(example.exited, `the end with ${JSON.stringify(env)}`, 60_000), [1, null])
      assert.match(example.errors(), message)
      assert.equal(example.errors().trim().split('\n').length, 1, 'one line, no stack')
    }))
  })

  test('the address is read from the environment and printed for a browser', () => {
    assert.deepEqual(addressFrom({}), { host: '127.0.0.1', port: 3000 })
    assert.deepEqual(addressFrom({ HOST: '::', PORT: '8080' }), { host: '::', port: 8080 })
    assert.throws(() => addressFrom({ PORT: '65536' }), /PORT must be a number/)
    assert.equal(urlOf({ address: '127.0.0.1', port: 1 }), 'http://127.0.0.1:1')
    assert.equal(urlOf({ address: '0.0.0.0', port: 1 }), 'http://localhost:1')
    assert.equal(urlOf({ address: '::', port: 1 }), 'http://localhost:1')
    assert.equal(urlOf({ address: '::1', port: 1 }), 'http://[::1]:1')
  })
})

describe('the other examples', () => {
  for (const file of ['prefix.ts', 'table.ts', 'encapsulated.ts', 'metrics-prometheus.ts', 'status.ts', 'tls.ts']) {
    test(`${file} starts, prints what to type, and ends at SIGTERM`, { skip: onWindows }, async (t) => {
      const example = await startExample(t, file)
      const answer = await fetch(example.url)
      assert.ok(answer.status < 500)
      await answer.body?.cancel()
      example.child.kill('SIGTERM')
      assert.deepEqual(await within(example.exited, 'the end of the example'), [0, null])
      assert.match(example.output(), /curl /)
      assert.equal(example.errors(), '')
    })
  }

  test('prefix.ts: one path for the upstream, the rest is Fastify', async (t) => {
    const url = await start(t, buildPrefix((await upstreamFor(t)).url))
    assert.deepEqual(await (await fetch(url)).json(), { hello: 'from Fastify itself' })
    const forwarded = await fetch(`${url}/ws2/echo?x=1`)
    assert.equal(forwarded.headers.get('x-served-by'), 'fastify-wstunnel')
    assert.equal((await forwarded.json() as { url: string }).url, '/echo?x=1')
    const { socket, next } = await open(t, `${url}/ws2/echo`)
    socket.send('hello')
    assert.equal(await next(), 'hello')
    assert.equal((await fetch(`${url}/elsewhere`)).status, 404)
  })

  test('table.ts: upgrades, an exclusion, and everything else', async (t) => {
    const url = await start(t, buildTable((await upstreamFor(t)).url))
    for (const path of ['/live/echo', '/any/echo']) {
      const { socket, next } = await open(t, url + path)
      socket.send(path)
      assert.equal(await next(), path)
    }
    assert.equal((await (await fetch(`${url}/live/x`)).json() as { url: string }).url, '/live/x')
    assert.equal((await (await fetch(`${url}/other`)).json() as { url: string }).url, '/other')
    assert.deepEqual(await (await fetch(`${url}/internal/health`)).json(), { ok: true })
    assert.equal((await fetch(`${url}/internal/secret`)).status, 404)
    assert.equal(await refusal(t, `${url}/internal/secret`), 404)
  })

  test('encapsulated.ts: a tunnel needs the token where the scope says so', async (t) => {
    const app = buildEncapsulated((await upstreamFor(t)).url)
    const url = await start(t, app)
    const token = { authorization: 'Bearer open-sesame' }
    assert.equal(await refusal(t, `${url}/private/echo`), 401)
    assert.equal(await refusal(t, `${url}/private/echo`, { authorization: 'Bearer guess' }), 401)
    assert.equal((await fetch(`${url}/private/`)).status, 401)
    assert.equal((await fetch(`${url}/private/`, { headers: token })).status, 200)
    for (const [path, headers] of [['/private/echo', token], ['/public/echo', {}]] as const) {
      const { socket, next } = await open(t, url + path, headers)
      socket.send(path)
      assert.equal(await next(), path)
    }
    assert.equal(app.wstunnel.metrics().tunnels.opened, 2)
  })

  test('tls.ts: an upstream with a certificate of its own authority', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'wstunnel-example-'))
    cleanup(t, 'servers', () => rmSync(folder, { recursive: true }))
    const ca = authority()
    const { key, cert } = ca.issue()
    writeFileSync(join(folder, 'ca.pem'), ca.cert)
    const upstream = await startUpstream(0, { key, cert })
    cleanup(t, 'servers', () => upstream.close())

    const url = await start(t, await buildTls(upstream.url, join(folder, 'ca.pem')))
    assert.equal((await fetch(`${url}/wss2/hello`)).status, 200)
    const { socket, next } = await open(t, `${url}/wss2/echo`)
    socket.send('hello')
    assert.equal(await next(), 'hello')

    const doubtful = await start(t, await buildTls(upstream.url, ''))
    assert.match(String(await refusal(t, `${doubtful}/wss2/echo`)), /^50[23]$/)
  })

  test('metrics-prometheus.ts: the metrics beside those of its own', async (t) => {
    const url = await start(t, buildPrometheus((await upstreamFor(t)).url))
    const { socket, next } = await open(t, `${url}/app/echo`)
    socket.send('hello')
    assert.equal(await next(), 'hello')
    for (const path of ['/app/hello', '/hello']) assert.equal((await fetch(url + path)).status, 200)

    const response = await fetch(`${url}/metrics`)
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    const text = await response.text()
    assert.match(text, /^greetings_total 1$/m)
    assert.match(text, /^wstunnel_tunnels_opened_total\{route="\/app\/"\} 1$/m)
    assert.match(text, /^wstunnel_handshake_duration_seconds_count\{route="\/app\/"\} 1$/m)
    assert.match(text, /^wstunnel_forwards_total\{route="\/app\/",status="2xx"\} 1$/m)
    assert.match(text, /^wstunnel_member_state\{balancer="app",[^}]*state="up"\} 1$/m)
  })

  test('opentelemetry.ts: a span for the attempt below those of the server, and one traceparent', async (t) => {
    const exporter = new InMemorySpanExporter()
    t.after(() => {
      trace.disable()
      context.disable()
      propagation.disable()
    })
    const url = await start(t, await buildOpenTelemetry((await upstreamFor(t)).url, exporter))
    const answer = await (await fetch(`${url}/app/hello`)).json() as { headers: { traceparent: string } }
    const [, traceId, spanId] = answer.headers.traceparent.split('-')
    const { socket, next } = await open(t, `${url}/app/echo`)
    socket.send('hello')
    assert.equal(await next(), 'hello')
    socket.close()
    await until(() => exporter.getFinishedSpans().some(({ name }) => name === 'tunnel closed'), 'the end of the tunnel')
    const [forward, handshake] = exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CLIENT)
    assert.deepEqual([forward?.spanContext().traceId, forward?.spanContext().spanId, handshake?.attributes['wstunnel.kind']], [traceId, spanId, 'upgrade'])
    assert.ok(exporter.getFinishedSpans().some((span) => span.kind === SpanKind.SERVER && span.spanContext().traceId === traceId))
  })

  test('redis.ts: one limit for two instances', async (t) => {
    const program = findProgram('redis-server')
    if (program === undefined) return skipLoudly(t, 'redis-server')
    const { port } = await startRedis(t, program, await closedPort())
    const { url: upstream } = await upstreamFor(t)
    const [one, two] = [await start(t, buildRedis(upstream, `redis://127.0.0.1:${port}`)), await start(t, buildRedis(upstream, `redis://127.0.0.1:${port}`))]
    for (const url of [one, two, one]) await open(t, `${url}/app/echo`)
    for (const url of [one, two]) assert.equal(await refusal(t, `${url}/app/echo`), 429)
  })

  test('status.ts: the page for those with the password, and the link to it from the page to start with', async (t) => {
    const { url: upstream } = await upstreamFor(t)
    const url = await start(t, buildStatus(upstream))
    assert.equal((await fetch(`${url}/wstunnel`)).status, 401)
    const headers = { authorization: `Basic ${Buffer.from('operator:open-sesame').toString('base64')}` }
    assert.match(await (await fetch(`${url}/wstunnel`, { headers })).text(), /<meta name="wstunnel-nonce"/)
    const server = await start(t, await buildServer(upstream))
    const [, link] = /<a href="([^"]+)">status page/.exec(await (await fetch(server)).text()) ?? []
    const page = await (await fetch(new URL(link ?? '', `${server}/`))).text()
    assert.match(page, /<title>fastify-wstunnel: status/)
    assert.doesNotMatch(page, /wstunnel-nonce" content/)
  })
})
