import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { freePorts } from '../conformance/httpd.ts'
import { rawClient, upgradeHead, wsClient } from '../fixtures/client.ts'
import { read, root, section } from '../fixtures/documents.ts'
import { answers, blocksOf, project, start } from '../fixtures/snippets.ts'
import { startWsUpstream } from '../fixtures/upstream.ts'
import { event, within } from '../fixtures/wait.ts'

// A deploy ends a process with SIGTERM: its WebSockets get Close 1001, and it exits with 0. For `npm start`, and for what the documents show.

const onWindows = process.platform === 'win32' && 'Windows has no signals to catch' // kill() ends a process at once there
const signal = 'SIGTERM'
const patience = 30_000

/** Its code on ports that are free. */
function on (code: string, ports: Readonly<Record<string, number>>): string {
  return Object.entries(ports).reduce((text, [port, free]) => text.replaceAll(port, String(free)), code)
}

async function closeCode (socket: WebSocket): Promise<number> {
  const [code] = await within(event(socket, 'close', patience), 'the end of the WebSocket', patience)
  return code as number
}

describe('a deploy', { concurrency: true, skip: onWindows }, () => {
  test('npm start passes SIGTERM on: the client gets 1001, and npm exits with 0', async (t) => {
    // What it builds before, `npm test` has built; another test may be reading it.
    const [port] = await freePorts(1)
    const npm = start(t, 'npm', ['start', '--ignore-scripts'], root, { PORT: String(port), HOST: '', UPSTREAM: '', LOG_LEVEL: '' })
    await answers(`http://127.0.0.1:${port}/`, npm)
    const client = await wsClient(t, `ws://127.0.0.1:${port}/tunnel/echo`)
    npm.child.kill(signal)
    assert.equal(await closeCode(client), 1001)
    assert.deepEqual(await within(npm.exited, 'the end of npm', patience), [0, null], npm.output())
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'nobody listens any more')
  })

  test('one minute, of the README: a tunnel, 1001, and 0', async (t) => {
    const [code = ''] = blocksOf(section('README.md', '## One minute'), 'js')
    const upstream = await startWsUpstream(t)
    const [port] = await freePorts(1) as [number]
    const folder = project(t, ['fastify'], { 'proxy.js': on(code, { 3000: port, 4000: upstream.port }) })
    const proxy = start(t, process.execPath, ['proxy.js'], folder)
    await answers(`http://127.0.0.1:${port}/`, proxy)
    const client = await wsClient(t, `ws://127.0.0.1:${port}/ws2/room?x=1`)
    assert.equal((await upstream.next()).request.url, '/room?x=1')
    const echoed = event(client, 'message')
    client.send('hello')
    assert.equal(String((await echoed)[0]), 'hello')
    proxy.child.kill(signal)
    assert.equal(await closeCode(client), 1001)
    assert.deepEqual(await within(proxy.exited, 'the end of the proxy', patience), [0, null], proxy.output())
  })

  test('getting started: token, tunnel, metrics, and an orderly end', async (t) => {
    const [upstreamCode = '', proxyCode = ''] = blocksOf(read('docs/getting-started.md'), 'js')
    const [front, back] = await freePorts(2) as [number, number]
    const ports = { 3000: front, 4000: back }
    const folder = project(t, ['fastify', 'ws', 'prom-client'], { 'upstream.js': on(upstreamCode, ports), 'proxy.js': on(proxyCode, ports) })
    const upstream = start(t, process.execPath, ['upstream.js'], folder)
    const proxy = start(t, process.execPath, ['proxy.js'], folder)
    await answers(`http://127.0.0.1:${back}/`, upstream)
    await answers(`http://127.0.0.1:${front}/metrics`, proxy)
    const url = `http://127.0.0.1:${front}/app/x`
    assert.equal((await fetch(url)).status, 401)
    const headers = { authorization: 'Bearer open-sesame' }
    assert.equal(await (await fetch(url, { headers })).text(), 'hello from /x\n')
    const refused = new WebSocket(url.replace('http', 'ws')).on('error', () => {})
    const [, response] = await event<[unknown, { statusCode: number }]>(refused, 'unexpected-response')
    assert.equal(response.statusCode, 401)
    const client = await wsClient(t, url.replace('http', 'ws'), [], { headers })
    const echoed = event(client, 'message')
    client.send('hello')
    assert.equal(String((await echoed)[0]), 'hello')
    const metrics = await (await fetch(`http://127.0.0.1:${front}/metrics`)).text()
    assert.match(metrics, /^wstunnel_tunnels_opened_total\{route="\/app"\} 1$/m)
    proxy.child.kill(signal)
    assert.equal(await closeCode(client), 1001)
    assert.deepEqual(await within(proxy.exited, 'the end of the proxy', patience), [0, null], proxy.output())
  })

  test('close-with-grace with the delay of the page: 1001, and 0 for a client that ignores it', async (t) => {
    const [code = ''] = blocksOf(section('docs/operations/deploy.md', '## close-with-grace'), 'js')
    const upstream = await startWsUpstream(t)
    const [port] = await freePorts(1) as [number]
    const folder = project(t, ['fastify', 'close-with-grace'], {
      'proxy.js': `import Fastify from 'fastify'
        import wstunnel from 'fastify-wstunnel'
        const app = Fastify()
        app.register(wstunnel, { upstream: '${upstream.url}' })
        await app.listen({ port: ${port} })
        ${code}`
    })
    const proxy = start(t, process.execPath, ['proxy.js'], folder)
    await answers(`http://127.0.0.1:${port}/`, proxy)
    const client = await wsClient(t, `ws://127.0.0.1:${port}/`)
    const deaf = await rawClient(t, port)
    deaf.write(upgradeHead('/', { host: `127.0.0.1:${port}` }))
    await deaf.head()
    proxy.child.kill(signal)
    assert.equal(await closeCode(client), 1001)
    assert.deepEqual(await within(proxy.exited, 'the end of the proxy', patience), [0, null], proxy.output())
  })
})

test('the delays that the page names are longer than drainTimeout and a second', () => {
  const page = read('docs/operations/deploy.md')
  const drain = 10_000
  const delays = [...page.matchAll(/(?:delay: |--close-grace-delay )([\d_]+)/g)].map(([, ms = '']) => Number(ms.replaceAll('_', '')))
  assert.ok(delays.length >= 4)
  for (const delay of delays) assert.ok(delay > drain + 1000, String(delay))
  for (const [, seconds] of page.matchAll(/(?:TimeoutStopSec=|stop_grace_period: |docker stop -t )(\d+)/g)) assert.ok(Number(seconds) * 1000 > drain + 1000)
  const [, grace = ''] = /terminationGracePeriodSeconds: (\d+) {2,}#/.exec(page) ?? []
  const [, preStop = ''] = /sleep, '(\d+)'/.exec(page) ?? []
  const [, own = ''] = /# drainTimeout: '(\d+)s'/.exec(page) ?? []
  assert.ok(Number(grace) > Number(preStop) + Number(own) + 1, `${grace}, ${preStop}, ${own}`)
})
