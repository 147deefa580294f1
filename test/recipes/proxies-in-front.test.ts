import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { build as buildBehind } from '../../examples/recipes/behind-a-proxy.ts'
import { build as buildProxyProtocol } from '../../examples/recipes/proxy-protocol.ts'
import { startUpstream } from '../../examples/upstream.ts'
import { freePorts } from '../conformance/httpd.ts'
import { cleanup } from '../fixtures/cleanup.ts'
import { wsClient } from '../fixtures/client.ts'
import { read } from '../fixtures/documents.ts'
import { skipLoudly } from '../fixtures/program.ts'
import { answers, type Program, start } from '../fixtures/snippets.ts'
import { event, until } from '../fixtures/wait.ts'
import { find as findServer } from '../second-opinion/servers.ts'

// The configurations of docs/recipes/behind-a-proxy.md, in Debian's nginx and HAProxy.

async function telling (t: TestContext): Promise<string> {
  const upstream = await startUpstream()
  cleanup(t, 'servers', () => upstream.close())
  return upstream.url
}

async function listen (t: TestContext, app: FastifyInstance, port: number): Promise<void> {
  cleanup(t, 'proxies', () => app.close())
  await app.listen({ port, host: '127.0.0.1' })
}

/** Its file with the ports that are free; a server that runs with it. */
async function front (
  t: TestContext, program: string, file: string, ports: Readonly<Record<string, number>>, args: (folder: string, file: string) => string[]
): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'wstunnel-front-'))
  cleanup(t, 'servers', () => rmSync(folder, { recursive: true, force: true }))
  const text = Object.entries(ports).reduce((rest, [port, free]) => rest.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${free}`), read(file))
  const copy = join(folder, 'front.conf')
  writeFileSync(copy, text)
  return start(t, program, args(folder, copy), folder)
}

interface Told { headers: Record<string, string> }

async function checkForward (url: string, host: string): Promise<void> {
  const { headers } = await (await fetch(`${url}/app/x`, { headers: { 'x-forwarded-for': '203.0.113.9' } })).json() as Told
  // The client cannot say who it is: the proxy in front says so, and stands behind it in the chain.
  assert.equal(headers['x-forwarded-for'], '127.0.0.1, 127.0.0.1')
  assert.equal(headers['x-forwarded-host'], host)
  assert.equal(headers['x-forwarded-proto'], 'http')
}

async function checkTunnel (t: TestContext, url: string, app: FastifyInstance): Promise<void> {
  const socket = await wsClient(t, `${url.replace('http', 'ws')}/app/echo`)
  const answer = event(socket, 'message')
  socket.send('hello')
  assert.equal(String((await answer)[0]), 'hello')
  assert.equal([...app.wstunnel.tunnels()][0]?.client, '127.0.0.1')
}

test('nginx in front: requests, tunnels, and who the client is', async (t) => {
  const nginx = findServer('nginx')
  if (nginx === undefined) return skipLoudly(t, 'nginx')
  const [port, own] = await freePorts(2) as [number, number]
  const app = buildBehind(await telling(t))
  await listen(t, app, own)
  const args = (folder: string, file: string): string[] => ['-p', folder, '-e', 'stderr', '-c', file]
  const program = await front(t, nginx, 'examples/recipes/behind-nginx.conf', { 8080: port, 3000: own }, args)
  const url = `http://127.0.0.1:${port}`
  await answers(url, program)
  await checkForward(url, `127.0.0.1:${port}`)
  await checkTunnel(t, url, app)
})

test('HAProxy in front: by HTTP, by the PROXY protocol, and away from a server that drains', async (t) => {
  const haproxy = findServer('haproxy')
  if (haproxy === undefined) return skipLoudly(t, 'haproxy')
  const [http, tcp, own, ownTcp] = await freePorts(4) as [number, number, number, number]
  const upstream = await telling(t)
  const [app, behindTcp] = [buildBehind(upstream), buildProxyProtocol(upstream)]
  await listen(t, app, own)
  await listen(t, behindTcp, ownTcp)
  const args = (_folder: string, file: string): string[] => ['-db', '-q', '-f', file]
  const program = await front(t, haproxy, 'examples/recipes/behind-haproxy.cfg', { 8080: http, 8081: tcp, 3000: own, 3001: ownTcp }, args)
  const url = `http://127.0.0.1:${http}`
  await answers(url, program)
  await checkForward(url, `127.0.0.1:${http}`)
  await checkTunnel(t, url, app)

  const byTcp = `http://127.0.0.1:${tcp}`
  await answers(byTcp, program)
  const { headers } = await (await fetch(`${byTcp}/app/x`)).json() as Told
  assert.equal(headers['x-forwarded-for'], '127.0.0.1')
  await checkTunnel(t, byTcp, behindTcp)

  // HAProxy asks healthPath, and sends nothing to a server that drains: its own 503, which has no code of ours.
  void app.wstunnel.drain({ timeout: '20s' }).catch(() => {})
  let text = ''
  await until(async () => {
    const response = await fetch(`${url}/app/x`)
    text = await response.text()
    return response.status === 503
  }, "HAProxy's own 503")
  assert.doesNotMatch(text, /FST_WSTUNNEL/)
})
